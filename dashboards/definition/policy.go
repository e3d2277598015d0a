package definition

import "github.com/modeltrail/modeltrail/dashboards/board"

// policy answers: what did the detectors find, who acted outside policy, and is the record whole?
func policy() board.Board {
	b := board.New("modeltrail-policy", "ModelTrail / Alerts and policy",
		"Findings, use outside policy, credentials that nobody vouches for, and the state of the record itself.", "now-7d")
	b.Row(4,
		board.Alarm(4, "Findings", "Distinct conclusions of the detectors.", "short", 1,
			`SELECT uniqExact(finding_key) AS findings FROM findings `+findingFilter),
		board.Alarm(4, "High and critical", "", "short", 1,
			`SELECT uniqExactIf(finding_key, severity IN ('high', 'critical')) AS findings FROM findings `+findingFilter),
		board.Alarm(4, "Calls outside policy", "", "short", 1,
			`SELECT countIf(policy_decision = 'deny') AS calls FROM v_calls AS calls `+callFilter),
		board.Alarm(4, "Unfinished calls", "Asked more than ten minutes ago, without a recorded end.", "short", 1,
			`SELECT count() AS calls FROM (`+unfinished+`)`),
		board.Alarm(4, "Calls without usage or price", "Their cost is unknown.", "short", 1,
			`SELECT countIf(cost_status NOT IN ('priced', 'not_billed')) AS calls FROM v_calls AS calls `+callFilter),
		board.Alarm(4, "Missing records", "Offsets of Kafka that have no row. The record is complete at 0.", "short", 1,
			`SELECT sum(missing) AS missing FROM (SELECT max(offset) - min(offset) + 1 - uniqExact(offset) AS missing FROM v_envelopes AS envelopes WHERE $__timeFilter(ingested_at) GROUP BY topic, partition)`),
	)
	policyFindings(b)
	policyUse(b)
	policyGaps(b)
	policyProof(b)
	return b.Board()
}

// policyProof shows what sources say they sent against what is stored.
func policyProof(b *board.Builder) {
	b.Heading("Completeness")
	b.Row(9,
		board.Table(24, "What each source sent and what is stored", "By hour, newest first. For the proof: modeltrail completeness", `SELECT
    hour,
    source_instance,
    sent,
    stored,
    dead_lettered,
    arraySum(mapValues(dropped)) AS dropped_count,
    pending,
    missing,
    surplus,
    verified
FROM v_source_completeness
WHERE hour >= toStartOfHour($__fromTime) AND hour <= $__toTime
ORDER BY hour DESC, source_instance LIMIT 500`, nil),
	)
}

func policyFindings(b *board.Builder) {
	b.Heading("Findings")
	b.Row(8,
		board.Bars(12, "By severity", "", "short", findingsOverTime("severity")).Named("severity_name"),
		board.Bars(12, "By detector", "", "short", findingsOverTime("detector")).Named("detector_name"),
	)
	b.Row(10, board.Table(24, "Latest findings", "", `SELECT
    detected_at,
    toString(severity) AS severity,
    detector,
    title,
    team_id,
    app_id,
    principal,
    model,
    policy_rule,
    toFloat64(impact_usd) AS impact,
    call_id,
    reports
FROM v_findings
WHERE $__timeFilter(detected_at)`+findingVariables+`
ORDER BY detected_at DESC LIMIT 100`, map[string]string{"impact": "currencyUSD"}))
}

func policyUse(b *board.Builder) {
	b.Heading("Policy")
	b.Row(8,
		board.Bars(12, "Decisions", "", "short", overTime(`toString(policy_decision) AS decision, count() AS calls`, `decision`, callFilter)).Named("decision"),
		board.BarChart(12, "Rules that were broken", "", "short",
			`SELECT concat(toString(policy_id), ': ', toString(policy_rule)) AS rule, count() AS calls FROM v_calls AS calls `+callFilter+` AND policy_decision = 'deny' GROUP BY rule ORDER BY calls DESC LIMIT 12`),
	)
	b.Row(10, board.Table(24, "Out-of-scope use", "Calls that their policy does not allow. ModelTrail records; the gateway enforces.", `SELECT
    started_at,
    call_id,
    team_id,
    app_id,
    principal,
    credential_fingerprint,
    provider,
    `+callModel+` AS model_name,
    policy_id,
    policy_rule,
    policy_reason,
    toFloat64(calls.cost_usd) AS cost
FROM v_calls AS calls `+callFilter+` AND policy_decision = 'deny'
ORDER BY started_at DESC LIMIT 100`, map[string]string{"cost": "currencyUSD"}))
}

func policyGaps(b *board.Builder) {
	b.Heading("Credentials and gaps")
	b.Row(9,
		board.Table(14, "Credentials that the directory does not vouch for", "Unknown, expired, revoked or absent, used in the range.", `SELECT
    credential_fingerprint,
    last4,
    kind,
    toString(credential_status) AS status,
    provider,
    team_id,
    call_count,
    first_used_at,
    last_used_at,
    arrayStringConcat(model_names, ', ') AS models,
    toFloat64(total_cost_usd) AS cost
FROM v_credential_inventory
WHERE credential_status != 'active' AND $__timeFilter(last_used_at)`+variableFilter+`
ORDER BY last_used_at DESC LIMIT 100`, map[string]string{"cost": "currencyUSD"}),
		board.Table(10, "Unfinished calls", "", unfinished+`
ORDER BY started_at DESC LIMIT 100`, nil),
	)
	b.Row(9,
		board.Table(12, "Calls without a price", "By model and reason.", `SELECT
    provider,
    `+callModel+` AS model_name,
    toString(cost_status) AS reason,
    cost_detail AS detail,
    count() AS calls,
    max(started_at) AS last_call
FROM v_calls AS calls `+callFilter+` AND cost_status NOT IN ('priced', 'not_billed')
GROUP BY provider, model_name, reason, detail ORDER BY calls DESC LIMIT 50`, nil),
		board.Bars(12, "Where token counts come from", "", "short", overTime(`toString(usage_source) AS source, count() AS calls`, `source`, callFilter)).Named("source"),
	)
}

const findingVariables = `
  AND $__conditionalAll(team_id IN (${team:sqlstring}), $team)
  AND $__conditionalAll(app_id IN (${app:sqlstring}), $app)`

const findingFilter = `WHERE $__timeFilter(detected_at)` + findingVariables

// unfinished lists requests without an answer. The view takes its start in place of a filter.
const unfinished = `SELECT started_at, call_id, team_id, app_id, principal, provider, request_model, source_instance
FROM unfinished_calls(since = $__fromTime, older_than_seconds = 600)
WHERE ingested_at <= $__toTime` + variableFilter

func findingsOverTime(column string) string {
	return `SELECT $__timeInterval(detected_at) AS time, toString(` + column + `) AS ` + column + `_name, uniqExact(finding_key) AS findings
FROM findings ` + findingFilter + `
GROUP BY time, ` + column + `_name ORDER BY time, ` + column + `_name`
}
