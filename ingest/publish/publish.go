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
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// ErrRefused means that the envelope was not taken, because the buffer is full or the publisher is closed.
var ErrRefused = errors.New("envelope refused")

// recordOverhead is what one waiting record costs besides its value: record, headers, promise, batch slots. Bytes.
const recordOverhead = 1024

// Settings is what code supplies.
type Settings struct {
	Topic string // where envelopes go
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
	metrics metrics
	warn    warner

	bytes   atomic.Int64 // value bytes and overhead that wait
	records atomic.Int64
	lost    atomic.Uint64

	mu     sync.Mutex // guards closed against TryProduce: after Close nothing enters the client
	closed bool
}

// New returns a publisher over a client that was built with cfg.Options. The publisher does not close the client.
func New(client *kgo.Client, cfg Config, set Settings) (*Publisher, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if set.Topic == "" {
		return nil, errors.New("create publisher: settings need a topic")
	}
	p := &Publisher{client: client, cfg: cfg, set: set}
	p.warn.log = set.Logger.With().Str("component", "publish").Logger()
	p.metrics = newMetrics(p)
	if err := p.metrics.register(set.Registerer); err != nil {
		return nil, err
	}
	return p, nil
}

// Publish hands env to the client and returns at once. ErrRefused means it was not taken and is counted as
// dropped. Nil means it was taken: it will be published, or counted as dropped and in Lost. When there is no room
// for the body it is removed from env first: what is known of a call matters more than its text. The envelope is
// marshalled before Publish returns and may be reused.
func (p *Publisher) Publish(env *event.Envelope) error {
	p.metrics.accepted.Inc()
	size := int64(env.SizeVT()) + recordOverhead
	taken := p.reserve(size)
	if !taken && lighten(env) {
		size = int64(env.SizeVT()) + recordOverhead
		if taken = p.reserve(size); taken {
			p.metrics.stripped.Inc()
		}
	}
	if !taken {
		p.metrics.drop(reasonBufferFull)
		p.warn.say(reasonBufferFull, nil)
		return ErrRefused
	}
	r := p.record(env)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.release(size)
		p.metrics.drop(reasonClosed)
		return ErrRefused
	}
	p.client.TryProduce(context.Background(), r, func(r *kgo.Record, err error) { p.done(r, err, size, 0) })
	return nil
}

func (p *Publisher) record(env *event.Envelope) *kgo.Record {
	r := &kgo.Record{
		Topic: p.set.Topic, Key: []byte(env.CallId), Value: wire.MarshalEnvelope(nil, env),
		Timestamp: time.Unix(0, int64(env.ObservedUnixNano)), Headers: headers(env),
	}
	return r
}

func (p *Publisher) reserve(size int64) bool {
	if p.records.Add(1) > int64(p.cfg.MaxBufferedRecords) {
		p.records.Add(-1)
		return false
	}
	limit := int64(p.cfg.MaxBufferedBytes)
	if size > leanRecord {
		limit -= limit / 8 // so that envelopes without a body still fit when those with one do not
	}
	if p.bytes.Add(size) > limit {
		p.release(size)
		return false
	}
	return true
}

func (p *Publisher) release(size int64) {
	p.bytes.Add(-size)
	p.records.Add(-1)
}

// done is the promise of one record. It runs on the client's promise goroutine and never blocks.
func (p *Publisher) done(r *kgo.Record, err error, size int64, tries int) {
	if err == nil {
		p.release(size)
		p.metrics.published.Inc()
		return
	}
	if errors.Is(err, kerr.MessageTooLarge) && tries < maxTries && p.resend(r, size, tries) {
		return
	}
	p.release(size)
	p.lost.Add(1)
	reason := failure(err)
	p.metrics.drop(reason)
	p.warn.say(reason, err)
	if p.set.GivenUp != nil {
		p.set.GivenUp(r.Value, reason)
	}
}

// resend sends a record again that the broker found too large. A large one goes without its body and says so. A
// small one may have failed only because it shared a batch with a large one: it first goes unchanged.
func (p *Publisher) resend(r *kgo.Record, size int64, tries int) bool {
	again := &kgo.Record{Topic: r.Topic, Key: r.Key, Value: r.Value, Timestamp: r.Timestamp, Headers: r.Headers}
	if tries == maxTries-2 || len(r.Value) > smallRecord {
		value, err := withoutBody(r.Value)
		if err != nil {
			return false
		}
		again.Value = value
		p.metrics.stripped.Inc()
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	// From a goroutine, because a promise must not produce while the client is saturated with failures.
	go p.client.TryProduce(context.Background(), again, func(r *kgo.Record, err error) { p.done(r, err, size, tries+1) })
	return true
}

const (
	// leanRecord in bytes: what an envelope without a body has at most.
	leanRecord = 16 << 10
	// smallRecord in bytes: below it a record hardly exceeds a broker's limit by itself (Kafka's default is 1048588).
	smallRecord = 256 << 10
	// maxTries bounds how often a record that is too large is sent again.
	maxTries = 4
)

// withoutBody removes the bodies of a marshalled envelope and marks them truncated.
func withoutBody(value []byte) ([]byte, error) {
	env := &event.Envelope{}
	if err := env.UnmarshalVT(value); err != nil {
		return nil, fmt.Errorf("read own envelope: %w", err)
	}
	lighten(env)
	return wire.MarshalEnvelope(nil, env), nil
}

// lighten removes the bodies of env and marks them truncated. False means that there was none.
func lighten(env *event.Envelope) (had bool) {
	for _, payload := range []*event.Payload{env.GetRequest().GetPayload(), env.GetResponse().GetPayload()} {
		if len(payload.GetBody()) == 0 {
			continue
		}
		payload.Body, payload.KeyId, payload.Redactions = nil, "", nil
		payload.State, had = event.PayloadState_PAYLOAD_STATE_TRUNCATED, true
	}
	return had
}

// Lost counts the envelopes that were taken and then given up. Refused ones are not among them.
func (p *Publisher) Lost() uint64 { return p.lost.Load() }

// InFlight counts the envelopes that were taken and are neither published nor dropped yet.
func (p *Publisher) InFlight() int64 { return p.records.Load() }

// Close stops taking envelopes and waits until all are with the broker. When ctx ends first the rest is dropped and
// counted, and the context's error is returned. The client stays open.
func (p *Publisher) Close(ctx context.Context) error {
	err := p.drain(ctx)
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	if err == nil && p.records.Load() == 0 {
		return nil
	}
	if err == nil { // something slipped in between
		err = p.drain(ctx)
	}
	if err == nil {
		return nil
	}
	abort, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.client.AbortBufferedRecords(abort)
	return fmt.Errorf("drain envelopes: %w", err)
}

// drain flushes until nothing is in flight; a resend may enter after one flush has seen the client empty.
func (p *Publisher) drain(ctx context.Context) error {
	for {
		if err := p.client.Flush(ctx); err != nil {
			return err
		}
		if p.records.Load() == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func headers(env *event.Envelope) []kgo.RecordHeader {
	from := wire.EnvelopeHeaders(env)
	out := make([]kgo.RecordHeader, len(from))
	for i, h := range from {
		out[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}
