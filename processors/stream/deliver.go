package stream

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// deliver plans, delivers and commits the open batch as the span that ends at last. False: the partition was
// taken away before it was done; what is missing is done by the next owner.
func (w *worker) deliver(last int64) bool {
	first := w.next.Load()
	span := batch.Span{Topic: w.topic, Partition: w.partition, First: first, Last: last}
	if w.planned == none && !w.commit("commit plan", first, formatPlan(last)) {
		return false
	}
	w.planned = last // until the span is committed nothing but a repeat of it is right
	started := w.r.set.Now()
	if !w.retry("deliver batch", func(ctx context.Context) error { return w.batch.Deliver(ctx, span) }) {
		return false
	}
	w.r.metrics.deliverSeconds.WithLabelValues(w.topic).Observe(w.r.set.Now().Sub(started).Seconds())
	if !w.commit("commit batch", last+1, "") {
		return false
	}
	w.r.metrics.batches.WithLabelValues(w.topic).Inc()
	w.r.metrics.delivered.WithLabelValues(w.topic).Add(float64(w.rows))
	bytes := w.openBytes
	w.batch.Reset()
	w.rows, w.openBytes, w.planned = 0, 0, none
	w.oldest.Store(0)
	w.next.Store(last + 1)
	w.settle(bytes)
	return true
}

// commitTimeout bounds one attempt; a coordinator that does not answer is asked again.
const commitTimeout = 15 * time.Second

func (w *worker) commit(what string, offset int64, metadata string) bool {
	return w.retry(what, func(ctx context.Context) error {
		ctx, cancel := context.WithTimeout(ctx, commitTimeout)
		defer cancel()
		err := commit(ctx, w.r.client, w.topic, w.partition, offset, metadata)
		if err == nil {
			return nil
		}
		class := classifyCommit(err)
		w.r.metrics.commitErrors.WithLabelValues(w.topic, class).Inc()
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
