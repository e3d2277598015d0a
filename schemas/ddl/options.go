package ddl

import (
	"errors"
	"fmt"
	"regexp"
)

// MinimumAuditDays is the shortest retention of calls and envelopes that Options accepts without
// AllowShortRetention. Regulation (EU) 2024/1689 (AI Act), articles 19(1) and 26(6), asks for logs of high-risk
// systems to be kept for at least six months; 184 days is the longest span of six calendar months.
const MinimumAuditDays = 184

// Options says into which database, on which layout and with which retention the schema is rendered.
type Options struct {
	Database                   string    `yaml:"database" json:"database" jsonschema_description:"Database that holds the tables; created when it is missing; default modeltrail."`
	Cluster                    string    `yaml:"cluster" json:"cluster" jsonschema_description:"Name of the ClickHouse cluster as in system.clusters; empty (default) means a single node with plain tables."`
	StoragePolicy              string    `yaml:"storage_policy" json:"storage_policy" jsonschema_description:"ClickHouse storage policy of every table, for tiered disks; empty (default) leaves the server's default."`
	DeduplicationWindow        uint32    `yaml:"deduplication_window" json:"deduplication_window" jsonschema_description:"Number of recent inserts whose tokens each table remembers, so that a repeated insert is a no-op; default 10000."`
	DeduplicationWindowSeconds uint32    `yaml:"deduplication_window_seconds" json:"deduplication_window_seconds" jsonschema_description:"Age in seconds up to which a cluster's tables remember tokens; default 604800 (7 days)."`
	Retention                  Retention `yaml:"retention" json:"retention" jsonschema_description:"Days that each table keeps its rows."`
	AllowShortRetention        bool      `yaml:"allow_short_retention" json:"allow_short_retention" jsonschema_description:"Accept fewer than 184 days for calls and envelopes, for tests and for deployments without that legal duty; default false."`
}

// Retention is the number of days after ingest (aggregates: after the hour or the last sighting) that a table keeps
// its rows. 0 keeps them for ever.
type Retention struct {
	EnvelopesDays   uint32 `yaml:"envelopes_days" json:"envelopes_days" jsonschema_description:"Days that envelopes, the completeness record, are kept; 0 keeps them for ever; default 400."`
	CallsDays       uint32 `yaml:"calls_days" json:"calls_days" jsonschema_description:"Days that calls are kept; 0 keeps them for ever; default 400."`
	PayloadsDays    uint32 `yaml:"payloads_days" json:"payloads_days" jsonschema_description:"Days that request and response bodies are kept; 0 keeps them for ever; default 30."`
	ToolCallsDays   uint32 `yaml:"tool_calls_days" json:"tool_calls_days" jsonschema_description:"Days that tool calls are kept; 0 keeps them for ever; default 400."`
	FindingsDays    uint32 `yaml:"findings_days" json:"findings_days" jsonschema_description:"Days that findings are kept; 0 keeps them for ever; default 0."`
	DeadLettersDays uint32 `yaml:"dead_letters_days" json:"dead_letters_days" jsonschema_description:"Days that dead letters, which hold original record bytes, are kept; 0 keeps them for ever; default 90."`
	SpendDays       uint32 `yaml:"spend_days" json:"spend_days" jsonschema_description:"Days that hourly spend is kept; 0 keeps it for ever; default 0."`
}

// DefaultOptions returns a single node, thirteen months of calls and envelopes, and one month of bodies.
func DefaultOptions() Options {
	return Options{
		Database:                   "modeltrail",
		DeduplicationWindow:        10000,
		DeduplicationWindowSeconds: 604800,
		Retention: Retention{
			EnvelopesDays:   400,
			CallsDays:       400,
			PayloadsDays:    30,
			ToolCallsDays:   400,
			FindingsDays:    0,
			DeadLettersDays: 90,
			SpendDays:       0,
		},
	}
}

// Validate reports every value that would render a wrong or unlawful schema.
func (o Options) Validate() error {
	var errs []error
	if !identifier(o.Database) {
		errs = append(errs, fmt.Errorf("database: %q is not a plain identifier; use letters, digits and underscores", o.Database))
	}
	if o.Cluster != "" && !clusterName(o.Cluster) {
		errs = append(errs, fmt.Errorf("cluster: %q has characters outside letters, digits, dot, dash and underscore", o.Cluster))
	}
	if o.StoragePolicy != "" && !clusterName(o.StoragePolicy) {
		errs = append(errs, fmt.Errorf("storage_policy: %q has characters outside letters, digits, dot, dash and underscore", o.StoragePolicy))
	}
	if o.DeduplicationWindow == 0 {
		errs = append(errs, errors.New("deduplication_window: 0 turns deduplication off and a retried insert would double rows; use 10000"))
	}
	if o.Cluster != "" && o.DeduplicationWindowSeconds == 0 {
		errs = append(errs, errors.New("deduplication_window_seconds: 0 forgets tokens at once; use 604800"))
	}
	for _, keep := range []struct {
		key  string
		days uint32
	}{{"retention.envelopes_days", o.Retention.EnvelopesDays}, {"retention.calls_days", o.Retention.CallsDays}} {
		if keep.days != 0 && keep.days < MinimumAuditDays && !o.AllowShortRetention {
			errs = append(errs, fmt.Errorf("%s: %d days is less than the %d days of AI Act articles 19 and 26; raise it, use 0 for ever, or set allow_short_retention: true",
				keep.key, keep.days, MinimumAuditDays))
		}
	}
	return errors.Join(errs...)
}

func identifier(s string) bool {
	return regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`).MatchString(s)
}

func clusterName(s string) bool {
	return regexp.MustCompile(`^[A-Za-z0-9_.{}-]{1,64}$`).MatchString(s)
}
