package role

import (
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
		b := &findingsBatch{delivery: newDelivery(deps, counts, shared)}
		b.letter = func(rec *kgo.Record, why *refused, into *aside) {
			if why != nil {
				into.addFinding(newReject(rec, stageSink, why.reason(), why.detail()), why)
			} else if err := wire.UnmarshalFinding(rec.Value, &b.finding); err != nil {
				into.addFinding(newReject(rec, wire.Stage, wire.Reason(err), err.Error()), nil)
			}
		}
		return b, nil
	}, nil
}

// findingsBatch is one partition's batch of findings.
type findingsBatch struct {
	delivery
	finding event.Finding
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
