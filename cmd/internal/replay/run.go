package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// chunkLimit bounds what a replay holds in memory: records and, beside them, their columns.
var chunkLimit = Limit{Records: 5000, Bytes: 16 << 20}

// redoLimit is for a chunk whose end is planned.
var redoLimit = Limit{Records: 1 << 30, Bytes: 1 << 60}

// errRefused reports that the server refuses rows of a chunk, however often they are sent.
var errRefused = errors.New("the server refuses rows")

// rewriteAll writes every span's rows that are not written yet. Offenders are records whose rows the server refuses.
func (e *Engine) rewriteAll(ctx context.Context, s *state, source Source) (offenders map[partition][]int64, err error) {
	total, done := int64(0), int64(0)
	for _, span := range s.spans {
		total += span.records()
	}
	offenders = map[partition][]int64{}
	for _, span := range s.spans {
		at := partition{span.Topic, span.Partition}
		err := e.rewrite(ctx, s, span, source, func(bad []int64) { offenders[at] = append(offenders[at], bad...) }, func(through int64) {
			e.set.Progress(Progress{s.version, span.Topic, span.Partition, done + span.done(through), total})
		})
		if err != nil {
			return nil, err
		}
		done += span.records()
	}
	return offenders, nil
}

// done is how many of the span's records lie at or before an offset.
func (s Span) done(through int64) int64 {
	if len(s.Offsets) == 0 {
		return through - s.First + 1
	}
	n := int64(0)
	for _, offset := range s.Offsets {
		if offset > through {
			break
		}
		n++
	}
	return n
}

// rewrite writes one span, chunk by chunk.
func (e *Engine) rewrite(ctx context.Context, s *state, span Span, source Source, offend func([]int64), progress func(through int64)) error {
	next := span.First
	if c, ok := s.planned[partition{span.Topic, span.Partition}]; ok {
		next = c.last + 1
		records, _, err := source.Read(ctx, span, c.first, c.last, redoLimit)
		if err != nil {
			return err
		}
		stored, err := e.stored(ctx, s, span)
		if err != nil {
			return err
		}
		if err := e.write(ctx, s, span, c, records, stored, offend); err != nil {
			return err
		}
		progress(c.last)
	}
	for next <= span.Last {
		records, through, err := source.Read(ctx, span, next, span.Last, chunkLimit)
		if err != nil {
			return err
		}
		c := interval{next, through}
		if err := e.plan(ctx, s, span, c); err != nil {
			return err
		}
		if err := e.reach("planned"); err != nil {
			return err
		}
		if err := e.write(ctx, s, span, c, records, nil, offend); err != nil {
			return err
		}
		if err := e.reach("written"); err != nil {
			return err
		}
		progress(through)
		next = through + 1
	}
	return nil
}

// write inserts one chunk. stored is set when the chunk was begun before: what each table has of this version.
func (e *Engine) write(ctx context.Context, s *state, span Span, c interval, records []Record, stored map[string]int64, offend func([]int64)) error {
	if len(records) == 0 {
		return nil
	}
	facts, err := e.facts(ctx, span, c)
	if err != nil {
		return err
	}
	if facts.copies, err = e.copies(ctx, s, span, c, e.rewriter.origins(span, records, facts)); err != nil {
		return err
	}
	resolutions := e.rewriter.fill(s.version, s.kind, span, records, facts)
	if err := e.rewriter.tables.SkipStored(stored); err != nil {
		return fmt.Errorf("resume replay %d: %w; give it up with `modeltrail replay --abandon %d`", s.version, err, s.version)
	}
	err = e.insert(ctx, s, span, c, "")
	if errors.Is(err, errRefused) {
		if err := e.spoil(ctx, s); err != nil {
			return err
		}
		bad, found := e.bisect(ctx, s, span, records, facts)
		if found == nil && len(bad) == 0 {
			found = fmt.Errorf("find the refused rows of offsets %d to %d: the parts were taken although the whole was not: %w", c.first, c.last, err)
		}
		offend(bad)
		return found
	}
	if err != nil {
		return err
	}
	if err := e.reach("inserted"); err != nil {
		return err
	}
	return e.resolve(ctx, s, span, c, resolutions, stored)
}

// spoil abandons the replay at its first refusal, before a halved chunk can stand beside the whole one.
func (e *Engine) spoil(ctx context.Context, s *state) error {
	if s.abandoned {
		return nil
	}
	s.abandoned = true
	return e.mark(ctx, s, stateAbandoned)
}

// bisect finds the records whose rows the server refuses, by halves. The replay is abandoned afterwards, so that what is
// inserted here stays unseen.
func (e *Engine) bisect(ctx context.Context, s *state, span Span, records []Record, f *facts) ([]int64, error) {
	half := len(records) / 2
	if half == 0 {
		e.log.Warn().Str("topic", span.Topic).Int32("partition", span.Partition).Int64("offset", records[0].Offset).Msg("the server refuses the rows of this record")
		return []int64{records[0].Offset}, nil
	}
	var bad []int64
	for _, part := range [][]Record{records[:half], records[half:]} {
		e.rewriter.fill(s.version, s.kind, span, part, f)
		c := interval{part[0].Offset, part[len(part)-1].Offset}
		err := e.insert(ctx, s, span, c, "b")
		if errors.Is(err, errRefused) {
			var found []int64
			found, err = e.bisect(ctx, s, span, part, f)
			bad = append(bad, found...)
		}
		if err != nil {
			return nil, err
		}
	}
	return bad, nil
}

// tries and pauses of one insert, about a minute in all; after it the replay stops and can be resumed.
const (
	insertTries = 8
	firstPause  = 250 * time.Millisecond
)

// insert writes the rewriter's tables and repeats what fails for a passing reason.
func (e *Engine) insert(ctx context.Context, s *state, span Span, c interval, part string) error {
	at := batch.Span{Topic: span.Topic, Partition: span.Partition, First: c.first, Last: c.last, Part: fmt.Sprintf("r%d%s", s.version, part)}
	pause := firstPause
	for try := 1; ; try++ {
		err := e.set.Writer.Write(ctx, e.rewriter.tables, at)
		if err == nil {
			return nil
		}
		switch class := clickhouse.Classify(err); {
		case class == clickhouse.ClassPermanent:
			return fmt.Errorf("%w: %w", errRefused, err)
		case class == clickhouse.ClassConfig, ctx.Err() != nil, try == insertTries:
			return err
		}
		e.log.Warn().Err(err).Int("try", try).Msg("insert failed and is repeated with the same token")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
}
