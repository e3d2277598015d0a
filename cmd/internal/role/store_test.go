package role_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// breaks panics on every hundredth record: a step with a bug.
type breaks struct{}

func (breaks) Name() string { return "breaks" }

func (breaks) Process(r *batch.Record) processors.Verdict {
	if r.Position.Offset%100 == 99 {
		panic("a bug in a step")
	}
	return processors.Verdict{}
}

// poison returns a value that no row can be made of, or nil.
func poison(i int) []byte {
	e := sample(i).Envelope
	switch i % 20 {
	case 3:
		return []byte("{\"not\": \"protobuf\"}")
	case 7:
		e.SchemaVersion = event.SchemaVersion + 1
	case 11:
		e.Request = nil
	case 13:
		e.Source = nil // refused by decode
	case 17:
		return []byte{}
	default:
		return nil
	}
	return wire.MarshalEnvelope(nil, e)
}

// testStoreRole runs the role over a topic of which a quarter is poison: every offset must end in exactly one
// place, and the oracle must hold.
func testStoreRole(t *testing.T, s *suite) {
	const n = 2000
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEnvelopes), kfake.SeedTopics(1, event.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer := kafkaClient(t, cluster)
	for i := range n {
		value := poison(i)
		if value == nil {
			value = wire.MarshalEnvelope(nil, sample(i).Envelope)
		}
		rec := &kgo.Record{Topic: event.TopicEnvelopes, Key: fmt.Append(nil, "call-", i), Value: value}
		if err := producer.ProduceSync(t.Context(), rec).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := s.fresh(t)
	registry := prometheus.NewRegistry()
	letters, err := dlq.New(producer, dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	newBatch, err := role.NewStore(role.StoreDeps{
		Chain: processors.Chain{decode.New(), breaks{}}, Writer: writer(t, s.conn, cfg), DeadLetters: letters, Registerer: registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	consume(t, cluster, newBatch, func() bool { return tableRows(t, s, cfg, "envelopes") == n })
	checkStored(t, s, cfg, n)
	if got := topicLength(t, cluster, event.TopicDeadLetters); got != int(tableRows(t, s, cfg, "dead_letters")) {
		t.Errorf("%d records in the dead letter topic, %d rows", got, tableRows(t, s, cfg, "dead_letters"))
	}
}

func checkStored(t *testing.T, s *suite, cfg clickhouse.Config, n uint64) {
	t.Helper()
	var whole bool
	query := "SELECT min(c = u AND c = b) FROM (SELECT count() AS c, uniqExact(offset) AS u, max(offset) - min(offset) + 1 AS b FROM " +
		cfg.Database + ".envelopes GROUP BY partition)"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&whole); err != nil || !whole {
		t.Errorf("the oracle says %v, %v", whole, err)
	}
	calls, rejected := tableRows(t, s, cfg, "calls"), tableRows(t, s, cfg, "dead_letters")
	if calls+rejected != n || rejected < n/4 || calls == 0 {
		t.Errorf("%d calls and %d dead letters of %d records", calls, rejected, n)
	}
	rows, err := s.conn.Query(t.Context(), "SELECT concat(stage, '/', reason) AS why, count() FROM "+cfg.Database+".dead_letters GROUP BY why")
	if err != nil {
		t.Fatal(err)
	}
	reasons := map[string]uint64{}
	for rows.Next() {
		var why string
		var count uint64
		if err := rows.Scan(&why, &count); err != nil {
			t.Fatal(err)
		}
		reasons[why] = count
	}
	for _, why := range []string{"wire/not_protobuf", "wire/empty_value", "wire/unknown_schema_version", "wire/missing_request", "decode/no_source", "chain/panic"} {
		if reasons[why] == 0 {
			t.Errorf("no dead letter says %s: %v", why, reasons)
		}
	}
}

func kafkaClient(t *testing.T, cluster *kfake.Cluster, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

// consume runs batches over the envelopes until done, then stops in good order.
func consume(t *testing.T, cluster *kfake.Cluster, newBatch stream.NewBatch, done func() bool) {
	t.Helper()
	consumeTopic(t, cluster, event.TopicEnvelopes, newBatch, done)
}

func consumeTopic(t *testing.T, cluster *kfake.Cluster, topic string, newBatch stream.NewBatch, done func() bool) {
	t.Helper()
	cfg, membership := stream.DefaultConfig(), &stream.Membership{}
	cfg.Group, cfg.Topics, cfg.MaxBatchRows, cfg.FlushInterval = "store", []string{topic}, 300, 100*time.Millisecond
	runner, err := stream.New(kafkaClient(t, cluster, stream.Options(cfg, membership)...), newBatch, cfg, stream.Settings{
		Name: "store", Membership: membership, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	for deadline := time.Now().Add(30 * time.Second); !done() && time.Now().Before(deadline); {
		time.Sleep(50 * time.Millisecond)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Error(err)
	}
}

func topicLength(t *testing.T, cluster *kfake.Cluster, topic string) (n int) {
	t.Helper()
	reader := kafkaClient(t, cluster, kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		fetches := reader.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 {
			return n
		}
		n += fetches.NumRecords()
	}
}
