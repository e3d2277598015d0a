package stream

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Points of a delivery at which Settings.At is called. PointInsert is the sink's to call.
const (
	PointPlan     = "W0" // the plan is about to be committed
	PointPlanned  = "W1" // it is committed, nothing is inserted
	PointInsert   = "W2" // in the middle of an insert
	PointInserted = "W3" // everything is inserted, the offset is not committed
	PointDone     = "W4" // it is committed
)

// deliver plans, delivers and commits the open batch, whose offsets end at last. False: the partition was taken
// away before it was done; what is missing is done by the next owner.
func (w *worker) deliver(last int64) bool {
	started := w.r.set.Now()
	for w.next.Load() <= last {
		if w.planned == none && !w.commitPlan(Plan{Span: w.span(w.next.Load(), last)}) {
			return false
		}
		if w.planned > last {
			break // a step planned beyond the open batch: the records up to there are read first
		}
		if !w.step(last) {
			return false
		}
	}
	w.r.metrics.deliverSeconds.WithLabelValues(w.topic).Observe(w.r.set.Now().Sub(started).Seconds())
	w.r.metrics.batches.WithLabelValues(w.topic).Inc()
	w.r.metrics.delivered.WithLabelValues(w.topic).Add(float64(w.rows))
	bytes := w.openBytes
	w.batch.Reset()
	w.rows, w.openBytes = 0, 0
	w.oldest.Store(0)
	w.settle(bytes)
	return true
}

func (w *worker) span(first, last int64) batch.Span {
	return batch.Span{Topic: w.topic, Partition: w.partition, First: first, Last: last}
}

// step does what is planned and commits what it leads to: the next plan, or the end of the span.
func (w *worker) step(end int64) bool {
	plan := Plan{Span: w.span(w.next.Load(), w.planned), Note: w.note, Found: w.found}
	var next Plan
	if !w.retry("deliver batch", func(ctx context.Context) (err error) {
		next, err = w.advance(ctx, plan, end)
		return err
	}) {
		return false
	}
	if next.Span.First == plan.Span.First {
		w.r.metrics.replans.WithLabelValues(w.topic).Inc()
		return w.commitPlan(next)
	}
	w.r.at(PointInserted)
	if !next.Empty() {
		return w.commitPlan(next) && w.passed()
	}
	if !w.commit("commit batch", next.Span.First, "") {
		return false
	}
	w.next.Store(next.Span.First)
	w.planned, w.note, w.found = none, "", false
	w.plannedAt.Store(0)
	return w.passed()
}

func (w *worker) passed() bool {
	w.r.at(PointDone)
	return true
}

// advance lets the batch do what is planned. What a Stepwise batch returns is checked: an offset that it skipped would
// be lost, as would the rest of the open batch, which ends at end, under a plan that reaches beyond it.
func (w *worker) advance(ctx context.Context, plan Plan, end int64) (Plan, error) {
	stepwise, ok := w.batch.(Stepwise)
	if !ok {
		return Plan{Span: w.span(plan.Span.Last+1, plan.Span.Last)}, w.batch.Deliver(ctx, plan.Span)
	}
	next, err := stepwise.Advance(ctx, plan)
	if err != nil {
		return Plan{}, err
	}
	same := next.Span.First == plan.Span.First && !next.Empty() && (next.Span != plan.Span || next.Note != plan.Note)
	behind := next.Span.First == plan.Span.Last+1 && (next.Span.Last <= end || next.Span.First > end)
	if !same && !behind || same && next.Span.Last > plan.Span.Last || len(next.Note) > maxNote {
		return Plan{}, fmt.Errorf("advance batch: step from %d-%d to %d-%d with a note of %d bytes is not possible",
			plan.Span.First, plan.Span.Last, next.Span.First, next.Span.Last, len(next.Note))
	}
	return next, nil
}

// commitPlan commits a plan and makes it the present one: until its span is committed nothing but a repeat of it is
// right, and nothing at all is inserted without one.
func (w *worker) commitPlan(p Plan) bool {
	w.r.at(PointPlan)
	if !w.commit("commit plan", p.Span.First, formatPlan(p.Span.Last, p.Note)) {
		return false
	}
	w.next.Store(p.Span.First)
	w.planned, w.note, w.found = p.Span.Last, p.Note, false
	w.plannedAt.Store(w.r.set.Now().UnixMilli())
	w.r.at(PointPlanned)
	return true
}

// commitTimeout bounds one attempt; a coordinator that does not answer is asked again.
const commitTimeout = 15 * time.Second

func (w *worker) commit(what string, offset int64, metadata string) bool {
	return w.retry(what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, commitTimeout)
		defer cancel()
		err := commit(ctx, w.r.client, w.member, w.topic, w.partition, offset, metadata)
		if err == nil {
			return nil
		}
		class := classifyCommit(err)
		w.r.metrics.commitErrors.WithLabelValues(w.topic, class).Inc()
		if errors.Is(err, ErrForgotten) {
			w.r.fail(err)
			w.abandon()
		}
		return fmt.Errorf("commit offset (%s): %w", class, err)
	})
}

// urgentAttempt is the repeat from which on the log says error: somebody must act.
const urgentAttempt = 6

// retry repeats one step with exponential backoff and jitter until it succeeds or the partition is taken away.
// It is the only place that repeats anything; meanwhile the partition's fetching is paused.
func (w *worker) retry(what string, step func(context.Context) error) bool {
	for attempt := 1; ; attempt++ {
		err := step(w.ctx)
		if err == nil {
			if attempt > 1 {
				w.log.Info().Str("step", what).Int("attempt", attempt).Msg("step succeeded after repeats")
				w.settle(0)
			}
			return true
		}
		if w.ctx.Err() != nil {
			return false
		}
		wait := backoff(w.r.cfg.RetryMin, w.r.cfg.RetryMax, attempt)
		w.r.metrics.retries.WithLabelValues(w.topic, what).Inc()
		level := zerolog.WarnLevel
		if attempt >= urgentAttempt {
			level = zerolog.ErrorLevel
		}
		w.log.WithLevel(level).Err(err).Str("step", what).Int("attempt", attempt).Dur("wait", wait).Int64("rows", w.rows).
			Msg("step is repeated; the partition waits")
		w.pause(true)
		draining := w.draining
		if w.rows > 0 {
			draining = nil // there is something to finish: go on until the drain deadline ends ctx
		}
		select {
		case <-time.After(wait):
		case <-draining:
			return false
		case <-w.ctx.Done():
			return false
		}
	}
}

// backoff doubles from low to high and takes a random part between half and the whole.
func backoff(low, high time.Duration, attempt int) time.Duration {
	wait := high
	if shift := attempt - 1; shift < 20 && low<<shift < high {
		wait = low << shift
	}
	return wait/2 + rand.N(wait/2+1)
}
