package ddl

import (
	"fmt"
	"strings"
)

// dialect is what a template sees: the names, engines and settings of one layout.
type dialect struct {
	opt Options
}

// Database is the name of the database.
func (d dialect) Database() string { return d.opt.Database }

// Clustered says whether the layout is a cluster.
func (d dialect) Clustered() bool { return d.opt.Cluster != "" }

// OnCluster is the clause, with a space before it, that runs a statement on every node; nothing on a single node.
func (d dialect) OnCluster() string {
	if !d.Clustered() {
		return ""
	}
	return " ON CLUSTER '" + d.opt.Cluster + "'"
}

// Local is the table that holds rows on one node.
func (d dialect) Local(table string) string {
	if d.Clustered() {
		return d.opt.Database + "." + table + "_local"
	}
	return d.opt.Database + "." + table
}

// Table is the name under which readers and writers know a table, view or replicated small table.
func (d dialect) Table(name string) string { return d.opt.Database + "." + name }

// MergeTree is the engine of an append-only table.
func (d dialect) MergeTree(table string) string { return d.engine("MergeTree", table) }

// AggregatingMergeTree is the engine of a materialized view's target.
func (d dialect) AggregatingMergeTree(table string) string {
	return d.engine("AggregatingMergeTree", table)
}

func (d dialect) engine(kind, table string) string {
	if !d.Clustered() {
		return kind
	}
	return fmt.Sprintf("Replicated%s('/clickhouse/tables/{shard}/%s/%s', '{replica}')", kind, d.opt.Database, table)
}

// Everywhere is the engine of a small table of which every node of every shard has all rows, so that a join needs
// no network. Replica names carry the shard, because all shards share one path.
func (d dialect) Everywhere(table string) string {
	if !d.Clustered() {
		return "MergeTree"
	}
	return fmt.Sprintf("ReplicatedMergeTree('/clickhouse/tables/all/%s/%s', '{shard}-{replica}')", d.opt.Database, table)
}

// Settings is the SETTINGS clause of a table that drops whole parts when they expire.
func (d dialect) Settings() string {
	return "SETTINGS " + strings.Join(append(d.deduplication(), "ttl_only_drop_parts = 1"), ", ")
}

// AggregateSettings is the SETTINGS clause of a materialized view's target. Rows of all ages share its parts, so
// expired rows are removed at merges.
func (d dialect) AggregateSettings() string {
	return "SETTINGS " + strings.Join(d.deduplication(), ", ")
}

func (d dialect) deduplication() []string {
	var out []string
	if d.Clustered() {
		out = append(out,
			fmt.Sprintf("replicated_deduplication_window = %d", d.opt.DeduplicationWindow),
			fmt.Sprintf("replicated_deduplication_window_seconds = %d", d.opt.DeduplicationWindowSeconds))
	} else {
		out = append(out, fmt.Sprintf("non_replicated_deduplication_window = %d", d.opt.DeduplicationWindow))
	}
	if d.opt.StoragePolicy != "" {
		out = append(out, "storage_policy = '"+d.opt.StoragePolicy+"'")
	}
	return out
}

// Distributed creates the table through which a cluster's rows are written and read, or nothing on a single node.
// The sharding key must be a function of the row alone: a repeated insert must send each row to the same shard,
// or the shard's memory of tokens cannot recognise it.
func (d dialect) Distributed(table, shardingKey string) string {
	if !d.Clustered() {
		return ""
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s%s AS %s\nENGINE = Distributed('%s', '%s', '%s_local', %s);",
		d.Table(table), d.OnCluster(), d.Local(table), d.opt.Cluster, d.opt.Database, table, shardingKey)
}

// Current is the condition that a row of a table with versions is the one to read: no replay was ever begun; or the
// row is a first writing or one of a finished replay, and no later finished replay covers its offset. Scalar
// subqueries are constants of a query, so that without replays the condition costs nothing; and the spans are looked
// at only for rows that some replay could have superseded, by their ingest time and version.
func (d dialect) Current() string {
	finished := " FROM " + d.Table("replays") + " WHERE state = 'finished' AND kind = 'span')"
	return `((SELECT count() = 0 FROM ` + d.Table("replays") + `)
    OR ` + d.Written() + `
    AND NOT (row_version < (SELECT max(version)` + finished + `
        AND ingested_at >= (SELECT min(since)` + finished + `
        AND ingested_at <= (SELECT max(until)` + finished + `
        AND arrayExists(r -> r.1 = topic AND r.2 = partition AND r.3 <= offset AND offset <= r.4 AND r.5 > row_version,
            (SELECT groupArray((topic, partition, first, last, version))` + finished + `)))`
}

// Written is the condition that a row is a first writing or one of a finished replay.
func (d dialect) Written() string {
	return `(row_version = 0 OR has((SELECT groupUniqArray(version) FROM ` + d.Table("replays") + ` WHERE state = 'finished'), row_version))`
}

// ReaderTables lists what the SOC and the dashboards may read beside spend: everything but bodies and dead letters.
func (d dialect) ReaderTables() []string {
	return append(d.physical("envelopes", "calls", "tool_calls", "findings", "credential_inventory", "dead_letter_resolutions",
		"source_statements", "source_completeness"), "replays", "v_envelopes", "v_calls", "v_tool_calls", "v_credential_inventory",
		"v_findings", "unfinished_calls", "v_source_completeness")
}

// SpendTables lists what FinOps may read: sums, never single calls.
func (d dialect) SpendTables() []string {
	return append(d.physical("spend_hourly"), "team_budgets", "v_spend_daily", "v_budget_month")
}

// WriterTables lists what the sink writes.
func (d dialect) WriterTables() []string {
	return append(d.physical("envelopes", "calls", "payloads", "tool_calls", "findings", "dead_letters", "source_statements", "source_completeness"), "team_budgets")
}

// Physical names the tables and, in a cluster, the local ones that a query over them reads on each node.
func (d dialect) Physical(tables ...string) []string { return d.physical(tables...) }

// OperatorTables lists what a replay writes beside the sink's tables.
func (d dialect) OperatorTables() []string {
	return append(d.physical("dead_letter_resolutions", "spend_hourly", "credential_inventory"), "replays")
}

// physical adds the local tables that a query over a Distributed table reads on each node.
func (d dialect) physical(tables ...string) []string {
	if !d.Clustered() {
		return tables
	}
	var out []string
	for _, t := range tables {
		out = append(out, t, t+"_local")
	}
	return out
}
