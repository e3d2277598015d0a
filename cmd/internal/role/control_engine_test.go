package role_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// testFaults breaks what the guarantee rests on and kills the role between insert and commit: the rows must be wrong
// then, or the tests above would not notice either.
func testFaults(t *testing.T, s *suite) {
	for name, fault := range map[string]func(*scene){
		"new_token": func(sc *scene) {
			sc.faults.Token = func(token string) string { return token + fmt.Sprint(rand.Uint64()) }
		},
		"shift_boundary": func(sc *scene) { sc.shift = func(last int64) int64 { return last - 1 } },
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, s)
			sc.produce(60, none)
			fault(sc)
			sc.run(func(point string, crash func()) {
				if point == stream.PointInserted {
					crash()
				}
			})
			sc.run(nil)
			if got := tableRows(t, s, sc.cfg, "envelopes"); got == 60 {
				t.Error("every offset is there once, although the guarantee was broken")
			}
		})
	}
}

// testFindingsRefused runs the role findings over a topic of which the server refuses some rows.
func testFindingsRefused(t *testing.T, s *suite) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicFindings, event.TopicDeadLetters))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer := kafkaClient(t, cluster)
	bad := []int64{0, 17, 18, 59}
	for i := range int64(60) {
		f := &event.Finding{SchemaVersion: 1, Key: fmt.Sprint("k", i), Detector: "d", Severity: event.Severity_SEVERITY_LOW}
		if slices.Contains(bad, i) {
			f.Detector = "poison"
		}
		value := wire.MarshalFinding(nil, f)
		if i == 30 {
			value = []byte("no finding")
		}
		if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: event.TopicFindings, Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	cfg := s.fresh(t)
	if err := s.conn.Exec(t.Context(), "ALTER TABLE "+cfg.Database+".findings ADD CONSTRAINT c CHECK detector != 'poison'"); err != nil {
		t.Fatal(err)
	}
	registry := prometheus.NewRegistry()
	letters, err := dlq.New(producer, dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: registry})
	if err != nil {
		t.Fatal(err)
	}
	newBatch, err := role.NewFindings(role.StoreDeps{
		Writer: writer(t, s.conn, cfg), DeadLetters: letters, Registerer: registry, Logger: zerolog.Nop(),
		Reread: role.RereadFrom(func(opts ...kgo.Opt) (*kgo.Client, error) {
			return kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.ListenAddrs()...))...)
		}),
	})
	if err != nil {
		t.Fatal(err)
	}
	consumeTopic(t, cluster, event.TopicFindings, newBatch, func() bool {
		offsets, err := kadm.NewClient(producer).FetchOffsets(t.Context(), "store")
		at, ok := offsets.Lookup(event.TopicFindings, 0)
		return err == nil && ok && at.At == 60
	})
	var found, refused, unread []int64
	for query, into := range map[string]*[]int64{
		"findings":                          &found,
		"dead_letters WHERE stage = 'sink'": &refused,
		"dead_letters WHERE reason = 'not_protobuf' OR stage != 'sink'": &unread,
	} {
		if err := s.conn.QueryRow(t.Context(), "SELECT arraySort(groupArray(offset)) FROM "+cfg.Database+"."+query).Scan(into); err != nil {
			t.Fatal(err)
		}
	}
	if len(found) != 55 || !slices.Equal(refused, bad) || !slices.Equal(unread, []int64{30}) {
		t.Errorf("%d findings, refused %v, unread %v", len(found), refused, unread)
	}
}
