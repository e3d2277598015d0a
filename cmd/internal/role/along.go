package role

import (
	"context"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// along stores a span of which the server refused one record, and that record's dead letter: first the rows of the
// others, beginning with the table that refused it, then the envelopes, of which its own says rejected, then its bytes.
// That the server takes the others without it and not with it proves that it refuses this one; until then nothing is
// done about it, so a second refusal divides the span as if the first had not been.
func (d *delivery) along(ctx context.Context, span batch.Span, n note) (stream.Plan, error) {
	done, part := n.skip(span), span
	part.Part = partAlong
	refusal, err := d.part(ctx, part, n, func(table string) bool { return table == tableEnvelopes || done(table) })
	if err == nil && refusal == nil {
		refusal, err = d.envelopesAlong(ctx, part, n)
	}
	switch {
	case err != nil:
		return stream.Plan{}, err
	case refusal != nil:
		return d.divide(span, n, refusal), nil
	}
	if err := d.letterAlong(ctx, span, n); err != nil {
		return stream.Plan{}, err
	}
	d.lost = append(d.lost, batch.Reject{Stage: stageSink, Reason: n.refuse[0].reason()})
	d.pace.stored()
	return d.behind(span, n), nil
}

// envelopesAlong stores all envelopes of the span.
func (d *delivery) envelopesAlong(ctx context.Context, part batch.Span, n note) (*clickhouse.Refusal, error) {
	defer d.tables.Reject(n.refuse[0].offset, n.refuse[0].reason())()
	err := d.deps.Writer.WriteTable(ctx, d.tables, tableEnvelopes, part)
	if err == nil {
		return nil, nil
	}
	refusal := d.divisible(err)
	if refusal == nil {
		return nil, err
	}
	all := n
	all.omitted = nil
	if known, err := d.known(ctx, part, all, refusal); err != nil || known {
		return nil, err
	}
	return refusal, nil
}

// letterAlong produces and stores the dead letter.
func (d *delivery) letterAlong(ctx context.Context, span batch.Span, n note) error {
	alone := n.refuse[0].offset
	if d.aside == nil || d.aside.span != span {
		a, err := d.collect(ctx, span, n, []int64{alone})
		if err != nil {
			return err
		}
		d.aside = a
	}
	if a := d.aside; !a.sent {
		if err := d.produce(ctx, a.rejects); err != nil {
			return err
		}
		a.sent = true
	}
	single := batch.Span{Topic: span.Topic, Partition: span.Partition, First: alone, Last: alone, Part: partSingle}
	if err := d.deps.Writer.WriteTable(ctx, d.aside.tables, tableLetters, single); err != nil {
		return err
	}
	d.aside = nil
	return nil
}
