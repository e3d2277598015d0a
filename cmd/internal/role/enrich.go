// Package role makes the consumer roles of the pipeline from their parts: store and findings (rows), enrich (events), detect
// (findings) and alert (notifications). It holds wiring and the Kafka side of each role, no rules.
package role

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// Dial makes a Kafka client with the shared options (addresses, TLS, SASL) and those given.
type Dial func(opts ...kgo.Opt) (*kgo.Client, error)

// EnrichConfig is the section `enrich` of the configuration.
type EnrichConfig struct {
	Stream stream.Config `yaml:"stream" json:"stream" jsonschema_description:"Consumption of the envelopes topic."`
}

// DefaultEnrichConfig returns the defaults: small batches, for detection waits for them.
func DefaultEnrichConfig() EnrichConfig {
	cfg := EnrichConfig{Stream: stream.DefaultConfig()}
	cfg.Stream.Group = "modeltrail.enrich"
	cfg.Stream.MaxBatchRows = 2000
	cfg.Stream.FlushInterval = 100 * time.Millisecond
	return cfg
}

// EnrichSettings is what code injects into the enrich role.
type EnrichSettings struct {
	Dial       Dial
	Envelopes  string // topic read
	Events     string // topic written
	Chain      processors.Chain
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Enrich runs the chain over the envelopes topic and writes one event per envelope, keyed by team, so that a
// team's calls meet one detector. It is at-least-once: after a crash the events of one batch may come twice.
// Envelopes that a source delivered twice pass as well: detectors drop them by call id and phase. Envelopes that the
// chain rejects are counted only; the store role keeps them as dead letters.
type Enrich struct {
	loop     *stream.Consumption
	producer *kgo.Client
	events   string
	chain    processors.Chain
	log      zerolog.Logger
	met      *enrichMetrics
}

// NewEnrich returns the role. Run starts it and closes what NewEnrich opened.
func NewEnrich(cfg EnrichConfig, set EnrichSettings) (*Enrich, error) {
	met, err := newEnrichMetrics(set.Registerer)
	if err != nil {
		return nil, err
	}
	e := &Enrich{
		events: set.Events, chain: set.Chain, met: met,
		log: set.Logger.With().Str("component", "enrich").Logger(),
	}
	if e.producer, err = newProducer(set.Dial); err != nil {
		return nil, err
	}
	cfg.Stream.Topics = []string{set.Envelopes}
	e.loop, err = stream.Consume(stream.Dial(set.Dial), e.newBatch, cfg.Stream, stream.Settings{Name: "enrich", Logger: set.Logger, Registerer: set.Registerer})
	if err != nil {
		e.producer.Close()
		return nil, err
	}
	return e, nil
}

// Run consumes until ctx ends; see stream.Runner.Run for the error.
func (e *Enrich) Run(ctx context.Context) error {
	defer e.producer.Close()
	return e.loop.Run(ctx)
}

func (e *Enrich) newBatch(string, int32) (stream.Batch, error) {
	return &enrichBatch{role: e, record: batch.Record{Event: &event.Event{}}}, nil
}

// enrichBatch holds the events of one span, ready to be produced.
type enrichBatch struct {
	role    *Enrich
	decoder wire.Decoder
	record  batch.Record
	out     []*kgo.Record
	rows    int
	bytes   int64
}

// Add implements stream.Batch.
func (b *enrichBatch) Add(rec *kgo.Record) {
	b.rows++
	b.bytes += int64(len(rec.Value))
	envelope, err := b.decoder.Envelope(rec.Value)
	if err != nil {
		b.role.met.rejected.WithLabelValues(wire.Stage, wire.Reason(err)).Inc()
		return
	}
	b.record.Position = batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	b.record.IngestedAt = rec.Timestamp
	b.record.Envelope = envelope
	if verdict := run(b.role.chain, &b.record); verdict.Action == processors.ActionReject {
		b.role.met.rejected.WithLabelValues(verdict.Stage, verdict.Reason).Inc()
		return
	}
	e := b.record.Event
	if trim(e) {
		b.role.met.trimmed.Inc()
	}
	b.out = append(b.out, &kgo.Record{
		Topic: b.role.events, Key: []byte(e.GetIdentity().GetTeamId()),
		Value: wire.MarshalEvent(nil, e), Headers: recordHeaders(wire.EventHeaders(e)),
	})
}

// Rows implements stream.Batch.
func (b *enrichBatch) Rows() int { return b.rows }

// Bytes implements stream.Batch.
func (b *enrichBatch) Bytes() int64 { return b.bytes }

// Deliver implements stream.Batch: every event is acknowledged by all in-sync replicas before it returns nil.
func (b *enrichBatch) Deliver(ctx context.Context, _ batch.Span) error {
	refused, err := produceAll(ctx, b.role.producer, b.out)
	if err != nil {
		return fmt.Errorf("produce events: %w", err)
	}
	b.role.met.produced.Add(float64(len(b.out) - refused))
	if refused > 0 {
		b.role.met.refused.Add(float64(refused))
		b.role.log.Error().Int("events", refused).Msg("broker refused events as too large; detection does not see them")
	}
	return nil
}

// Reset implements stream.Batch.
func (b *enrichBatch) Reset() {
	clear(b.out)
	b.out, b.rows, b.bytes = b.out[:0], 0, 0
}

const (
	largeEvent  = 512 << 10 // bytes; brokers take 1 MiB by default
	keptPerList = 64
)

// trim shortens the lists of an event that a broker would refuse for its size and reports whether it did. Detectors
// and other consumers use at most the first entries; the stored call is made from the envelope and stays whole.
func trim(e *event.Event) bool {
	if e.SizeVT() <= largeEvent {
		return false
	}
	if c := e.GetCall(); c != nil {
		c.ToolsOffered = c.ToolsOffered[:min(len(c.ToolsOffered), keptPerList)]
		c.ToolCalls = c.ToolCalls[:min(len(c.ToolCalls), keptPerList)]
		c.FinishReasons = c.FinishReasons[:min(len(c.FinishReasons), keptPerList)]
	}
	e.Attributes, e.Redactions = nil, nil
	return true
}

type enrichMetrics struct {
	produced prometheus.Counter
	rejected *prometheus.CounterVec
	trimmed  prometheus.Counter
	refused  prometheus.Counter
}

func newEnrichMetrics(reg prometheus.Registerer) (*enrichMetrics, error) {
	m := &enrichMetrics{
		produced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_enrich_produced_events_total", Help: "Events written to the events topic."}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_enrich_rejected_envelopes_total", Help: "Envelopes that could not become an event, by stage and reason."},
			[]string{"stage", "reason"}),
		trimmed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_enrich_trimmed_events_total", Help: "Events whose lists were shortened to fit a record."}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_enrich_refused_events_total", Help: "Events that the broker refused as too large or invalid."}),
	}
	return m, register(reg, m.produced, m.rejected, m.trimmed, m.refused)
}

// newProducer returns an idempotent producer that waits for all in-sync replicas.
func newProducer(dial Dial) (*kgo.Client, error) {
	client, err := dial(
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerLinger(2*time.Millisecond),
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // Kafka's own hash of the key
	)
	if err != nil {
		return nil, fmt.Errorf("create producer: %w", err)
	}
	return client, nil
}

// produceAll produces and waits. Records that no broker will ever take are counted, not returned as an error: they
// would hold their partition for ever.
func produceAll(ctx context.Context, client *kgo.Client, records []*kgo.Record) (refused int, err error) {
	for _, result := range client.ProduceSync(ctx, records...) {
		switch {
		case result.Err == nil:
		case errors.Is(result.Err, kerr.MessageTooLarge), errors.Is(result.Err, kerr.InvalidRecord):
			refused++
		case err == nil:
			err = result.Err
		}
	}
	return refused, err
}

func recordHeaders(in []batch.Header) []kgo.RecordHeader {
	out := make([]kgo.RecordHeader, len(in))
	for i, h := range in {
		out[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	return out
}

func register(reg prometheus.Registerer, collectors ...prometheus.Collector) error {
	for _, c := range collectors {
		if err := reg.Register(c); err != nil {
			return fmt.Errorf("register metrics: %w", err)
		}
	}
	return nil
}
