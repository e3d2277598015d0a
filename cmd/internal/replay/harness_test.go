package replay

import (
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

const group = "modeltrail.store"

// rig is a broker, a database of its own and what the role store has made of the topic.
type rig struct {
	t       *testing.T
	cluster *kfake.Cluster
	conn    driver.Conn
	cfg     clickhouse.Config
	writer  *clickhouse.Writer
	client  *kgo.Client
	name    string // of the Kafka cluster
}

// suite shares one engine among tests.
type suite struct {
	cfg  clickhouse.Config
	conn driver.Conn
	n    atomic.Int32
}

func newSuite(t *testing.T) *suite {
	t.Helper()
	e := enginetest.Start(t)
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol = []string{e.HTTPAddr()}, clickhouse.ProtocolHTTP
	admin, _ := e.Users()
	cfg.User, cfg.Password = admin.Name, admin.Password
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return &suite{cfg: cfg, conn: conn}
}

func (s *suite) rig(t *testing.T) *rig {
	t.Helper()
	opt := ddl.DefaultOptions()
	opt.Database = fmt.Sprintf("replay_%d", s.n.Add(1))
	if _, err := ddl.Apply(t.Context(), s.conn, opt); err != nil {
		t.Fatal(err)
	}
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEnvelopes), kfake.SeedTopics(1, event.TopicDeadLetters, event.TopicFindings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	r := &rig{t: t, cluster: cluster, conn: s.conn, cfg: s.cfg}
	r.cfg.Database = opt.Database
	if r.client, err = r.dial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.client.Close)
	r.forget()
	return r
}

// forget gives every token from now on another name.
func (r *rig) forget() {
	r.t.Helper()
	r.name += "x"
	var err error
	if r.writer, err = clickhouse.NewWriter(r.conn, r.cfg, clickhouse.Settings{Cluster: r.name, Registerer: prometheus.NewRegistry()}); err != nil {
		r.t.Fatal(err)
	}
}

func (r *rig) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(r.cluster.ListenAddrs()...)}, opts...)...)
}

// judge is the end of a test's chain: it names a team, sets a price and refuses what its decoder cannot read.
type judge struct {
	team    string
	pico    int64
	refuses func(callID string) bool
}

func (judge) Name() string { return "judge" }

func (j judge) Process(r *batch.Record) processors.Verdict {
	if j.refuses != nil && j.refuses(r.Envelope.CallId) {
		return processors.Verdict{Action: processors.ActionReject, Reason: "not_understood", Detail: "this decoder is too old"}
	}
	r.Event.Identity = &event.Identity{TeamId: j.team, AppId: "bot"}
	r.Event.Policy = &event.Policy{Decision: event.PolicyDecision_POLICY_DECISION_ALLOW}
	if j.team == "strict" {
		r.Event.Policy.Decision = event.PolicyDecision_POLICY_DECISION_DENY
	}
	pico := j.pico
	r.Event.Cost = &event.Cost{Status: event.CostStatus_COST_STATUS_PRICED, TotalPicoUsd: &pico}
	return processors.Verdict{}
}

func chainOf(j judge) processors.Chain { return processors.Chain{decode.New(), j} }

var base = time.Now().UTC().Truncate(time.Hour).Add(-2 * time.Hour)

// envelope is the end of call i, or its begin where i is odd.
func envelope(i int) *event.Envelope {
	start := uint64(base.Add(time.Duration(i/2) * time.Second).UnixNano()) //nolint:gosec // after 1970
	e := &event.Envelope{
		SchemaVersion: 1, CallId: fmt.Sprintf("call-%d", i/2), Phase: event.Phase_PHASE_RESPONSE,
		Source:          &event.Source{Kind: "tap", Instance: "gw-1", BootEpoch: 7, Sequence: uint64(i) + 1}, //nolint:gosec // small
		StartedUnixNano: start, ObservedUnixNano: start + 2e9, Provider: "openai", Dialect: "openai",
		CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Credential:  &event.Credential{Fingerprint: fmt.Sprintf("mt1:%032d", i%7), Last4: "abcd", Kind: "bearer"},
		Request: &event.Request{Method: "POST", Path: "/v1/chat/completions", Payload: &event.Payload{
			State: event.PayloadState_PAYLOAD_STATE_FULL, Body: []byte(`{"model":"gpt-5.5","messages":[]}`), WireBytes: 33, CapturedBytes: 33,
		}},
	}
	if i%2 == 0 {
		e.Phase = event.Phase_PHASE_REQUEST
		return e
	}
	e.Request.Payload = &event.Payload{Outline: []byte(`{"model":"gpt-5.5"}`)}
	body := fmt.Sprintf(`{"id":"r%d","object":"chat.completion","model":"gpt-5.5-2026","choices":[{"finish_reason":"tool_calls","message":{"tool_calls":[{"id":"t","type":"function","function":{"name":"search","arguments":"{}"}}]}}],"usage":{"prompt_tokens":%d,"completion_tokens":5,"total_tokens":%d}}`, i, 100+i, 105+i)
	e.Response = &event.Response{
		StatusCode: 200, EndedUnixNano: start + 15e8, Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE,
		Payload: &event.Payload{State: event.PayloadState_PAYLOAD_STATE_FULL, Body: []byte(body), ContentType: "application/json", WireBytes: int64(len(body)), CapturedBytes: int64(len(body))},
	}
	return e
}

// produce writes envelopes i in [from, to); their partition is that of their call.
func (r *rig) produce(from, to int) {
	r.t.Helper()
	var records []*kgo.Record
	for i := from; i < to; i++ {
		e := envelope(i)
		records = append(records, &kgo.Record{Topic: event.TopicEnvelopes, Key: []byte(e.CallId), Value: wire.MarshalEnvelope(nil, e)})
	}
	r.send(records...)
}

func (r *rig) send(records ...*kgo.Record) {
	r.t.Helper()
	if err := r.client.ProduceSync(r.t.Context(), records...).FirstErr(); err != nil {
		r.t.Fatal(err)
	}
}

// store runs the role store until it has n envelopes.
func (r *rig) store(chain processors.Chain, n int) {
	r.t.Helper()
	registry := prometheus.NewRegistry()
	letters, err := dlq.New(r.client, dlq.Settings{Topic: event.TopicDeadLetters, Version: "test", Registerer: registry})
	if err != nil {
		r.t.Fatal(err)
	}
	newBatch, err := role.NewStore(role.StoreDeps{Chain: chain, Writer: r.writer, DeadLetters: letters, Registerer: registry})
	if err != nil {
		r.t.Fatal(err)
	}
	cfg, membership := stream.DefaultConfig(), &stream.Membership{}
	cfg.Group, cfg.Topics, cfg.MaxBatchRows, cfg.FlushInterval = group, []string{event.TopicEnvelopes}, 170, 50*time.Millisecond
	client, err := r.dial(stream.Options(cfg, membership)...)
	if err != nil {
		r.t.Fatal(err)
	}
	defer client.Close()
	runner, err := stream.New(client, newBatch, cfg, stream.Settings{Name: "store", Membership: membership, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- runner.Run(ctx) }()
	want := fmt.Sprint(n)
	for deadline := time.Now().Add(30 * time.Second); r.ask("SELECT toString(count()) FROM envelopes") != want; time.Sleep(30 * time.Millisecond) {
		if time.Now().After(deadline) {
			r.t.Fatalf("%s envelopes are stored, want %d", r.ask("SELECT toString(count()) FROM envelopes"), n)
		}
	}
	cancel()
	if err := <-ended; err != nil {
		r.t.Fatal(err)
	}
}

// ask returns the one text that a query answers; FROM and JOIN are within the rig's database.
func (r *rig) ask(query string) (out string) {
	r.t.Helper()
	query = strings.NewReplacer("FROM ", "FROM "+r.cfg.Database+".", "FROM (", "FROM (").Replace(query)
	query = strings.ReplaceAll(query, "FROM "+r.cfg.Database+".(", "FROM (")
	if err := r.conn.QueryRow(r.t.Context(), query).Scan(&out); err != nil {
		r.t.Fatalf("%v\n%s", err, query)
	}
	return out
}

func (r *rig) engine(chain processors.Chain) *Engine {
	r.t.Helper()
	e, err := New(Settings{
		Conn: r.conn, Database: r.cfg.Database, Cluster: r.name, Writer: r.writer, Chain: chain,
		Envelopes: event.TopicEnvelopes, Findings: event.TopicFindings, Software: "test", Logger: zerolog.New(zerolog.NewTestWriter(r.t)),
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// everything is a job over all that the store has.
func (r *rig) everything(request string) Job {
	return Job{Kind: KindSpan, Request: request, Reason: "test", Spans: func(ctx context.Context) ([]Span, error) {
		spans, _, err := Choice{Topic: event.TopicEnvelopes, Group: group, Partition: -1, FromOffset: -1, ToOffset: -1}.Spans(ctx, r.client)
		return spans, err
	}}
}

func (r *rig) replay(chain processors.Chain, request string) Result {
	r.t.Helper()
	source := NewTopic(r.dial)
	defer source.Close()
	result, err := r.engine(chain).Run(r.t.Context(), r.everything(request), source)
	if err != nil {
		r.t.Fatal(err)
	}
	return result
}

// consistent fails the test unless each call stands once, each offset has one row and the sums are those of the calls.
func (r *rig) consistent() {
	r.t.Helper()
	for what, query := range map[string]string{
		"calls that stand twice": "SELECT toString(count() - uniqExact(call_id)) FROM v_calls",
		"offsets that stand twice or not at all": `SELECT toString(countIf(c != u OR c != b)) FROM
(SELECT count() AS c, uniqExact(offset) AS u, max(offset) - min(offset) + 1 AS b FROM v_envelopes GROUP BY topic, partition)`,
		"responses that are no call":                 "SELECT toString((SELECT count() FROM v_envelopes WHERE status = 'stored' AND phase = 'response') - (SELECT count() FROM v_calls))",
		"bodies that stand twice":                    "SELECT toString(count() - uniqExact(call_id, phase)) FROM v_payloads",
		"tool calls that stand twice":                "SELECT toString(count() - uniqExact(call_id, position)) FROM v_tool_calls",
		"calls without their tool":                   "SELECT toString(toInt64((SELECT count() FROM v_calls)) - toInt64((SELECT count() FROM v_tool_calls)))",
		"rejected rows that are no open dead letter": "SELECT toString(toInt64((SELECT count() FROM v_envelopes WHERE status = 'rejected')) - toInt64((SELECT count() FROM v_dead_letters WHERE topic = 'modeltrail.envelopes')))",
	} {
		if got := r.ask(query); got != "0" {
			r.t.Errorf("%s: %s", what, got)
		}
	}
	keys := "toStartOfHour(toDateTime(started_at, 'UTC')) AS hour, team_id, app_id, cost_center, credential_fingerprint, provider, toString(if(response_model != '', response_model, request_model)) AS model, policy_decision"
	r.equal("spend_hourly",
		"SELECT "+keys+", toInt64(count()) AS n, toInt64(sum(in_total)), toInt64(sum(out_total)), sum(toDecimal128(c.cost_usd, 12)) FROM v_calls AS c GROUP BY ALL",
		"SELECT hour, team_id, app_id, cost_center, credential_fingerprint, provider, toString(model), policy_decision, sum(calls) AS n, sum(in_tokens), sum(out_tokens), sum(cost_usd) FROM spend_hourly GROUP BY ALL HAVING n != 0")
	r.equal("credential_inventory",
		"SELECT credential_fingerprint, team_id, toInt64(count()) AS n, toInt64(countIf(policy_decision = 'deny')), sum(toDecimal128(c.cost_usd, 12)) FROM v_calls AS c GROUP BY ALL",
		"SELECT credential_fingerprint, team_id, sum(call_count) AS n, sum(denied_count), sum(total_cost_usd) FROM v_credential_inventory GROUP BY ALL")
}

func (r *rig) equal(what, a, b string) {
	r.t.Helper()
	for _, q := range []string{a + " EXCEPT " + b, b + " EXCEPT " + a} {
		if got := r.ask("SELECT toString(count()) FROM (" + q + ")"); got != "0" {
			r.t.Errorf("%s: %s groups differ from the calls: %s", what, got, r.ask("SELECT arrayStringConcat(groupArray(toString(tuple(*))), ' ') FROM ("+q+")"))
		}
	}
}
