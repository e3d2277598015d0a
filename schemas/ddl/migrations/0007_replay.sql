-- Every step of every replay. A replay is started, plans each chunk before it writes it, is finished, which makes its rows
-- visible and supersedes the rows that stood at its offsets before, and is settled when the sums have followed.
CREATE TABLE IF NOT EXISTS {{.Table "replays"}}{{.OnCluster}}
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
ENGINE = {{.Everywhere "replays"}}
ORDER BY (version, state, topic, partition, first)
{{.AggregateSettings}};

-- What a replay made of each dead letter it took on. It counts once the replay is finished.
CREATE TABLE IF NOT EXISTS {{.Local "dead_letter_resolutions"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "dead_letter_resolutions"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (topic, partition, offset, row_version)
{{.Settings}};

{{.Distributed "dead_letter_resolutions" "sipHash64(topic, partition, offset)"}}

ALTER TABLE {{.Local "dead_letters"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));
{{if .Clustered}}ALTER TABLE {{.Table "dead_letters"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0;{{end}}

-- What a replay looks up: the rows it wrote, and the rows at its offsets.
ALTER TABLE {{.Local "calls"}}{{.OnCluster}}
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1,
    ADD INDEX IF NOT EXISTS offset_range offset TYPE minmax GRANULARITY 1;
ALTER TABLE {{.Local "envelopes"}}{{.OnCluster}}
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1;
ALTER TABLE {{.Local "payloads"}}{{.OnCluster}}
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1;
ALTER TABLE {{.Local "tool_calls"}}{{.OnCluster}}
    ADD INDEX IF NOT EXISTS version_range row_version TYPE minmax GRANULARITY 1;

-- Sums count the first writing of a call as it comes. A replay adds the difference it makes, which may be negative.
ALTER TABLE {{.Local "spend_hourly"}}{{.OnCluster}}
    MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN errors SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN unpriced_calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN calls_without_usage SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN in_tokens SimpleAggregateFunction(sum, Int64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    MODIFY COLUMN in_cache_read_tokens SimpleAggregateFunction(sum, Int64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    MODIFY COLUMN out_tokens SimpleAggregateFunction(sum, Int64) COMMENT 'known counts only' CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS replays SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32)) COMMENT 'replays whose difference is in the row' CODEC(ZSTD(1));
{{if .Clustered}}ALTER TABLE {{.Table "spend_hourly"}}{{.OnCluster}}
    MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN errors SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN unpriced_calls SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN calls_without_usage SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN in_tokens SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN in_cache_read_tokens SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN out_tokens SimpleAggregateFunction(sum, Int64),
    ADD COLUMN IF NOT EXISTS replays SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32));{{end}}
ALTER TABLE {{.Local "credential_inventory"}}{{.OnCluster}}
    MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    MODIFY COLUMN denied_calls SimpleAggregateFunction(sum, Int64) CODEC(T64, ZSTD(1)),
    ADD COLUMN IF NOT EXISTS replays SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32)) COMMENT 'replays whose difference is in the row' CODEC(ZSTD(1));
{{if .Clustered}}ALTER TABLE {{.Table "credential_inventory"}}{{.OnCluster}}
    MODIFY COLUMN calls SimpleAggregateFunction(sum, Int64),
    MODIFY COLUMN denied_calls SimpleAggregateFunction(sum, Int64),
    ADD COLUMN IF NOT EXISTS replays SimpleAggregateFunction(groupUniqArrayArray, Array(UInt32));{{end}}

-- Made anew and not altered: the server derives a view's deduplication tokens from its query, and a query that was altered
-- gives other tokens after a restart than before it. The role store must not run meanwhile.
DROP VIEW IF EXISTS {{.Local "spend_hourly_mv"}}{{.OnCluster}} SYNC;
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
    toInt64(count()) AS calls,
    toInt64(countIf(http_status = 0 OR http_status >= 400 OR stream_outcome IN ('upstream_abort', 'no_response'))) AS errors,
    toInt64(countIf(cost_status NOT IN ('priced', 'not_billed'))) AS unpriced_calls,
    toInt64(countIf(usage_source IN ('unknown', 'none') AND cost_status != 'not_billed')) AS calls_without_usage,
    toInt64(sum(ifNull(in_total, 0))) AS in_tokens,
    toInt64(sum(ifNull(in_cache_read, 0))) AS in_cache_read_tokens,
    toInt64(sum(ifNull(out_total, 0))) AS out_tokens,
    sum(toDecimal128(ifNull(calls.cost_usd, 0), 12)) AS cost_usd
FROM {{.Local "calls"}} AS calls
WHERE row_version = 0
GROUP BY hour, team_id, app_id, cost_center, credential_fingerprint, provider, model, policy_decision;

DROP VIEW IF EXISTS {{.Local "credential_inventory_mv"}}{{.OnCluster}} SYNC;
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
    toInt64(count()) AS calls,
    toInt64(countIf(policy_decision = 'deny')) AS denied_calls,
    groupUniqArrayArray(100)([toString(multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown'))]) AS models,
    sum(toDecimal128(ifNull(calls.cost_usd, 0), 12)) AS cost_usd
FROM {{.Local "calls"}} AS calls
WHERE row_version = 0
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id;

-- The current version of each row. Without a replay the condition is a constant. Read these, not the tables.
CREATE OR REPLACE VIEW {{.Table "v_calls"}}{{.OnCluster}} AS
SELECT * FROM {{.Table "calls"}}
WHERE {{.Current}};

CREATE OR REPLACE VIEW {{.Table "v_tool_calls"}}{{.OnCluster}} AS
SELECT * FROM {{.Table "tool_calls"}}
WHERE {{.Current}};

CREATE OR REPLACE VIEW {{.Table "v_payloads"}}{{.OnCluster}} AS
SELECT * FROM {{.Table "payloads"}}
WHERE {{.Current}};

-- One row for every offset: a record that a source delivered twice stays what it is in every replay, and the row of a
-- dead letter gives way to the row that a replay made of it.
CREATE OR REPLACE VIEW {{.Table "v_envelopes"}}{{.OnCluster}} AS
SELECT * FROM {{.Table "envelopes"}}
WHERE status = 'repeated' AND {{.Written}} OR {{.Current}}
    AND (status != 'rejected' OR (SELECT count() = 0 FROM {{.Table "replays"}} WHERE kind = 'dead_letters')
        OR (topic, partition, offset, row_version) NOT IN
        (
            SELECT topic, partition, offset, replaced_version
            FROM {{.Table "dead_letter_resolutions"}}
            WHERE outcome = 'resolved' AND row_version IN (SELECT version FROM {{.Table "replays"}} WHERE state = 'finished')
        ));

-- Open dead letters: refused at first or by a replay, and by no later one resolved.
CREATE OR REPLACE VIEW {{.Table "v_dead_letters"}}{{.OnCluster}} AS
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
    SELECT * FROM {{.Table "dead_letters"}}
    WHERE {{.Written}}
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
    FROM {{.Table "dead_letter_resolutions"}} AS r
    WHERE {{.Written}}
    GROUP BY topic, partition, offset
) AS t ON t.topic = d.topic AND t.partition = d.partition AND t.offset = d.offset
WHERE t.resolved_by = 0 OR t.resolved_by < d.row_version;

-- The views that stood before, over current rows. A sum that a replay has emptied is no row.
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
GROUP BY day, team_id, app_id, cost_center, provider, model
HAVING calls != 0;

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
GROUP BY credential_fingerprint, credential_id, credential_status, provider, team_id, app_id
HAVING call_count != 0;

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
FROM {{.Table "v_envelopes"}} AS e
WHERE e.status = 'stored' AND e.ingested_at >= {since:DateTime('UTC')}
GROUP BY call_id
HAVING countIf(e.phase = 'response') = 0
    AND countIf(e.phase = 'request') > 0
    AND ingested_at < now64(3, 'UTC') - toIntervalSecond({older_than_seconds:UInt32});
