-- One narrow row for every envelope that Kafka holds, also rejected ones: the completeness oracle.
-- Per partition: count() = uniqExact(offset) = max(offset) - min(offset) + 1.
CREATE TABLE IF NOT EXISTS {{.Local "envelopes"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "envelopes"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (topic, partition, offset)
{{.Settings}};

{{.Distributed "envelopes" "sipHash64(call_id)"}}

-- One wide row for every finished call.
CREATE TABLE IF NOT EXISTS {{.Local "calls"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "calls"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (team_id, app_id, started_at, call_id)
{{.Settings}};

{{.Distributed "calls" "sipHash64(call_id)"}}

-- Bodies, apart from the calls: their own retention and their own grants.
CREATE TABLE IF NOT EXISTS {{.Local "payloads"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "payloads"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (call_id, phase)
{{.Settings}};

{{.Distributed "payloads" "sipHash64(call_id)"}}

-- One row for every tool the model asked for.
CREATE TABLE IF NOT EXISTS {{.Local "tool_calls"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "tool_calls"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (team_id, tool_name, started_at, call_id, position)
{{.Settings}};

{{.Distributed "tool_calls" "sipHash64(call_id)"}}
