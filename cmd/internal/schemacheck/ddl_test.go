package schemacheck

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/schemas/ddl"
)

func TestApplyTwiceChangesNothingTheSecondTime(t *testing.T) {
	conn := open(t)
	opt := ddl.DefaultOptions()
	pending, err := ddl.Pending(t.Context(), conn, opt)
	if err != nil {
		t.Fatal(err)
	}
	applied, err := ddl.Apply(t.Context(), conn, opt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(pending, applied[:len(pending)]); diff != "" || len(pending) < 5 {
		t.Errorf("Pending and Apply differ (-pending +applied):\n%s", diff)
	}
	if again, err := ddl.Apply(t.Context(), conn, opt); err != nil || len(again) != 0 {
		t.Errorf("second Apply() = %v, %v; want nothing", again, err)
	}
	if pending, err := ddl.Pending(t.Context(), conn, opt); err != nil || len(pending) != 0 {
		t.Errorf("Pending() = %v, %v; want nothing", pending, err)
	}
}

func TestProcessesThatMigrateAtOnceEndInOneState(t *testing.T) {
	e := enginetest.Start(t)
	var wg sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		conn := connect(t, e)
		wg.Go(func() { _, errs[i] = ddl.Apply(t.Context(), conn, ddl.DefaultOptions()) })
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	rows := ask(t, connect(t, e), "SELECT count() AS rows, uniqExact(version) AS versions FROM schema_migrations")
	if rows[0]["rows"] != rows[0]["versions"] {
		t.Errorf("ledger has %v rows for %v migrations", rows[0]["rows"], rows[0]["versions"])
	}
}

func TestAChangedOrUnknownMigrationIsRefused(t *testing.T) {
	for name, c := range map[string]struct {
		version int
		want    error
	}{"changed": {1, ddl.ErrChecksum}, "newer": {99, ddl.ErrNewerSchema}} {
		t.Run(name, func(t *testing.T) {
			conn := migrated(t)
			exec(t, conn, fmt.Sprintf("INSERT INTO schema_migrations (version, name, checksum) VALUES (%d, 'x', 'other')", c.version))
			if _, err := ddl.Apply(t.Context(), conn, ddl.DefaultOptions()); !errors.Is(err, c.want) {
				t.Errorf("Apply() = %v, want %v", err, c.want)
			}
			if _, err := ddl.Pending(t.Context(), conn, ddl.DefaultOptions()); !errors.Is(err, c.want) {
				t.Errorf("Pending() = %v, want %v", err, c.want)
			}
		})
	}
}

func TestRetentionFollowsTheConfiguration(t *testing.T) {
	conn := migrated(t)
	opt := ddl.DefaultOptions()
	opt.Retention.PayloadsDays = 7
	opt.Retention.CallsDays = 0
	opt.Retention.FindingsDays = 90
	applied, err := ddl.Apply(t.Context(), conn, opt)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"retention calls 0 days", "retention payloads 7 days", "retention findings 90 days"}, applied); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for table, want := range map[string]string{"payloads": "TTL toDateTime(ingested_at) + toIntervalDay(7)", "findings": "toIntervalDay(90)", "envelopes": "toIntervalDay(400)"} {
		got := ask(t, conn, "SELECT create_table_query AS q FROM system.tables WHERE database = 'modeltrail' AND name = '"+table+"'")[0]["q"].(string)
		if !strings.Contains(got, want) || !strings.Contains(got, "ttl_only_drop_parts = 1") {
			t.Errorf("%s: %s", table, got)
		}
	}
	if again, err := ddl.Apply(t.Context(), conn, opt); err != nil || len(again) != 0 {
		t.Errorf("second Apply() = %v, %v; want nothing", again, err)
	}
}

func TestExpiredPartsAreDroppedAndYoungOnesStay(t *testing.T) {
	conn := migrated(t)
	exec(t, conn,
		"INSERT INTO payloads (call_id, ingested_at) SETTINGS async_insert = 0 VALUES ('old', now64(3) - INTERVAL 90 DAY)",
		"INSERT INTO payloads (call_id, ingested_at) SETTINGS async_insert = 0 VALUES ('new', now64(3))",
		"OPTIMIZE TABLE payloads FINAL")
	if diff := cmp.Diff([]map[string]any{{"call_id": "new"}}, ask(t, conn, "SELECT call_id FROM payloads")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestEveryTableOnTheEngineRemembersTokens(t *testing.T) {
	conn := migrated(t)
	for _, row := range ask(t, conn, "SELECT name, create_table_query AS q FROM system.tables WHERE database = 'modeltrail' AND engine LIKE '%MergeTree'") {
		if !strings.Contains(row["q"].(string), "non_replicated_deduplication_window = 10000") {
			t.Errorf("%s has no deduplication window: %s", row["name"], row["q"])
		}
	}
}

// A repeated insert must change neither the table nor the sums of its views, also when the block spans months.
func TestARepeatedInsertLeavesTableAndViewsUnchanged(t *testing.T) {
	conn := migrated(t)
	insert := func(token string) {
		ctx := clickhouse.Context(t.Context(), clickhouse.WithSettings(clickhouse.Settings{
			"insert_deduplication_token": token, "async_insert": 0, "deduplicate_blocks_in_dependent_materialized_views": 1,
		}))
		err := conn.Exec(ctx, `INSERT INTO calls (call_id, started_at, ingested_at, team_id, app_id, credential_fingerprint, response_model, cost_usd, cost_status, in_total)
SELECT toString(number), toDateTime64('2026-01-31 23:59:00', 6, 'UTC') + number, toDateTime64('2026-01-31 23:59:00', 3, 'UTC') + number, 'a', 'b', 'mt1:x', 'm', 0.5, 'priced', 10 FROM numbers(120)`)
		if err != nil {
			t.Fatal(err)
		}
	}
	state := func() []map[string]any {
		return ask(t, conn, `SELECT (SELECT count() FROM calls) AS calls, (SELECT sum(calls) FROM spend_hourly) AS counted,
(SELECT sum(cost_usd) FROM spend_hourly) AS cost, (SELECT sum(calls) FROM credential_inventory) AS inventory`)
	}
	insert("c/t/0/0-119/calls/v1")
	first := state()
	if diff := cmp.Diff([]map[string]any{{"calls": 120.0, "counted": 120.0, "cost": "60", "inventory": 120.0}}, first); diff != "" {
		t.Fatalf("first insert (-want +got):\n%s", diff)
	}
	insert("c/t/0/0-119/calls/v1")
	if diff := cmp.Diff(first, state()); diff != "" {
		t.Errorf("the repeated insert changed something (-before +after):\n%s", diff)
	}
	insert("c/t/0/120-239/calls/v1")
	if got := state()[0]["calls"]; got != 240.0 {
		t.Errorf("an insert under another token was dropped: %v calls", got)
	}
}

func TestViewsAddUpWhatTheCallsSay(t *testing.T) {
	conn := migrated(t)
	exec(t, conn, `INSERT INTO calls (call_id, started_at, ingested_at, team_id, app_id, credential_fingerprint, credential_last4, request_model, response_model, http_status, stream_outcome, usage_source, cost_status, cost_usd, in_total, in_cache_read, out_total, policy_decision) VALUES
('1', '2026-03-01 10:00:00', '2026-03-01 10:00:01', 'a', 'x', 'mt1:1', '1234', 'm', 'm-1', 200, 'complete', 'provider', 'priced', 0.000000000001, 100, 40, 10, 'allow'),
('2', '2026-03-01 10:59:59', '2026-03-01 11:00:01', 'a', 'x', 'mt1:1', '1234', 'm', '', 200, 'upstream_abort', 'none', 'no_usage', NULL, NULL, NULL, NULL, 'deny'),
('3', '2026-03-01 11:00:00', '2026-03-01 11:00:01', 'a', 'x', 'mt1:1', '1234', '', '', 0, 'no_response', 'none', 'not_billed', NULL, NULL, NULL, NULL, 'allow'),
('4', '2026-03-02 00:00:00', '2026-03-02 00:00:01', 'a', 'x', 'mt1:1', '1234', 'm', 'm-1', 200, 'client_abort', 'partial', 'priced', 999999.5, 5, 0, 1, 'allow')`)
	spend := ask(t, conn, `SELECT toString(hour) AS hour, model, toString(policy_decision) AS decision, sum(calls) AS calls, sum(errors) AS errors, sum(unpriced_calls) AS unpriced, sum(calls_without_usage) AS unused,
sum(in_tokens) AS input, sum(in_cache_read_tokens) AS cached, sum(out_tokens) AS output, sum(cost_usd) AS cost FROM spend_hourly GROUP BY ALL ORDER BY hour, model`)
	want := []map[string]any{
		{"hour": "2026-03-01 10:00:00", "model": "m", "decision": "deny", "calls": 1.0, "errors": 1.0, "unpriced": 1.0, "unused": 1.0, "input": 0.0, "cached": 0.0, "output": 0.0, "cost": "0"},
		{"hour": "2026-03-01 10:00:00", "model": "m-1", "decision": "allow", "calls": 1.0, "errors": 0.0, "unpriced": 0.0, "unused": 0.0, "input": 100.0, "cached": 40.0, "output": 10.0, "cost": "0.000000000001"},
		{"hour": "2026-03-01 11:00:00", "model": "unknown", "decision": "allow", "calls": 1.0, "errors": 1.0, "unpriced": 0.0, "unused": 0.0, "input": 0.0, "cached": 0.0, "output": 0.0, "cost": "0"},
		{"hour": "2026-03-02 00:00:00", "model": "m-1", "decision": "allow", "calls": 1.0, "errors": 0.0, "unpriced": 0.0, "unused": 0.0, "input": 5.0, "cached": 0.0, "output": 1.0, "cost": "999999.5"},
	}
	if diff := cmp.Diff(want, spend); diff != "" {
		t.Errorf("spend (-want +got):\n%s", diff)
	}
	inventory := ask(t, conn, "SELECT last4, call_count, denied_count, model_names, first_used_at, last_used_at, total_cost_usd FROM v_credential_inventory")
	if diff := cmp.Diff([]map[string]any{{"last4": "1234", "call_count": 4.0, "denied_count": 1.0, "model_names": []any{"m", "m-1", "unknown"},
		"first_used_at": "2026-03-01T10:00:00.000000Z", "last_used_at": "2026-03-02T00:00:00.000000Z", "total_cost_usd": "999999.500000000001"}}, inventory); diff != "" {
		t.Errorf("inventory (-want +got):\n%s", diff)
	}
	daily := ask(t, conn, "SELECT day, calls, cost_usd FROM v_spend_daily ORDER BY day, cost_usd, model")
	if len(daily) != 4 || daily[3]["day"] != "2026-03-02" || daily[3]["cost_usd"] != "999999.5" {
		t.Errorf("daily = %v", daily)
	}
}

func TestTheBudgetInForceAtTheMonthsEndCounts(t *testing.T) {
	conn := migrated(t)
	exec(t, conn, `INSERT INTO calls (call_id, started_at, ingested_at, team_id, cost_usd, cost_status) VALUES
('1', '2026-01-15 10:00:00', '2026-01-15 10:00:01', 'a', 10, 'priced'), ('2', '2026-02-15 10:00:00', '2026-02-15 10:00:01', 'a', 30, 'priced'),
('3', '2026-02-15 10:00:00', '2026-02-15 10:00:01', 'b', 1, 'priced')`,
		`INSERT INTO team_budgets VALUES ('a', '2026-01-01', 100, 'v1', '2026-01-01 00:00:00'), ('a', '2026-02-01', 50, 'v2', '2026-02-01 00:00:00'), ('a', '2026-02-01', 60, 'v3', '2026-02-02 00:00:00')`)
	got := ask(t, conn, "SELECT month, team_id, cost_usd, monthly_budget_usd, used_share, directory_version FROM v_budget_month ORDER BY month, team_id")
	want := []map[string]any{
		{"month": "2026-01-01", "team_id": "a", "cost_usd": "10", "monthly_budget_usd": "100", "used_share": 0.1, "directory_version": "v1"},
		{"month": "2026-02-01", "team_id": "a", "cost_usd": "30", "monthly_budget_usd": "60", "used_share": 0.5, "directory_version": "v3"},
		{"month": "2026-02-01", "team_id": "b", "cost_usd": "1", "monthly_budget_usd": nil, "used_share": nil, "directory_version": nil},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestApplyStopsWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	conn := open(t)
	cancel()
	if _, err := ddl.Apply(ctx, conn, ddl.DefaultOptions()); !errors.Is(err, context.Canceled) {
		t.Errorf("Apply() = %v, want the context's error", err)
	}
}

// A cluster cannot be had here; ClickHouse's own parser can say whether its statements and the grants are well formed.
func TestClusterStatementsAndGrantsAreValidSQL(t *testing.T) {
	conn := open(t)
	cluster := ddl.DefaultOptions()
	cluster.Cluster = "main"
	cluster.StoragePolicy = "tiered"
	statements, err := ddl.Render(cluster)
	if err != nil {
		t.Fatal(err)
	}
	var texts []string
	for _, s := range statements {
		texts = append(texts, s.SQL)
	}
	for _, opt := range []ddl.Options{cluster, ddl.DefaultOptions()} {
		grants, err := ddl.Grants(opt)
		if err != nil {
			t.Fatal(err)
		}
		texts = append(texts, ddl.Split(grants)...)
	}
	for _, text := range texts {
		var formatted string
		if err := conn.QueryRow(t.Context(), "SELECT formatQuery({q:String})", clickhouse.Named("q", text)).Scan(&formatted); err != nil {
			t.Errorf("%v\n%s", err, text)
		}
	}
	t.Logf("%d statements", len(texts))
}

// The size of a row on disk decides what a year of traffic costs; a codec that stops working shows here.
func TestARowOfCallsStaysSmall(t *testing.T) {
	conn := migrated(t)
	fill(t, conn, 100000)
	exec(t, conn, "OPTIMIZE TABLE calls FINAL", "OPTIMIZE TABLE envelopes FINAL")
	for table, limit := range map[string]float64{"calls": 240, "envelopes": 60} {
		got := ask(t, conn, "SELECT sum(data_compressed_bytes) / sum(rows) AS disk, sum(data_uncompressed_bytes) / sum(rows) AS plain FROM system.parts WHERE active AND database = 'modeltrail' AND table = '"+table+"'")[0]
		t.Logf("%s: %.1f bytes a row on disk, %.1f before compression", table, got["disk"], got["plain"])
		if disk := got["disk"].(float64); disk > limit {
			t.Errorf("%s needs %.1f bytes a row, more than %.0f", table, disk, limit)
		}
		for _, column := range ask(t, conn, "SELECT name, data_compressed_bytes / (SELECT count() FROM "+table+") AS disk FROM system.columns WHERE database = 'modeltrail' AND table = '"+table+"' ORDER BY disk DESC LIMIT 14") {
			t.Logf("  %-24s %.2f", column["name"], column["disk"])
		}
	}
}
