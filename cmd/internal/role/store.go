package role

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// StoreTables are the tables that the role store writes.
func StoreTables() []string {
	return []string{"envelopes", "calls", "payloads", "tool_calls", "dead_letters"}
}

// StoreDeps is what the roles store and findings are made of.
type StoreDeps struct {
	// Chain is decode, identity, price, policy; unused by findings. Its first step empties the event, which is reused.
	Chain       processors.Chain
	Writer      *clickhouse.Writer
	DeadLetters *dlq.Writer
	Registerer  prometheus.Registerer
	Logger      zerolog.Logger
	// Reread reads records once more for their dead letters. Without it a batch of which the server refuses a row is
	// repeated until it is taken.
	Reread Reread
	// History is what was stored before; unused by findings. Without it, or without Reread, repeats of a source are
	// stored as any other record.
	History *clickhouse.History
}

// outcomes counts what became of delivered records: the parts of stream's delivered_records_total.
type outcomes struct {
	stored   prometheus.Counter
	repeated prometheus.Counter
	rejected *prometheus.CounterVec
}

func newOutcomes(role string, registerer prometheus.Registerer) (*outcomes, error) {
	o := &outcomes{
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_" + role + "_stored_records_total", Help: "Records that became rows.",
		}),
		repeated: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_" + role + "_repeated_records_total", Help: "Records that their source had delivered before.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_" + role + "_rejected_records_total", Help: "Records that became dead letters.",
		}, []string{"stage", "reason"}),
	}
	for _, c := range []prometheus.Collector{o.stored, o.repeated, o.rejected} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register %s metrics: %w", role, err)
		}
	}
	return o, nil
}

// delivered counts one batch: of so many records these became dead letters and so many were repeats.
func (o *outcomes) delivered(rows, repeated int, rejects ...[]batch.Reject) {
	for _, some := range rejects {
		rows -= len(some)
		for i := range some {
			o.rejected.WithLabelValues(some[i].Stage, some[i].Reason).Inc()
		}
	}
	o.repeated.Add(float64(repeated))
	o.stored.Add(float64(max(rows-repeated, 0)))
}

// NewStore returns the batches of the role store: every envelope goes through the chain into rows, or into the
// dead letters. The metrics are registered once for all partitions.
//
// Its memory is bounded by the stream's configuration, whatever Kafka and ClickHouse do:
//
//	2 * max_total_bytes        records in queues and open batches: their bytes, and the columns made of them
//	+ 8 MiB per broker         the client's fetches
//	+ 2 * max_batch_bytes      of a batch that is built again for its repeats, or whose rows are refused
//	+ 3 MiB per partition      numbers of sources, dictionaries
//	+ 40 MiB                   program, directory and prices
//
// With the defaults and eight partitions that is less than 240 MiB of live heap at the very most; GOMEMLIMIT keeps the
// collector to it.
func NewStore(deps StoreDeps) (stream.NewBatch, error) {
	if deps.Writer == nil || deps.DeadLetters == nil || len(deps.Chain) == 0 {
		return nil, errors.New("create role store: chain, writer and dead letters are required")
	}
	counts, err := newOutcomes("store", deps.Registerer)
	if err != nil {
		return nil, err
	}
	shared := &clickhouse.Buffers{}
	return func(topic string, partition int32) (stream.Batch, error) {
		b := &storeBatch{delivery: newDelivery(deps, counts, shared)}
		b.record.Event = &b.event
		b.letter = b.deadLetter
		if deps.History != nil && deps.Reread != nil {
			b.repeats = newRepeats(b, topic, partition)
		}
		return b, nil
	}, nil
}

// storeBatch is one partition's batch of envelopes. It reuses one envelope and one event for all records.
type storeBatch struct {
	delivery
	repeats *repeatFilter // nil: not asked for
	decoder wire.Decoder
	record  batch.Record
	event   event.Event
}

// Add implements stream.Batch.
func (b *storeBatch) Add(rec *kgo.Record) {
	b.record.Position = batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	b.record.IngestedAt = rec.Timestamp
	env, err := b.decoder.Envelope(rec.Value)
	if err != nil {
		unread := batch.Record{Position: b.record.Position, IngestedAt: rec.Timestamp}
		b.reject(rec, &unread, wire.Stage, wire.Reason(err), err.Error())
		return
	}
	b.record.Envelope = env
	if b.repeats != nil && b.repeats.repeated(rec, env.Source) {
		b.tables.AddRepeat(&b.record, len(rec.Value))
		b.repeatedRows++
		return
	}
	if v := run(b.deps.Chain, &b.record); v.Action == processors.ActionReject {
		b.reject(rec, &b.record, v.Stage, v.Reason, v.Detail)
		if b.repeats != nil {
			b.repeats.reject(env.Source)
		}
		return
	}
	b.tables.AddEnvelope(&b.record, len(rec.Value))
}

// Advance implements stream.Stepwise.
func (b *storeBatch) Advance(ctx context.Context, plan stream.Plan) (stream.Plan, error) {
	if b.repeats != nil {
		if err := b.repeats.resolve(ctx, plan.Span.First); err != nil {
			return stream.Plan{}, err
		}
	}
	return b.delivery.Advance(ctx, plan)
}

// Reset implements stream.Batch.
func (b *storeBatch) Reset() {
	b.delivery.Reset()
	if b.repeats != nil {
		b.repeats.commit()
	}
}

// deadLetter makes a dead letter of a record that was read once more.
func (b *storeBatch) deadLetter(rec *kgo.Record, why *refused, into *aside) {
	known := &batch.Record{Position: batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}, IngestedAt: rec.Timestamp}
	var stage, reason, detail string
	env, err := b.decoder.Envelope(rec.Value)
	if err != nil {
		stage, reason, detail = wire.Stage, wire.Reason(err), err.Error()
	} else {
		known.Envelope, known.Event = env, &b.event
		v := run(b.deps.Chain, known)
		stage, reason, detail = v.Stage, v.Reason, v.Detail
	}
	if why != nil {
		stage, reason, detail = stageSink, why.reason(), why.detail()
		if b.repeats != nil && err == nil && !why.partly && !b.tables.Repeated(rec.Offset) {
			b.repeats.reject(env.Source)
		}
	}
	into.add(newReject(rec, stage, reason, detail), known, why)
}

// run passes one record through the chain. A panic in a step rejects the record: a record that breaks a step
// would otherwise stop its partition at every restart.
func run(chain processors.Chain, r *batch.Record) (v processors.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			v = processors.Verdict{Action: processors.ActionReject, Stage: "chain", Reason: "panic", Detail: "a step panicked"}
		}
	}()
	return chain.Process(r)
}

func (b *storeBatch) reject(rec *kgo.Record, known *batch.Record, stage, reason, detail string) {
	r := newReject(rec, stage, reason, detail)
	b.rejects = append(b.rejects, r)
	b.tables.AddReject(&r, known)
}

func newReject(rec *kgo.Record, stage, reason, detail string) batch.Reject {
	headers := make([]batch.Header, len(rec.Headers))
	for i, h := range rec.Headers {
		headers[i] = batch.Header{Key: h.Key, Value: h.Value}
	}
	return batch.Reject{
		Position:   batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset},
		IngestedAt: rec.Timestamp, Key: rec.Key, Value: rec.Value, Headers: headers,
		Stage: stage, Reason: reason, Detail: detail,
	}
}
