package role

import (
	"context"
	"errors"
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
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
}

// outcomes counts what became of delivered records: the two halves of stream's delivered_records_total.
type outcomes struct {
	stored   prometheus.Counter
	rejected *prometheus.CounterVec
}

func newOutcomes(role string, registerer prometheus.Registerer) (*outcomes, error) {
	o := &outcomes{
		stored: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_" + role + "_stored_records_total", Help: "Records that became rows.",
		}),
		rejected: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_" + role + "_rejected_records_total", Help: "Records that became dead letters.",
		}, []string{"stage", "reason"}),
	}
	for _, c := range []prometheus.Collector{o.stored, o.rejected} {
		if err := registerer.Register(c); err != nil {
			return nil, fmt.Errorf("register %s metrics: %w", role, err)
		}
	}
	return o, nil
}

// delivered counts one batch.
func (o *outcomes) delivered(rows int, rejects []batch.Reject) {
	o.stored.Add(float64(rows - len(rejects)))
	for i := range rejects {
		o.rejected.WithLabelValues(rejects[i].Stage, rejects[i].Reason).Inc()
	}
}

// NewStore returns the batches of the role store: every envelope goes through the chain into rows, or into the
// dead letters. The metrics are registered once for all partitions.
func NewStore(deps StoreDeps) (stream.NewBatch, error) {
	if deps.Writer == nil || deps.DeadLetters == nil || len(deps.Chain) == 0 {
		return nil, errors.New("create role store: chain, writer and dead letters are required")
	}
	counts, err := newOutcomes("store", deps.Registerer)
	if err != nil {
		return nil, err
	}
	shared := &clickhouse.Buffers{}
	return func(string, int32) (stream.Batch, error) {
		b := &storeBatch{deps: deps, counts: counts, tables: clickhouse.NewTables(shared)}
		b.record.Event = &b.event
		return b, nil
	}, nil
}

// storeBatch is one partition's batch of envelopes. It reuses one envelope and one event for all records.
type storeBatch struct {
	deps    StoreDeps
	counts  *outcomes
	tables  *clickhouse.Tables
	rejects []batch.Reject
	decoder wire.Decoder
	record  batch.Record
	event   event.Event
	letters bool // the rejects are acknowledged
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
	if v := run(b.deps.Chain, &b.record); v.Action == processors.ActionReject {
		b.reject(rec, &b.record, v.Stage, v.Reason, v.Detail)
		return
	}
	b.tables.AddEnvelope(&b.record, len(rec.Value))
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

// Rows implements stream.Batch.
func (b *storeBatch) Rows() int { return b.tables.Rows() }

// Bytes implements stream.Batch.
func (b *storeBatch) Bytes() int64 { return b.tables.Bytes() }

// Deliver implements stream.Batch: first the dead letter topic, then the tables.
func (b *storeBatch) Deliver(ctx context.Context, span batch.Span) error {
	if !b.letters {
		if err := b.deps.DeadLetters.Write(ctx, b.rejects); err != nil {
			return err
		}
		b.letters = true
	}
	if err := b.deps.Writer.Write(ctx, b.tables, span); err != nil {
		return err
	}
	b.counts.delivered(b.tables.Rows(), b.rejects)
	return nil
}

// Reset implements stream.Batch.
func (b *storeBatch) Reset() {
	b.tables.Reset()
	clear(b.rejects)
	b.rejects, b.letters = b.rejects[:0], false
}
