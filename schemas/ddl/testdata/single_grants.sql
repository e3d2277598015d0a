-- Roles for a ClickHouse server with SQL access control (users.xml: access_management = 1).
-- Bodies are readable by modeltrail_compliance alone. Give a person a role with: GRANT modeltrail_soc TO alice;
-- A materialized view writes with its definer's rights, so the writer needs no right on the views' targets.

CREATE ROLE IF NOT EXISTS modeltrail_compliance;
CREATE ROLE IF NOT EXISTS modeltrail_soc;
CREATE ROLE IF NOT EXISTS modeltrail_finops;
CREATE ROLE IF NOT EXISTS modeltrail_dashboards;
CREATE ROLE IF NOT EXISTS modeltrail_writer;
CREATE ROLE IF NOT EXISTS modeltrail_operator;

-- Readers change nothing, but may set limits of their own queries below these.
CREATE SETTINGS PROFILE IF NOT EXISTS modeltrail_reader
    SETTINGS readonly = 2, max_execution_time = 300 MAX 900, max_memory_usage = 8000000000 MAX 16000000000, max_result_bytes = 1000000000
    TO modeltrail_compliance, modeltrail_soc, modeltrail_finops;
CREATE SETTINGS PROFILE IF NOT EXISTS modeltrail_board
    SETTINGS readonly = 2, max_execution_time = 60 MAX 120, max_memory_usage = 4000000000 MAX 4000000000
    TO modeltrail_dashboards;

GRANT SELECT ON modeltrail.* TO modeltrail_compliance;

GRANT SELECT ON modeltrail.envelopes TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.calls TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.tool_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.findings TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.credential_inventory TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.dead_letter_resolutions TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.source_statements TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.source_completeness TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.replays TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_envelopes TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_tool_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_credential_inventory TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_findings TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.unfinished_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_source_completeness TO modeltrail_soc, modeltrail_dashboards;

GRANT SELECT ON modeltrail.spend_hourly TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.team_budgets TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_spend_daily TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT SELECT ON modeltrail.v_budget_month TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;

GRANT INSERT ON modeltrail.envelopes TO modeltrail_writer;
GRANT INSERT ON modeltrail.calls TO modeltrail_writer;
GRANT INSERT ON modeltrail.payloads TO modeltrail_writer;
GRANT INSERT ON modeltrail.tool_calls TO modeltrail_writer;
GRANT INSERT ON modeltrail.findings TO modeltrail_writer;
GRANT INSERT ON modeltrail.dead_letters TO modeltrail_writer;
GRANT INSERT ON modeltrail.source_statements TO modeltrail_writer;
GRANT INSERT ON modeltrail.source_completeness TO modeltrail_writer;
GRANT INSERT ON modeltrail.team_budgets TO modeltrail_writer;
-- The writer reads where rows stood and who sent them, never what they hold: to tell repeats of a source, and whether
-- an insert whose answer was lost had been stored.
GRANT SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.envelopes TO modeltrail_writer;
GRANT SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.calls TO modeltrail_writer;
GRANT SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.payloads TO modeltrail_writer;
GRANT SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.tool_calls TO modeltrail_writer;
GRANT SELECT(status, reject_reason, source_instance, source_epoch, source_sequence) ON modeltrail.envelopes TO modeltrail_writer;
GRANT SELECT(topic, partition, offset, ingested_at) ON modeltrail.findings TO modeltrail_writer;
GRANT SELECT ON modeltrail.schema_migrations TO modeltrail_writer;
-- Who runs `modeltrail replay` and `modeltrail dlq` adds rows; nothing is changed or deleted. Dead letters hold bodies, so
-- that person needs modeltrail_compliance as well.

GRANT INSERT ON modeltrail.envelopes TO modeltrail_operator;
GRANT INSERT ON modeltrail.calls TO modeltrail_operator;
GRANT INSERT ON modeltrail.payloads TO modeltrail_operator;
GRANT INSERT ON modeltrail.tool_calls TO modeltrail_operator;
GRANT INSERT ON modeltrail.findings TO modeltrail_operator;
GRANT INSERT ON modeltrail.dead_letters TO modeltrail_operator;
GRANT INSERT ON modeltrail.source_statements TO modeltrail_operator;
GRANT INSERT ON modeltrail.source_completeness TO modeltrail_operator;
GRANT INSERT ON modeltrail.team_budgets TO modeltrail_operator;

GRANT INSERT ON modeltrail.dead_letter_resolutions TO modeltrail_operator;
GRANT INSERT ON modeltrail.spend_hourly TO modeltrail_operator;
GRANT INSERT ON modeltrail.credential_inventory TO modeltrail_operator;
GRANT INSERT ON modeltrail.replays TO modeltrail_operator;
