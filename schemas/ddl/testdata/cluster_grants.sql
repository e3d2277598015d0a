-- Roles for a ClickHouse server with SQL access control (users.xml: access_management = 1).
-- Bodies are readable by modeltrail_compliance alone. Give a person a role with: GRANT modeltrail_soc TO alice;
-- A materialized view writes with its definer's rights, so the writer needs no right on the views' targets.

CREATE ROLE IF NOT EXISTS modeltrail_compliance ON CLUSTER 'main';
CREATE ROLE IF NOT EXISTS modeltrail_soc ON CLUSTER 'main';
CREATE ROLE IF NOT EXISTS modeltrail_finops ON CLUSTER 'main';
CREATE ROLE IF NOT EXISTS modeltrail_dashboards ON CLUSTER 'main';
CREATE ROLE IF NOT EXISTS modeltrail_writer ON CLUSTER 'main';
CREATE ROLE IF NOT EXISTS modeltrail_operator ON CLUSTER 'main';

-- Readers change nothing, but may set limits of their own queries below these.
CREATE SETTINGS PROFILE IF NOT EXISTS modeltrail_reader ON CLUSTER 'main'
    SETTINGS readonly = 2, max_execution_time = 300 MAX 900, max_memory_usage = 8000000000 MAX 16000000000, max_result_bytes = 1000000000
    TO modeltrail_compliance, modeltrail_soc, modeltrail_finops;
CREATE SETTINGS PROFILE IF NOT EXISTS modeltrail_board ON CLUSTER 'main'
    SETTINGS readonly = 2, max_execution_time = 60 MAX 120, max_memory_usage = 4000000000 MAX 4000000000
    TO modeltrail_dashboards;

GRANT ON CLUSTER 'main' SELECT ON modeltrail.* TO modeltrail_compliance;

GRANT ON CLUSTER 'main' SELECT ON modeltrail.envelopes TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.envelopes_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.calls TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.calls_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.tool_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.tool_calls_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.findings TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.findings_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.credential_inventory TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.credential_inventory_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.dead_letter_resolutions TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.dead_letter_resolutions_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.source_statements TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.source_statements_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.source_completeness TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.source_completeness_local TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.replays TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_envelopes TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_tool_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_credential_inventory TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_findings TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.unfinished_calls TO modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_source_completeness TO modeltrail_soc, modeltrail_dashboards;

GRANT ON CLUSTER 'main' SELECT ON modeltrail.spend_hourly TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.spend_hourly_local TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.team_budgets TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_spend_daily TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.v_budget_month TO modeltrail_finops, modeltrail_soc, modeltrail_dashboards;

GRANT ON CLUSTER 'main' INSERT ON modeltrail.envelopes TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.envelopes_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.calls TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.calls_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.payloads TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.payloads_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.tool_calls TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.tool_calls_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.findings TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.findings_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.dead_letters TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.dead_letters_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_statements TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_statements_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_completeness TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_completeness_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.team_budgets TO modeltrail_writer;
-- The writer reads where rows stood and who sent them, never what they hold: to tell repeats of a source, and whether
-- an insert whose answer was lost had been stored.
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.envelopes TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.envelopes_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.calls TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.calls_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.payloads TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.payloads_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.tool_calls TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at, row_version) ON modeltrail.tool_calls_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(status, reject_reason, source_instance, source_epoch, source_sequence) ON modeltrail.envelopes TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(status, reject_reason, source_instance, source_epoch, source_sequence) ON modeltrail.envelopes_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at) ON modeltrail.findings TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT(topic, partition, offset, ingested_at) ON modeltrail.findings_local TO modeltrail_writer;
GRANT ON CLUSTER 'main' SELECT ON modeltrail.schema_migrations TO modeltrail_writer;
-- Who runs `modeltrail replay` and `modeltrail dlq` adds rows; nothing is changed or deleted. Dead letters hold bodies, so
-- that person needs modeltrail_compliance as well.

GRANT ON CLUSTER 'main' INSERT ON modeltrail.envelopes TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.envelopes_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.calls TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.calls_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.payloads TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.payloads_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.tool_calls TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.tool_calls_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.findings TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.findings_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.dead_letters TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.dead_letters_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_statements TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_statements_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_completeness TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.source_completeness_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.team_budgets TO modeltrail_operator;

GRANT ON CLUSTER 'main' INSERT ON modeltrail.dead_letter_resolutions TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.dead_letter_resolutions_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.spend_hourly TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.spend_hourly_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.credential_inventory TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.credential_inventory_local TO modeltrail_operator;
GRANT ON CLUSTER 'main' INSERT ON modeltrail.replays TO modeltrail_operator;
