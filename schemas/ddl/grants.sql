-- Roles for a ClickHouse server with SQL access control (users.xml: access_management = 1).
-- Bodies are readable by {{.Database}}_compliance alone. Give a person a role with: GRANT {{.Database}}_soc TO alice;
-- A materialized view writes with its definer's rights, so the writer needs no right on the views' targets.

CREATE ROLE IF NOT EXISTS {{.Database}}_compliance{{.OnCluster}};
CREATE ROLE IF NOT EXISTS {{.Database}}_soc{{.OnCluster}};
CREATE ROLE IF NOT EXISTS {{.Database}}_finops{{.OnCluster}};
CREATE ROLE IF NOT EXISTS {{.Database}}_dashboards{{.OnCluster}};
CREATE ROLE IF NOT EXISTS {{.Database}}_writer{{.OnCluster}};
CREATE ROLE IF NOT EXISTS {{.Database}}_operator{{.OnCluster}};

-- Readers change nothing, but may set limits of their own queries below these.
CREATE SETTINGS PROFILE IF NOT EXISTS {{.Database}}_reader{{.OnCluster}}
    SETTINGS readonly = 2, max_execution_time = 300 MAX 900, max_memory_usage = 8000000000 MAX 16000000000, max_result_bytes = 1000000000
    TO {{.Database}}_compliance, {{.Database}}_soc, {{.Database}}_finops;
CREATE SETTINGS PROFILE IF NOT EXISTS {{.Database}}_board{{.OnCluster}}
    SETTINGS readonly = 2, max_execution_time = 60 MAX 120, max_memory_usage = 4000000000 MAX 4000000000
    TO {{.Database}}_dashboards;

GRANT{{.OnCluster}} SELECT ON {{.Database}}.* TO {{.Database}}_compliance;
{{range $table := .ReaderTables}}
GRANT{{$.OnCluster}} SELECT ON {{$.Database}}.{{$table}} TO {{$.Database}}_soc, {{$.Database}}_dashboards;
{{- end}}
{{range $table := .SpendTables}}
GRANT{{$.OnCluster}} SELECT ON {{$.Database}}.{{$table}} TO {{$.Database}}_finops, {{$.Database}}_soc, {{$.Database}}_dashboards;
{{- end}}
{{range $table := .WriterTables}}
GRANT{{$.OnCluster}} INSERT ON {{$.Database}}.{{$table}} TO {{$.Database}}_writer;
{{- end}}
-- The writer reads where rows stood and who sent them, never what they hold: to tell repeats of a source, and whether
-- an insert whose answer was lost had been stored.
{{- range $table := .Physical "envelopes" "calls" "payloads" "tool_calls"}}
GRANT{{$.OnCluster}} SELECT(topic, partition, offset, ingested_at, row_version) ON {{$.Database}}.{{$table}} TO {{$.Database}}_writer;
{{- end}}
{{- range $table := .Physical "envelopes"}}
GRANT{{$.OnCluster}} SELECT(status, reject_reason, source_instance, source_epoch, source_sequence) ON {{$.Database}}.{{$table}} TO {{$.Database}}_writer;
{{- end}}
{{- range $table := .Physical "findings"}}
GRANT{{$.OnCluster}} SELECT(topic, partition, offset, ingested_at) ON {{$.Database}}.{{$table}} TO {{$.Database}}_writer;
{{- end}}
GRANT{{.OnCluster}} SELECT ON {{.Database}}.schema_migrations TO {{.Database}}_writer;
-- Who runs `modeltrail replay` and `modeltrail dlq` adds rows; nothing is changed or deleted. Dead letters hold bodies, so
-- that person needs {{.Database}}_compliance as well.
{{range $table := .WriterTables}}
GRANT{{$.OnCluster}} INSERT ON {{$.Database}}.{{$table}} TO {{$.Database}}_operator;
{{- end}}
{{range $table := .OperatorTables}}
GRANT{{$.OnCluster}} INSERT ON {{$.Database}}.{{$table}} TO {{$.Database}}_operator;
{{- end}}
