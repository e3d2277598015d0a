package role_test

import (
	"context"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// testLettersDown takes only the dead letter topic away: what needs it waits, is not dropped and not stored in part.
func testLettersDown(t *testing.T, s *suite) {
	sc := newScene(t, s)
	sc.produce(40, none)
	sc.send([]byte("no protobuf"))
	other, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	refused := make(chan struct{}, 1000)
	deadline := time.Now().Add(4 * time.Second)
	other.ControlKey(kmsg.Produce.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
		other.KeepControl()
		if time.Now().After(deadline) {
			return nil, nil, false
		}
		select {
		case refused <- struct{}{}:
		default:
		}
		return nil, errors.New("connection is cut"), true
	})
	sc.letters = kafkaClient(t, other, kgo.RequestRetries(1), kgo.RecordDeliveryTimeout(1100*time.Millisecond))
	early := make(chan uint64, 1)
	go func() {
		<-refused
		time.Sleep(time.Second)
		var n uint64
		_ = s.conn.QueryRow(context.Background(), "SELECT count() FROM "+sc.cfg.Database+".envelopes").Scan(&n)
		early <- n
	}()
	sc.run(nil)
	if n := <-early; n != 0 {
		t.Errorf("%d rows were stored while the dead letter topic was down", n)
	}
	if got := sc.withStatus("rejected"); !slices.Equal(got, []int64{40}) || len(sc.withStatus("stored")) != 40 {
		t.Errorf("rejected %v", got)
	}
}

// testHangingServer stops a role whose ClickHouse takes connections and never answers: it ends within its drain timeout,
// commits nothing but the plan, and a successor stores everything once.
func testHangingServer(t *testing.T, s *suite) {
	sc := newScene(t, s)
	sc.produce(50, none)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	go func() {
		for {
			c, err := listener.Accept()
			if err != nil {
				return
			}
			defer func() { _ = c.Close() }()
		}
	}()
	hanging := sc.cfg
	hanging.Addr = []string{listener.Addr().String()}
	registry := prometheus.NewRegistry()
	letters, err := dlq.New(kafkaClient(t, sc.cluster), dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	newBatch, err := role.NewStore(role.StoreDeps{
		Chain: processors.Chain{decode.New()}, Writer: writer(t, open(t, hanging), hanging), DeadLetters: letters, Registerer: registry, Reread: role.RereadFrom(sc.dial),
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, membership := stream.DefaultConfig(), &stream.Membership{}
	cfg.Group, cfg.Topics, cfg.FlushInterval, cfg.DrainTimeout, cfg.SessionTimeout = sc.group, []string{event.TopicEnvelopes}, 50*time.Millisecond, time.Second, 2*time.Second
	runner, err := stream.New(kafkaClient(t, sc.cluster, stream.Options(cfg, membership)...), newBatch, cfg, stream.Settings{
		Name: "store", Membership: membership, Logger: zerolog.Nop(), Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	for gauge(t, registry, "modeltrail_stream_plan_age_seconds") == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	time.Sleep(300 * time.Millisecond)
	if age := gauge(t, registry, "modeltrail_stream_oldest_age_seconds"); age < 0.3 {
		t.Errorf("age %v of records that wait for a hanging server", age)
	}
	if lag := gauge(t, registry, "modeltrail_stream_lag_records"); lag != 50 {
		t.Errorf("lag %v", lag)
	}
	cancel()
	stopped := time.Now()
	select {
	case err := <-ended:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the role does not stop")
	}
	if took := time.Since(stopped); took > 4*time.Second {
		t.Errorf("stopping took %s with a drain timeout of 1s", took)
	}
	if at := sc.committed(); at != -1 {
		t.Errorf("offset %d is committed without its plan", at)
	}
	sc.run(nil)
	sc.check(sc.control(), nil, "")
}

func gauge(t *testing.T, registry *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name && len(f.GetMetric()) > 0 {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	return 0
}

// testStartChecks refuses servers and tables that would double a repeated insert.
func testStartChecks(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	asked := clickhouse.Guarantee{Window: 10_000, Seconds: 604_800}
	tables := append(role.StoreTables(), "findings")
	if err := clickhouse.CheckGuarantee(t.Context(), s.conn, cfg.Database, asked, tables...); err != nil {
		t.Error(err)
	}
	if err := s.conn.Exec(t.Context(), "ALTER TABLE "+cfg.Database+".calls MODIFY SETTING non_replicated_deduplication_window = 50"); err != nil {
		t.Fatal(err)
	}
	err := clickhouse.CheckGuarantee(t.Context(), s.conn, cfg.Database, asked, tables...)
	mend := "ALTER TABLE `" + cfg.Database + "`.`calls` MODIFY SETTING non_replicated_deduplication_window = 10000"
	if !errors.Is(err, clickhouse.ErrNoDeduplication) || !strings.Contains(err.Error(), mend) {
		t.Fatalf("a short window: %v", err)
	}
	if err := s.conn.Exec(t.Context(), mend); err != nil {
		t.Fatal(err)
	}
	if err := clickhouse.CheckGuarantee(t.Context(), s.conn, cfg.Database, asked, tables...); err != nil {
		t.Errorf("after the ALTER of the message: %v", err)
	}
	if err := clickhouse.CheckSettings(t.Context(), s.conn); err != nil {
		t.Errorf("settings: %v", err)
	}
}
