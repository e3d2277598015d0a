package role_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// scene is a topic of envelopes, a database and the role store between them.
type scene struct {
	t       *testing.T
	s       *suite
	cluster *kfake.Cluster
	admin   *kadm.Client
	cfg     clickhouse.Config
	rows    int // of one batch
	group   string
	values  [][]byte // by offset
	repeats bool
	letters *kgo.Client // of the dead letter topic; nil: one of its own
	reg     *prometheus.Registry
	faults  clickhouse.Faults
	shift   func(int64) int64
}

func newScene(t *testing.T, s *suite) *scene {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicEnvelopes, event.TopicDeadLetters), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	sc := &scene{t: t, s: s, cluster: cluster, cfg: s.fresh(t), rows: 1000, group: "store"}
	sc.admin = kadm.NewClient(kafkaClient(t, cluster))
	return sc
}

// call is envelope i as a tap sends it: even ones are requests, odd ones answers.
func call(i int) *event.Envelope {
	e := sample(i / 2).Envelope
	e.Source.Sequence = uint64(i) + 1
	e.Request.Payload.Body = []byte(`{"model":"gpt-5.5","messages":[{"role":"user","content":"` + fmt.Sprint(i) + `"}]}`)
	e.Response.Payload.Body = fmt.Appendf(nil, `{"id":"r","model":"gpt-5.5-2026","choices":[{"index":0,"message":{"role":"assistant","content":null,"tool_calls":[{"id":"c","type":"function","function":{"name":"find","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":%d,"completion_tokens":7,"total_tokens":%d}}`, i, i+7)
	if i%2 == 0 {
		e.Phase, e.Response = event.Phase_PHASE_REQUEST, nil
	}
	return e
}

// produce appends envelopes; the ones that bad names have a call id that a constraint refuses.
func (sc *scene) produce(n int, bad func(i int) bool) {
	sc.t.Helper()
	for range n {
		i := len(sc.values)
		e := call(i)
		if bad(i) {
			e.CallId = "poison-" + e.CallId
		}
		sc.send(wire.MarshalEnvelope(nil, e))
	}
}

func (sc *scene) send(values ...[]byte) {
	sc.t.Helper()
	client := kafkaClient(sc.t, sc.cluster)
	for _, v := range values {
		sc.values = append(sc.values, v)
		if err := client.ProduceSync(sc.t.Context(), &kgo.Record{Topic: event.TopicEnvelopes, Key: []byte("k"), Value: v}).FirstErr(); err != nil {
			sc.t.Fatal(err)
		}
	}
}

func (sc *scene) exec(query string) {
	sc.t.Helper()
	if err := sc.s.conn.Exec(sc.t.Context(), strings.ReplaceAll(query, "{db}", sc.cfg.Database)); err != nil {
		sc.t.Fatal(err)
	}
}

// refuse makes a table refuse the bad rows from now on.
func (sc *scene) refuse(table string) {
	sc.exec("ALTER TABLE {db}." + table + " ADD CONSTRAINT no_poison CHECK NOT startsWith(call_id, 'poison')")
}

func (sc *scene) accept(table string) {
	sc.exec("ALTER TABLE {db}." + table + " DROP CONSTRAINT no_poison")
}

func (sc *scene) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append(opts, kgo.SeedBrokers(sc.cluster.ListenAddrs()...))...)
}

// run consumes until the whole topic is committed, or until a hook calls crash: then the process's work ends as by
// SIGKILL, with nothing committed or inserted any more. It reports whether the topic was finished.
func (sc *scene) run(hook func(point string, crash func())) bool {
	sc.t.Helper()
	crashed, gone := make(chan struct{}), make(chan struct{})
	var once atomic.Bool
	at := func(point string) {
		if hook == nil {
			return
		}
		hook(point, func() {
			if !once.Swap(true) {
				close(crashed)
			}
			<-gone
		})
	}
	producer := kafkaClient(sc.t, sc.cluster)
	letters := sc.letters
	if letters == nil {
		letters = producer
	}
	sc.reg = prometheus.NewRegistry()
	faults := sc.faults
	faults.Midway = func() { at(stream.PointInsert) }
	w, err := clickhouse.NewWriter(sc.s.conn, sc.cfg, clickhouse.Settings{Cluster: "main", Registerer: sc.reg, Window: 10_000, Faults: faults})
	if err != nil {
		sc.t.Fatal(err)
	}
	writeLetters, err := dlq.New(letters, dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: sc.reg})
	if err != nil {
		sc.t.Fatal(err)
	}
	deps := role.StoreDeps{
		Chain: processors.Chain{decode.New(), breaks{}}, Writer: w, DeadLetters: writeLetters, Registerer: sc.reg, Reread: role.RereadFrom(sc.dial),
	}
	if sc.repeats {
		deps.History = clickhouse.NewHistory(sc.s.conn, sc.cfg)
	}
	newBatch, err := role.NewStore(deps)
	if err != nil {
		sc.t.Fatal(err)
	}
	cfg, membership := stream.DefaultConfig(), &stream.Membership{}
	cfg.Group, cfg.Topics, cfg.MaxBatchRows, cfg.FlushInterval = sc.group, []string{event.TopicEnvelopes}, sc.rows, 150*time.Millisecond
	cfg.SessionTimeout, cfg.RetryMin, cfg.RetryMax, cfg.DrainTimeout = 2*time.Second, 20*time.Millisecond, 100*time.Millisecond, 10*time.Second
	if hook != nil {
		cfg.DrainTimeout = 50 * time.Millisecond
	}
	client := kafkaClient(sc.t, sc.cluster, stream.Options(cfg, membership)...)
	runner, err := stream.New(client, newBatch, cfg, stream.Settings{
		Name: "store", Membership: membership, Logger: zerolog.Nop(), Registerer: sc.reg, Faults: stream.Faults{At: at, Shift: sc.shift},
	})
	if err != nil {
		sc.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(sc.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	finished := false
	for deadline := time.Now().Add(60 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		if finished = sc.committed() == int64(len(sc.values)); finished || time.Now().After(deadline) {
			break
		}
		if once.Load() {
			break
		}
	}
	cancel()
	if hook != nil {
		time.Sleep(100 * time.Millisecond) // the drain is over: nothing that the hook held back can be done any more
	}
	close(gone)
	if err := <-ended; err != nil {
		sc.t.Error(err)
	}
	client.Close()
	if !finished && !once.Load() {
		sc.t.Fatalf("the topic was not finished: committed %d of %d", sc.committed(), len(sc.values))
	}
	return finished
}

// committed is the group's offset, -1 while a plan is open.
func (sc *scene) committed() int64 {
	offsets, err := sc.admin.FetchOffsets(sc.t.Context(), sc.group)
	if errors.Is(err, kerr.GroupIDNotFound) {
		return -1
	}
	if err != nil {
		sc.t.Fatal(err)
	}
	at, ok := offsets.Lookup(event.TopicEnvelopes, 0)
	if !ok || at.Metadata != "" {
		return -1
	}
	return at.At
}

// control stores the same topic in a database that refuses nothing: what the rows have to be.
func (sc *scene) control() *scene {
	sc.t.Helper()
	c := *sc
	c.cfg, c.group, c.letters = sc.s.fresh(sc.t), "control", nil
	c.run(nil)
	return &c
}

// dump is the whole content of a table by offset.
func (sc *scene) dump(table, where string) []string {
	sc.t.Helper()
	rows, err := sc.s.conn.Query(sc.t.Context(), fmt.Sprintf("SELECT toString(tuple(offset, *)) AS line FROM %s.%s WHERE %s ORDER BY offset, line", sc.cfg.Database, table, where))
	if err != nil {
		sc.t.Fatal(err)
	}
	var out []string
	for rows.Next() {
		var line string
		if err := rows.Scan(&line); err != nil {
			sc.t.Fatal(err)
		}
		out = append(out, line)
	}
	return out
}

func offsetsIn(offsets []int64) string {
	return "offset IN (" + strings.Trim(strings.ReplaceAll(fmt.Sprint(append([]int64{-1}, offsets...)), " ", ","), "[]") + ")"
}

// check compares every table with the control's. bad are the offsets that the server refused, in the order of the log;
// partly says which table refused them where others had taken them.
func (sc *scene) check(c *scene, bad []int64, partly string) {
	sc.t.Helper()
	for _, table := range []string{"calls", "tool_calls", "payloads", "envelopes"} {
		where := "NOT " + offsetsIn(bad)
		if table != "envelopes" && partly != "" && table != partly {
			where = "1"
		}
		if diff := cmp.Diff(c.dump(table, where), sc.dump(table, where)); diff != "" {
			sc.t.Errorf("%s (-want +got):\n%.2000s", table, diff)
		}
		if where != "1" && table != "envelopes" && len(sc.dump(table, offsetsIn(bad))) != 0 {
			sc.t.Errorf("%s has rows of refused records", table)
		}
	}
	reason := clickhouse.ReasonConstraint
	if partly != "" {
		reason = clickhouse.ReasonPartly
	}
	for _, query := range []string{
		"SELECT groupArray(offset) FROM (SELECT offset FROM {db}.envelopes WHERE status = 'rejected' AND reject_reason = '" + reason + "' ORDER BY offset)",
		"SELECT groupArray(offset) FROM (SELECT offset FROM {db}.dead_letters WHERE stage = 'sink' AND reason = '" + reason + "' ORDER BY offset)",
	} {
		var got []int64
		if err := sc.s.conn.QueryRow(sc.t.Context(), strings.ReplaceAll(query, "{db}", sc.cfg.Database)).Scan(&got); err != nil {
			sc.t.Fatal(err)
		}
		if !slices.Equal(got, bad) {
			sc.t.Errorf("%s: %v, want %v", query, got, bad)
		}
	}
	if diff := cmp.Diff(c.dump("dead_letters", "stage != 'sink'"), sc.dump("dead_letters", "stage != 'sink'")); diff != "" {
		sc.t.Errorf("other dead letters (-want +got):\n%.2000s", diff)
	}
	sc.checkBytes(bad)
	sc.checkSums()
}

// checkBytes compares dead letters of the server's refusals with the records.
func (sc *scene) checkBytes(bad []int64) {
	sc.t.Helper()
	rows, err := sc.s.conn.Query(sc.t.Context(), "SELECT offset, record_value, detail FROM "+sc.cfg.Database+".dead_letters WHERE stage = 'sink'")
	if err != nil {
		sc.t.Fatal(err)
	}
	n := 0
	for rows.Next() {
		var offset int64
		var value, detail string
		if err := rows.Scan(&offset, &value, &detail); err != nil {
			sc.t.Fatal(err)
		}
		if value != string(sc.values[offset]) || strings.Contains(detail, "poison") || !strings.Contains(detail, "469") {
			sc.t.Errorf("dead letter of offset %d: %q, %d bytes", offset, detail, len(value))
		}
		n++
	}
	if n != len(bad) {
		sc.t.Errorf("%d dead letters, want %d", n, len(bad))
	}
	if got := sc.lettersInTopic("sink"); !slices.Equal(slices.Compact(slices.Sorted(slices.Values(got))), bad) && len(got)+len(bad) > 0 {
		sc.t.Errorf("dead letter topic has %v, want %v", got, bad)
	}
}

// lettersInTopic are the offsets of the dead letters of one stage, also those that came twice.
func (sc *scene) lettersInTopic(stage string) (out []int64) {
	sc.t.Helper()
	ends, err := sc.admin.ListEndOffsets(sc.t.Context(), event.TopicDeadLetters)
	if err != nil {
		sc.t.Fatal(err)
	}
	end, _ := ends.Lookup(event.TopicDeadLetters, 0)
	reader := kafkaClient(sc.t, sc.cluster, kgo.ConsumeTopics(event.TopicDeadLetters), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	for seen := int64(0); seen < end.Offset; {
		for _, rec := range reader.PollFetches(sc.t.Context()).Records() {
			seen++
			headers := map[string]string{}
			for _, h := range rec.Headers {
				headers[h.Key] = string(h.Value)
			}
			var offset int64
			if _, err := fmt.Sscan(headers[dlq.HeaderOffset], &offset); err != nil {
				sc.t.Fatal(err)
			}
			if headers[dlq.HeaderStage] == stage {
				out = append(out, offset)
			}
		}
	}
	return out
}

// checkSums compares the materialized views with the table behind them.
func (sc *scene) checkSums() {
	sc.t.Helper()
	var sums string
	query := `SELECT toString((SELECT (sum(calls), sum(in_tokens), sum(out_tokens)) FROM {db}.spend_hourly)) || ' ' ||
		toString((SELECT (count(), sum(ifNull(in_total, 0)), sum(ifNull(out_total, 0))) FROM {db}.calls)) || ' ' ||
		toString((SELECT tuple(sum(calls)) FROM {db}.credential_inventory)) || ' ' || toString((SELECT tuple(count()) FROM {db}.calls))`
	if err := sc.s.conn.QueryRow(sc.t.Context(), strings.ReplaceAll(query, "{db}", sc.cfg.Database)).Scan(&sums); err != nil {
		sc.t.Fatal(err)
	}
	if got := strings.Fields(sums); got[0] != got[1] || got[2] != got[3] {
		sc.t.Errorf("materialized sums %v", got)
	}
}
