-- What sources say of themselves: one row for every hour that a signed statement tells, at least one per statement. The
-- columns of the statement repeat in each of its rows.
CREATE TABLE IF NOT EXISTS {{.Local "source_statements"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "source_statements"}}
PARTITION BY toYYYYMM(ingested_at)
ORDER BY (source_kind, source_instance, source_epoch, statement, hour)
{{.Settings}};

{{.Distributed "source_statements" "sipHash64(source_instance)"}}

-- What the checker found, per source and hour: a new row, with a higher version, whenever a figure changed.
CREATE TABLE IF NOT EXISTS {{.Local "source_completeness"}}{{.OnCluster}}
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
ENGINE = {{.MergeTree "source_completeness"}}
PARTITION BY toYYYYMM(hour)
ORDER BY (source_kind, source_instance, hour, version)
{{.Settings}};

{{.Distributed "source_completeness" "sipHash64(source_instance)"}}

CREATE OR REPLACE VIEW {{.Table "v_source_completeness"}}{{.OnCluster}} AS
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
FROM {{.Table "source_completeness"}} AS c
GROUP BY source_kind, source_instance, hour;
