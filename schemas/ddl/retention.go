package ddl

import (
	"context"
	"fmt"
	"strings"
)

// retention is the TTL of one table.
type retention struct {
	table  string // without the suffix of a cluster's local tables
	column string // expression of type DateTime that ages
	days   uint32 // 0: no TTL
}

// retentions lists every table that has a configurable age.
func retentions(opt Options) []retention {
	r := opt.Retention
	return []retention{
		{"envelopes", "toDateTime(ingested_at)", r.EnvelopesDays},
		{"calls", "toDateTime(ingested_at)", r.CallsDays},
		{"payloads", "toDateTime(ingested_at)", r.PayloadsDays},
		{"tool_calls", "toDateTime(ingested_at)", r.ToolCallsDays},
		{"findings", "toDateTime(ingested_at)", r.FindingsDays},
		{"dead_letters", "toDateTime(ingested_at)", r.DeadLettersDays},
		{"dead_letter_resolutions", "toDateTime(ingested_at)", r.EnvelopesDays}, // they decide which envelopes row is current
		{"source_statements", "toDateTime(ingested_at)", r.EnvelopesDays},
		{"source_completeness", "hour", r.EnvelopesDays},
		{"spend_hourly", "hour", r.SpendDays},
	}
}

// expression is the TTL in the form in which the server stores it.
func (r retention) expression() string {
	return fmt.Sprintf("%s + toIntervalDay(%d)", r.column, r.days)
}

func (r retention) alter(opt Options) string {
	d := dialect{opt}
	target := "ALTER TABLE " + d.Local(r.table) + d.OnCluster()
	if r.days == 0 {
		return target + " REMOVE TTL"
	}
	return target + " MODIFY TTL " + r.expression()
}

// reconcileRetention changes the TTL of every table whose stored definition differs from the configuration.
func reconcileRetention(ctx context.Context, conn Conn, opt Options) ([]string, error) {
	var rows []struct {
		Name string `ch:"name"`
		DDL  string `ch:"create_table_query"`
	}
	query := "SELECT name, create_table_query FROM system.tables WHERE database = '" + opt.Database + "'"
	if err := conn.Select(ctx, &rows, query); err != nil {
		return nil, fmt.Errorf("read table definitions: %w", err)
	}
	defined := make(map[string]string, len(rows))
	for _, row := range rows {
		defined[opt.Database+"."+row.Name] = row.DDL
	}
	var changed []string
	for _, r := range retentions(opt) {
		if r.matches(defined[dialect{opt}.Local(r.table)]) {
			continue
		}
		if err := conn.Exec(ctx, r.alter(opt)); err != nil {
			return changed, fmt.Errorf("change retention of %s: %w", r.table, err)
		}
		changed = append(changed, fmt.Sprintf("retention %s %d days", r.table, r.days))
	}
	return changed, nil
}

func (r retention) matches(definition string) bool {
	if r.days == 0 {
		return !strings.Contains(definition, " TTL ")
	}
	return strings.Contains(definition, " TTL "+r.expression()+" SETTINGS")
}
