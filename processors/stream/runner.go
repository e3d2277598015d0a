package stream

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Batch is one partition's batch under construction. One goroutine uses it.
type Batch interface {
	// Add takes the next record. It never fails: what cannot be processed becomes a reject inside the batch.
	// The record's memory is the batch's until Reset.
	Add(rec *kgo.Record)
	// Rows and Bytes are what the batch holds since Reset; the runner cuts by them.
	Rows() int
	Bytes() int64
	// Deliver makes the batch durable under the span; nil means durable. It may be repeated with an equal span
	// and MUST be idempotent for equal spans as far as its sink allows. It may be called on an empty batch.
	Deliver(ctx context.Context, span batch.Span) error
	// Reset empties the batch for the next span.
	Reset()
}

// Stepwise is a Batch whose span may have to be delivered in several steps, each of which is planned: a part at a
// time, or with decisions that must be fixed before they are acted upon.
type Stepwise interface {
	Batch
	// Advance does what plan says and returns what is committed next. That is either another plan at the same offset
	// (an earlier end, a new note), after which nothing of the span counts as delivered; or, when the span is durable,
	// a plan that begins behind it, empty where the batch has nothing more to say. plan.Span ends at or before the
	// last record that was added, unless records are missing from the log. Like Deliver it may be repeated with an
	// equal plan, in this process or by a successor that added the records of plan.Span only, and MUST then lead to
	// the same contents.
	Advance(ctx context.Context, plan Plan) (Plan, error)
}

// NewBatch makes the batch of one assigned partition. An error stops the Runner.
type NewBatch func(topic string, partition int32) (Batch, error)

// Settings is what code supplies to a Runner.
type Settings struct {
	Name       string // role, the metrics' label: "store", "findings", "enrich", "detect"
	Membership *Membership
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
	Faults     Faults           // nothing in production
}

// Faults are hooks by which tests stop a process at a point of a delivery or break the guarantee on purpose. The zero
// value does nothing.
type Faults struct {
	At    func(point string)        // called at PointPlan, PointPlanned, PointInserted and PointDone
	Shift func(planned int64) int64 // changes the end of a plan that was found
}

// Runner consumes the partitions that the group assigns to its client.
type Runner struct {
	client   *kgo.Client
	newBatch NewBatch
	cfg      Config
	set      Settings
	log      zerolog.Logger
	metrics  *metrics
	budget   *budget

	mu       sync.Mutex
	workers  map[partition]*worker
	stopping bool            // no partition is started any more
	base     context.Context // the life of the workers; outlives Run's context by the drain
	failed   chan error
}

type partition struct {
	topic string
	id    int32
}

// New returns a Runner for a client made with Options(cfg, set.Membership). Run starts it.
func New(client *kgo.Client, newBatch NewBatch, cfg Config, set Settings) (*Runner, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check stream config: %w", err)
	}
	if set.Membership == nil {
		return nil, errors.New("create runner: settings lack the membership that the client's options were made with")
	}
	if set.Registerer == nil {
		return nil, errors.New("create runner: settings lack a registerer")
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	r := &Runner{
		client: client, newBatch: newBatch, cfg: cfg, set: set,
		log:     set.Logger.With().Str("component", "stream").Str("role", set.Name).Logger(),
		budget:  newBudget(cfg.MaxTotalBytes),
		workers: make(map[partition]*worker),
		failed:  make(chan error, 1),
	}
	metrics, err := newMetrics(r, set.Registerer)
	if err != nil {
		return nil, fmt.Errorf("register stream metrics: %w", err)
	}
	r.metrics = metrics
	return r, nil
}

// Run consumes until ctx ends or something cannot go on. When ctx ends it finishes and commits what it holds
// within the drain timeout, leaves the group and returns nil. Run may be called once. The client stays open.
func (r *Runner) Run(ctx context.Context) error {
	base, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	r.base = base
	pollCtx, stopPolling := context.WithCancelCause(ctx)
	defer stopPolling(nil)
	go func() {
		select {
		case err := <-r.failed:
			stopPolling(err)
		case <-base.Done():
		}
	}()
	r.set.Membership.attach(r)
	r.poll(pollCtx)
	r.drainAll()
	r.set.Membership.detach()
	r.leave(context.WithoutCancel(ctx))
	r.metrics.unregister()
	if err := context.Cause(pollCtx); err != nil && !errors.Is(err, ctx.Err()) {
		return err
	}
	if ctx.Err() == nil {
		return kgo.ErrClientClosed
	}
	return nil
}

// poll moves records from the client to the partitions until ctx ends or the client is closed.
func (r *Runner) poll(ctx context.Context) {
	for ctx.Err() == nil {
		if !r.budget.wait(ctx) {
			return
		}
		fetches := r.client.PollRecords(ctx, pollRecords)
		if fetches.IsClientClosed() {
			return
		}
		fetches.EachPartition(r.feed)
		r.client.AllowRebalance()
	}
}

func (r *Runner) feed(p kgo.FetchTopicPartition) {
	if p.Err != nil {
		if !errors.Is(p.Err, context.Canceled) {
			r.metrics.fetchErrors.Inc()
			r.log.Warn().Err(p.Err).Str("topic", p.Topic).Int32("partition", p.Partition).Msg("fetch refused")
		}
		return
	}
	r.mu.Lock()
	w := r.workers[partition{p.Topic, p.Partition}]
	r.mu.Unlock()
	if w != nil {
		w.push(p.Records, p.HighWatermark)
	}
}

// assign starts a goroutine for each partition.
func (r *Runner) assign(added map[string][]int32) {
	for topic, ids := range added {
		for _, id := range ids {
			r.start(topic, id)
		}
		r.log.Info().Str("topic", topic).Ints32("partitions", ids).Msg("partitions assigned")
	}
}

func (r *Runner) start(topic string, id int32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.stopping {
		return
	}
	w := newWorker(r, topic, id)
	r.workers[partition{topic, id}] = w
	go w.run()
}

// release ends partitions: with drain what they hold is delivered and committed within the drain timeout,
// without it they stop where they are. It returns when their goroutines have ended.
func (r *Runner) release(gone map[string][]int32, drain bool) {
	var workers []*worker
	r.mu.Lock()
	for topic, ids := range gone {
		for _, id := range ids {
			if w := r.workers[partition{topic, id}]; w != nil {
				workers = append(workers, w)
			}
		}
	}
	r.mu.Unlock()
	r.end(workers, drain)
	for topic, ids := range gone {
		r.log.Info().Str("topic", topic).Ints32("partitions", ids).Bool("drained", drain).Msg("partitions released")
	}
}

func (r *Runner) drainAll() {
	r.mu.Lock()
	r.stopping = true
	workers := make([]*worker, 0, len(r.workers))
	for _, w := range r.workers {
		workers = append(workers, w)
	}
	r.mu.Unlock()
	r.end(workers, true)
}

func (r *Runner) end(workers []*worker, drain bool) {
	deadline := time.NewTimer(r.cfg.DrainTimeout)
	defer deadline.Stop()
	for _, w := range workers {
		if drain {
			w.drain()
		} else {
			w.abandon()
		}
	}
	expired := false
	for _, w := range workers {
		if !expired {
			select {
			case <-w.done:
			case <-deadline.C:
				expired = true
			}
		}
		if expired {
			w.abandon()
			<-w.done
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range workers {
		delete(r.workers, partition{w.topic, w.partition})
	}
}

func (r *Runner) leave(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.DrainTimeout)
	defer cancel()
	// An unfinished poll would hold the rebalance that leaving is.
	r.client.AllowRebalance()
	if err := r.client.LeaveGroupContext(ctx); err != nil && !errors.Is(err, kgo.ErrClientClosed) {
		r.log.Warn().Err(err).Msg("leaving the group was not confirmed")
	}
}

func (r *Runner) at(point string) {
	if r.set.Faults.At != nil {
		r.set.Faults.At(point)
	}
}

// fail ends Run with err; only the first counts.
func (r *Runner) fail(err error) {
	select {
	case r.failed <- err:
	default:
	}
}
