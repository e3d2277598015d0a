package stream_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	topic = "records"
	group = "readers"
)

// table is a sink that knows spans: it keeps the rows of each token once, as ClickHouse does.
type table struct {
	mu      sync.Mutex
	rows    map[string]int // value -> how often it was stored
	tokens  map[string]int // token -> deliveries
	spans   []batch.Span   // accepted deliveries in order
	fail    func(batch.Span) error
	block   chan struct{} // when set, Deliver waits for it or for ctx
	started chan batch.Span
}

func newTable() *table {
	return &table{rows: map[string]int{}, tokens: map[string]int{}, started: make(chan batch.Span, 1000)}
}

func (s *table) newBatch(string, int32) (stream.Batch, error) { return &rows{sink: s}, nil }

type rows struct {
	sink   *table
	values []string
	bytes  int64
	first  int64 // offset of the first value
}

func (r *rows) Add(rec *kgo.Record) {
	if len(r.values) == 0 {
		r.first = rec.Offset
	}
	r.values = append(r.values, string(rec.Value))
	r.bytes += int64(len(rec.Value))
}
func (r *rows) Rows() int    { return len(r.values) }
func (r *rows) Bytes() int64 { return r.bytes }
func (r *rows) Reset()       { r.values, r.bytes = r.values[:0], 0 }

func (r *rows) Deliver(ctx context.Context, span batch.Span) error {
	s := r.sink
	s.mu.Lock()
	fail, block := s.fail, s.block
	s.mu.Unlock()
	select {
	case s.started <- span:
	default:
	}
	if block != nil {
		select {
		case <-block:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if fail != nil {
		if err := fail(span); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	token := span.Token("main", "rows", 1)
	s.tokens[token]++
	if s.tokens[token] > 1 {
		return nil
	}
	s.spans = append(s.spans, span)
	for _, v := range r.values {
		s.rows[v]++
	}
	return nil
}

func (s *table) set(fail func(batch.Span) error, block chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fail, s.block = fail, block
}

func (s *table) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// exactly checks that every one of n values is stored once.
func (s *table) exactly(t *testing.T, n int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range n {
		if got := s.rows[value(i)]; got != 1 {
			t.Errorf("record %d is stored %d times", i, got)
		}
	}
	if len(s.rows) != n {
		t.Errorf("%d distinct rows, want %d", len(s.rows), n)
	}
}

// adjoining checks that the accepted spans of each partition cover the offsets without overlap.
func (s *table) adjoining(t *testing.T) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	next := map[int32]int64{}
	for _, span := range s.spans {
		if span.First != next[span.Partition] {
			t.Errorf("partition %d: span %d-%d follows %d", span.Partition, span.First, span.Last, next[span.Partition]-1)
		}
		next[span.Partition] = span.Last + 1
	}
}

func value(i int) string { return fmt.Sprintf("record-%06d", i) }

func broker(t *testing.T, partitions int32) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(partitions, topic), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func client(t *testing.T, c *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	cl, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.ListenAddrs()...)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cl.Close)
	return cl
}

func produce(t *testing.T, c *kfake.Cluster, from, to int) {
	t.Helper()
	cl := client(t, c, kgo.RecordPartitioner(kgo.RoundRobinPartitioner()))
	var records []*kgo.Record
	for i := from; i < to; i++ {
		records = append(records, &kgo.Record{Topic: topic, Value: []byte(value(i))})
	}
	if err := cl.ProduceSync(context.Background(), records...).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func config() stream.Config {
	cfg := stream.DefaultConfig()
	cfg.Group, cfg.Topics = group, []string{topic}
	cfg.MaxBatchRows, cfg.FlushInterval = 100, 50*time.Millisecond
	cfg.DrainTimeout, cfg.SessionTimeout = 5*time.Second, 2*time.Second
	cfg.RetryMin, cfg.RetryMax = 5*time.Millisecond, 20*time.Millisecond
	return cfg
}

type running struct {
	t        *testing.T
	stopRun  context.CancelFunc
	done     chan error
	registry *prometheus.Registry
	client   *kgo.Client
	runner   *stream.Runner
}

func start(t *testing.T, c *kfake.Cluster, cfg stream.Config, newBatch stream.NewBatch) *running {
	t.Helper()
	membership := &stream.Membership{}
	cl := client(t, c, stream.Options(cfg, membership)...)
	registry := prometheus.NewRegistry()
	runner, err := stream.New(cl, newBatch, cfg, stream.Settings{
		Name: "test", Membership: membership, Logger: zerolog.Nop(), Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stopRun: cancel, done: make(chan error, 1), registry: registry, client: cl, runner: runner}
	go func() { r.done <- runner.Run(ctx) }()
	t.Cleanup(func() { cancel(); cl.Close() })
	return r
}

// stop ends Run in good order.
func (r *running) stop() {
	r.t.Helper()
	r.stopRun()
	if err := r.wait(); err != nil {
		r.t.Errorf("run: %v", err)
	}
}

func (r *running) wait() error {
	r.t.Helper()
	select {
	case err := <-r.done:
		return err
	case <-time.After(20 * time.Second):
		r.t.Fatal("run did not end")
		return nil
	}
}

// metric sums a metric over its labels.
func (r *running) metric(name string) (sum float64) {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			switch f.GetType() {
			case dto.MetricType_COUNTER:
				sum += m.GetCounter().GetValue()
			case dto.MetricType_GAUGE:
				sum += m.GetGauge().GetValue()
			}
		}
	}
	return sum
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(15 * time.Second); time.Now().Before(deadline); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never happened: %s", what)
}

type commitState struct {
	offset   int64
	metadata string
}

func committed(t *testing.T, c *kfake.Cluster) map[int32]commitState {
	t.Helper()
	offsets, err := kadm.NewClient(client(t, c)).FetchOffsets(context.Background(), group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return nil
	}
	if err != nil {
		t.Fatal(err)
	}
	out := map[int32]commitState{}
	for _, o := range offsets.Offsets().Sorted() {
		out[o.Partition] = commitState{o.At, o.Metadata}
	}
	return out
}

var errSink = errors.New("sink is down")
