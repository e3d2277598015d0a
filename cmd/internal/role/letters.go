package role

import (
	"errors"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// LettersTables are the tables that the role letters writes.
func LettersTables() []string { return []string{tableLetters} }

// NewLetters returns the batches of the role letters: a dead letter of a program without ClickHouse becomes a row at its
// own place in the dead letter topic. foreign names the stages of such letters. The others are passed over: the roles
// store, findings and sources made their rows themselves, at the places of the original records.
func NewLetters(deps StoreDeps, foreign func(stage string) bool) (stream.NewBatch, error) {
	if deps.Writer == nil || foreign == nil {
		return nil, errors.New("create role letters: a writer and the stages are required")
	}
	counts, err := newOutcomes("letters", deps.Registerer)
	if err != nil {
		return nil, err
	}
	deps.Reread = nil // a refusal is repeated: there is nowhere to put the letter of a letter
	shared := &clickhouse.Buffers{}
	return func(string, int32) (stream.Batch, error) {
		return &lettersBatch{delivery: newDelivery(deps, counts, shared), foreign: foreign}, nil
	}, nil
}

// lettersBatch is one partition's batch of dead letters.
type lettersBatch struct {
	delivery
	foreign func(stage string) bool
}

// Add implements stream.Batch.
func (b *lettersBatch) Add(rec *kgo.Record) {
	stage, reason, detail := dlq.Cause(rec)
	switch {
	case stage == "":
		stage, reason, detail = "unknown", "not_a_letter", "the record lacks the headers of a dead letter"
	case !b.foreign(stage):
		return
	}
	letter := newReject(rec, stage, reason, detail)
	b.tables.AddFindingReject(&letter)
}
