package role

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/detect"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// DetectConfig is the section `detect` of the configuration.
type DetectConfig struct {
	Stream        stream.Config `yaml:"stream" json:"stream" jsonschema_description:"Consumption of the events topic."`
	Detectors     detect.Config `yaml:"detectors" json:"detectors" jsonschema_description:"The detectors and their knobs."`
	ReplayTimeout time.Duration `yaml:"replay_timeout" json:"replay_timeout" jsonschema_description:"Longest time spent on rebuilding the state of an assigned partition; what is missing then is warmed up by new events. Default 15s."`
	ReplayRecords int64         `yaml:"replay_records" json:"replay_records" jsonschema_description:"Most records replayed to rebuild the state of a partition. Default 5000000."`
}

// DefaultDetectConfig returns the defaults: small batches, for a finding should overtake the model's answer.
func DefaultDetectConfig() DetectConfig {
	cfg := DetectConfig{
		Stream: stream.DefaultConfig(), Detectors: detect.DefaultConfig(),
		ReplayTimeout: 15 * time.Second, ReplayRecords: 5_000_000,
	}
	cfg.Stream.Group = "modeltrail.detect"
	cfg.Stream.MaxBatchRows = 2000
	cfg.Stream.FlushInterval = 100 * time.Millisecond
	return cfg
}

// Validate reports every value that cannot work. The stream section is checked when the role is made.
func (c DetectConfig) Validate() error {
	errs := []error{c.Detectors.Validate()}
	if c.ReplayTimeout <= 0 || c.ReplayTimeout >= c.Stream.DrainTimeout+20*time.Second {
		errs = append(errs, errors.New("detect.replay_timeout: must be positive and less than detect.stream.drain_timeout plus 20s, or the group takes the member for dead"))
	}
	if c.ReplayRecords < 0 {
		errs = append(errs, errors.New("detect.replay_records: must not be negative"))
	}
	return errors.Join(errs...)
}

// SpendHistory returns what every team spent per UTC hour of event time since a time, of the calls whose envelopes
// the broker took before another.
type SpendHistory func(ctx context.Context, since, before time.Time) ([]detect.HourlySpend, error)

// DetectSettings is what code injects into the detect role.
type DetectSettings struct {
	Dial       Dial
	Events     string            // topic read
	Findings   string            // topic written
	Budget     detect.BudgetFunc // nil: no budgets
	History    SpendHistory      // nil: only the events topic is known
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
}

// Detect runs the detectors over the events topic, one set per partition, and writes findings keyed by their own
// key. Findings are acknowledged before the offsets that made them are committed, so a crash repeats a finding
// under the same key and never loses one.
type Detect struct {
	cfg      DetectConfig
	set      DetectSettings
	ctx      context.Context
	loop     *stream.Consumption
	producer *kgo.Client
	log      zerolog.Logger
	met      *detectMetrics
}

// NewDetect returns the role. Run starts it and closes what NewDetect opened.
func NewDetect(cfg DetectConfig, set DetectSettings) (*Detect, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure detect: %w", err)
	}
	met, err := newDetectMetrics(set.Registerer)
	if err != nil {
		return nil, err
	}
	d := &Detect{cfg: cfg, set: set, met: met, log: set.Logger.With().Str("component", "detect").Logger()}
	if d.producer, err = newProducer(set.Dial); err != nil {
		return nil, err
	}
	d.cfg.Stream.Topics = []string{set.Events}
	d.loop, err = stream.Consume(stream.Dial(set.Dial), d.newBatch, d.cfg.Stream, stream.Settings{Name: "detect", Logger: set.Logger, Registerer: set.Registerer})
	if err != nil {
		d.producer.Close()
		return nil, err
	}
	return d, nil
}

// Run consumes until ctx ends; see stream.Runner.Run for the error.
func (d *Detect) Run(ctx context.Context) error {
	defer d.producer.Close()
	d.ctx = ctx
	return d.loop.Run(ctx)
}

// newBatch makes the detectors of a partition and replays what they need to have seen. A replay that cannot be
// finished is reported and counted, and detection goes on without the missing part: it must not stop for it.
func (d *Detect) newBatch(topic string, partition int32) (stream.Batch, error) {
	log := d.log.With().Str("topic", topic).Int32("partition", partition).Logger()
	ctx, cancel := context.WithTimeout(d.ctx, d.cfg.ReplayTimeout)
	defer cancel()
	b := &detectBatch{role: d, partition: partition, log: log}
	stretch, err := d.stretch(ctx, past{dial: d.set.Dial, topic: topic, partition: partition})
	if err != nil {
		d.incomplete(log, err)
	}
	history := d.history(ctx, stretch.begin, log)
	b.set, err = detect.NewSet(d.cfg.Detectors, detect.Settings{Budget: d.set.Budget, History: history})
	if err != nil {
		return nil, err
	}
	b.replay(ctx, stretch)
	return b, nil
}

// stretch is the part of a partition to be replayed.
type stretch struct {
	past     past
	from, to int64
	begin    time.Time // broker time of the first record
	short    bool      // the bound on records cut it
}

// stretch finds what to replay: from the record a replay time before the last finished one.
func (d *Detect) stretch(ctx context.Context, p past) (stretch, error) {
	s := stretch{past: p}
	client, err := d.set.Dial()
	if err != nil {
		return s, err
	}
	defer client.Close()
	start, err := p.start(ctx, client)
	if err != nil {
		return s, err
	}
	if s.to, err = p.committed(ctx, client, d.cfg.Stream.Group); err != nil {
		return s, err
	}
	s.from = start
	if s.to > start {
		last, err := p.timestamp(ctx, s.to-1)
		if err != nil {
			return s, err
		}
		s.begin = last.Add(-d.cfg.Detectors.ReplayTime())
		from, err := p.since(ctx, client, s.begin)
		if err != nil {
			return s, err
		}
		s.from = max(from, start)
	}
	if s.from < s.to-d.cfg.ReplayRecords {
		s.from, s.short = s.to-d.cfg.ReplayRecords, true
	}
	// The history ends where the stream begins; a topic that still has its first record needs none.
	switch {
	case s.from == 0:
		s.begin = time.Unix(0, 0)
	case s.begin.IsZero() || s.short || s.from == start:
		if s.begin, err = p.timestamp(ctx, s.from); err == nil && s.begin.IsZero() {
			s.begin = time.Now() // nothing is held: everything so far is history
		}
	}
	return s, err
}

// timestamp returns the broker time of the first record at or after an offset.
func (p past) timestamp(ctx context.Context, offset int64) (time.Time, error) {
	var at time.Time
	_, err := p.read(ctx, offset, offset+1<<40, func(rec *kgo.Record) bool {
		at = rec.Timestamp
		return false
	})
	if err == nil && at.IsZero() {
		err = ctx.Err()
	}
	return at, err
}

// history asks for spend before the replayed stretch. Without it budgets count from the first event seen.
func (d *Detect) history(ctx context.Context, before time.Time, log zerolog.Logger) *detect.History {
	if before.IsZero() {
		return nil
	}
	if before.UnixNano() == 0 {
		return detect.NewHistory(before, nil)
	}
	if d.set.History == nil {
		return nil
	}
	since := time.Date(before.UTC().Year(), before.UTC().Month(), 1, 0, 0, 0, 0, time.UTC)
	if week := before.AddDate(0, 0, -7); week.Before(since) {
		since = week
	}
	rows, err := d.set.History(ctx, since, before)
	if err != nil {
		d.incomplete(log, fmt.Errorf("read spend history: %w", err))
		return nil
	}
	return detect.NewHistory(before, rows)
}

func (d *Detect) incomplete(log zerolog.Logger, err error) {
	d.met.incomplete.Inc()
	log.Error().Err(err).Msg("detector state could not be rebuilt in full; baselines and budgets start short")
}

// detectBatch observes the records of one partition and holds the findings of the open span.
type detectBatch struct {
	role      *Detect
	partition int32
	set       *detect.Set
	event     event.Event
	out       []*kgo.Record
	rows      int
	bytes     int64
	told      detect.Stats
	weighed   time.Time
	log       zerolog.Logger
}

// replay observes a stretch without emitting: an earlier owner did.
func (b *detectBatch) replay(ctx context.Context, s stretch) {
	began, seen := time.Now(), 0
	complete, err := s.past.read(ctx, s.from, s.to, func(rec *kgo.Record) bool {
		if b.decode(rec) {
			b.set.Observe(&b.event, func(*event.Finding) {})
		}
		seen++
		return true
	})
	b.role.met.replayed.Add(float64(seen))
	if err != nil || !complete || s.short {
		b.role.incomplete(b.log, errors.Join(err, errors.New("replay was cut short")))
	}
	b.log.Info().Int("records", seen).Dur("took", time.Since(began)).Msg("detector state rebuilt")
	b.told = b.set.Stats().Clone()
}

// Add implements stream.Batch.
func (b *detectBatch) Add(rec *kgo.Record) {
	b.rows++
	b.bytes += int64(len(rec.Value))
	if b.decode(rec) {
		b.set.Observe(&b.event, b.emit)
	}
}

func (b *detectBatch) decode(rec *kgo.Record) bool {
	if err := wire.UnmarshalEvent(rec.Value, &b.event); err != nil {
		b.role.met.unreadable.WithLabelValues(wire.Reason(err)).Inc()
		return false
	}
	return true
}

func (b *detectBatch) emit(f *event.Finding) {
	b.out = append(b.out, &kgo.Record{
		Topic: b.role.set.Findings, Key: []byte(f.GetKey()),
		Value: wire.MarshalFinding(nil, f), Headers: recordHeaders(wire.FindingHeaders(f)),
	})
}

// Rows implements stream.Batch.
func (b *detectBatch) Rows() int { return b.rows }

// Bytes implements stream.Batch.
func (b *detectBatch) Bytes() int64 { return b.bytes }

// Deliver implements stream.Batch.
func (b *detectBatch) Deliver(ctx context.Context, _ batch.Span) error {
	if len(b.out) > 0 {
		refused, err := produceAll(ctx, b.role.producer, b.out)
		if err != nil {
			return fmt.Errorf("produce findings: %w", err)
		}
		if refused > 0 {
			return fmt.Errorf("produce findings: broker refused %d as invalid", refused)
		}
	}
	b.account()
	return nil
}

// Reset implements stream.Batch.
func (b *detectBatch) Reset() {
	clear(b.out)
	b.out, b.rows, b.bytes = b.out[:0], 0, 0
}
