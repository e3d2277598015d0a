package role_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// testForeignLetters writes letters of several programs and expects rows of those that cannot make them themselves.
func testForeignLetters(t *testing.T, s *suite) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer := kafkaClient(t, cluster)
	letters, err := dlq.New(producer, dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	reject := func(stage string, at int64) batch.Reject {
		return batch.Reject{
			Position: batch.Position{Topic: "elsewhere", Partition: -1, Offset: at}, IngestedAt: time.Now(), Key: []byte("k"), Value: []byte("\x00original of " + stage),
			Headers: []batch.Header{{Key: "receive-source", Value: []byte("gateway")}}, Stage: stage, Reason: "why", Detail: "because",
		}
	}
	for _, one := range []batch.Reject{reject("receive", -1), reject("wire", 5), reject("alert.pager", 9), reject("sink", 7)} {
		if err := letters.Write(t.Context(), []batch.Reject{one}); err != nil {
			t.Fatal(err)
		}
	}
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: event.TopicDeadLetters, Value: []byte("by hand")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	cfg := s.fresh(t)
	newBatch, err := role.NewLetters(role.StoreDeps{Writer: writer(t, s.conn, cfg), Registerer: prometheus.NewRegistry(), Logger: zerolog.Nop()},
		func(stage string) bool { return stage == "receive" || strings.HasPrefix(stage, role.StageAlert) })
	if err != nil {
		t.Fatal(err)
	}
	consumeTopic(t, cluster, event.TopicDeadLetters, newBatch, func() bool {
		offsets, err := kadm.NewClient(producer).FetchOffsets(t.Context(), "store")
		at, ok := offsets.Lookup(event.TopicDeadLetters, 0)
		return err == nil && ok && at.At == 5
	})
	var got []string
	query := "SELECT groupArray(concat(topic, ' ', toString(offset), ' ', stage, ' ', reason, ' ', headers['receive-source'], ' ', headers['dlq-topic'], ' ', substring(record_value, 2))) FROM (SELECT * FROM " +
		cfg.Database + ".v_dead_letters ORDER BY offset)"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	want := []string{
		"modeltrail.dlq 0 receive why gateway elsewhere original of receive",
		"modeltrail.dlq 2 alert.pager why gateway elsewhere original of alert.pager",
		"modeltrail.dlq 4 unknown not_a_letter   y hand",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
}
