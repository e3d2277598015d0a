package definition

import "github.com/modeltrail/modeltrail/dashboards/board"

// overview answers: is traffic as usual, is it fast, does it fail?
func overview() board.Board {
	b := board.New("modeltrail-overview", "ModelTrail / Overview",
		"Volume, tokens, cost, errors and speed of all calls through the gateway.", "now-24h")
	b.Row(4,
		board.Stat(4, "Calls", "Finished calls, also those that failed.", "short",
			`SELECT count() AS calls FROM v_calls AS calls `+callFilter),
		board.Stat(4, "Tokens", "Input and output tokens whose count is known.", "short",
			`SELECT sum(in_total) + sum(out_total) AS tokens FROM v_calls AS calls `+callFilter),
		board.Stat(4, "Cost", "Cost of priced calls.", "currencyUSD",
			`SELECT toFloat64(sum(toDecimal128(calls.cost_usd, 12))) AS cost FROM v_calls AS calls `+callFilter),
		board.Alarm(4, "Error share", "Calls without an answer, with a status from 400, or broken off by the provider.", "percentunit", 0.05,
			`SELECT countIf(`+failed+`) / count() AS error_share FROM v_calls AS calls `+callFilter+` HAVING count() > 0`),
		board.Stat(4, "Latency p95", "From the first byte of the request to the end of the answer.", "ms",
			`SELECT quantileTDigest(0.95)(duration_us) / 1000 AS p95 FROM v_calls AS calls `+callFilter+` AND duration_us IS NOT NULL`),
		board.Stat(4, "Time to first token p95", "Streamed answers only.", "ms",
			`SELECT quantileTDigest(0.95)(time_to_first_token_us) / 1000 AS p95 FROM v_calls AS calls `+callFilter+` AND time_to_first_token_us IS NOT NULL`),
	)
	overviewTraffic(b)
	overviewSpeed(b)
	overviewAnswers(b)
	overviewTables(b)
	return b.Board()
}

func overviewTraffic(b *board.Builder) {
	b.Heading("Traffic")
	b.Row(8,
		board.Bars(12, "Calls by provider", "", "short", overTime(`toString(provider) AS provider, count() AS calls`, `provider`, callFilter)).Named("provider"),
		board.Bars(12, "Errors by kind", "The gateway's error class, else the HTTP status, else how the answer broke off.", "short",
			overTime(`multiIf(error_class != '', toString(error_class), http_status >= 400, concat('HTTP ', toString(http_status)), toString(stream_outcome)) AS kind, count() AS errors`,
				`kind`, callFilter+` AND (`+failed+`)`)).Named("kind"),
	)
	b.Row(8,
		board.Bars(12, "Tokens", "Cache reads are part of the input.", "short",
			overTime(`sum(ifNull(in_uncached, 0)) AS "input, not cached", sum(ifNull(in_cache_read, 0)) AS "input, cache read", sum(ifNull(out_total, 0)) AS output`, ``, callFilter)),
		board.Bars(12, "Cost by team", "", "currencyUSD",
			overTime(`toString(team_id) AS team, toFloat64(sum(toDecimal128(calls.cost_usd, 12))) AS cost`, `team`, callFilter+` AND calls.cost_usd IS NOT NULL`)).Named("team"),
	)
}

func overviewSpeed(b *board.Builder) {
	b.Heading("Speed")
	b.Row(8,
		board.Lines(12, "Latency", "Whole calls.", "ms", percentiles("duration_us")),
		board.Lines(12, "Time to first token", "Streamed answers.", "ms", percentiles("time_to_first_token_us")),
	)
	b.Row(8,
		board.Lines(8, "Time to first token p95 by provider", "", "ms", tokenTimeBy("toString(provider) AS provider", "provider")).Named("provider"),
		board.Lines(8, "Time to first token p95 by model", "", "ms", tokenTimeBy(callModel+" AS model_name", "model_name")).Named("model_name"),
		board.Lines(8, "Time to first token p95 by team", "", "ms", tokenTimeBy("toString(team_id) AS team", "team")).Named("team"),
	)
}

func overviewAnswers(b *board.Builder) {
	b.Heading("Answers and tools")
	b.Row(8,
		board.Pie(8, "How answers ended", "", "short",
			`SELECT toString(stream_outcome) AS outcome, count() AS calls FROM v_calls AS calls `+callFilter+` GROUP BY outcome ORDER BY calls DESC`),
		board.Bars(8, "Streams that did not end well", "The caller left, the provider broke off, or no answer came.", "short",
			overTime(`toString(stream_outcome) AS outcome, count() AS calls`, `outcome`, callFilter+` AND stream_outcome IN ('client_abort', 'upstream_abort', 'no_response')`)).Named("outcome"),
		board.BarChart(8, "Tools that models called", "", "short",
			`SELECT toString(tool_name) AS tool, count() AS calls FROM v_tool_calls AS tool_calls
WHERE $__timeFilter(started_at) AND ingested_at >= $__fromTime - INTERVAL 1 DAY`+variableFilter+`
GROUP BY tool ORDER BY calls DESC LIMIT 12`),
	)
}

func overviewTables(b *board.Builder) {
	b.Row(10,
		board.Table(24, "Models", "", `SELECT
    provider,
    `+callModel+` AS model_name,
    count() AS calls,
    countIf(`+failed+`) / count() AS error_share,
    sum(in_total) AS input_tokens,
    sum(out_total) AS output_tokens,
    toFloat64(sum(toDecimal128(calls.cost_usd, 12))) AS cost,
    quantileTDigest(0.5)(duration_us) / 1000 AS latency_p50,
    quantileTDigest(0.95)(duration_us) / 1000 AS latency_p95,
    quantileTDigest(0.99)(duration_us) / 1000 AS latency_p99
FROM v_calls AS calls `+callFilter+`
GROUP BY provider, model_name ORDER BY calls DESC LIMIT 50`,
			map[string]string{"error_share": "percentunit", "cost": "currencyUSD", "latency_p50": "ms", "latency_p95": "ms", "latency_p99": "ms", "input_tokens": "short", "output_tokens": "short"}),
	)
	b.Row(10,
		board.Table(24, "Latest calls", "For one call in full: modeltrail query call --param id=CALL_ID", `SELECT
    started_at,
    call_id,
    team_id,
    app_id,
    principal,
    provider,
    `+callModel+` AS model_name,
    http_status,
    toString(stream_outcome) AS outcome,
    in_total AS input_tokens,
    out_total AS output_tokens,
    toFloat64(calls.cost_usd) AS cost,
    duration_us / 1000 AS duration,
    toString(policy_decision) AS policy
FROM v_calls AS calls `+callFilter+`
ORDER BY started_at DESC LIMIT 100`,
			map[string]string{"cost": "currencyUSD", "duration": "ms"}),
	)
}

// overTime is a time series over calls: columns by bucket and, when given, by one label.
func overTime(columns, label, filter string) string {
	group, order := "time", "time"
	if label != "" {
		group, order = "time, "+label, "time, "+label
	}
	return `SELECT $__timeInterval(started_at) AS time, ` + columns + `
FROM v_calls AS calls ` + filter + `
GROUP BY ` + group + ` ORDER BY ` + order
}

func percentiles(column string) string {
	return overTime(`quantileTDigest(0.5)(`+column+`) / 1000 AS p50, quantileTDigest(0.95)(`+column+`) / 1000 AS p95, quantileTDigest(0.99)(`+column+`) / 1000 AS p99`,
		``, callFilter+` AND `+column+` IS NOT NULL`)
}

func tokenTimeBy(column, label string) string {
	return overTime(column+`, quantileTDigest(0.95)(time_to_first_token_us) / 1000 AS p95`, label, callFilter+` AND time_to_first_token_us IS NOT NULL`)
}
