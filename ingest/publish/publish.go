package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/spool"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// ErrRefused means that the envelope was not taken: memory or spool is full, or the publisher is closed. Whoever can
// should come back later.
var ErrRefused = errors.New("envelope refused")

// recordOverhead is what one waiting record costs besides its value: record, headers, promise, batch slots. Bytes.
const recordOverhead = 1024

// Settings is what code supplies.
type Settings struct {
	Topic string     // where envelopes go
	Spool *spool.Log // nil for memory only; stays the caller's, and is closed after the publisher
	// GivenUp is told each value that was taken and will never be delivered; nil: nobody is. It MUST NOT block.
	GivenUp    func(value []byte, reason string)
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil keeps the metrics unregistered
}

// Publisher sends envelopes. Its methods are safe for concurrent use.
type Publisher struct {
	client  *kgo.Client
	cfg     Config
	set     Settings
	log     zerolog.Logger
	metrics metrics
	warn    warner
	spool   *spool.Log
	reader  *spool.Reader // the drainer's

	lost    atomic.Uint64
	pending atomic.Int64              // envelopes that are taken and have no end yet
	held    atomic.Int64              // bytes of those in memory
	shut    [durabilities]atomic.Bool // takes no envelopes at present

	wake    chan struct{}
	stop    chan struct{}
	stopped chan struct{}

	mu          sync.Mutex
	closed      bool // nothing is taken any more
	ending      bool // what fails is not sent again
	line        line
	fetched     []*item // read from the first run of the line, to be sent before it
	flight      flight
	items       int   // in memory
	bytes       int64 // of them
	loose       int   // those that could lie in the spool and do not
	outstanding int   // with the client
	outBytes    int64
	window      int64
	lone        bool // one is sent alone: nothing else is
	failures    int  // in flight, to be sent again
	retryAt     time.Time
	readAt      time.Time // when reading the spool may be tried again
	progress    time.Time // of the last acknowledgement
	spilling    bool
	spoolDown   error // why the spool took nothing at the last try
}

// New returns a publisher over a client that was built with cfg.Options. The publisher does not close the client.
// With a spool, what an earlier process left in it is sent first. Close ends it.
func New(client *kgo.Client, cfg Config, set Settings) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if set.Topic == "" {
		return nil, errors.New("create publisher: settings need a topic")
	}
	p := &Publisher{
		client: client, cfg: cfg, set: set, spool: set.Spool, window: windowBytes,
		log:  set.Logger.With().Str("component", "publish").Logger(),
		wake: make(chan struct{}, 1), stop: make(chan struct{}), stopped: make(chan struct{}),
	}
	p.warn.log = p.log
	p.metrics = newMetrics(p)
	if err := p.metrics.register(set.Registerer); err != nil {
		return nil, err
	}
	if p.spool != nil {
		p.reader = p.spool.Reader()
		if first, last := p.spool.Pending(); last >= first {
			p.line.pushRun(first, last)
			p.pending.Add(int64(last + 1 - first))
			p.metrics.accepted.Add(float64(last + 1 - first))
			p.spilling = true // what comes goes behind it
		}
	}
	p.signal()
	go p.drainer()
	return p, nil
}

// Publish is PublishAs with the default durability.
func (p *Publisher) Publish(env *event.Envelope) error { return p.PublishAs(env, Default) }

// PublishAs takes env and returns without waiting for a broker; with a spool it may write to disk. ErrRefused means
// that it was not taken and is counted as dropped. Nil means it was taken: it will be published, or counted as
// dropped and in Lost. When there is no room for the body in memory it is removed from env first: what is known of a
// call matters more than its text. The envelope is marshalled before PublishAs returns and may be reused.
func (p *Publisher) PublishAs(env *event.Envelope, how Durability) error {
	p.metrics.accepted.Inc()
	it := p.newItem(env, p.resolve(how))
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.metrics.drop(reasonClosed)
		return ErrRefused
	}
	if it.how.Spooled() && p.toSpool(it) == nil {
		p.pump()
		return nil
	}
	if !p.toMemory(it, env) {
		p.refuse(it.how)
		return ErrRefused
	}
	p.pump()
	return nil
}

// resolve replaces what the publisher has no spool for.
func (p *Publisher) resolve(how Durability) Durability {
	switch {
	case p.spool == nil:
		return Memory
	case how == Default:
		return Spill
	}
	return how
}

// Takes reports whether envelopes of a durability are taken at present: memory while its buffer has room, spool-first
// while the spool can be written, spill while Kafka or the spool takes them. It costs one atomic load.
func (p *Publisher) Takes(how Durability) bool { return !p.shut[p.resolve(how)].Load() }

// newItem marshals env.
func (p *Publisher) newItem(env *event.Envelope, how Durability) *item {
	r := &kgo.Record{
		Topic: p.set.Topic, Key: []byte(env.CallId), Value: wire.MarshalEnvelope(nil, env),
		Timestamp: time.Unix(0, int64(env.ObservedUnixNano)), Headers: headers(env),
	}
	return &item{record: r, size: int64(len(r.Value)) + recordOverhead, how: how, since: time.Now()}
}

func headers(env *event.Envelope) []kgo.RecordHeader {
	from := wire.EnvelopeHeaders(env)
	out := make([]kgo.RecordHeader, len(from))
	for i, h := range from {
		out[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}

// toMemory puts it at the end of the line when memory has room, for the body if possible.
func (p *Publisher) toMemory(it *item, env *event.Envelope) bool {
	if !p.reserve(it.size) {
		if !lighten(env) {
			return false
		}
		light := p.newItem(env, it.how)
		it.record, it.size = light.record, light.size
		if !p.reserve(it.size) {
			return false
		}
		p.metrics.stripped.Inc()
	}
	p.enter(it)
	return true
}

// enter puts an item at the end of the line.
func (p *Publisher) enter(it *item) {
	p.keep(it)
	if it.loose() {
		p.loose++
	}
	p.pending.Add(1)
	p.line.push(it)
}

// keep accounts for an item in memory.
func (p *Publisher) keep(it *item) {
	p.items++
	p.bytes += it.size
	p.held.Store(p.bytes)
}

// free undoes keep.
func (p *Publisher) free(it *item) {
	p.items--
	p.bytes -= it.size
	p.held.Store(p.bytes)
	if p.shut[Memory].Load() && p.bytes < int64(p.cfg.MaxBufferedBytes)*3/4 && p.items < (p.cfg.MaxBufferedRecords+1)*3/4 {
		p.shut[Memory].Store(false)
	}
}

func (p *Publisher) reserve(size int64) bool {
	limit := int64(p.cfg.MaxBufferedBytes)
	if size > leanRecord {
		limit -= limit / 8 // so that envelopes without a body still fit when those with one do not
	}
	return p.items < p.cfg.MaxBufferedRecords && p.bytes+size <= limit
}

// refuse counts one that neither memory nor spool takes.
func (p *Publisher) refuse(how Durability) {
	p.shut[how].Store(true)
	if how == Memory {
		p.shut[Memory].Store(true)
	}
	reason := reasonBufferFull
	if how.Spooled() && p.spoolDown != nil {
		reason = reasonSpoolFailed
		if errors.Is(p.spoolDown, spool.ErrFull) {
			reason = reasonSpoolFull
		}
	}
	p.metrics.drop(reason)
	p.warn.say(reason, p.spoolDown)
}

// PublishDurable takes all of envs or none and returns when none can be lost any more: nil means that the spool holds
// them on disk, or, without a spool or when the disk refuses, that the brokers have acknowledged them. ErrRefused means
// overload: none was taken, and the sender should come back. Any other error, such as the end of ctx, leaves open
// whether they arrive; to send them again unchanged is right.
func (p *Publisher) PublishDurable(ctx context.Context, envs []*event.Envelope) error {
	if len(envs) == 0 {
		return nil
	}
	p.metrics.accepted.Add(float64(len(envs)))
	items := make([]*item, len(envs))
	how := Memory
	if p.spool != nil {
		how = SpoolFirst
	}
	for i, env := range envs {
		items[i] = p.newItem(env, how)
	}
	wait, err := p.enterDurable(items)
	if err != nil {
		return err
	}
	return wait(ctx)
}

// enterDurable puts all items at the end of the line and returns how to wait for their safety.
func (p *Publisher) enterDurable(items []*item) (func(context.Context) error, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	refused := func(reason string) (func(context.Context) error, error) {
		for range items {
			p.metrics.drop(reason)
		}
		return nil, ErrRefused
	}
	if p.closed {
		return refused(reasonClosed)
	}
	if p.spool != nil {
		wait, err := p.spoolDurable(items)
		if err == nil {
			p.pump()
			return wait, nil
		}
		if errors.Is(err, spool.ErrFull) {
			p.warn.say(reasonSpoolFull, err)
			return refused(reasonSpoolFull)
		}
	}
	var size int64
	for _, it := range items {
		size += it.size
	}
	if p.items+len(items) > p.cfg.MaxBufferedRecords || p.bytes+size > int64(p.cfg.MaxBufferedBytes) {
		p.warn.say(reasonBufferFull, nil)
		return refused(reasonBufferFull)
	}
	settled := make(chan error, len(items))
	for _, it := range items {
		it.settled = settled
		p.enter(it)
	}
	p.pump()
	return func(ctx context.Context) error { return awaitSettled(ctx, settled, len(items)) }, nil
}

func awaitSettled(ctx context.Context, settled <-chan error, n int) error {
	for range n {
		select {
		case err := <-settled:
			if err != nil {
				return fmt.Errorf("publish envelopes: %w", err)
			}
		case <-ctx.Done():
			return fmt.Errorf("publish envelopes: %w", ctx.Err())
		}
	}
	return nil
}

// Lost counts the envelopes that were taken and then given up. Refused ones are not among them.
func (p *Publisher) Lost() uint64 { return p.lost.Load() }

// InFlight counts the envelopes that were taken, or found in the spool, and are neither published nor dropped yet.
func (p *Publisher) InFlight() int64 { return p.pending.Load() }
