package role

import (
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
		b := &sourcesBatch{delivery: newDelivery(deps, counts, shared), pinned: pinned}
		b.letter = func(rec *kgo.Record, why *refused, into *aside) {
			if why != nil {
				into.addFinding(newReject(rec, stageSink, why.reason(), why.detail()), why)
			} else if _, err := statement(rec); err != nil {
				into.addFinding(newReject(rec, wire.Stage, wire.Reason(err), err.Error()), nil)
			}
		}
		return b, nil
	}, nil
}

// sourcesBatch is one partition's batch of statements.
type sourcesBatch struct {
	delivery
	pinned func(keyID string) bool
}

// Add implements stream.Batch.
func (b *sourcesBatch) Add(rec *kgo.Record) {
	s, err := statement(rec)
	if err != nil {
		r := newReject(rec, wire.Stage, wire.Reason(err), err.Error())
		b.rejects = append(b.rejects, r)
		b.tables.AddFindingReject(&r)
		return
	}
	s.Pinned = s.Verified && b.pinned(s.KeyId)
	at := batch.Position{Topic: rec.Topic, Partition: rec.Partition, Offset: rec.Offset}
	b.tables.AddStatement(s, at, rec.Timestamp.UnixMilli())
}

// statement reads a record. A signature that does not hold is no error: the row says so.
func statement(rec *kgo.Record) (*clickhouse.Statement, error) {
	read, err := wire.UnmarshalStatement(rec.Value)
	if err != nil && !errors.Is(err, wire.ErrSignature) {
		return nil, err
	}
	return &clickhouse.Statement{SourceStatement: read, Value: rec.Value, Verified: err == nil}, nil
}
