-- Spend and volume by hour. Filled from every block of calls, so it costs no second read, and a repeated insert of
-- calls leaves it unchanged: the deduplication token reaches the view's target too.
CREATE TABLE IF NOT EXISTS {{.Local "spend_hourly"}}{{.OnCluster}}
(
    hour                   DateTime('UTC') CODEC(Delta, ZSTD(1)),
    team_id                LowCardinality(String),
    app_id                 LowCardinality(String),
    cost_center            LowCardinality(String),
    credential_fingerprint LowCardinality(String),
    provider               LowCardinality(String),
    model                  LowCardinality(String) COMMENT 'the answering model, else the asked one, else unknown',
    policy_decision        Enum8('unknown' = 0, 'allow' = 1, 'deny' = 2, 'no_policy' = 3),
    calls                  SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    errors                 SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    unpriced_calls         SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    calls_without_usage    SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    in_tokens              SimpleAggregateFunction(sum, UInt64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    in_cache_read_tokens   SimpleAggregateFunction(sum, UInt64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    out_tokens             SimpleAggregateFunction(sum, UInt64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    cost_usd               SimpleAggregateFunction(sum, Decimal(38, 12)) COMMENT 'priced calls only' CODEC(ZSTD(1))
)
ENGINE = {{.AggregatingMergeTree "spend_hourly"}}
ORDER BY (team_id, hour, app_id, cost_center, credential_fingerprint, provider, model, policy_decision)
{{.AggregateSettings}};

{{.Distributed "spend_hourly" "sipHash64(team_id, hour)"}}

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Local "spend_hourly_mv"}}{{.OnCluster}} TO {{.Local "spend_hourly"}} AS
SELECT
    toStartOfHour(toDateTime(started_at, 'UTC')) AS hour,
    team_id,
    app_id,
    cost_center,
    credential_fingerprint,
    provider,
    CAST(multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown'), 'LowCardinality(String)') AS model,
    policy_decision,
    count() AS calls,
    countIf(http_status = 0 OR http_status >= 400 OR stream_outcome IN ('upstream_abort', 'no_response')) AS errors,
    countIf(cost_status NOT IN ('priced', 'not_billed')) AS unpriced_calls,
    countIf(usage_source IN ('unknown', 'none') AND cost_status != 'not_billed') AS calls_without_usage,
    sum(ifNull(in_total, 0)) AS in_tokens,
    sum(ifNull(in_cache_read, 0)) AS in_cache_read_tokens,
    sum(ifNull(out_total, 0)) AS out_tokens,
    sum(toDecimal128(ifNull(calls.cost_usd, 0), 12)) AS cost_usd
FROM {{.Local "calls"}} AS calls
GROUP BY hour, team_id, app_id, cost_center, credential_fingerprint, provider, model, policy_decision;

-- Monthly budgets as each directory version stated them; written when a version is loaded, never changed.
CREATE TABLE IF NOT EXISTS {{.Table "team_budgets"}}{{.OnCluster}}
(
    team_id            LowCardinality(String),
    effective_from     Date,
    monthly_budget_usd Decimal(38, 12),
    directory_version  LowCardinality(String),
    loaded_at          DateTime64(3, 'UTC')
)
ENGINE = {{.Everywhere "team_budgets"}}
ORDER BY (team_id, effective_from, loaded_at)
{{.AggregateSettings}};
