package role

import (
	"context"
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// SourcesTables are the tables that the role sources writes.
func SourcesTables() []string { return []string{"source_statements", "dead_letters"} }

// NewSources returns the batches of the role sources: every statement becomes rows, also one whose signature does not
// hold; what is no statement becomes a dead letter. pinned says which keys the operator trusts; nil: none is named.
func NewSources(deps StoreDeps, pinned func(keyID string) bool) (stream.NewBatch, error) {
	if deps.Writer == nil || deps.DeadLetters == nil {
		return nil, errors.New("create role sources: writer and dead letters are required")
	}
	counts, err := newOutcomes("sources", deps.Registerer)
	if err != nil {
		return nil, err
	}
	if pinned == nil {
		pinned = func(string) bool { return false }
	}
	shared := &clickhouse.Buffers{}
	return func(string, int32) (stream.Batch, error) {
		return &sourcesBatch{deps: deps, counts: counts, pinned: pinned, tables: clickhouse.NewTables(shared)}, nil
	}, nil
}

// sourcesBatch is one partition's batch of statements.
type sourcesBatch struct {
	deps    StoreDeps
	counts  *outcomes
	pinned  func(keyID string) bool
	tables  *clickhouse.Tables
	rejects []batch.Reject
	letters bool // the rejects are acknowledged
}

// Add implements stream.Batch.
func (b *sourcesBatch) Add(rec *kgo.Record) {
	statement, err := wire.UnmarshalStatement(rec.Value)
	if err != nil && !errors.Is(err, wire.ErrSignature) {
		r := newReject(rec, wire.Stage, wire.Reason(err), err.Error())
		b.rejects = append(b.rejects, r)
		b.tables.AddFindingReject(&r)
		return
	}
	at := batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	b.tables.AddStatement(&clickhouse.Statement{
		SourceStatement: statement, Value: rec.Value, Verified: err == nil, Pinned: err == nil && b.pinned(statement.KeyId),
	}, at, rec.Timestamp.UnixMilli())
}

// Rows implements stream.Batch.
func (b *sourcesBatch) Rows() int { return b.tables.Rows() }

// Bytes implements stream.Batch.
func (b *sourcesBatch) Bytes() int64 { return b.tables.Bytes() }

// Deliver implements stream.Batch: first the dead letter topic, then the tables.
func (b *sourcesBatch) Deliver(ctx context.Context, span batch.Span) error {
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
func (b *sourcesBatch) Reset() {
	b.tables.Reset()
	clear(b.rejects)
	b.rejects, b.letters = b.rejects[:0], false
}
