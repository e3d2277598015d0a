package role

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

const (
	tableLetters   = "dead_letters"
	tableEnvelopes = "envelopes"
	stageSink      = "sink"
)

// delivery makes one partition's tables durable, for the roles store, findings, sources and letters: first the dead
// letter topic, then the tables, and when the server refuses rows, part by part until these stand alone. It is a
// stream.Stepwise.
//
// As long as the server takes the rows, a span is one step. Where it names a row that it refuses, the span is planned
// again without that record, whose dead letter is made in the same step when the server took the others. Where it names
// none, or several, a refusal divides the span; every part is planned before it is inserted, at the same offset with an
// earlier end, so its token is that of its own span and a successor goes on where the plan says. Several records left
// out, and small groups around refused rows, are inserted record by record. Which records the server refused is always
// in the plan before anything is done about it, so that a crash, or a server that changed its mind, cannot make both a
// row and a dead letter of a record. See note for what a plan says.
//
// Tables are inserted in a fixed order with calls first, so a record that calls refuses has no rows elsewhere. A record
// that a later table refuses keeps the rows that it has by then; its dead letter says "partly_stored".
type delivery struct {
	deps         StoreDeps
	counts       *outcomes
	shared       *clickhouse.Buffers
	tables       *clickhouse.Tables
	rejects      []batch.Reject // of the chain, by offset
	lettered     int64          // rejects up to this offset are acknowledged by the topic
	end          int64          // of the open batch, as far as it was planned
	pace         pace
	aside        *aside         // dead letters of the group that is being refused
	tried        stream.Plan    // the last one
	fresh        bool           // nothing was inserted under the present plan before
	lost         []batch.Reject // refused by the server: stage and reason only
	repeatedRows int            // records of the open batch that are repeats
	// letter makes a dead letter of a record that was read once more: of what the chain makes of it, else of why the
	// server refused it.
	letter func(rec *kgo.Record, why *refused, into *aside)
}

func newDelivery(deps StoreDeps, counts *outcomes, shared *clickhouse.Buffers) delivery {
	return delivery{deps: deps, counts: counts, shared: shared, tables: clickhouse.NewTables(shared), lettered: -1, end: -1}
}

// Rows implements stream.Batch.
func (d *delivery) Rows() int { return d.tables.Rows() }

// Bytes implements stream.Batch.
func (d *delivery) Bytes() int64 { return d.tables.Bytes() }

// Deliver implements stream.Batch. It does not divide; a stream calls Advance.
func (d *delivery) Deliver(ctx context.Context, span batch.Span) error {
	if err := d.send(ctx, span.Last); err != nil {
		return err
	}
	if err := d.deps.Writer.Write(ctx, d.tables, span); err != nil {
		return err
	}
	d.counts.delivered(d.tables.Rows(), d.repeatedRows, d.rejects, d.lost)
	return nil
}

// Reset implements stream.Batch.
func (d *delivery) Reset() {
	d.tables.Reset()
	clear(d.rejects)
	d.rejects, d.lost, d.repeatedRows = d.rejects[:0], d.lost[:0], 0
	d.lettered, d.end, d.pace, d.aside, d.tried, d.fresh = -1, -1, pace{}, nil, stream.Plan{}, false
}

// Advance implements stream.Stepwise.
func (d *delivery) Advance(ctx context.Context, plan stream.Plan) (stream.Plan, error) {
	n, err := parseNote(plan.Note, plan.Span)
	if err != nil {
		return stream.Plan{}, err
	}
	d.end = max(d.end, plan.Span.Last)
	d.fresh = !plan.Found && d.tried != plan
	d.tried = plan
	switch {
	case n.along:
		return d.along(ctx, plan.Span, n)
	case n.fixed:
		return d.refuse(ctx, plan.Span, n)
	case n.singly:
		return d.singly(ctx, plan.Span, n)
	}
	return d.insert(ctx, plan.Span, n)
}

// insert stores a span but for what is left out of it.
func (d *delivery) insert(ctx context.Context, span batch.Span, n note) (stream.Plan, error) {
	refusal, err := d.part(ctx, n.without(span), n, n.skip(span))
	switch {
	case err != nil:
		return stream.Plan{}, err
	case refusal != nil:
		return d.divide(span, n, refusal), nil
	}
	return d.taken(span, n), nil
}

// part stores the rows of a span but for those that are left out and for the tables that skip names. It returns the
// refusal of the server where dividing the span would help.
func (d *delivery) part(ctx context.Context, span batch.Span, n note, skip func(table string) bool) (*clickhouse.Refusal, error) {
	if err := d.send(ctx, span.Last); err != nil {
		return nil, err
	}
	for {
		err := d.deps.Writer.WritePart(ctx, d.tables, span, n.omitted, skip)
		if err == nil {
			return nil, nil
		}
		refusal := d.divisible(err)
		if refusal == nil {
			return nil, err
		}
		if known, err := d.known(ctx, span, n, refusal); err != nil || !known {
			return refusal, err
		}
		d.tables.Acknowledged(refusal.Table, span)
	}
}

// send produces the chain's rejects up to an offset to the dead letter topic.
func (d *delivery) send(ctx context.Context, last int64) error {
	if last <= d.lettered {
		return nil
	}
	from, _ := slices.BinarySearchFunc(d.rejects, d.lettered+1, byOffset)
	to, _ := slices.BinarySearchFunc(d.rejects, last+1, byOffset)
	if err := d.produce(ctx, d.rejects[from:to]); err != nil {
		return err
	}
	d.lettered = last
	return nil
}

// lettersTimeout bounds one attempt, so that a topic that is down shows in log and metrics as a step that is repeated.
const lettersTimeout = 30 * time.Second

func (d *delivery) produce(ctx context.Context, rejects []batch.Reject) error {
	ctx, cancel := context.WithTimeout(ctx, lettersTimeout)
	defer cancel()
	return d.deps.DeadLetters.Write(ctx, rejects)
}

func byOffset(r batch.Reject, offset int64) int { return int(r.Position.Offset - offset) }

// divisible returns the refusal in an error, nil where dividing the batch would not help.
func (d *delivery) divisible(err error) *clickhouse.Refusal {
	var refusal *clickhouse.Refusal
	if !errors.As(err, &refusal) || d.deps.Reread == nil || refusal.Table == tableLetters {
		return nil
	}
	return refusal
}

// known reports whether the rows that the server refuses to take are in the table already: an attempt of which no
// answer came had stored them, or a view failed after them.
func (d *delivery) known(ctx context.Context, span batch.Span, n note, refusal *clickhouse.Refusal) (bool, error) {
	if d.unknown(refusal) {
		return false, nil
	}
	stored, want, err := d.deps.Writer.Stored(ctx, d.tables, refusal.Table, span, n.omitted)
	switch {
	case err != nil:
		return false, err
	case len(stored) == 0:
		return false, nil
	case len(stored) != want:
		// An insert over two months' partitions that was cut off between them. Only its repetition can complete it.
		return false, fmt.Errorf("table %s holds %d of the %d rows of offsets %d to %d and refuses the others; drop what refuses them until they are stored: %w",
			refusal.Table, len(stored), want, span.First, span.Last, refusal)
	}
	return true, nil
}

// unknown reports that the table cannot have the rows: there was no earlier attempt, and the server refused them before
// it stored any.
func (d *delivery) unknown(refusal *clickhouse.Refusal) bool { return d.fresh && refusal.Before }

// taken is the plan after the server took a span: first the records that were left out of it, then what is behind.
func (d *delivery) taken(span batch.Span, n note) stream.Plan {
	d.pace.stored()
	left := between(n.omitted, span.First, span.Last)
	if len(left) == 0 {
		return d.behind(span, n)
	}
	n.singly, n.apart = true, true
	return stream.Plan{Span: span, Note: n.format(span)}
}

// divide plans a smaller step at the same offset.
func (d *delivery) divide(span batch.Span, n note, refusal *clickhouse.Refusal) stream.Plan {
	n.along, n.refuse = false, nil
	if d.omissible(span, n, refusal) {
		at, _ := slices.BinarySearch(n.omitted, refusal.Offset)
		n.omitted = slices.Insert(n.omitted, at, refusal.Offset)
		if len(between(n.omitted, span.First, span.Last)) == 1 && refusal.Table != tableEnvelopes {
			n.along, n.refuse = true, []refused{{offset: refusal.Offset, code: refusal.Code, table: refusal.Table}}
		}
		return stream.Plan{Span: span, Note: n.format(span)}
	}
	for _, table := range d.tables.Holding(span) {
		if table == refusal.Table {
			break
		}
		n.done[table] = max(n.done[table], span.Last) // stored under the token of the whole span
	}
	part := span
	if part.Last, n.singly = d.pace.cut(d.tables.Offsets(), span, refusal.Offset); n.singly {
		d.deps.Logger.Warn().Str("topic", span.Topic).Int32("partition", span.Partition).Int64("first", span.First).Int64("last", part.Last).
			Str("table", refusal.Table).Int32("code", refusal.Code).Msg("server refuses rows; records are inserted one by one")
	}
	return stream.Plan{Span: part, Note: n.format(part)}
}

// omissible reports whether the record of which the server complains can be left out: its first table refuses it, so
// that it is stored nowhere.
func (d *delivery) omissible(span batch.Span, n note, refusal *clickhouse.Refusal) bool {
	records := between(d.tables.Offsets(), span.First, span.Last)
	if _, found := slices.BinarySearch(records, refusal.Offset); !found || len(records) < 2 || n.omits(refusal.Offset) {
		return false
	}
	first := d.tables.Holding(span)[0]
	return first == refusal.Table && !n.skip(span)(first) && d.pace.sparse(d.tables.Offsets(), n.omitted, refusal.Offset)
}

// behind is the plan after a span that is durable.
func (d *delivery) behind(span batch.Span, n note) stream.Plan {
	next := span
	next.First = span.Last + 1
	limit := d.end
	n = note{done: n.done, omitted: between(n.omitted, next.First, math.MaxInt64-1)}
	for table, through := range n.done {
		if through < next.First {
			delete(n.done, table)
			continue
		}
		if limit < next.First || through < limit {
			limit = through
		}
	}
	if next.First > d.end {
		d.counts.delivered(d.tables.Rows(), d.repeatedRows, d.rejects, d.lost)
	}
	if limit < next.First {
		return stream.Plan{Span: next} // its end is before its first: empty
	}
	next.Last, n.singly = d.pace.next(d.tables.Offsets(), next.First, limit)
	return stream.Plan{Span: next, Note: n.format(next)}
}
