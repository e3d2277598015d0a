package role

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// FindingsTables are the tables that the role findings writes.
func FindingsTables() []string { return []string{"findings", "dead_letters"} }

// NewFindings returns the batches of the role findings: every finding becomes a row, what is none a dead letter.
// It needs a Writer of its own registerer or the one that the role store uses.
func NewFindings(deps StoreDeps) (stream.NewBatch, error) {
	if deps.Writer == nil || deps.DeadLetters == nil {
		return nil, errors.New("create role findings: writer and dead letters are required")
	}
	counts, err := newOutcomes("findings", deps.Registerer)
	if err != nil {
		return nil, err
	}
	shared := &clickhouse.Buffers{}
	return func(string, int32) (stream.Batch, error) {
		return &findingsBatch{deps: deps, counts: counts, tables: clickhouse.NewTables(shared)}, nil
	}, nil
}

// findingsBatch is one partition's batch of findings.
type findingsBatch struct {
	deps    StoreDeps
	counts  *outcomes
	tables  *clickhouse.Tables
	rejects []batch.Reject
	finding event.Finding
	letters bool // the rejects are acknowledged
}

// Add implements stream.Batch.
func (b *findingsBatch) Add(rec *kgo.Record) {
	if err := wire.UnmarshalFinding(rec.Value, &b.finding); err != nil {
		r := newReject(rec, wire.Stage, wire.Reason(err), err.Error())
		b.rejects = append(b.rejects, r)
		b.tables.AddFindingReject(&r)
		return
	}
	at := batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	b.tables.AddFinding(&b.finding, at, rec.Timestamp.UnixMilli(), len(rec.Value))
}

// Rows implements stream.Batch.
func (b *findingsBatch) Rows() int { return b.tables.Rows() }

// Bytes implements stream.Batch.
func (b *findingsBatch) Bytes() int64 { return b.tables.Bytes() }

// Deliver implements stream.Batch: first the dead letter topic, then the tables.
func (b *findingsBatch) Deliver(ctx context.Context, span batch.Span) error {
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
func (b *findingsBatch) Reset() {
	b.tables.Reset()
	clear(b.rejects)
	b.rejects, b.letters = b.rejects[:0], false
}
