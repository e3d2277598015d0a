-- Every credential that was ever seen, with where and for what it was used.
CREATE TABLE IF NOT EXISTS {{.Local "credential_inventory"}}{{.OnCluster}}
(
    credential_fingerprint LowCardinality(String),
    credential_id          LowCardinality(String),
    credential_status      LowCardinality(String),
    provider               LowCardinality(String),
    team_id                LowCardinality(String),
    app_id                 LowCardinality(String),
    credential_last4       SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    credential_kind        SimpleAggregateFunction(max, String) CODEC(ZSTD(1)),
    first_seen             SimpleAggregateFunction(min, DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    last_seen              SimpleAggregateFunction(max, DateTime64(6, 'UTC')) CODEC(ZSTD(1)),
    calls                  SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    denied_calls           SimpleAggregateFunction(sum, UInt64) CODEC(T64, ZSTD(1)),
    models                 SimpleAggregateFunction(groupUniqArrayArray(100), Array(String)) COMMENT 'up to 100' CODEC(ZSTD(1)),
    cost_usd               SimpleAggregateFunction(sum, Decimal(38, 12)) CODEC(ZSTD(1))
)
ENGINE = {{.AggregatingMergeTree "credential_inventory"}}
ORDER BY (credential_fingerprint, credential_id, credential_status, provider, team_id, app_id)
{{.AggregateSettings}};

{{.Distributed "credential_inventory" "sipHash64(credential_fingerprint)"}}

CREATE MATERIALIZED VIEW IF NOT EXISTS {{.Local "credential_inventory_mv"}}{{.OnCluster}} TO {{.Local "credential_inventory"}} AS
SELECT
    credential_fingerprint,
    credential_id,
    credential_status,
    provider,
    team_id,
    app_id,
    max(toString(calls.credential_last4)) AS credential_last4,
    max(toString(calls.credential_kind)) AS credential_kind,
    min(started_at) AS first_seen,
    max(started_at) AS last_seen,
    count() AS calls,
    countIf(policy_decision = 'deny') AS denied_calls,
    groupUniqArrayArray(100)([toString(multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown'))]) AS models,
    sum(toDecimal128(ifNull(calls.cost_usd, 0), 12)) AS cost_usd
FROM {{.Local "calls"}} AS calls
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id;
