package stream_test

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
)

// stepping divides every plan of more than three records by halves, with a note at each step.
type stepping struct {
	*rows
	end    int64
	fail   *atomic.Int32 // steps left until one fails
	answer func(stream.Plan) (stream.Plan, bool)
}

func (s *stepping) Advance(_ context.Context, p stream.Plan) (stream.Plan, error) {
	if s.fail.Add(-1) == 0 {
		return stream.Plan{}, errSink
	}
	if s.answer != nil {
		if next, ok := s.answer(p); ok {
			return next, nil
		}
	}
	s.end = max(s.end, p.Span.Last)
	next := p
	if n := p.Span.Last - p.Span.First + 1; n > 3 {
		next.Span.Last = p.Span.First + n/2 - 1
		next.Note = "half;" + p.Note
		return next, nil
	}
	s.sink.mu.Lock()
	s.sink.tokens[p.Span.Token("main", "rows", 1)]++
	if s.sink.tokens[p.Span.Token("main", "rows", 1)] == 1 {
		s.sink.spans = append(s.sink.spans, p.Span)
		for i := range s.values {
			if at := s.first + int64(i); at >= p.Span.First && at <= p.Span.Last {
				s.sink.rows[s.values[i]]++
			}
		}
	}
	s.sink.mu.Unlock()
	next.Span.First = p.Span.Last + 1
	next.Span.Last, next.Note = s.end, ""
	return next, nil
}

func (s *stepping) Reset() {
	s.rows.Reset()
	s.end = -1
}

func TestRunner_Stepwise_EveryStepIsPlannedAndARestartGoesOnThere(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	produce(t, c, 0, 500)
	for attempt := range 40 {
		var fail atomic.Int32
		fail.Store(int32(5 + attempt*2))
		cfg := config()
		cfg.DrainTimeout, cfg.RetryMin, cfg.RetryMax = 50*time.Millisecond, time.Hour, time.Hour
		cfg.MaxBatchRows = 30 + attempt
		steps := 0
		r := start(t, c, cfg, func(topic string, partition int32) (stream.Batch, error) {
			return &stepping{rows: &rows{sink: sink}, fail: &fail, end: -1, answer: func(p stream.Plan) (stream.Plan, bool) {
				if steps++; p.Found != (steps == 1 && attempt > 0) {
					t.Errorf("attempt %d, step %d: found %t", attempt, steps, p.Found)
				}
				return stream.Plan{}, false
			}}, nil
		})
		eventually(t, "a step fails or all is done", func() bool {
			return fail.Load() <= 0 || committed(t, c)[0] == commitState{500, ""}
		})
		r.stop()
		if committed(t, c)[0] == (commitState{500, ""}) {
			break
		}
		if at := committed(t, c)[0]; !strings.HasPrefix(at.metadata, "v1;") {
			t.Fatalf("attempt %d: %v is no plan", attempt, at)
		}
	}
	sink.exactly(t, 500)
	sink.adjoining(t)
}

// TestRunner_Stepwise_ImpossibleStepsAreRefused: a step that skips an offset would lose its record.
func TestRunner_Stepwise_ImpossibleStepsAreRefused(t *testing.T) {
	span := func(first, last int64) batch.Span { return batch.Span{Topic: topic, First: first, Last: last} }
	for name, next := range map[string]stream.Plan{
		"skips":              {Span: span(51, 99)},
		"goes back":          {Span: span(-1, 99)},
		"grows":              {Span: span(0, 120)},
		"the same":           {Span: span(0, 99)},
		"a note without end": {Span: span(0, 50), Note: strings.Repeat("x", 4000)},
	} {
		t.Run(name, func(t *testing.T) {
			c, sink := broker(t, 1), newTable()
			produce(t, c, 0, 100)
			var fail, asked atomic.Int32
			r := start(t, c, config(), func(string, int32) (stream.Batch, error) {
				return &stepping{rows: &rows{sink: sink}, fail: &fail, end: -1, answer: func(p stream.Plan) (stream.Plan, bool) {
					return next, asked.Add(1) < 4 && p.Span.First == 0 && p.Span.Last == 99
				}}, nil
			})
			eventually(t, "the step is asked for again", func() bool { return asked.Load() >= 4 })
			eventually(t, "all rows", func() bool { return committed(t, c)[0] == commitState{100, ""} })
			if r.metric("modeltrail_stream_retries_total") < 3 {
				t.Error("an impossible step was taken")
			}
			r.stop()
			sink.exactly(t, 100)
		})
	}
}
