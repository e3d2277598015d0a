-- Views for people. They hold no rows; a later migration may replace them.
CREATE OR REPLACE VIEW {{.Table "v_spend_daily"}}{{.OnCluster}} AS
SELECT
    toDate(hour) AS day,
    team_id,
    app_id,
    cost_center,
    provider,
    model,
    sum(calls) AS calls,
    sum(errors) AS errors,
    sum(unpriced_calls) AS unpriced_calls,
    sum(calls_without_usage) AS calls_without_usage,
    sum(in_tokens) AS in_tokens,
    sum(in_cache_read_tokens) AS in_cache_read_tokens,
    sum(out_tokens) AS out_tokens,
    sum(cost_usd) AS cost_usd
FROM {{.Table "spend_hourly"}}
GROUP BY day, team_id, app_id, cost_center, provider, model;

-- A team's spend of a month against the budget that was in force at the month's end; NULL when it has none.
CREATE OR REPLACE VIEW {{.Table "v_budget_month"}}{{.OnCluster}} AS
SELECT
    spent.month AS month,
    spent.team_id AS team_id,
    spent.cost_usd AS cost_usd,
    spent.unpriced_calls AS unpriced_calls,
    budget.monthly_budget_usd AS monthly_budget_usd,
    if(budget.monthly_budget_usd > 0, round(toFloat64(spent.cost_usd) / toFloat64(budget.monthly_budget_usd), 6), NULL) AS used_share,
    budget.directory_version AS directory_version
FROM
(
    SELECT
        toStartOfMonth(hour) AS month,
        toLastDayOfMonth(any(hour)) AS last_day,
        team_id,
        sum(cost_usd) AS cost_usd,
        sum(unpriced_calls) AS unpriced_calls
    FROM {{.Table "spend_hourly"}}
    GROUP BY month, team_id
) AS spent
ASOF LEFT JOIN
(
    SELECT
        team_id,
        effective_from,
        toNullable(argMax(monthly_budget_usd, loaded_at)) AS monthly_budget_usd,
        toNullable(toString(argMax(directory_version, loaded_at))) AS directory_version
    FROM {{.Table "team_budgets"}}
    GROUP BY team_id, effective_from
) AS budget
ON spent.team_id = budget.team_id AND spent.last_day >= budget.effective_from;

CREATE OR REPLACE VIEW {{.Table "v_credential_inventory"}}{{.OnCluster}} AS
SELECT
    credential_fingerprint,
    credential_id,
    credential_status,
    provider,
    team_id,
    app_id,
    max(credential_last4) AS last4,
    max(credential_kind) AS kind,
    min(first_seen) AS first_used_at,
    max(last_seen) AS last_used_at,
    sum(calls) AS call_count,
    sum(denied_calls) AS denied_count,
    arraySort(groupUniqArrayArray(100)(models)) AS model_names,
    sum(cost_usd) AS total_cost_usd
FROM {{.Table "credential_inventory"}}
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id;

-- Findings once each: a conclusion that was written again keeps its first detection and its latest text.
CREATE OR REPLACE VIEW {{.Table "v_findings"}}{{.OnCluster}} AS
SELECT
    finding_key,
    any(f.detector) AS detector,
    argMax(f.severity, f.ingested_at) AS severity,
    argMax(f.title, f.ingested_at) AS title,
    argMax(f.description, f.ingested_at) AS description,
    any(f.team_id) AS team_id,
    any(f.app_id) AS app_id,
    any(f.credential_fingerprint) AS credential_fingerprint,
    any(f.principal) AS principal,
    any(f.provider) AS provider,
    any(f.model) AS model,
    any(f.policy_id) AS policy_id,
    any(f.policy_rule) AS policy_rule,
    argMin(f.call_id, f.ingested_at) AS call_id,
    min(f.first_seen_at) AS first_seen_at,
    max(f.last_seen_at) AS last_seen_at,
    min(f.detected_at) AS detected_at,
    argMax(tuple(f.impact_usd), f.ingested_at).1 AS impact_usd,
    argMax(f.evidence, f.ingested_at) AS evidence,
    count() AS reports
FROM {{.Table "findings"}} AS f
GROUP BY finding_key;

-- Calls that were asked but never answered, as far as the record shows. Use:
-- SELECT * FROM unfinished_calls(since = '2026-01-01 00:00:00', older_than_seconds = 600)
CREATE OR REPLACE VIEW {{.Table "unfinished_calls"}}{{.OnCluster}} AS
SELECT
    call_id,
    min(e.started_at) AS started_at,
    max(e.ingested_at) AS ingested_at,
    any(e.team_id) AS team_id,
    any(e.app_id) AS app_id,
    any(e.principal) AS principal,
    any(e.credential_fingerprint) AS credential_fingerprint,
    any(e.provider) AS provider,
    any(e.request_model) AS request_model,
    any(e.policy_decision) AS policy_decision,
    any(e.gateway) AS gateway,
    any(e.route) AS route,
    any(e.source_instance) AS source_instance
FROM {{.Table "envelopes"}} AS e
WHERE e.status = 'stored' AND e.ingested_at >= {since:DateTime('UTC')}
GROUP BY call_id
HAVING countIf(e.phase = 'response') = 0
    AND countIf(e.phase = 'request') > 0
    AND ingested_at < now64(3, 'UTC') - toIntervalSecond({older_than_seconds:UInt32});
