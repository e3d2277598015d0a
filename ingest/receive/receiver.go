package receive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Publisher makes envelopes durable. ingest/publish is the one in use.
type Publisher interface {
	// PublishDurable returns nil when Kafka has acknowledged every envelope or the spool holds it on disk. An error that
	// is publish.ErrRefused asks the sender to come back; after any error the whole call may be repeated. It MUST NOT keep
	// envs after it has returned.
	PublishDurable(ctx context.Context, envs []*event.Envelope) error
}

// Settings is what code supplies.
type Settings struct {
	Publisher   Publisher
	DeadLetters DeadLetters
	Formats     []Format
	Ledger      Ledger // nil: nobody keeps the account
	Topic       string // where envelopes go, for the position of dead letters
	Version     string // the software's version
	Logger      zerolog.Logger
	Registerer  prometheus.Registerer // nil keeps the metrics unregistered
	Now         func() time.Time      // nil: the system's clock
}

// Receiver answers requests. It is an http.Handler and safe for concurrent use.
type Receiver struct {
	cfg       Config
	set       Settings
	log       zerolog.Logger
	mux       *http.ServeMux
	directory *directory
	attempts  *attempts
	replays   *replays
	gate      *gate
	numbers   *numbers
	budget    budget
	slots     chan struct{}
	metrics   metrics
	warn      warner
}

// New builds a receiver. It opens nothing.
func New(cfg Config, set Settings) (*Receiver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if set.Publisher == nil || set.DeadLetters == nil || len(set.Formats) == 0 {
		return nil, errors.New("create receiver: settings need a publisher, dead letters and a format")
	}
	if cfg.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find receive.instance: %w", err)
		}
		cfg.Instance = host
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	r := &Receiver{
		cfg: cfg, set: set, log: set.Logger.With().Str("component", "receive").Logger(), mux: http.NewServeMux(),
		attempts: newAttempts(cfg.FailuresPerMinute), replays: newReplays(cfg), slots: make(chan struct{}, cfg.MaxConcurrent),
		numbers: newNumbers(cfg.Instance, cmp.Or(set.Version, "unknown"), set.Ledger),
	}
	r.budget.max = cfg.MaxInFlightBytes
	r.warn.log = r.log
	redactor, err := redact.New(cfg.Redact)
	if err != nil {
		return nil, fmt.Errorf("create redactor: %w", err)
	}
	if r.directory, err = newDirectory(cfg); err != nil {
		return nil, err
	}
	r.metrics = newMetrics(r)
	if err := r.metrics.register(set.Registerer); err != nil {
		return nil, err
	}
	r.gate = &gate{
		redactor: redactor, most: captureModes[cfg.MaxCapture], maxBytes: cfg.MaxRecordBytes,
		reduced: func(reason string) { r.metrics.reduced.WithLabelValues(reason).Inc() },
	}
	return r, r.route()
}

func (r *Receiver) route() error {
	taken := map[string]string{}
	for _, f := range r.set.Formats {
		for _, path := range f.Paths() {
			if other := taken[path]; other != "" {
				return fmt.Errorf("create receiver: formats %s and %s both have the path %s", other, f.Name(), path)
			}
			taken[path] = f.Name()
			r.mux.HandleFunc(path, func(w http.ResponseWriter, req *http.Request) { r.serve(w, req, f) })
		}
	}
	return nil
}

// ServeHTTP implements http.Handler.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	if _, pattern := r.mux.Handler(req); pattern == "" {
		r.metrics.answered(unknownSource, "none", http.StatusNotFound)
		(&failure{status: http.StatusNotFound, code: "not_found", message: "no format has this path"}).write(w)
		return
	}
	r.mux.ServeHTTP(w, req)
}

// visit is one request on its way.
type visit struct {
	format Format
	now    time.Time
	source *source
	name   string // of the source, in metrics
	wire   int    // bytes as they arrived
	body   []byte // decompressed
	share  share
	mac    *[32]byte // of a signature that was claimed
}

func (r *Receiver) serve(w http.ResponseWriter, req *http.Request, f Format) {
	v := &visit{format: f, now: r.set.Now(), name: unknownSource, share: share{budget: &r.budget}}
	result, fail := r.guarded(req, v)
	v.share.close()
	if fail != nil {
		if v.mac != nil {
			r.replays.release(*v.mac)
		}
		r.metrics.answered(v.name, f.Name(), fail.status)
		fail.write(w)
		return
	}
	status := http.StatusOK
	if result.RejectedCount > 0 {
		status = http.StatusMultiStatus
	}
	r.metrics.answered(v.name, f.Name(), status)
	r.metrics.records.WithLabelValues(v.name, f.Name(), "accepted").Add(float64(result.Accepted))
	r.metrics.records.WithLabelValues(v.name, f.Name(), "rejected").Add(float64(result.RejectedCount))
	r.metrics.bytes.WithLabelValues(v.name, "wire").Add(float64(v.wire))
	r.metrics.bytes.WithLabelValues(v.name, "decoded").Add(float64(len(v.body)))
	result.write(w)
}

// guarded turns a bug into a refusal: one request must cost neither the process nor a 2xx that means nothing. What was
// thrown is not logged, since it can quote the request.
func (r *Receiver) guarded(req *http.Request, v *visit) (result Result, fail *failure) {
	defer func() {
		if recover() != nil {
			r.warn.say("panic", nil, "a request ended in a bug; nothing of it was taken")
			fail = &failure{status: http.StatusInternalServerError, code: "internal", message: "the receiver failed; nothing was taken"}
		}
	}()
	return r.handle(req, v)
}

// handle is the way of a request. A failure means that nothing of it counts as taken.
func (r *Receiver) handle(req *http.Request, v *visit) (Result, *failure) {
	if req.Method != http.MethodPost {
		return Result{}, &failure{status: http.StatusMethodNotAllowed, code: "method", message: "use POST"}
	}
	sign, fail := r.admitSender(req, v)
	if fail != nil {
		return Result{}, fail
	}
	select {
	case r.slots <- struct{}{}:
		defer func() { <-r.slots }()
	default:
		return Result{}, &failure{
			status: http.StatusTooManyRequests, code: "overload", limit: "receive.max_concurrent", value: int64(r.cfg.MaxConcurrent),
			message: "too many requests are at work", retry: overloadRetry,
		}
	}
	if fail := r.readBody(req, v, sign); fail != nil {
		return Result{}, fail
	}
	records, fail := r.decode(req, v)
	if fail != nil {
		return Result{}, fail
	}
	if fail := r.ration(v, len(records)); fail != nil {
		return Result{}, fail
	}
	return r.keep(req.Context(), v, records)
}

// admitSender finds the source as far as the header tells it.
func (r *Receiver) admitSender(req *http.Request, v *visit) (*signature, *failure) {
	if r.attempts.blocked(req.RemoteAddr, v.now) {
		return nil, &failure{
			status: http.StatusTooManyRequests, code: "too_many_failures", message: "too many failed log-ins from this address",
			limit: "receive.failures_per_minute", value: int64(r.cfg.FailuresPerMinute), retry: time.Minute / time.Duration(r.cfg.FailuresPerMinute),
		}
	}
	found, sign, deny := r.directory.identify(req, v.now)
	if deny != nil {
		return nil, r.deny(req, v, deny)
	}
	v.source = found
	if sign == nil {
		v.name = found.Name
		return nil, r.checkFormat(v)
	}
	return sign, nil
}

// deny counts a failed log-in. The answer is the same whatever was wrong.
func (r *Receiver) deny(req *http.Request, v *visit, d *denial) *failure {
	v.name = d.source
	r.metrics.deny(d)
	r.attempts.failed(req.RemoteAddr, v.now)
	r.warn.say("denied_"+d.reason, nil, "a sender did not prove who it is")
	return &failure{status: http.StatusUnauthorized, code: "unauthorized", message: "the request does not prove who sends it"}
}

func (r *Receiver) checkFormat(v *visit) *failure {
	if v.source.allows(v.format.Name()) {
		return nil
	}
	r.metrics.deny(&denial{v.source.Name, denyFormat})
	return &failure{status: http.StatusForbidden, code: "forbidden", message: "this source may not send here; see receive.sources[].formats"}
}

// readBody reads, checks a signature over what arrived, and decompresses.
func (r *Receiver) readBody(req *http.Request, v *visit, sign *signature) *failure {
	body, fail := r.cfg.read(req, &v.share)
	if fail != nil {
		return fail
	}
	if sign != nil {
		mac, deny := sign.verify(v.source, body, v.now, r.cfg.SignatureTolerance)
		if deny != nil {
			return r.deny(req, v, deny)
		}
		v.name = v.source.Name
		if fail := r.checkFormat(v); fail != nil {
			return fail
		}
		fresh, room := r.replays.claim(mac, sign.at, v.now)
		switch {
		case !fresh:
			return r.deny(req, v, &denial{v.source.Name, denyReplay})
		case !room:
			return &failure{
				status: http.StatusTooManyRequests, code: "overload", limit: "receive.max_signatures", value: int64(r.cfg.MaxSignatures),
				message: "too many signatures are remembered", retry: 10 * time.Second,
			}
		}
		v.mac = &mac
	}
	v.wire = len(body)
	v.body, fail = r.cfg.decompress(req.Header.Get("Content-Encoding"), body, &v.share)
	return fail
}

var errTooMany = errors.New("too many records")

func (r *Receiver) decode(req *http.Request, v *visit) ([]Record, *failure) {
	var records []Record
	err := v.format.Decode(req.Context(), req.Header, v.body, func(record Record) error {
		if len(records) == r.cfg.MaxRecords {
			return errTooMany
		}
		records = append(records, record)
		return nil
	})
	switch {
	case errors.Is(err, errTooMany):
		return nil, &failure{
			status: http.StatusRequestEntityTooLarge, code: "too_many_records", limit: "receive.max_records", value: int64(r.cfg.MaxRecords),
			message: fmt.Sprintf("the body holds more than %d records; send fewer at once", r.cfg.MaxRecords),
		}
	case errors.Is(err, ErrMediaType):
		return nil, &failure{status: http.StatusUnsupportedMediaType, code: "content_type", message: err.Error()}
	case err != nil:
		return nil, &failure{status: http.StatusBadRequest, code: "malformed", message: "nothing was taken: " + err.Error()}
	case len(records) == 0:
		return nil, &failure{status: http.StatusBadRequest, code: "empty", message: "the body holds no record"}
	}
	return records, nil
}

func (r *Receiver) ration(v *visit, records int) *failure {
	wait, never := v.source.rate.take(v.now, records, len(v.body))
	switch {
	case never != "":
		return &failure{
			status: http.StatusRequestEntityTooLarge, code: "above_burst", limit: "receive.sources[]." + never,
			message: "the request alone is more than this source may send at once; send fewer records at once",
		}
	case wait > 0:
		return &failure{
			status: http.StatusTooManyRequests, code: "rate_limited", limit: "receive.sources[].records_per_second, bytes_per_second",
			message: "this source sends more than it may", retry: wait,
		}
	}
	return nil
}

// warner logs a repeated trouble at most once in ten seconds per kind.
type warner struct {
	log  zerolog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

func (w *warner) say(kind string, err error, message string) {
	w.mu.Lock()
	now := time.Now()
	if w.last == nil {
		w.last = map[string]time.Time{}
	}
	quiet := now.Sub(w.last[kind]) < 10*time.Second
	if !quiet {
		w.last[kind] = now
	}
	w.mu.Unlock()
	if !quiet {
		w.log.Warn().Str("reason", kind).Err(err).Msg(message)
	}
}
