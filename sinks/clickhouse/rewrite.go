package clickhouse

import (
	"context"
	"fmt"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// AddStanding takes a record that stays refused when it is written again: a row in envelopes with status rejected.
// Its dead letter is there already. r holds what is known of it; its Envelope and Event may be nil.
func (t *Tables) AddStanding(r *batch.Record, valueBytes int, reason string) {
	t.take(r.Position.Offset, 0)
	t.addEnvelope(r, valueBytes, statusRejected, reason)
}

// SkipStored empties every table whose rows the server has, as found by reading: stored holds, by table, the highest
// offset of this version. It serves a delivery that is repeated so much later that the server may have forgotten its
// token. Rows MUST have been added by ascending offset. It is an error when the server has only some of a table's
// rows, for a block is stored whole or not at all.
func (t *Tables) SkipStored(stored map[string]int64) error {
	for _, c := range []struct {
		b       *block
		offsets []int64
	}{
		{&t.deadLetters.block, t.deadLetters.offset.values},
		{&t.envelopes.block, t.envelopes.offset.values},
		{&t.payloads.block, t.payloads.offset.values},
		{&t.toolCalls.block, t.toolCalls.offset.values},
		{&t.calls.block, t.calls.offset.values},
		{&t.findings.block, t.findings.offset.values},
	} {
		through, known := stored[c.b.name]
		if !known || len(c.offsets) == 0 || c.offsets[0] > through {
			continue
		}
		if last := c.offsets[len(c.offsets)-1]; last > through {
			return fmt.Errorf("repeat rows of %s: offsets %d to %d are to be written and the table ends at %d", c.b.name, c.offsets[0], last, through)
		}
		c.b.reset()
	}
	return nil
}

// WithToken makes an insert over ctx idempotent and keeps it one block, under the same settings as a Writer's. An
// INSERT ... SELECT stays one block below a million rows.
func WithToken(ctx context.Context, token string) context.Context {
	settings := insertSettings(token)
	settings["max_insert_threads"] = 1
	return clickhousego.Context(ctx, clickhousego.WithSettings(settings))
}
