package schemacheck

import (
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/queries"
)

// story inserts a small history whose answers can be counted by hand. Budgets, findings and a lost offset are in it.
func story(t *testing.T, conn driver.Conn) {
	t.Helper()
	exec(t, conn, `INSERT INTO calls (call_id, started_at, ingested_at, team_id, app_id, principal, credential_fingerprint, credential_last4, credential_id, credential_status, provider, operation, request_model, response_model,
tool_names, policy_decision, policy_rule, policy_id, http_status, stream_outcome, usage_source, in_total, out_total, cost_status, cost_usd, duration_us, request_digest, attributes) VALUES
('c1', '2026-03-01 10:00:00', '2026-03-01 10:00:02', 'payments', 'checkout', 'alice', 'mt1:a', 'aaaa', 'cred-1', 'active', 'openai', 'chat', 'gpt-5.5', 'gpt-5.5-2026-01-01', ['search'], 'allow', '', 'p', 200, 'complete', 'provider', 1000, 200, 'priced', 0.0123, 1500000, unhex('ff00'), map('x-env', 'prod')),
('c2', '2026-03-02 10:00:00', '2026-03-02 10:00:02', 'payments', 'refund', 'bob', 'mt1:b', 'bbbb', '', 'unknown', 'openai', 'chat', 'gpt-5.5-mini', '', [], 'deny', 'models.allow', 'p', 200, 'complete', 'provider', 500, 50, 'priced', 0.001, NULL, '', map()),
('c3', '2026-03-02 11:00:00', '2026-03-02 11:00:02', 'research', 'notebook', 'carol', 'mt1:c', 'cccc', 'cred-3', 'active', 'anthropic', 'chat', 'claude-x', 'claude-x', [], 'no_policy', '', '', 200, 'client_abort', 'none', NULL, NULL, 'unknown_model', NULL, 10, '', map()),
('c4', '2026-02-10 10:00:00', '2026-02-10 10:00:02', 'payments', 'checkout', 'alice', 'mt1:a', 'aaaa', 'cred-1', 'revoked', 'openai', 'chat', 'gpt-5.5', '', [], 'allow', '', 'p', 500, 'complete', 'none', NULL, NULL, 'not_billed', NULL, 10, '', map())`,
		`INSERT INTO envelopes (topic, partition, offset, ingested_at, status, reject_reason, call_id, phase, team_id) VALUES
('modeltrail.envelopes', 0, 10, '2026-03-01 10:00:00', 'stored', '', 'c1', 'request', 'payments'), ('modeltrail.envelopes', 0, 11, '2026-03-01 10:00:02', 'stored', '', 'c1', 'response', 'payments'),
('modeltrail.envelopes', 0, 12, '2026-03-01 10:00:03', 'rejected', 'bad_proto', '', 'unknown', ''), ('modeltrail.envelopes', 0, 15, '2026-03-02 10:00:02', 'stored', '', 'c2', 'response', 'payments'),
('modeltrail.envelopes', 1, 0, '2026-03-02 11:00:00', 'stored', '', 'c3', 'request', 'research'), ('modeltrail.envelopes', 1, 1, '2026-03-02 11:00:02', 'stored', '', 'c3', 'response', 'research')`,
		`INSERT INTO envelopes (topic, partition, offset, ingested_at, status, call_id, phase, team_id, started_at) SELECT 'modeltrail.envelopes', 2, number, now64(3) - if(number = 0, 3600, 1), 'stored', concat('open', toString(number)), 'request', 'payments', now64(6) FROM numbers(2)`,
		`INSERT INTO payloads (call_id, phase, ingested_at, state, body, digest) VALUES ('c1', 'request', now64(3), 'full', '{"prompt":"hi \\"there\\""}', unhex('ff01')), ('c1', 'response', now64(3), 'full', unhex('fffe'), '')`,
		`INSERT INTO tool_calls (call_id, position, tool_name, tool_type, started_at, ingested_at) VALUES ('c1', 0, 'search', 'function', '2026-03-01 10:00:00', '2026-03-01 10:00:02')`,
		`INSERT INTO findings (finding_key, detector, severity, title, team_id, call_id, detected_at, ingested_at, impact_usd, evidence) VALUES
('f1', 'out_of_scope', 'high', 'Model not allowed', 'payments', 'c2', '2026-03-02 10:00:02', '2026-03-02 10:00:03', NULL, map('model', 'gpt-5.5-mini')),
('f1', 'out_of_scope', 'critical', 'Model not allowed, again', 'payments', 'c9', '2026-03-03 10:00:02', '2026-03-03 10:00:03', NULL, map('model', 'gpt-5.5-mini')),
('f2', 'cost_spike', 'low', 'Spend is up', 'research', '', '2026-03-02 12:00:00', '2026-03-02 12:00:01', 12.5, map('factor', '3'))`,
		`INSERT INTO dead_letters (topic, partition, offset, ingested_at, stage, reason, detail, record_key, record_value) VALUES ('modeltrail.envelopes', 0, 12, now64(3) - 60, 'wire', 'bad_proto', 'unexpected EOF', unhex('ff'), 'abc')`,
		`INSERT INTO team_budgets VALUES ('payments', '2026-01-01', 10, 'd7', '2026-01-01 00:00:00')`,
		`INSERT INTO source_statements (source_kind, source_instance, source_epoch, statement, hour, numbered, first_sequence, last_sequence, dropped, lost, state, epoch_last_sequence, tracked, delivered_through, pending, verified, ingested_at) VALUES
('tap', 'edge-9', 9, 1, '2026-03-05 10:00:00', 2, 1, 2, map(), map(), 'running', 2, true, 2, 0, true, '2026-03-05 10:00:10'),
('tap', 'edge-9', 9, 2, '2026-03-05 10:00:00', 7, 1, 7, map('memory', 4), map('too_large', 1), 'running', 7, true, 6, 1, true, '2026-03-05 10:00:20'),
('tap', 'edge-9', 9, 3, '2026-03-05 10:00:00', 2, 1, 2, map(), map(), 'running', 2, true, 2, 0, false, '2026-03-05 10:00:30')`,
		`INSERT INTO envelopes (topic, partition, offset, ingested_at, status, observed_at, source_kind, source_instance, source_epoch, source_sequence)
SELECT 'modeltrail.envelopes', 3, number, '2026-03-05 10:00:00', if(number = 1, 'rejected', 'stored'), '2026-03-05 10:00:00', 'tap', 'edge-9', 9, number + 1 FROM numbers(3)`,
	)
}

type row = map[string]any

func TestCannedQueriesAnswerTheStory(t *testing.T) {
	conn := migrated(t)
	story(t, conn)
	march := map[string]string{"from": "2026-03-01", "to": "2026-04-01"}
	with := func(values map[string]string) map[string]string {
		for k, v := range march {
			values[k] = v
		}
		return values
	}
	for name, c := range map[string]struct {
		query string
		given map[string]string
		want  []row
	}{
		"users of one model": {"who-used-model", with(map[string]string{"model": "gpt-5.5"}), []row{
			{"team_id": "payments", "app_id": "checkout", "principal": "alice", "calls": 1.0, "cost_usd": "0.0123", "in_tokens": 1000.0, "models": []any{"gpt-5.5-2026-01-01"}}}},
		"users of a family of models": {"who-used-model", with(map[string]string{"model": "gpt-5.5*"}), []row{
			{"principal": "alice", "denied_calls": 0.0}, {"principal": "bob", "denied_calls": 1.0}}},
		"a model by the name it answered with": {"who-used-model", with(map[string]string{"model": "gpt-5.5-2026-01-01"}), []row{{"principal": "alice"}}},
		"a model without a price has no cost":  {"who-used-model", with(map[string]string{"model": "claude-x"}), []row{{"principal": "carol", "cost_usd": nil, "calls_without_cost": 1.0, "in_tokens": nil}}},
		"an application": {"what-app-did", with(map[string]string{"app": "checkout"}), []row{
			{"call_id": "c1", "model": "gpt-5.5-2026-01-01", "tool_names": []any{"search"}, "duration_ms": 1500.0, "cost_usd": "0.0123", "http_status": 200.0}}},
		"an application of another team": {"what-app-did", with(map[string]string{"app": "checkout", "team": "research"}), nil},
		"an application's earlier month": {"what-app-did", map[string]string{"app": "checkout", "from": "2026-02", "to": "2026-03"}, []row{{"call_id": "c4", "http_status": 500.0}}},
		"quotes in a value do no harm":   {"what-app-did", with(map[string]string{"app": "x' OR 1=1 --"}), nil},
		"a credential by fingerprint":    {"what-credential-did", with(map[string]string{"credential": "mt1:b"}), []row{{"call_id": "c2", "credential_status": "unknown"}}},
		"a credential by id":             {"what-credential-did", with(map[string]string{"credential": "cred-1"}), []row{{"call_id": "c1"}}},
		"calls outside policy":           {"outside-policy", with(map[string]string{}), []row{{"call_id": "c2", "policy_rule": "models.allow", "principal": "bob"}}},
		"calls that no policy governs":   {"outside-policy", with(map[string]string{"ungoverned": "true"}), []row{{"call_id": "c2"}, {"call_id": "c3", "policy_decision": "no_policy"}}},
		"spend by team and month": {"spend-by-team-month", map[string]string{"from": "2026-02-15", "to": "2026-03-15"}, []row{
			{"month": "2026-02-01", "team_id": "payments", "calls": 1.0, "errors": 1.0, "cost_usd": "0"},
			{"month": "2026-03-01", "team_id": "payments", "calls": 2.0, "cost_usd": "0.0133", "monthly_budget_usd": "10", "used_share": 0.00133, "directory_version": "d7"},
			{"month": "2026-03-01", "team_id": "research", "calls": 1.0, "cost_usd": "0", "unpriced_calls": 1.0, "calls_without_usage": 1.0, "monthly_budget_usd": nil, "used_share": nil}}},
		"unfinished calls":           {"unfinished-calls", nil, []row{{"call_id": "open0", "team_id": "payments"}}},
		"calls that are still young": {"unfinished-calls", map[string]string{"older_than_seconds": "7200"}, nil},
		"credentials nobody vouches for": {"unknown-credentials", map[string]string{"from": "2026-01-01"}, []row{
			{"credential_fingerprint": "mt1:b", "last4": "bbbb", "credential_status": "unknown", "call_count": 1.0}, {"credential_fingerprint": "mt1:a", "credential_status": "revoked"}}},
		"the credential inventory": {"credential-inventory", map[string]string{"status": "active"}, []row{
			{"credential_fingerprint": "mt1:a", "model_names": []any{"gpt-5.5-2026-01-01"}, "total_cost_usd": "0.0123"}, {"credential_fingerprint": "mt1:c"}}},
		"findings, each once": {"findings", with(map[string]string{}), []row{
			{"finding_key": "f2", "severity": "low", "impact_usd": "12.5"}, {"finding_key": "f1", "severity": "critical", "title": "Model not allowed, again", "call_id": "c2", "impact_usd": nil, "evidence": row{"model": "gpt-5.5-mini"}}}},
		"grave findings": {"findings", with(map[string]string{"min_severity": "high"}), []row{{"finding_key": "f1"}}},
		"dead letters": {"dead-letters", map[string]string{"stage": "wire"}, []row{
			{"offset": 12.0, "reason": "bad_proto", "detail": "unexpected EOF", "record_key": "FF", "value_bytes": 3.0}}},
		"completeness": {"completeness", map[string]string{"from": "2026-03-01"}, []row{
			{"partition": 0.0, "first_offset": 10.0, "last_offset": 15.0, "rows": 4.0, "missing": 2.0, "repeated": 0.0, "rejected": 1.0, "complete": false},
			{"partition": 1.0, "rows": 2.0, "missing": 0.0, "complete": true}, {"partition": 2.0, "complete": true}, {"partition": 3.0, "complete": true}}},
		"completeness by source": {"source-completeness", with(map[string]string{"source": "edge-9"}), []row{
			{"source_instance": "edge-9", "sent": 7.0, "stored": 2.0, "dead_lettered": 1.0, "not_found": 3.0, "not_delivered": 1.0, "missing": 2.0, "surplus": 0.0, "dropped": row{"memory": 4.0, "too_large": 1.0}}}},
		"missing offsets": {"offset-gaps", map[string]string{"from": "2026-03-01"}, []row{{"partition": 0.0, "first_missing": 13.0, "last_missing": 14.0, "missing": 2.0}}},
	} {
		t.Run(name, func(t *testing.T) { expect(t, c.want, run(t, conn, c.query, c.given)) })
	}
}

func run(t *testing.T, conn driver.Conn, name string, given map[string]string) []row {
	t.Helper()
	q, err := queries.Get(name)
	if err != nil {
		t.Fatal(err)
	}
	values, err := q.Bind(given, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	var args []any
	for k, v := range values {
		args = append(args, clickhouse.Named(k, v))
	}
	return ask(t, conn, q.SQL, args...)
}

// expect compares the named fields of each row.
func expect(t *testing.T, want, got []row) {
	t.Helper()
	if len(want) != len(got) {
		t.Fatalf("%d rows, want %d:\n%v", len(got), len(want), got)
	}
	for i := range want {
		part := row{}
		for k := range want[i] {
			value, ok := got[i][k]
			if !ok {
				t.Errorf("row %d has no column %s", i, k)
			}
			part[k] = value
		}
		if diff := cmp.Diff(want[i], part); diff != "" {
			t.Errorf("row %d (-want +got):\n%s", i, diff)
		}
	}
}

func TestOneCallInFullHasEverySection(t *testing.T) {
	conn := migrated(t)
	story(t, conn)
	got := map[string]map[string]string{}
	var order []string
	for _, r := range run(t, conn, "call", map[string]string{"id": "c1"}) {
		section := r["section"].(string)
		if got[section] == nil {
			got[section] = map[string]string{}
			order = append(order, section)
		}
		got[section][r["name"].(string)] = r["value"].(string)
	}
	if diff := cmp.Diff([]string{"envelope request", "envelope response", "call", "tool call 0", "payload request", "payload response"}, order); diff != "" {
		t.Fatalf("sections (-want +got):\n%s", diff)
	}
	for section, want := range map[string]map[string]string{
		"call":             {"cost_usd": "0.0123", "tool_names": `["search"]`, "request_digest": "FF00", "attributes": `{"x-env":"prod"}`, "in_total": "1000"},
		"payload request":  {"body": `{"prompt":"hi \"there\""}`, "digest": "FF01"},
		"payload response": {"body": "FFFE"},
		"tool call 0":      {"tool_name": "search"},
	} {
		for name, value := range want {
			if got[section][name] != value {
				t.Errorf("%s %s = %q, want %q", section, name, got[section][name], value)
			}
		}
	}
	if _, ok := got["call"]["time_to_first_token_us"]; ok {
		t.Error("an unknown value is listed")
	}
	for _, r := range run(t, conn, "call", map[string]string{"id": "c1", "bodies": "false"}) {
		if r["name"] == "body" {
			t.Error("a body is shown although bodies=false")
		}
	}
	if rows := run(t, conn, "call", map[string]string{"id": "open0"}); len(rows) == 0 || rows[0]["section"] != "envelope request" {
		t.Errorf("an unfinished call shows %v", rows)
	}
}

func TestCannedQueriesReadOnly(t *testing.T) {
	conn := migrated(t)
	ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{"readonly": 2}))
	if err := conn.Exec(ctx, "DROP TABLE calls"); err == nil {
		t.Fatal("a table was dropped in readonly mode")
	}
	if err := conn.Exec(ctx, "INSERT INTO calls (call_id) VALUES ('x')"); err == nil {
		t.Fatal("a row was inserted in readonly mode")
	}
}
