package role

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Parts of the tokens of a group.
const (
	partWithout  = "o" // followed by a number: a span without as many records
	partAlong    = "x" // a span without one record, and all its envelopes, one of them rejected
	partSingle   = "s" // one record, inserted alone; or the dead letters of a group
	partRejected = "r" // one rejected envelope, where the server refused one of the group's
	partBare     = "b" // the same with little in it, where the server refused the full row
)

// singly inserts the records of a group one by one, table by table, and plans what is to be done with those that the
// server refuses. The chain's rejects of the group are left to refuse.
func (d *delivery) singly(ctx context.Context, span batch.Span, n note) (stream.Plan, error) {
	gone := map[int64]bool{}
	for _, table := range d.tables.Holding(span) {
		if table == tableLetters {
			continue
		}
		refusals, err := d.insertEach(ctx, span, n, table, gone)
		if err != nil {
			return stream.Plan{}, err
		}
		n.refuse = append(n.refuse, refusals...)
	}
	slices.SortFunc(n.refuse, func(a, b refused) int { return int(a.offset - b.offset) })
	n.fixed = true
	return stream.Plan{Span: span, Note: n.format(span)}, nil
}

// group are the records of a span that is inserted one by one.
func (d *delivery) group(span batch.Span, n note) []int64 {
	if n.apart {
		return between(n.omitted, span.First, span.Last)
	}
	return between(d.tables.Offsets(), span.First, span.Last)
}

// insertEach inserts one table's rows record by record. gone are the records that have been refused so far.
func (d *delivery) insertEach(ctx context.Context, span batch.Span, n note, table string, gone map[int64]bool) (refusals []refused, err error) {
	stored, none := n.skip(span)(table), true // none of the refused ones can be in the table
	for _, offset := range d.group(span, n) {
		single := batch.Span{Topic: span.Topic, Partition: span.Partition, First: offset, Last: offset, Part: partSingle}
		if gone[offset] || d.rejected(single) || stored && !n.omits(offset) {
			continue
		}
		err := d.deps.Writer.WriteTable(ctx, d.tables, table, single)
		if err == nil {
			continue
		}
		refusal := d.divisible(err)
		if refusal == nil {
			return nil, err
		}
		none = none && d.unknown(refusal)
		partly := d.tables.Holding(single)[0] != table
		refusals = append(refusals, refused{offset: offset, code: refusal.Code, table: table, partly: partly})
	}
	if len(refusals) == 0 {
		return nil, nil
	}
	span.First, span.Last = refusals[0].offset, refusals[len(refusals)-1].offset
	var found []int64
	if !none {
		if found, _, err = d.deps.Writer.Stored(ctx, d.tables, table, span, nil); err != nil {
			return nil, err
		}
	}
	refusals = slices.DeleteFunc(refusals, func(r refused) bool { return slices.Contains(found, r.offset) })
	for _, r := range refusals {
		gone[r.offset] = true
	}
	return refusals, nil
}

// rejected reports whether the chain has rejected the record of a span of one offset.
func (d *delivery) rejected(single batch.Span) bool {
	return slices.Contains(d.tables.Holding(single), tableLetters)
}

// aside holds the dead letters of one group.
type aside struct {
	span    batch.Span
	tables  *clickhouse.Tables
	bare    *clickhouse.Tables // envelopes alone, with little in them
	rejects []batch.Reject     // that the dead letter topic lacks
	sent    bool               // it has them
	// lettered: the chain's rejects have their rows in dead_letters already; sentTo: and are in the topic up to here.
	lettered bool
	sentTo   int64
}

// add takes one dead letter. known is what was read of its record; why is nil for one of the chain's.
func (a *aside) add(reject batch.Reject, known *batch.Record, why *refused) {
	if why != nil || reject.Position.Offset > a.sentTo {
		a.rejects = append(a.rejects, reject)
	}
	if why == nil && a.lettered {
		a.tables.AddRejected(&reject, known)
	} else {
		a.tables.AddReject(&reject, known)
	}
	a.bare.AddBare(&reject, known.Envelope.GetSource())
}

// addFinding is add for a record of the findings topic, which has no row in envelopes.
func (a *aside) addFinding(reject batch.Reject, why *refused) {
	if why != nil || reject.Position.Offset > a.sentTo {
		a.rejects = append(a.rejects, reject)
	}
	if why != nil || !a.lettered {
		a.tables.AddFindingReject(&reject)
	}
}

// refuse makes dead letters of a group: of the chain's rejects and of the records that the server refused.
func (d *delivery) refuse(ctx context.Context, span batch.Span, n note) (stream.Plan, error) {
	if d.aside == nil || d.aside.span != span {
		a, err := d.collect(ctx, span, n, d.group(span, n))
		if err != nil {
			return stream.Plan{}, err
		}
		d.aside = a
	}
	a := d.aside
	if !a.sent {
		if err := d.produce(ctx, a.rejects); err != nil {
			return stream.Plan{}, err
		}
		a.sent = true
	}
	if err := d.writeAside(ctx, a); err != nil {
		return stream.Plan{}, err
	}
	d.lettered = max(d.lettered, span.Last)
	for _, r := range n.refuse {
		d.lost = append(d.lost, batch.Reject{Stage: stageSink, Reason: r.reason()})
	}
	d.aside = nil
	return d.behind(span, n), nil
}

// collect reads the group's records once more and makes dead letters of those that are none yet.
func (d *delivery) collect(ctx context.Context, span batch.Span, n note, group []int64) (*aside, error) {
	buffers := &clickhouse.Buffers{}
	a := &aside{
		span: span, tables: clickhouse.NewTables(buffers), bare: clickhouse.NewTables(buffers),
		lettered: n.skip(span)(tableLetters), sentTo: d.lettered,
	}
	wanted := map[int64]*refused{}
	for i := range n.refuse {
		wanted[n.refuse[i].offset] = &n.refuse[i]
	}
	for _, offset := range group {
		if d.rejected(batch.Span{First: offset, Last: offset}) {
			wanted[offset] = nil
		}
	}
	if len(wanted) == 0 {
		return a, nil
	}
	var offsets []int64
	for offset := range wanted {
		offsets = append(offsets, offset)
	}
	slices.Sort(offsets)
	err := d.deps.Reread(ctx, span.Topic, span.Partition, offsets[0], offsets[len(offsets)-1], func(rec *kgo.Record) {
		if why, ok := wanted[rec.Offset]; ok {
			delete(wanted, rec.Offset)
			d.letter(rec, why, a)
		}
	})
	if err != nil {
		return nil, err
	}
	for _, offset := range offsets { // retention was faster
		if why, ok := wanted[offset]; ok {
			if why == nil {
				return nil, fmt.Errorf("record %s/%d/%d left the log before its dead letter was written", span.Topic, span.Partition, offset)
			}
			d.letter(&kgo.Record{Topic: span.Topic, Partition: span.Partition, Offset: offset, Timestamp: d.tables.Arrived(offset)}, why, a)
		}
	}
	return a, nil
}

// writeAside stores the dead letters and then the envelopes of a group.
func (d *delivery) writeAside(ctx context.Context, a *aside) error {
	group := a.span
	group.Part = partSingle
	if err := d.deps.Writer.WriteTable(ctx, a.tables, tableLetters, group); err != nil {
		return err
	}
	var stored []int64
	if !d.fresh { // which rows, in which of two forms, were stored before a crash only the table knows
		found, want, err := d.deps.Writer.Stored(ctx, a.tables, tableEnvelopes, group, nil)
		if err != nil || len(found) == want {
			return err
		}
		stored = found
	}
	var refusal *clickhouse.Refusal
	if len(stored) == 0 {
		if err := d.deps.Writer.WriteTable(ctx, a.tables, tableEnvelopes, group); !errors.As(err, &refusal) {
			return err
		}
	}
	for _, offset := range a.tables.Offsets() {
		if slices.Contains(stored, offset) {
			continue
		}
		single := batch.Span{Topic: group.Topic, Partition: group.Partition, First: offset, Last: offset, Part: partRejected}
		err := d.deps.Writer.WriteTable(ctx, a.tables, tableEnvelopes, single)
		if errors.As(err, &refusal) {
			single.Part = partBare
			err = d.deps.Writer.WriteTable(ctx, a.bare, tableEnvelopes, single)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (r refused) reason() string {
	if r.partly {
		return clickhouse.ReasonPartly
	}
	return clickhouse.Reason(r.code)
}

// detail says what the server refused, without its words, which quote values.
func (r refused) detail() string {
	if r.code == 0 {
		return fmt.Sprintf("the record's row in table %s is too large for one insert", r.table)
	}
	return fmt.Sprintf("the server refused the record's row in table %s with code %d (%s)", r.table, r.code, clickhouse.Reason(r.code))
}
