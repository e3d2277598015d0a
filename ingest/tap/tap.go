package tap

import (
	"cmp"
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/ingest/credential"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Publisher takes envelopes toward Kafka. ingest/publish is the one in use.
type Publisher interface {
	// PublishAs MUST NOT wait for a broker and MUST NOT keep env or anything it points to. It may write to disk and may
	// take the body out of env when there is no room for it. An error means that the envelope was not taken.
	PublishAs(env *event.Envelope, how publish.Durability) error
	// Takes reports whether envelopes of a durability are taken at present. It costs one atomic load.
	Takes(how publish.Durability) bool
	// Lost counts envelopes that were taken and given up later.
	Lost() uint64
}

// Ledger counts what the tap owes. ingest/ledger is the one in use.
type Ledger interface {
	// Epoch is the boot epoch of every envelope.
	Epoch() uint64
	// Expect notes that n envelopes are owed: a call that begins owes two.
	Expect(n uint64)
	// Numbered comes before an envelope is handed over; Refused takes it back when it was not taken.
	Numbered(observedUnixNano, sequence uint64)
	Refused(observedUnixNano, sequence uint64)
	// Dropped notes envelopes that were given up without a number.
	Dropped(observedUnixNano uint64, reason string, n uint64)
}

// Settings is what code supplies.
type Settings struct {
	Publisher Publisher
	Ledger    Ledger // nil: nothing is counted for statements
	// Alone says that the process does nothing else, and has a place in the Go scheduler to spare for each worker. Workers
	// then take only processor time that nothing else wants (package background); otherwise they have a lower weight.
	Alone      bool
	Version    string // the software's version, for Source.version
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil keeps the metrics unregistered
}

// Tap is the core behind the three forms. Its methods are safe for concurrent use.
type Tap struct {
	cfg        Config
	set        Settings
	log        zerolog.Logger
	routes     []*route
	fallback   *route
	allow      allowList
	budget     *budget
	chunks     chunkPool
	redactor   *redact.Redactor
	credential *credential.Resolver
	aead       cipher.AEAD // nil unless a key is configured
	epoch      uint64
	ledger     Ledger
	metrics    metrics

	workers []*worker
	next    atomic.Uint32
	closing chan struct{}
	stopped sync.WaitGroup
	once    sync.Once

	publishing sync.Mutex // orders numbering and handing over
	sequence   uint64
	dropped    atomic.Uint64
}

// New builds the core and starts its workers; Close stops them.
func New(cfg Config, set Settings) (*Tap, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if set.Publisher == nil {
		return nil, errors.New("create tap: settings need a publisher")
	}
	if cfg.Instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find tap.instance: %w", err)
		}
		cfg.Instance = host
	}
	t := &Tap{
		cfg: cfg, set: set, log: set.Logger.With().Str("component", "tap").Logger(), fallback: defaultRoute(cfg),
		allow: newAllowList(cfg.Headers), budget: newBudget(cfg.MaxInFlightBytes),
		epoch: uint64(time.Now().UnixNano()), closing: make(chan struct{}),
	}
	if t.ledger = set.Ledger; t.ledger == nil {
		t.ledger = noLedger(t.epoch)
	}
	t.epoch = t.ledger.Epoch()
	t.chunks.budget = t.budget
	if err := t.load(); err != nil {
		return nil, err
	}
	t.metrics = newMetrics(t)
	if err := t.metrics.register(set.Registerer); err != nil {
		return nil, err
	}
	for range cfg.Workers {
		w := newWorker(t)
		t.workers = append(t.workers, w)
		t.stopped.Add(1)
		go w.run()
	}
	return t, nil
}

// load builds the parts that can fail.
func (t *Tap) load() (err error) {
	if t.routes, err = newRoutes(t.cfg); err != nil {
		return err
	}
	if t.redactor, err = redact.New(t.cfg.Redact); err != nil {
		return fmt.Errorf("create redactor: %w", err)
	}
	if t.credential, err = credential.New(t.cfg.Credential); err != nil {
		return err
	}
	if t.cfg.EncryptionKey.IsZero() {
		return nil
	}
	key, err := encryptionKey(t.cfg.EncryptionKey.Value())
	if err != nil {
		return fmt.Errorf("tap.encryption_key: %w", err)
	}
	t.aead, err = newAEAD(key)
	return err
}

// Instance is the name this tap signs its envelopes with.
func (t *Tap) Instance() string { return t.cfg.Instance }

// Dropped counts the envelopes that this boot gave up: before numbering, or after the publisher had taken them.
func (t *Tap) Dropped() uint64 { return t.dropped.Load() + t.set.Publisher.Lost() }

// Close hands over what is queued and stops the workers. Calls that end later are counted as dropped. When ctx
// ends first its error is returned and the workers finish behind it.
func (t *Tap) Close(ctx context.Context) error {
	t.once.Do(func() { close(t.closing) })
	done := make(chan struct{})
	go func() { t.stopped.Wait(); close(done) }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("drain tap: %w", ctx.Err())
	}
}

// assign spreads calls over workers; both envelopes of a call go to the same one and so stay in order.
func (t *Tap) assign() *worker {
	if len(t.workers) == 1 {
		return t.workers[0]
	}
	return t.workers[int(t.next.Add(1))%len(t.workers)]
}

// drop counts an envelope that was given up before it had a number.
func (t *Tap) drop(reason string) {
	t.dropped.Add(1)
	t.metrics.dropEnvelope(reason)
	t.ledger.Dropped(uint64(time.Now().UnixNano()), reason, 1)
}

// refuses reports that a call must not be served, since what it would leave behind cannot be kept.
func (t *Tap) refuses(r *route) bool {
	if !r.closed || t.set.Publisher.Takes(r.durability) && t.budget.used.Load() <= t.budget.body {
		return false
	}
	t.metrics.refused.Inc()
	return true
}

// publish numbers env and hands it over. A refused envelope leaves no gap in the numbers: it shows in the next
// one's dropped_total.
func (t *Tap) publish(env *event.Envelope, how publish.Durability) {
	t.publishing.Lock()
	defer t.publishing.Unlock()
	env.Source.Sequence = t.sequence + 1
	env.Source.DroppedTotal = t.Dropped()
	t.ledger.Numbered(env.ObservedUnixNano, env.Source.Sequence)
	if err := t.set.Publisher.PublishAs(env, how); err != nil {
		t.ledger.Refused(env.ObservedUnixNano, env.Source.Sequence)
		t.drop(dropRefused)
		return
	}
	t.sequence++
	t.metrics.envelopes.Inc()
}

// noLedger is the epoch of a tap that makes no statements.
type noLedger uint64

func (e noLedger) Epoch() uint64                { return uint64(e) }
func (noLedger) Expect(uint64)                  {}
func (noLedger) Numbered(uint64, uint64)        {}
func (noLedger) Refused(uint64, uint64)         {}
func (noLedger) Dropped(uint64, string, uint64) {}

// source is the constant part of every envelope's Source.
func (t *Tap) source() *event.Source {
	return &event.Source{
		Kind: "tap", Instance: t.cfg.Instance, BootEpoch: t.epoch, Version: cmp.Or(t.set.Version, "unknown"),
	}
}
