-- A row that a replay writes again carries the number of that replay; the first writing is version 0. A record that a
-- source delivered twice keeps its place in envelopes with status repeated and has no other row.
ALTER TABLE {{.Local "envelopes"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1)),
    MODIFY COLUMN status Enum8('stored' = 1, 'rejected' = 2, 'repeated' = 3),
    ADD INDEX IF NOT EXISTS source_range (source_epoch, source_sequence) TYPE minmax GRANULARITY 1;
{{if .Clustered}}ALTER TABLE {{.Table "envelopes"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0,
    MODIFY COLUMN status Enum8('stored' = 1, 'rejected' = 2, 'repeated' = 3);{{end}}
ALTER TABLE {{.Local "calls"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));
{{if .Clustered}}ALTER TABLE {{.Table "calls"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0;{{end}}
ALTER TABLE {{.Local "payloads"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));
{{if .Clustered}}ALTER TABLE {{.Table "payloads"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0;{{end}}
ALTER TABLE {{.Local "tool_calls"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0 COMMENT '0, or the number of the replay that wrote the row' CODEC(T64, ZSTD(1));
{{if .Clustered}}ALTER TABLE {{.Table "tool_calls"}}{{.OnCluster}}
    ADD COLUMN IF NOT EXISTS row_version UInt32 DEFAULT 0;{{end}}
