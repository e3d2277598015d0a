package stream

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"
)

// worker owns one assigned partition: its queue, its open batch and its committed position.
type worker struct {
	r         *Runner
	topic     string
	partition int32
	member    string // the id under which the partition was assigned
	log       zerolog.Logger
	ctx       context.Context // ends when the partition is lost or the drain deadline passed
	abandon   context.CancelFunc
	draining  chan struct{}
	drainOnce sync.Once
	wake      chan struct{}
	done      chan struct{}

	mu       sync.Mutex
	queue    [][]*kgo.Record
	inFlight int64 // bytes of records that are not delivered yet
	paused   bool

	// Owned by the worker's goroutine; the atomics are read by the metrics collector.
	batch     Batch
	next      atomic.Int64 // first offset of the open batch: the committed position; none before the first record
	last      int64        // last offset added to the open batch
	planned   int64        // end of the committed plan; none without
	note      string       // its note
	found     bool         // a predecessor committed it
	opened    time.Time    // when the open batch got its first record
	rows      int64        // records in the open batch
	openBytes int64        // their bytes
	highWater atomic.Int64
	// highWaterAt is when highWater was last seen to move, in unix milliseconds.
	highWaterAt atomic.Int64
	oldest      atomic.Int64 // unix milliseconds of the oldest record in the open batch; 0 when empty
	plannedAt   atomic.Int64 // unix milliseconds when the present plan was committed or found; 0 without
}

// overhead is what the client keeps for a record beside its bytes.
const overhead = 200

func size(rec *kgo.Record) int64 {
	n := overhead + len(rec.Key) + len(rec.Value)
	for i := range rec.Headers {
		n += len(rec.Headers[i].Key) + len(rec.Headers[i].Value)
	}
	return int64(n)
}

func newWorker(r *Runner, topic string, id int32) *worker {
	member, _ := r.client.GroupMetadata()
	ctx, cancel := context.WithCancel(r.base)
	w := &worker{
		r: r, topic: topic, partition: id, member: member,
		log: r.log.With().Str("topic", topic).Int32("partition", id).Logger(),
		ctx: ctx, abandon: cancel,
		draining: make(chan struct{}), wake: make(chan struct{}, 1), done: make(chan struct{}),
		planned: none,
	}
	w.next.Store(none)
	return w
}

// push queues fetched records. The poll loop calls it and is never held: above the partition's mark fetching pauses.
func (w *worker) push(records []*kgo.Record, highWater int64) {
	if w.highWater.Swap(highWater) != highWater {
		w.highWaterAt.Store(w.r.set.Now().UnixMilli())
	}
	if len(records) == 0 {
		return
	}
	var bytes int64
	for _, rec := range records {
		bytes += size(rec)
	}
	w.r.metrics.consumed.WithLabelValues(w.topic).Add(float64(len(records)))
	w.r.budget.add(bytes)
	w.mu.Lock()
	w.queue = append(w.queue, records)
	w.inFlight += bytes
	pause := w.inFlight > w.r.cfg.MaxPartitionBytes && !w.paused
	w.mu.Unlock()
	if pause {
		w.pause(true)
	}
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

func (w *worker) take() []*kgo.Record {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return nil
	}
	records := w.queue[0]
	w.queue[0] = nil
	w.queue = w.queue[1:]
	if len(w.queue) == 0 {
		w.queue = nil
	}
	return records
}

// waiting returns the broker time, in unix milliseconds, of the oldest record that is not delivered, or a later time
// at which it is known to have been in the log; 0 when there is none.
func (w *worker) waiting() int64 {
	if at := w.oldest.Load(); at > 0 {
		return at
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > 0 {
		return w.queue[0][0].Timestamp.UnixMilli()
	}
	if next := w.next.Load(); next >= 0 && w.highWater.Load() > next {
		return w.highWaterAt.Load()
	}
	return 0
}

// pause stops or resumes the fetching of this partition.
func (w *worker) pause(on bool) {
	w.mu.Lock()
	changed := w.paused != on
	w.paused = on
	w.mu.Unlock()
	if !changed {
		return
	}
	this := map[string][]int32{w.topic: {w.partition}}
	if on {
		w.r.client.PauseFetchPartitions(this)
	} else {
		w.r.client.ResumeFetchPartitions(this)
	}
}

// settle takes n bytes out of flight.
func (w *worker) settle(n int64) {
	w.r.budget.add(-n)
	w.mu.Lock()
	w.inFlight -= n
	resume := w.paused && w.inFlight <= w.r.cfg.MaxPartitionBytes/2
	w.mu.Unlock()
	if resume {
		w.pause(false)
	}
}

func (w *worker) drain() { w.drainOnce.Do(func() { close(w.draining) }) }

func (w *worker) run() {
	defer close(w.done)
	defer w.discard()
	b, err := w.r.newBatch(w.topic, w.partition)
	if err != nil {
		w.r.fail(fmt.Errorf("create batch for %s/%d: %w", w.topic, w.partition, err))
		return
	}
	w.batch = b
	if !w.recall() {
		return
	}
	timer := time.NewTimer(w.r.cfg.FlushInterval)
	defer timer.Stop()
	for w.ctx.Err() == nil {
		if records := w.take(); records != nil {
			if !w.addAll(records) {
				return
			}
			continue
		}
		select {
		case <-w.wake:
		case <-timer.C:
			if !w.tick() {
				return
			}
			timer.Reset(w.pauseUntilTick())
		case <-w.draining:
			w.finish()
			return
		case <-w.ctx.Done():
		}
	}
}

// recall learns where the partition stands and whether a predecessor planned a batch.
func (w *worker) recall() bool {
	return w.retry("fetch committed offset", func(ctx context.Context) error {
		at, err := fetchCommitted(ctx, w.r.client, w.r.cfg.Group, w.topic, w.partition)
		if err != nil {
			return err
		}
		w.next.Store(at.offset)
		w.planned, w.note, w.found = at.planned, at.note, at.planned != none
		if w.planned != none {
			if w.r.set.Faults.Shift != nil {
				w.planned = w.r.set.Faults.Shift(w.planned)
			}
			w.plannedAt.Store(w.r.set.Now().UnixMilli())
			w.log.Info().Int64("offset", at.offset).Int64("planned_last", at.planned).Msg("repeating a planned batch")
		}
		return nil
	})
}

// addAll puts records into the open batch and delivers whenever it is full. False: the partition is given up.
func (w *worker) addAll(records []*kgo.Record) bool {
	for _, rec := range records {
		next := w.next.Load()
		switch {
		case rec.Offset < next:
			w.skip(rec) // read again after a reassignment; already delivered
			continue
		case next == none:
			w.next.Store(rec.Offset)
		case w.rows == 0 && rec.Offset > next:
			w.r.metrics.missing.WithLabelValues(w.topic).Add(float64(rec.Offset - next))
		case w.rows > 0 && rec.Offset <= w.last:
			w.skip(rec)
			continue
		case w.rows > 0 && rec.Offset > w.last+1:
			w.r.metrics.missing.WithLabelValues(w.topic).Add(float64(rec.Offset - w.last - 1))
		}
		for w.planned != none && rec.Offset > w.planned {
			if !w.deliver(w.planned) {
				return false
			}
		}
		w.add(rec)
		if w.full() && !w.deliver(w.last) {
			return false
		}
	}
	return true
}

func (w *worker) add(rec *kgo.Record) {
	if w.rows == 0 {
		w.opened = w.r.set.Now()
		w.oldest.Store(max(rec.Timestamp.UnixMilli(), 1))
	}
	w.batch.Add(rec)
	w.last = rec.Offset
	w.rows++
	w.openBytes += size(rec)
}

// full reports whether the open batch ends here. A planned batch ends at its planned offset and nowhere else.
func (w *worker) full() bool {
	if w.planned != none {
		return w.last == w.planned
	}
	return w.batch.Rows() >= w.r.cfg.MaxBatchRows || w.batch.Bytes() >= w.r.cfg.MaxBatchBytes
}

func (w *worker) skip(rec *kgo.Record) {
	w.r.metrics.skipped.WithLabelValues(w.topic).Inc()
	w.settle(size(rec))
}

// tick delivers a batch whose time has come. False: the partition is given up.
func (w *worker) tick() bool {
	if w.planned != none {
		return w.checkPlan()
	}
	if w.rows == 0 || w.r.set.Now().Sub(w.opened) < w.r.cfg.FlushInterval {
		return true
	}
	return w.deliver(w.last)
}

func (w *worker) pauseUntilTick() time.Duration {
	if w.planned != none || w.rows == 0 {
		return w.r.cfg.FlushInterval / 4
	}
	return max(w.r.cfg.FlushInterval-w.r.set.Now().Sub(w.opened), time.Millisecond)
}

// checkPlan ends a planned batch whose records the broker no longer holds: retention overtook the consumer.
// Records beyond the plan end it too, in addAll. Nothing else may: a short batch under a token that the sink
// already knows would be dropped as a repeat, or would stand for rows that it does not hold.
func (w *worker) checkPlan() bool {
	start, err := logStart(w.ctx, w.r.client, w.topic, w.partition)
	if err != nil || start <= w.planned {
		return true
	}
	w.log.Error().Int64("log_start", start).Int64("planned_last", w.planned).
		Msg("retention removed records of a planned batch before they were stored")
	return w.deliver(w.planned)
}

// finish delivers what is open when the partition is handed over in good order.
func (w *worker) finish() {
	for records := w.take(); records != nil; records = w.take() {
		if !w.addAll(records) {
			return
		}
	}
	if w.rows > 0 && w.planned == none {
		w.deliver(w.last)
	}
}

// discard counts what ends undelivered: another member reads it again.
func (w *worker) discard() {
	w.mu.Lock()
	left, bytes := w.rows, w.inFlight
	for _, records := range w.queue {
		left += int64(len(records))
	}
	w.queue, w.inFlight = nil, 0
	w.mu.Unlock()
	w.r.budget.add(-bytes)
	w.pause(false)
	w.abandon()
	if left > 0 {
		w.r.metrics.abandoned.WithLabelValues(w.topic).Add(float64(left))
		w.log.Info().Int64("rows", left).Msg("undelivered records left to the next owner")
	}
}
