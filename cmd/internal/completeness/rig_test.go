package completeness_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/completeness"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// rig is a broker, a store and a checker.
type rig struct {
	t       *testing.T
	cluster *kfake.Cluster
	conn    driver.Conn
	cfg     clickhouse.Config
	client  *kgo.Client
	record  completeness.Record
	lag     completeness.Lag
	checker *completeness.Checker
	clock   *clock

	stopStore, stopSources func()
}

// clock is the checker's and the sources' time: the real one, moved.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func newRig(t *testing.T, conn driver.Conn, cfg clickhouse.Config, database string) *rig {
	t.Helper()
	options := ddl.DefaultOptions()
	options.Database = database
	if _, err := ddl.Apply(t.Context(), conn, options); err != nil {
		t.Fatal(err)
	}
	cfg.Database = database
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEnvelopes),
		kfake.SeedTopics(1, event.TopicSources, event.TopicFindings, event.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{t: t, cluster: cluster, conn: conn, cfg: cfg, clock: &clock{}}
	r.client = r.dial()
	r.record = completeness.Record{Conn: conn, Database: database, Topic: event.TopicEnvelopes}
	r.lag = completeness.Lag{
		Client: r.client, Envelopes: event.TopicEnvelopes, Sources: event.TopicSources, StoreGroup: "store", SourceGroup: "sources",
	}
	r.newChecker()
	r.startStore()
	t.Cleanup(func() { r.stopStore(); r.stopSources() })
	return r
}

func (r *rig) dial(opts ...kgo.Opt) *kgo.Client {
	r.t.Helper()
	client, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.cluster.ListenAddrs()...)}, opts...)...)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(client.Close)
	return client
}

func (r *rig) newChecker() {
	r.t.Helper()
	cfg := completeness.DefaultConfig()
	cfg.Interval, cfg.SilenceAfter = 4*time.Second, 5*time.Second
	var err error
	r.checker, err = completeness.NewChecker(cfg, completeness.CheckerSettings{
		Record: r.record, Lag: r.lag, Findings: event.TopicFindings, Logger: zerolog.Nop(), Now: r.clock.now,
	})
	if err != nil {
		r.t.Fatal(err)
	}
}

// startStore consumes envelopes and statements until stop.
func (r *rig) startStore() {
	r.t.Helper()
	registry := prometheus.NewRegistry()
	writer, err := clickhouse.NewWriter(r.conn, r.cfg, clickhouse.Settings{Cluster: "main", Registerer: registry})
	if err != nil {
		r.t.Fatal(err)
	}
	letters, err := dlq.New(r.client, dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: registry})
	if err != nil {
		r.t.Fatal(err)
	}
	deps := role.StoreDeps{Chain: processors.Chain{decode.New()}, Writer: writer, DeadLetters: letters, Registerer: registry}
	envelopes, err := role.NewStore(deps)
	if err != nil {
		r.t.Fatal(err)
	}
	sources, err := role.NewSources(deps, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	r.stopStore = r.consume("store", event.TopicEnvelopes, envelopes)
	if r.stopSources == nil {
		r.stopSources = r.consume("sources", event.TopicSources, sources)
	}
}

func (r *rig) consume(group, topic string, newBatch stream.NewBatch) (stop func()) {
	r.t.Helper()
	cfg, membership := stream.DefaultConfig(), &stream.Membership{}
	cfg.Group, cfg.Topics, cfg.FlushInterval = group, []string{topic}, 50*time.Millisecond
	client := r.dial(stream.Options(cfg, membership)...)
	runner, err := stream.New(client, newBatch, cfg, stream.Settings{Name: group, Membership: membership, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); _ = runner.Run(ctx) }()
	return func() { cancel(); <-done }
}

// check judges once and fails when the store does not catch up.
func (r *rig) check() {
	r.t.Helper()
	for range 10 {
		err := r.checker.Check(r.t.Context())
		if err == nil {
			return
		}
		if !errors.Is(err, completeness.ErrBehind) {
			r.t.Fatal(err)
		}
	}
	r.t.Fatal("the store does not catch up")
}

func (r *rig) report() completeness.Report {
	r.t.Helper()
	now := time.Now()
	out, err := r.record.Report(r.t.Context(), &r.lag, completeness.Request{
		Since: now.Add(-40 * time.Hour).Truncate(time.Hour), Until: now.Add(2 * time.Hour), Wait: 20 * time.Second, SilenceAfter: time.Minute,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return out
}

// findings returns what the topic holds, by detector.
func (r *rig) findings() map[string][]*event.Finding {
	r.t.Helper()
	client := r.dial(kgo.ConsumeTopics(event.TopicFindings), kgo.FetchMaxWait(100*time.Millisecond))
	defer client.Close()
	out := map[string][]*event.Finding{}
	ctx, cancel := context.WithTimeout(r.t.Context(), time.Second)
	defer cancel()
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(rec *kgo.Record) {
			f := &event.Finding{}
			if err := f.UnmarshalVT(rec.Value); err != nil {
				r.t.Fatal(err)
			}
			out[f.Detector] = append(out[f.Detector], f)
		})
	}
	return out
}

func evidence(f *event.Finding, key string) string {
	for _, a := range f.Evidence {
		if a.Key == key {
			return a.Value
		}
	}
	return ""
}

// source numbers envelopes as a tap does.
type source struct {
	r          *rig
	ledger     *ledger.Ledger
	deliveries *ledger.Deliveries
	client     *kgo.Client
	sequence   uint64
}

func (r *rig) newSource(instance, dir, key string) *source {
	r.t.Helper()
	s := &source{r: r, deliveries: &ledger.Deliveries{Topic: event.TopicEnvelopes}}
	s.client = r.dial(kgo.WithHooks(s.deliveries))
	cfg := ledger.DefaultConfig()
	cfg.StateDir, cfg.SourceKeyFile, cfg.Interval = dir, key, 200*time.Millisecond
	var err error
	s.ledger, err = ledger.New(cfg, ledger.Settings{
		Kind: "tap", Instance: instance, Version: "test", Send: ledger.Produce(r.dial(ledger.Options()...), event.TopicSources), Tracked: true,
		Logger: zerolog.Nop(), Now: r.clock.now,
	})
	if err != nil {
		r.t.Fatal(err)
	}
	s.deliveries.Attach(s.ledger)
	s.ledger.Start()
	r.t.Cleanup(func() { _ = s.ledger.Close(context.Background()) })
	return s
}

// send makes n envelopes at a time. skip says which ones the topic loses though it acknowledged them.
func (s *source) send(n int, at time.Time, skip func(sequence uint64) bool) {
	s.r.t.Helper()
	if err := s.produce(s.make(n, at, skip)); err != nil {
		s.r.t.Fatal(err)
	}
}

func (s *source) make(n int, at time.Time, skip func(sequence uint64) bool) (records []*kgo.Record) {
	for range n {
		s.sequence++
		s.ledger.Expect(1)
		s.ledger.Numbered(uint64(at.UnixNano()), s.sequence)
		if skip != nil && skip(s.sequence) {
			s.ledger.Delivered(s.ledger.Epoch(), s.sequence)
			continue
		}
		records = append(records, &kgo.Record{Topic: event.TopicEnvelopes, Key: fmt.Append(nil, s.sequence), Value: s.envelope(s.sequence, at)})
	}
	return records
}

func (s *source) produce(records []*kgo.Record) error {
	return s.client.ProduceSync(s.r.t.Context(), records...).FirstErr()
}

func (s *source) envelope(sequence uint64, at time.Time) []byte {
	return wire.MarshalEnvelope(nil, &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: fmt.Sprintf("%d-%d", s.ledger.Epoch(), sequence), Phase: event.Phase_PHASE_REQUEST,
		Source:          &event.Source{Kind: "tap", Instance: "edge-1", BootEpoch: s.ledger.Epoch(), Sequence: sequence},
		StartedUnixNano: uint64(at.UnixNano()), ObservedUnixNano: uint64(at.UnixNano()), Request: &event.Request{Method: "POST", Path: "/v1/chat/completions"},
	})
}

// settled waits until a statement says that everything so far was delivered.
func (s *source) settled() {
	s.r.t.Helper()
	time.Sleep(600 * time.Millisecond) // two statements
}

func (s *source) close() {
	s.r.t.Helper()
	if err := s.ledger.Close(s.r.t.Context()); err != nil {
		s.r.t.Fatal(err)
	}
}

func keyFile(t *testing.T) string { return filepath.Join(t.TempDir(), "key") }
