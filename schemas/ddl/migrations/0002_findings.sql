CREATE TABLE IF NOT EXISTS {{.Local "findings"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "findings"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (detected_at, finding_key)
{{.Settings}};

{{.Distributed "findings" "sipHash64(finding_key)"}}

-- Every record that could not become a row, with its original bytes.
CREATE TABLE IF NOT EXISTS {{.Local "dead_letters"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "dead_letters"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (topic, partition, offset)
{{.Settings}};

{{.Distributed "dead_letters" "sipHash64(topic, partition, offset)"}}
