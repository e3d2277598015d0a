-- database
CREATE DATABASE IF NOT EXISTS modeltrail;

-- schema_migrations
CREATE TABLE IF NOT EXISTS modeltrail.schema_migrations
(
    version    UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY version
SETTINGS non_replicated_deduplication_window = 10000;

-- 0001_calls
-- One narrow row for every envelope that Kafka holds, also rejected ones: the completeness oracle.
-- Per partition: count() = uniqExact(offset) = max(offset) - min(offset) + 1.
CREATE TABLE IF NOT EXISTS modeltrail.envelopes
(
    topic                  LowCardinality(String),
    partition              Int32 CODEC(T64, ZSTD(1)),
    offset                 Int64 CODEC(Delta, ZSTD(1)),
    ingested_at            DateTime64(3, 'UTC') COMMENT 'broker time' CODEC(Delta, ZSTD(1)),
    status                 Enum8('stored' = 1, 'rejected' = 2),
    reject_reason          LowCardinality(String),
    call_id                String CODEC(ZSTD(1)),
    phase                  Enum8('unknown' = 0, 'request' = 1, 'response' = 2),
    started_at             DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    observed_at            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    source_kind            LowCardinality(String),
    source_instance        LowCardinality(String),
    source_epoch           UInt64 CODEC(Delta, ZSTD(1)),
    source_sequence        UInt64 CODEC(Delta, ZSTD(1)),
    source_dropped         UInt64 CODEC(Delta, ZSTD(1)),
    gateway                LowCardinality(String),
    route                  LowCardinality(String),
    credential_fingerprint LowCardinality(String),
    principal              LowCardinality(String),
    team_id                LowCardinality(String),
    app_id                 LowCardinality(String),
    provider               LowCardinality(String),
    operation              LowCardinality(String),
    request_model          LowCardinality(String),
    policy_decision        Enum8('unknown' = 0, 'allow' = 1, 'deny' = 2, 'no_policy' = 3),
    policy_rule            LowCardinality(String),
    value_bytes            UInt32 CODEC(T64, ZSTD(1)),
    schema_version         UInt16 CODEC(T64, ZSTD(1)),
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0001_calls
-- One wide row for every finished call.
CREATE TABLE IF NOT EXISTS modeltrail.calls
(
    call_id                 String CODEC(ZSTD(1)),
    started_at              DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    ended_at                DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    duration_us             Nullable(UInt64) CODEC(T64, ZSTD(1)),
    time_to_first_byte_us   Nullable(UInt64) CODEC(T64, ZSTD(1)),
    time_to_first_token_us  Nullable(UInt64) CODEC(T64, ZSTD(1)),
    gateway                 LowCardinality(String),
    route                   LowCardinality(String),
    method                  LowCardinality(String),
    host                    LowCardinality(String),
    path                    LowCardinality(String),
    http_status             UInt16 COMMENT '0: no response head came' CODEC(ZSTD(1)),
    stream                  Bool,
    stream_outcome          Enum8('unknown' = 0, 'complete' = 1, 'client_abort' = 2, 'upstream_abort' = 3, 'no_response' = 4),
    error_class             LowCardinality(String),
    error_type              LowCardinality(String) COMMENT 'the provider''s own class',
    client_address          String CODEC(ZSTD(1)),
    user_agent              LowCardinality(String),
    request_id              String CODEC(ZSTD(1)),
    trace_id                String CODEC(ZSTD(1)),
    conversation_id         String CODEC(ZSTD(1)),
    credential_fingerprint  LowCardinality(String),
    credential_last4        LowCardinality(String),
    credential_kind         LowCardinality(String),
    credential_id           LowCardinality(String),
    credential_status       LowCardinality(String),
    principal               LowCardinality(String),
    principal_kind          LowCardinality(String),
    end_user                String CODEC(ZSTD(1)),
    team_id                 LowCardinality(String),
    app_id                  LowCardinality(String),
    owner                   LowCardinality(String),
    purpose                 LowCardinality(String),
    cost_center             LowCardinality(String),
    identity_source         LowCardinality(String),
    directory_version       LowCardinality(String),
    policy_id               LowCardinality(String),
    policy_version          LowCardinality(String),
    policy_decision         Enum8('unknown' = 0, 'allow' = 1, 'deny' = 2, 'no_policy' = 3),
    policy_rule             LowCardinality(String),
    policy_reason           LowCardinality(String),
    provider                LowCardinality(String),
    operation               LowCardinality(String),
    dialect                 LowCardinality(String),
    decoder_version         LowCardinality(String),
    decode_error            LowCardinality(String),
    request_model           LowCardinality(String),
    response_model          LowCardinality(String),
    response_id             String CODEC(ZSTD(1)),
    service_tier            LowCardinality(String),
    finish_reasons          Array(LowCardinality(String)),
    tools_offered           Array(LowCardinality(String)),
    tool_names              Array(LowCardinality(String)) COMMENT 'tools the model called',
    usage_source            Enum8('unknown' = 0, 'provider' = 1, 'gateway' = 2, 'estimated' = 3, 'partial' = 4, 'none' = 5),
    usage_flags             Array(LowCardinality(String)),
    in_total                Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_uncached             Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_cache_read           Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_cache_write_5m       Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_cache_write_1h       Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_cache_write_unknown  Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_audio                Nullable(UInt64) CODEC(T64, ZSTD(1)),
    in_image                Nullable(UInt64) CODEC(T64, ZSTD(1)),
    out_total               Nullable(UInt64) CODEC(T64, ZSTD(1)),
    out_text                Nullable(UInt64) CODEC(T64, ZSTD(1)),
    out_reasoning           Nullable(UInt64) CODEC(T64, ZSTD(1)),
    out_audio               Nullable(UInt64) CODEC(T64, ZSTD(1)),
    web_searches            Nullable(UInt64) CODEC(T64, ZSTD(1)),
    images                  Nullable(UInt64) CODEC(T64, ZSTD(1)),
    audio_milliseconds      Nullable(UInt64) CODEC(T64, ZSTD(1)),
    cost_status             Enum8('unknown' = 0, 'priced' = 1, 'unknown_model' = 2, 'no_usage' = 3, 'unpriced_unit' = 4, 'not_billed' = 5),
    cost_usd                Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),
    input_cost_usd          Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),
    output_cost_usd         Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),
    cost_detail             LowCardinality(String),
    price_id                LowCardinality(String),
    price_version           LowCardinality(String),
    capture_mode            Enum8('unknown' = 0, 'metadata' = 1, 'hash' = 2, 'redacted' = 3, 'full' = 4),
    request_payload_state   Enum8('unknown' = 0, 'full' = 1, 'truncated' = 2, 'absent' = 3, 'binary' = 4, 'undecodable' = 5),
    request_bytes           UInt64 CODEC(T64, ZSTD(1)),
    request_digest          String COMMENT 'HMAC-SHA-256, 32 raw bytes or empty' CODEC(ZSTD(1)),
    response_payload_state  Enum8('unknown' = 0, 'full' = 1, 'truncated' = 2, 'absent' = 3, 'binary' = 4, 'undecodable' = 5),
    response_bytes          UInt64 CODEC(T64, ZSTD(1)),
    response_digest         String CODEC(ZSTD(1)),
    redacted                UInt32 COMMENT 'secrets and PII removed from both bodies' CODEC(T64, ZSTD(1)),
    attributes              Map(LowCardinality(String), String) COMMENT 'allow-listed request headers' CODEC(ZSTD(1)),
    source_instance         LowCardinality(String),
    topic                   LowCardinality(String),
    partition               Int32 CODEC(T64, ZSTD(1)),
    offset                  Int64 CODEC(Delta, ZSTD(1)),
    ingested_at             DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    schema_version          UInt16 CODEC(T64, ZSTD(1)),
    INDEX call_id_bloom call_id TYPE bloom_filter(0.01) GRANULARITY 4,
    INDEX credential_set credential_fingerprint TYPE set(1000) GRANULARITY 4,
    INDEX model_set response_model TYPE set(1000) GRANULARITY 4,
    INDEX request_model_set request_model TYPE set(1000) GRANULARITY 4
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (team_id, app_id, started_at, call_id)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0001_calls
-- Bodies, apart from the calls: their own retention and their own grants.
CREATE TABLE IF NOT EXISTS modeltrail.payloads
(
    call_id           String CODEC(ZSTD(1)),
    phase             Enum8('unknown' = 0, 'request' = 1, 'response' = 2),
    team_id           LowCardinality(String),
    started_at        DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    capture_mode      Enum8('unknown' = 0, 'metadata' = 1, 'hash' = 2, 'redacted' = 3, 'full' = 4),
    state             Enum8('unknown' = 0, 'full' = 1, 'truncated' = 2, 'absent' = 3, 'binary' = 4, 'undecodable' = 5),
    content_type      LowCardinality(String),
    content_encoding  LowCardinality(String),
    wire_bytes        UInt64 CODEC(T64, ZSTD(1)),
    captured_bytes    UInt64 CODEC(T64, ZSTD(1)),
    digest            String CODEC(ZSTD(1)),
    key_id            LowCardinality(String),
    body              String CODEC(ZSTD(3)),
    redactions        Map(LowCardinality(String), UInt32) CODEC(ZSTD(1)),
    topic             LowCardinality(String),
    partition         Int32 CODEC(T64, ZSTD(1)),
    offset            Int64 CODEC(Delta, ZSTD(1)),
    ingested_at       DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    schema_version    UInt16 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (call_id, phase)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0001_calls
-- One row for every tool the model asked for.
CREATE TABLE IF NOT EXISTS modeltrail.tool_calls
(
    call_id          String CODEC(ZSTD(1)),
    position         UInt16 COMMENT 'place in the answer, from 0' CODEC(ZSTD(1)),
    tool_name        LowCardinality(String),
    tool_type        LowCardinality(String),
    tool_server      LowCardinality(String),
    tool_call_id     String CODEC(ZSTD(1)),
    arguments_bytes  Nullable(UInt64) CODEC(T64, ZSTD(1)),
    team_id          LowCardinality(String),
    app_id           LowCardinality(String),
    credential_fingerprint LowCardinality(String),
    provider         LowCardinality(String),
    response_model   LowCardinality(String),
    policy_decision  Enum8('unknown' = 0, 'allow' = 1, 'deny' = 2, 'no_policy' = 3),
    started_at       DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    topic            LowCardinality(String),
    partition        Int32 CODEC(T64, ZSTD(1)),
    offset           Int64 CODEC(Delta, ZSTD(1)),
    ingested_at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    schema_version   UInt16 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (team_id, tool_name, started_at, call_id, position)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0002_findings
CREATE TABLE IF NOT EXISTS modeltrail.findings
(
    finding_key            String CODEC(ZSTD(1)),
    detector               LowCardinality(String),
    detector_version       LowCardinality(String),
    severity               Enum8('unknown' = 0, 'informational' = 1, 'low' = 2, 'medium' = 3, 'high' = 4, 'critical' = 5),
    title                  String CODEC(ZSTD(1)),
    description            String CODEC(ZSTD(1)),
    team_id                LowCardinality(String),
    app_id                 LowCardinality(String),
    credential_fingerprint LowCardinality(String),
    principal              LowCardinality(String),
    provider               LowCardinality(String),
    model                  LowCardinality(String),
    policy_id              LowCardinality(String),
    policy_rule            LowCardinality(String),
    call_id                String CODEC(ZSTD(1)),
    first_seen_at          DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    last_seen_at           DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    detected_at            DateTime64(6, 'UTC') CODEC(Delta, ZSTD(1)),
    impact_usd             Nullable(Decimal(18, 12)) CODEC(ZSTD(1)),
    evidence               Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    topic                  LowCardinality(String),
    partition              Int32 CODEC(T64, ZSTD(1)),
    offset                 Int64 CODEC(Delta, ZSTD(1)),
    ingested_at            DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    schema_version         UInt16 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (detected_at, finding_key)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0002_findings
-- Every record that could not become a row, with its original bytes.
CREATE TABLE IF NOT EXISTS modeltrail.dead_letters
(
    topic          LowCardinality(String),
    partition      Int32 CODEC(T64, ZSTD(1)),
    offset         Int64 CODEC(Delta, ZSTD(1)),
    ingested_at    DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    stage          LowCardinality(String),
    reason         LowCardinality(String),
    detail         String CODEC(ZSTD(1)),
    record_key     String CODEC(ZSTD(1)),
    record_value   String CODEC(ZSTD(3)),
    headers        Map(LowCardinality(String), String) CODEC(ZSTD(1)),
    schema_version UInt16 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (topic, partition, offset)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0003_spend
-- Spend and volume by hour. Filled from every block of calls, so it costs no second read, and a repeated insert of
-- calls leaves it unchanged: the deduplication token reaches the view's target too.
CREATE TABLE IF NOT EXISTS modeltrail.spend_hourly
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
ENGINE = AggregatingMergeTree
ORDER BY (team_id, hour, app_id, cost_center, credential_fingerprint, provider, model, policy_decision)
SETTINGS non_replicated_deduplication_window = 10000;

-- 0003_spend
CREATE MATERIALIZED VIEW IF NOT EXISTS modeltrail.spend_hourly_mv TO modeltrail.spend_hourly AS
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
FROM modeltrail.calls AS calls
GROUP BY hour, team_id, app_id, cost_center, credential_fingerprint, provider, model, policy_decision;

-- 0003_spend
-- Monthly budgets as each directory version stated them; written when a version is loaded, never changed.
CREATE TABLE IF NOT EXISTS modeltrail.team_budgets
(
    team_id            LowCardinality(String),
    effective_from     Date,
    monthly_budget_usd Decimal(38, 12),
    directory_version  LowCardinality(String),
    loaded_at          DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (team_id, effective_from, loaded_at)
SETTINGS non_replicated_deduplication_window = 10000;

-- 0004_credentials
-- Every credential that was ever seen, with where and for what it was used.
CREATE TABLE IF NOT EXISTS modeltrail.credential_inventory
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
ENGINE = AggregatingMergeTree
ORDER BY (credential_fingerprint, credential_id, credential_status, provider, team_id, app_id)
SETTINGS non_replicated_deduplication_window = 10000;

-- 0004_credentials
CREATE MATERIALIZED VIEW IF NOT EXISTS modeltrail.credential_inventory_mv TO modeltrail.credential_inventory AS
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
FROM modeltrail.calls AS calls
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id;

-- 0005_views
-- Views for people. They hold no rows; a later migration may replace them.
CREATE OR REPLACE VIEW modeltrail.v_spend_daily AS
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
FROM modeltrail.spend_hourly
GROUP BY day, team_id, app_id, cost_center, provider, model;

-- 0005_views
-- A team's spend of a month against the budget that was in force at the month's end; NULL when it has none.
CREATE OR REPLACE VIEW modeltrail.v_budget_month AS
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
    FROM modeltrail.spend_hourly
    GROUP BY month, team_id
) AS spent
ASOF LEFT JOIN
(
    SELECT
        team_id,
        effective_from,
        toNullable(argMax(monthly_budget_usd, loaded_at)) AS monthly_budget_usd,
        toNullable(toString(argMax(directory_version, loaded_at))) AS directory_version
    FROM modeltrail.team_budgets
    GROUP BY team_id, effective_from
) AS budget
ON spent.team_id = budget.team_id AND spent.last_day >= budget.effective_from;

-- 0005_views
CREATE OR REPLACE VIEW modeltrail.v_credential_inventory AS
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
FROM modeltrail.credential_inventory
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id;

-- 0005_views
-- Findings once each: a conclusion that was written again keeps its first detection and its latest text.
CREATE OR REPLACE VIEW modeltrail.v_findings AS
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
FROM modeltrail.findings AS f
GROUP BY finding_key;

-- 0005_views
-- Calls that were asked but never answered, as far as the record shows. Use:
-- SELECT * FROM unfinished_calls(since = '2026-01-01 00:00:00', older_than_seconds = 600)
CREATE OR REPLACE VIEW modeltrail.unfinished_calls AS
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
FROM modeltrail.envelopes AS e
WHERE e.status = 'stored' AND e.ingested_at >= {since:DateTime('UTC')}
GROUP BY call_id
HAVING countIf(e.phase = 'response') = 0
    AND countIf(e.phase = 'request') > 0
    AND ingested_at < now64(3, 'UTC') - toIntervalSecond({older_than_seconds:UInt32});

-- 0006_versions
-- A row that a replay writes again carries the number of that replay; the first writing is version 0. A record that a
-- source delivered twice keeps its place in envelopes with status repeated and has no other row.
ALTER TABLE modeltrail.envelopes
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1)),
    MODIFY COLUMN status Enum8('stored' = 1, 'rejected' = 2, 'repeated' = 3),
    ADD INDEX IF NOT EXISTS source_range (source_epoch, source_sequence) TYPE minmax GRANULARITY 1;

-- 0006_versions
ALTER TABLE modeltrail.calls
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));

-- 0006_versions
ALTER TABLE modeltrail.payloads
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));

-- 0006_versions
ALTER TABLE modeltrail.tool_calls
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));

-- 0007_replay
-- Every step of every replay. A replay is started, plans each chunk before it writes it, is finished, which makes its rows
-- visible and supersedes the rows that stood at its offsets before, and is settled when the sums have followed.
CREATE TABLE IF NOT EXISTS modeltrail.replays
(
    version      UInt32 COMMENT 'number of the replay: row_version of what it wrote',
    state        Enum8('started' = 1, 'planned' = 2, 'finished' = 3, 'settled' = 4, 'abandoned' = 5),
    kind         Enum8('span' = 1, 'dead_letters' = 2) COMMENT 'all records of a span, or single dead letters',
    topic        LowCardinality(String),
    partition    Int32,
    first        Int64 COMMENT 'of the span, or of the chunk that is planned',
    last         Int64,
    offsets      Array(Int64) COMMENT 'started, dead_letters: the offsets taken on' CODEC(Delta, ZSTD(1)),
    excluded     Array(Int64) COMMENT 'started: offsets whose rows the server refused' CODEC(Delta, ZSTD(1)),
    since        DateTime64(3, 'UTC') COMMENT 'least ingest time in the span',
    until        DateTime64(3, 'UTC') COMMENT 'greatest ingest time in the span',
    request      String COMMENT 'the arguments, by which an interrupted replay is recognised',
    reason       String,
    software     LowCardinality(String),
    records      UInt64 COMMENT 'finished: records read',
    stored       UInt64 COMMENT 'finished: records that became rows',
    refused      UInt64 COMMENT 'finished: records that stay or became dead letters',
    at           DateTime64(3, 'UTC')
)
ENGINE = MergeTree
ORDER BY (version, state, topic, partition, first)
SETTINGS non_replicated_deduplication_window = 10000;

-- 0007_replay
-- What a replay made of each dead letter it took on. It counts once the replay is finished.
CREATE TABLE IF NOT EXISTS modeltrail.dead_letter_resolutions
(
    topic            LowCardinality(String),
    partition        Int32 CODEC(T64, ZSTD(1)),
    offset           Int64 CODEC(Delta, ZSTD(1)),
    ingested_at      DateTime64(3, 'UTC') COMMENT 'broker time of the record' CODEC(Delta, ZSTD(1)),
    row_version      UInt32 COMMENT 'number of the replay' CODEC(T64, ZSTD(1)),
    replaced_version UInt32 COMMENT 'row_version of the envelopes row that this one replaces' CODEC(T64, ZSTD(1)),
    outcome          Enum8('resolved' = 1, 'refused' = 2),
    stage            LowCardinality(String) COMMENT 'the step that refused it again',
    reason           LowCardinality(String),
    detail           String CODEC(ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (topic, partition, offset, row_version)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0007_replay
ALTER TABLE modeltrail.dead_letters
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));

-- 0007_replay
-- What a replay looks up: the rows it wrote, and the rows at its offsets.
ALTER TABLE modeltrail.calls
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS offset_range offset TYPE minmax GRANULARITY 1;

-- 0007_replay
ALTER TABLE modeltrail.envelopes
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1;

-- 0007_replay
ALTER TABLE modeltrail.payloads
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1;

-- 0007_replay
ALTER TABLE modeltrail.tool_calls
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1;

-- 0007_replay
-- Sums count the first writing of a call as it comes. A replay adds the difference it makes, which may be negative.
ALTER TABLE modeltrail.spend_hourly
    MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN errors SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN unpriced_calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN calls_without_usage SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN in_tokens SimpleAggregateFunction(sum, Int64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    MODIFY COLUMN in_cache_read_tokens SimpleAggregateFunction(sum, Int64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    MODIFY COLUMN out_tokens SimpleAggregateFunction(sum, Int64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS replays SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32)) COMMENT 'replays whose difference is in the row' CODEC(ZSTD(1));

-- 0007_replay
ALTER TABLE modeltrail.credential_inventory
    MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN denied_calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS replays SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32)) COMMENT 'replays whose difference is in the row' CODEC(ZSTD(1));

-- 0007_replay
-- Made anew and not altered: the server derives a view's deduplication tokens from its query, and a query that was altered
-- gives other tokens after a restart than before it. The role store must not run meanwhile.
DROP VIEW IF EXISTS modeltrail.spend_hourly_mv SYNC;

-- 0007_replay
CREATE MATERIALIZED VIEW IF NOT EXISTS modeltrail.spend_hourly_mv TO modeltrail.spend_hourly AS
SELECT
    toStartOfHour(toDateTime(started_at, 'UTC')) AS hour,
    team_id,
    app_id,
    cost_center,
    credential_fingerprint,
    provider,
    CAST(multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown'), 'LowCardinality(String)') AS model,
    policy_decision,
    toInt64(count()) AS calls,
    toInt64(countIf(http_status = 0 OR http_status >= 400 OR stream_outcome IN ('upstream_abort', 'no_response'))) AS errors,
    toInt64(countIf(cost_status NOT IN ('priced', 'not_billed'))) AS unpriced_calls,
    toInt64(countIf(usage_source IN ('unknown', 'none') AND cost_status != 'not_billed')) AS calls_without_usage,
    toInt64(sum(ifNull(in_total, 0))) AS in_tokens,
    toInt64(sum(ifNull(in_cache_read, 0))) AS in_cache_read_tokens,
    toInt64(sum(ifNull(out_total, 0))) AS out_tokens,
    sum(toDecimal128(ifNull(calls.cost_usd, 0), 12)) AS cost_usd
FROM modeltrail.calls AS calls
WHERE row_version = 0
GROUP BY hour, team_id, app_id, cost_center, credential_fingerprint, provider, model, policy_decision;

-- 0007_replay
DROP VIEW IF EXISTS modeltrail.credential_inventory_mv SYNC;

-- 0007_replay
CREATE MATERIALIZED VIEW IF NOT EXISTS modeltrail.credential_inventory_mv TO modeltrail.credential_inventory AS
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
    toInt64(count()) AS calls,
    toInt64(countIf(policy_decision = 'deny')) AS denied_calls,
    groupUniqArrayArray(100)([toString(multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown'))]) AS models,
    sum(toDecimal128(ifNull(calls.cost_usd, 0), 12)) AS cost_usd
FROM modeltrail.calls AS calls
WHERE row_version = 0
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id;

-- 0007_replay
-- The current version of each row. Without a replay the condition is a constant. Read these, not the tables.
CREATE OR REPLACE VIEW modeltrail.v_calls AS
SELECT * FROM modeltrail.calls
WHERE ((SELECT count() = 0 FROM modeltrail.replays)
    OR (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version))
    AND NOT (row_version < (SELECT max(version) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at >= (SELECT min(since) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at <= (SELECT max(until) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND arrayExists(r -> r.1 = topic AND r.2 = partition AND r.3 <= offset AND offset <= r.4 AND r.5 > row_version,
            (SELECT groupArray((topic, partition, first, last, version)) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span'))));

-- 0007_replay
CREATE OR REPLACE VIEW modeltrail.v_tool_calls AS
SELECT * FROM modeltrail.tool_calls
WHERE ((SELECT count() = 0 FROM modeltrail.replays)
    OR (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version))
    AND NOT (row_version < (SELECT max(version) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at >= (SELECT min(since) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at <= (SELECT max(until) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND arrayExists(r -> r.1 = topic AND r.2 = partition AND r.3 <= offset AND offset <= r.4 AND r.5 > row_version,
            (SELECT groupArray((topic, partition, first, last, version)) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span'))));

-- 0007_replay
CREATE OR REPLACE VIEW modeltrail.v_payloads AS
SELECT * FROM modeltrail.payloads
WHERE ((SELECT count() = 0 FROM modeltrail.replays)
    OR (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version))
    AND NOT (row_version < (SELECT max(version) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at >= (SELECT min(since) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at <= (SELECT max(until) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND arrayExists(r -> r.1 = topic AND r.2 = partition AND r.3 <= offset AND offset <= r.4 AND r.5 > row_version,
            (SELECT groupArray((topic, partition, first, last, version)) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span'))));

-- 0007_replay
-- One row for every offset: a record that a source delivered twice stays what it is in every replay, and the row of a
-- dead letter gives way to the row that a replay made of it.
CREATE OR REPLACE VIEW modeltrail.v_envelopes AS
SELECT * FROM modeltrail.envelopes
WHERE status = 'repeated' AND (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version)) OR ((SELECT count() = 0 FROM modeltrail.replays)
    OR (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version))
    AND NOT (row_version < (SELECT max(version) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at >= (SELECT min(since) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND ingested_at <= (SELECT max(until) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span')
        AND arrayExists(r -> r.1 = topic AND r.2 = partition AND r.3 <= offset AND offset <= r.4 AND r.5 > row_version,
            (SELECT groupArray((topic, partition, first, last, version)) FROM modeltrail.replays WHERE state = 'finished' AND kind = 'span'))))
    AND (status != 'rejected' OR (SELECT count() = 0 FROM modeltrail.replays WHERE kind = 'dead_letters')
        OR (topic, partition, offset, row_version) NOT IN
        (
            SELECT topic, partition, offset, replaced_version
            FROM modeltrail.dead_letter_resolutions
            WHERE outcome = 'resolved' AND row_version IN (SELECT version FROM modeltrail.replays WHERE state = 'finished')
        ));

-- 0007_replay
-- Open dead letters: refused at first or by a replay, and by no later one resolved.
CREATE OR REPLACE VIEW modeltrail.v_dead_letters AS
SELECT
    d.topic AS topic,
    d.partition AS partition,
    d.offset AS offset,
    d.ingested_at AS ingested_at,
    toUInt64(dateDiff('second', d.ingested_at, now64(3, 'UTC'))) AS age_seconds,
    if(t.refusals > 0, t.stage, toString(d.stage)) AS stage,
    if(t.refusals > 0, t.reason, toString(d.reason)) AS reason,
    if(t.refusals > 0, t.detail, d.detail) AS detail,
    1 + t.refusals AS attempts,
    d.record_key AS record_key,
    d.record_value AS record_value,
    d.headers AS headers
FROM
(
    SELECT * FROM modeltrail.dead_letters
    WHERE (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version))
    ORDER BY row_version DESC
    LIMIT 1 BY topic, partition, offset
) AS d
LEFT JOIN
(
    SELECT
        topic,
        partition,
        offset,
        maxIf(row_version, outcome = 'resolved') AS resolved_by,
        countIf(outcome = 'refused') AS refusals,
        argMaxIf(toString(r.stage), row_version, outcome = 'refused') AS stage,
        argMaxIf(toString(r.reason), row_version, outcome = 'refused') AS reason,
        argMaxIf(r.detail, row_version, outcome = 'refused') AS detail
    FROM modeltrail.dead_letter_resolutions AS r
    WHERE (row_version = 0 OR has((SELECT groupUniqArray(version) FROM modeltrail.replays WHERE state = 'finished'), row_version))
    GROUP BY topic, partition, offset
) AS t ON t.topic = d.topic AND t.partition = d.partition AND t.offset = d.offset
WHERE t.resolved_by = 0 OR t.resolved_by < d.row_version;

-- 0007_replay
-- The views that stood before, over current rows. A sum that a replay has emptied is no row.
CREATE OR REPLACE VIEW modeltrail.v_spend_daily AS
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
FROM modeltrail.spend_hourly
GROUP BY day, team_id, app_id, cost_center, provider, model
HAVING calls != 0;

-- 0007_replay
CREATE OR REPLACE VIEW modeltrail.v_credential_inventory AS
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
FROM modeltrail.credential_inventory
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id
HAVING call_count != 0;

-- 0007_replay
CREATE OR REPLACE VIEW modeltrail.unfinished_calls AS
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
FROM modeltrail.v_envelopes AS e
WHERE e.status = 'stored' AND e.ingested_at >= {since:DateTime('UTC')}
GROUP BY call_id
HAVING countIf(e.phase = 'response') = 0
    AND countIf(e.phase = 'request') > 0
    AND ingested_at < now64(3, 'UTC') - toIntervalSecond({older_than_seconds:UInt32});

-- 0008_sources
-- What sources say of themselves: one row for every hour that a signed statement tells, at least one per statement. The
-- columns of the statement repeat in each of its rows.
CREATE TABLE IF NOT EXISTS modeltrail.source_statements
(
    source_kind         LowCardinality(String),
    source_instance     LowCardinality(String),
    source_epoch        UInt64 CODEC(Delta, ZSTD(1)),
    statement           UInt64 COMMENT 'number within the epoch' CODEC(T64, ZSTD(1)),
    hour                DateTime('UTC') COMMENT '1970: no hour of its own' CODEC(Delta, ZSTD(1)),
    numbered            UInt64 CODEC(T64, ZSTD(1)),
    first_sequence      UInt64 CODEC(T64, ZSTD(1)),
    last_sequence       UInt64 CODEC(T64, ZSTD(1)),
    dropped             Map(LowCardinality(String), UInt64) COMMENT 'never numbered, by reason' CODEC(ZSTD(1)),
    lost                Map(LowCardinality(String), UInt64) COMMENT 'numbered and given up, by reason' CODEC(ZSTD(1)),
    issued_at           DateTime64(6, 'UTC') COMMENT 'by the source''s clock' CODEC(Delta, ZSTD(1)),
    state               Enum8('unknown' = 0, 'running' = 1, 'closed' = 2, 'crashed' = 3),
    started             Bool,
    previous_epoch      UInt64 CODEC(Delta, ZSTD(1)),
    epoch_expected      UInt64 CODEC(T64, ZSTD(1)),
    epoch_last_sequence UInt64 CODEC(T64, ZSTD(1)),
    epoch_dropped       UInt64 CODEC(T64, ZSTD(1)),
    epoch_lost          UInt64 CODEC(T64, ZSTD(1)),
    tracked             Bool,
    delivered           UInt64 CODEC(T64, ZSTD(1)),
    delivered_through   UInt64 CODEC(T64, ZSTD(1)),
    acknowledged        UInt64 CODEC(T64, ZSTD(1)),
    pending             UInt64 CODEC(T64, ZSTD(1)),
    spooled             UInt64 CODEC(T64, ZSTD(1)),
    oldest_spooled_at   DateTime64(6, 'UTC') COMMENT '1970: the spool is empty' CODEC(ZSTD(1)),
    interval_ms         UInt64 CODEC(T64, ZSTD(1)),
    source_version      LowCardinality(String),
    key_id              LowCardinality(String),
    verified            Bool COMMENT 'the signature holds under the key that the statement names',
    pinned              Bool COMMENT 'the key is one of completeness.trusted_keys',
    signed_value        String COMMENT 'the Kafka value as it came; on the first row of a statement' CODEC(ZSTD(3)),
    topic               LowCardinality(String),
    partition           Int32 CODEC(T64, ZSTD(1)),
    offset              Int64 CODEC(Delta, ZSTD(1)),
    ingested_at         DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    schema_version      UInt16 CODEC(T64, ZSTD(1))
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (source_kind, source_instance, source_epoch, statement, hour)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0008_sources
-- What the checker found, per source and hour: a new row, with a higher version, whenever a figure changed.
CREATE TABLE IF NOT EXISTS modeltrail.source_completeness
(
    source_kind     LowCardinality(String),
    source_instance LowCardinality(String),
    hour            DateTime('UTC') COMMENT '1970: no hour of its own' CODEC(Delta, ZSTD(1)),
    version         UInt64 COMMENT 'unix milliseconds of the check' CODEC(Delta, ZSTD(1)),
    checked_at      DateTime64(3, 'UTC') CODEC(Delta, ZSTD(1)),
    epochs          UInt32 COMMENT 'boots that numbered in this hour' CODEC(T64, ZSTD(1)),
    sent            UInt64 COMMENT 'envelopes numbered' CODEC(T64, ZSTD(1)),
    stored          UInt64 CODEC(T64, ZSTD(1)),
    dead_lettered   UInt64 CODEC(T64, ZSTD(1)),
    repeated        UInt64 COMMENT 'rows of sequences that stand already' CODEC(T64, ZSTD(1)),
    dropped         Map(LowCardinality(String), UInt64) COMMENT 'given up, by reason' CODEC(ZSTD(1)),
    pending         UInt64 COMMENT 'not delivered yet' CODEC(T64, ZSTD(1)),
    missing         UInt64 COMMENT 'delivered and not found' CODEC(T64, ZSTD(1)),
    surplus         UInt64 COMMENT 'found and never told' CODEC(T64, ZSTD(1)),
    verified        Bool COMMENT 'every figure stands in a statement whose signature holds under the trusted key'
)
ENGINE = MergeTree
PARTITION BY toYYYYMM(hour)
ORDER BY (source_kind, source_instance, hour, version)
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1;

-- 0008_sources
CREATE OR REPLACE VIEW modeltrail.v_source_completeness AS
SELECT
    source_kind,
    source_instance,
    hour,
    max(c.checked_at) AS checked_at,
    argMax(c.sent, c.version) AS sent,
    argMax(c.stored, c.version) AS stored,
    argMax(c.dead_lettered, c.version) AS dead_lettered,
    argMax(c.repeated, c.version) AS repeated,
    argMax(c.dropped, c.version) AS dropped,
    argMax(c.pending, c.version) AS pending,
    argMax(c.missing, c.version) AS missing,
    argMax(c.surplus, c.version) AS surplus,
    argMax(c.verified, c.version) AS verified
FROM modeltrail.source_completeness AS c
GROUP BY source_kind, source_instance, hour;

-- retention
ALTER TABLE modeltrail.envelopes MODIFY TTL toDateTime(ingested_at) + toIntervalDay(400);

-- retention
ALTER TABLE modeltrail.calls MODIFY TTL toDateTime(ingested_at) + toIntervalDay(400);

-- retention
ALTER TABLE modeltrail.payloads MODIFY TTL toDateTime(ingested_at) + toIntervalDay(30);

-- retention
ALTER TABLE modeltrail.tool_calls MODIFY TTL toDateTime(ingested_at) + toIntervalDay(400);

-- retention
ALTER TABLE modeltrail.dead_letters MODIFY TTL toDateTime(ingested_at) + toIntervalDay(90);

-- retention
ALTER TABLE modeltrail.dead_letter_resolutions MODIFY TTL toDateTime(ingested_at) + toIntervalDay(400);

-- retention
ALTER TABLE modeltrail.source_statements MODIFY TTL toDateTime(ingested_at) + toIntervalDay(400);

-- retention
ALTER TABLE modeltrail.source_completeness MODIFY TTL hour + toIntervalDay(400);

