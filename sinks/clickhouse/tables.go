package clickhouse

import (
	"time"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Tables holds the rows of one partition's open batch, as columns. One goroutine uses it.
type Tables struct {
	envelopes   *envelopesBlock
	calls       *callsBlock
	payloads    *payloadsBlock
	toolCalls   *toolCallsBlock
	findings    *findingsBlock
	deadLetters *deadLettersBlock
	statements  *statementsBlock
	order       []*block
	span        batch.Span // of the last Write
	written     []bool     // by order: acknowledged for span
	window      *window    // that watches the inserts of span; nil before the first
	adjusted    adjusted
	version     uint32  // row_version of every row
	records     []int64 // their offsets, ascending
	bytes       int64   // estimate, kept as records come
}

// NewTables returns empty tables that take the memory for payloads from shared.
func NewTables(shared *Buffers) *Tables {
	t := &Tables{
		envelopes: newEnvelopesBlock(), calls: newCallsBlock(), payloads: newPayloadsBlock(shared),
		toolCalls: newToolCallsBlock(), findings: newFindingsBlock(), deadLetters: newDeadLettersBlock(shared),
		statements: newStatementsBlock(),
		adjusted:   adjusted{},
	}
	// Calls first: when the server refuses a row there, nothing else of its record is stored yet. Envelopes last, so
	// that a row of the completeness record implies all others of its offset, and dead letters of the chain before them,
	// so that no envelope of theirs is ever recorded as rejected without its bytes.
	t.order = []*block{
		&t.calls.block, &t.toolCalls.block, &t.payloads.block, &t.findings.block, &t.statements.block, &t.deadLetters.block,
		&t.envelopes.block,
	}
	t.written = make([]bool, len(t.order))
	return t
}

// SetVersion sets the row_version of the rows that follow: 0 for the first writing of an offset, the number of the
// replay for one that is written again.
func (t *Tables) SetVersion(version uint32) { t.version = version }

// Rows is the number of records taken since Reset.
func (t *Tables) Rows() int { return len(t.records) }

// Offsets are those of the records taken since Reset, ascending. They are valid until the next change of t.
func (t *Tables) Offsets() []int64 { return t.records }

// Bytes is about what the rows occupy: the records' sizes and what the columns add.
func (t *Tables) Bytes() int64 { return t.bytes }

// Reset empties the tables and keeps their memory.
func (t *Tables) Reset() {
	for _, b := range t.order {
		b.reset()
	}
	clear(t.adjusted)
	clear(t.written)
	t.records, t.bytes = t.records[:0], 0
	if t.window != nil {
		t.window.end(t)
	}
}

// table is the block of a table.
func (t *Tables) table(name string) *block {
	for _, b := range t.order {
		if b.name == name {
			return b
		}
	}
	return nil
}

// Holding names the tables that have rows of the records within span, in the order in which they are inserted.
func (t *Tables) Holding(span batch.Span) (names []string) {
	for _, b := range t.order {
		if from, to := b.within(span.First, span.Last); from < to {
			names = append(names, b.name)
		}
	}
	return names
}

// take counts a record.
func (t *Tables) take(offset int64, valueBytes int) {
	t.records = append(t.records, offset)
	t.bytes += int64(valueBytes) + rowOverhead
}

// rowOverhead is what a record adds to the tables beside its own bytes.
const rowOverhead = 400

// AddEnvelope takes a record that passed the chain: a row in envelopes, one in payloads where a body was seen, and
// for a response one in calls and one per tool call. valueBytes is the length of the Kafka value.
func (t *Tables) AddEnvelope(r *batch.Record, valueBytes int) {
	t.take(r.Position.Offset, valueBytes)
	t.addEnvelope(r, valueBytes, statusStored, "")
	t.addPayload(r)
	if r.Envelope.Phase == event.Phase_PHASE_RESPONSE {
		t.addCall(r)
		t.addToolCalls(r)
	}
}

// AddReject takes a record that cannot become a call: a row in dead_letters with its original bytes and one in
// envelopes with status rejected. r holds what is known of it; its Envelope and Event may be nil.
func (t *Tables) AddReject(reject *batch.Reject, r *batch.Record) {
	t.take(reject.Position.Offset, len(reject.Value))
	t.addDeadLetter(reject)
	t.addEnvelope(r, len(reject.Value), statusRejected, reject.Reason)
}

// AddRejected is AddReject for a record whose row in dead_letters is stored already.
func (t *Tables) AddRejected(reject *batch.Reject, r *batch.Record) {
	t.take(reject.Position.Offset, len(reject.Value))
	t.addEnvelope(r, len(reject.Value), statusRejected, reject.Reason)
}

// AddRepeat takes a record that its source delivered before: a row in envelopes with status repeated and no other. Of
// r only the envelope is read.
func (t *Tables) AddRepeat(r *batch.Record, valueBytes int) {
	t.take(r.Position.Offset, valueBytes)
	bare := *r
	bare.Event = nil
	t.addEnvelope(&bare, valueBytes, statusRepeated, "")
}

// AddBare takes a rejected record of which no table but envelopes shall have a row, and there only where it stood, who
// sent it and why it was rejected: the rest was refused.
func (t *Tables) AddBare(reject *batch.Reject, source *event.Source) {
	t.take(reject.Position.Offset, len(reject.Value))
	r := batch.Record{Position: reject.Position, IngestedAt: reject.IngestedAt}
	if source != nil {
		r.Envelope = &event.Envelope{Source: source}
	}
	t.addEnvelope(&r, len(reject.Value), statusRejected, reject.Reason)
}

// Reject makes the envelope at an offset a rejected one, until undo.
func (t *Tables) Reject(offset int64, reason string) (undo func()) {
	b := t.envelopes
	from, to := b.within(offset, offset)
	if from == to {
		return func() {}
	}
	status, key := b.status.values[from], b.rejectReason.key(from)
	b.status.values[from] = statusRejected
	b.rejectReason.set(from, b.rejectReason.number(reason))
	return func() {
		b.status.values[from] = status
		b.rejectReason.set(from, key)
	}
}

// Repeated reports whether the record at an offset was taken by AddRepeat.
func (t *Tables) Repeated(offset int64) bool { return t.statusAt(offset) == statusRepeated }

func (t *Tables) statusAt(offset int64) int8 {
	from, to := t.envelopes.within(offset, offset)
	if from == to {
		return 0
	}
	return t.envelopes.status.values[from]
}

// Arrived is the broker time of the record at an offset that t holds.
func (t *Tables) Arrived(offset int64) time.Time {
	for _, b := range t.order {
		if from, to := b.within(offset, offset); from < to {
			return time.UnixMilli(b.arrived.values[from])
		}
	}
	return time.Time{}
}

// AddFinding takes a finding with its place in Kafka.
func (t *Tables) AddFinding(f *event.Finding, at batch.Position, ingestedMillis int64, valueBytes int) {
	t.take(at.Offset, valueBytes)
	t.addFinding(f, at, ingestedMillis)
}

// AddFindingReject takes a record of the findings or the sources topic that is none: a row in dead_letters only.
func (t *Tables) AddFindingReject(reject *batch.Reject) {
	t.take(reject.Position.Offset, len(reject.Value))
	t.addDeadLetter(reject)
}

// adjusted counts, by column, values that did not fit their column and were clamped or left null.
type adjusted map[string]int

// unsigned adds n to a column of unsigned integers, clamped.
func unsigned[T ~uint16 | ~uint32 | ~uint64](a adjusted, c *fixed[T], column string, n int64) {
	v, ok := clamp[T](n)
	if !ok {
		a[column]++
	}
	c.add(v)
}

// count adds an optional count; a negative one is unknown, not zero.
func (a adjusted) count(c *nullable[uint64], column string, n *int64) {
	switch {
	case n == nil:
		c.addNull()
	case *n < 0:
		a[column]++
		c.addNull()
	default:
		c.add(uint64(*n))
	}
}

// money adds an optional amount in 1e-12 USD; one beyond Decimal(18, 12) is unknown.
func (a adjusted) money(c *nullable[int64], column string, pico *int64) {
	switch {
	case pico == nil:
		c.addNull()
	case *pico > maxMoney || *pico < -maxMoney:
		a[column]++
		c.addNull()
	default:
		c.add(*pico)
	}
}

// elapsed adds the microseconds from one moment to another, null where either is unknown or they are reversed.
func (a adjusted) elapsed(c *nullable[uint64], column string, from, to uint64) {
	switch {
	case from == 0 || to == 0:
		c.addNull()
	case to < from:
		a[column]++
		c.addNull()
	default:
		c.add((to - from) / 1000)
	}
}

// enum adds a protobuf enum; a number that the column's type does not name is "unknown".
func enum[E ~int32](c *fixed[int8], e, highest E) {
	if e < 0 || e > highest {
		e = 0
	}
	c.add(int8(e)) //nolint:gosec // bounded above
}

// Column is a column as this package sends it; Type is in the server's spelling.
type Column struct{ Name, Type string }

// Schema returns the columns of every table in the order of the DDL, for a comparison with the server's.
func Schema() map[string][]Column {
	out := map[string][]Column{}
	for _, b := range NewTables(&Buffers{}).order {
		for _, c := range b.columns {
			out[b.name] = append(out[b.name], Column{c.name, c.kind})
		}
	}
	return out
}
