package detect

import (
	"errors"
	"fmt"
	"time"
)

// Config is the section `detect.detectors` of the configuration.
type Config struct {
	DuplicateWindow   time.Duration           `yaml:"duplicate_window" json:"duplicate_window" jsonschema_description:"How long a call id is remembered so that a repeated delivery of the same call phase is counted once, in event time; default 10m."`
	DuplicateEntries  int                     `yaml:"duplicate_entries" json:"duplicate_entries" jsonschema_description:"Most call phases remembered per partition and generation (two generations are held), about 14 bytes each; default 200000."`
	Lookback          time.Duration           `yaml:"lookback" json:"lookback" jsonschema_description:"Least time that is replayed to rebuild detector state when a partition is assigned; what the enabled detectors need is added automatically; default 1h."`
	OutOfScope        OutOfScopeConfig        `yaml:"out_of_scope" json:"out_of_scope" jsonschema_description:"Detector of calls that policy denies."`
	UnknownCredential UnknownCredentialConfig `yaml:"unknown_credential" json:"unknown_credential" jsonschema_description:"Detector of credentials that are unknown, expired or revoked in the directory."`
	CostSpike         CostSpikeConfig         `yaml:"cost_spike" json:"cost_spike" jsonschema_description:"Detector of a team's spend leaving its usual range."`
	Budget            BudgetConfig            `yaml:"budget" json:"budget" jsonschema_description:"Detector of monthly budgets that run out."`
}

// OutOfScopeConfig tunes the detector out_of_scope.
type OutOfScopeConfig struct {
	Enabled     bool          `yaml:"enabled" json:"enabled" jsonschema_description:"Whether the detector runs; default true."`
	DedupWindow time.Duration `yaml:"dedup_window" json:"dedup_window" jsonschema_description:"Aligned window of event time within which the same conclusion is one finding; default 24h, which is the UTC day."`
	MaxModels   int           `yaml:"max_models" json:"max_models" jsonschema_description:"Different models reported one by one per credential, rule and window before one summary finding stands for the rest; default 10."`
	MaxKeys     int           `yaml:"max_keys" json:"max_keys" jsonschema_description:"Most conclusions remembered per partition and window, about 40 bytes each; default 50000."`
}

// UnknownCredentialConfig tunes the detector unknown_credential.
type UnknownCredentialConfig struct {
	Enabled        bool          `yaml:"enabled" json:"enabled" jsonschema_description:"Whether the detector runs; default true."`
	DedupWindow    time.Duration `yaml:"dedup_window" json:"dedup_window" jsonschema_description:"Aligned window of event time within which one credential is one finding; default 24h, which is the UTC day."`
	MaxCredentials int           `yaml:"max_credentials" json:"max_credentials" jsonschema_description:"Different credentials reported one by one per team, status and window before one summary finding stands for the rest; default 20."`
	MaxKeys        int           `yaml:"max_keys" json:"max_keys" jsonschema_description:"Most credentials remembered per partition and window, about 40 bytes each; default 50000."`
}

// CostSpikeConfig tunes the detector cost_spike.
type CostSpikeConfig struct {
	Enabled         bool          `yaml:"enabled" json:"enabled" jsonschema_description:"Whether the detector runs; default true."`
	Bucket          time.Duration `yaml:"bucket" json:"bucket" jsonschema_description:"Width of the buckets of event time in which spend is summed; default 5m."`
	BaselineBuckets int           `yaml:"baseline_buckets" json:"baseline_buckets" jsonschema_description:"Earlier buckets the baseline is taken from; default 36."`
	MinBuckets      int           `yaml:"min_buckets" json:"min_buckets" jsonschema_description:"Buckets with calls that the baseline needs before it counts; default 12."`
	Factor          float64       `yaml:"factor" json:"factor" jsonschema_description:"Multiple of the baseline that a bucket must exceed; default 4."`
	MinImpactUSD    float64       `yaml:"min_impact_usd" json:"min_impact_usd" jsonschema_description:"Least US dollars above the baseline that are worth a finding; default 5."`
	ColdStartUSD    float64       `yaml:"cold_start_usd" json:"cold_start_usd" jsonschema_description:"US dollars per bucket that raise a finding while there is no baseline, 0 for never; default 100."`
	CoolDown        time.Duration `yaml:"cool_down" json:"cool_down" jsonschema_description:"Quiet time after which the next excess is a new episode with a finding of its own; default 1h."`
	Lateness        time.Duration `yaml:"lateness" json:"lateness" jsonschema_description:"How far out of order events may come without changing a result; default 60s."`
	MaxTeams        int           `yaml:"max_teams" json:"max_teams" jsonschema_description:"Most teams held per partition, about 2 KB each; the longest idle one is dropped first; default 10000."`
}

// BudgetConfig tunes the detector budget.
type BudgetConfig struct {
	Enabled    bool  `yaml:"enabled" json:"enabled" jsonschema_description:"Whether the detector runs; default true."`
	Thresholds []int `yaml:"thresholds" json:"thresholds" jsonschema_description:"Percentages of the monthly budget at which a finding is raised, ascending, at most eight; default 80 and 100."`
}

// DefaultConfig returns the defaults for a production pipeline.
func DefaultConfig() Config {
	return Config{
		DuplicateWindow:  10 * time.Minute,
		DuplicateEntries: 200_000,
		Lookback:         time.Hour,
		OutOfScope:       OutOfScopeConfig{Enabled: true, DedupWindow: 24 * time.Hour, MaxModels: 10, MaxKeys: 50_000},
		UnknownCredential: UnknownCredentialConfig{
			Enabled: true, DedupWindow: 24 * time.Hour, MaxCredentials: 20, MaxKeys: 50_000,
		},
		CostSpike: CostSpikeConfig{
			Enabled: true, Bucket: 5 * time.Minute, BaselineBuckets: 36, MinBuckets: 12, Factor: 4,
			MinImpactUSD: 5, ColdStartUSD: 100,
			CoolDown: time.Hour, Lateness: time.Minute, MaxTeams: 10_000,
		},
		Budget: BudgetConfig{Enabled: true, Thresholds: []int{80, 100}},
	}
}

// ReplayTime is how much of a partition must be replayed for the detectors to reach the state of a run that was
// never interrupted: the baseline of the oldest excess that may still belong to the running episode.
func (c Config) ReplayTime() time.Duration {
	need := max(c.Lookback, c.DuplicateWindow)
	if c.CostSpike.Enabled {
		s := c.CostSpike
		buckets := time.Duration(s.BaselineBuckets+2*s.guard()+2) * s.Bucket
		need = max(need, 13*s.Bucket, buckets+s.CoolDown)
	}
	return need
}

// guard is the number of buckets before a bucket that may still change while it runs and are therefore left out
// of its baseline.
func (c CostSpikeConfig) guard() int {
	return int((c.Lateness + c.Bucket - 1) / c.Bucket)
}

// Validate reports every value that cannot work.
func (c Config) Validate() error {
	var errs []error
	bad := func(ok bool, key, fix string) {
		if !ok {
			errs = append(errs, fmt.Errorf("detect.detectors.%s: %s", key, fix))
		}
	}
	bad(c.DuplicateWindow > 0, "duplicate_window", "must be positive")
	bad(c.DuplicateEntries > 0, "duplicate_entries", "must be positive")
	bad(c.Lookback >= 0, "lookback", "must not be negative")
	if c.OutOfScope.Enabled {
		bad(c.OutOfScope.DedupWindow >= time.Minute, "out_of_scope.dedup_window", "must be at least 1m")
		bad(c.OutOfScope.MaxModels > 0, "out_of_scope.max_models", "must be positive")
		bad(c.OutOfScope.MaxKeys > 0, "out_of_scope.max_keys", "must be positive")
	}
	if c.UnknownCredential.Enabled {
		bad(c.UnknownCredential.DedupWindow >= time.Minute, "unknown_credential.dedup_window", "must be at least 1m")
		bad(c.UnknownCredential.MaxCredentials > 0, "unknown_credential.max_credentials", "must be positive")
		bad(c.UnknownCredential.MaxKeys > 0, "unknown_credential.max_keys", "must be positive")
	}
	if c.CostSpike.Enabled {
		c.CostSpike.validate(bad)
	}
	if c.Budget.Enabled {
		c.Budget.validate(bad)
	}
	return errors.Join(errs...)
}

func (c CostSpikeConfig) validate(bad func(ok bool, key, fix string)) {
	// A bucket saturates at 9.2 million dollars; limits near it would never be passed.
	sane := func(usd float64) bool { return usd >= 0 && usd <= 1_000_000 }
	bad(c.Bucket >= time.Second && c.Bucket <= 24*time.Hour, "cost_spike.bucket", "must be between 1s and 24h")
	bad(c.BaselineBuckets >= 3 && c.BaselineBuckets <= 2016, "cost_spike.baseline_buckets", "must be between 3 and 2016")
	bad(c.MinBuckets >= 1 && c.MinBuckets <= c.BaselineBuckets, "cost_spike.min_buckets", "must be between 1 and baseline_buckets")
	bad(c.Factor > 1 && c.Factor <= 1000, "cost_spike.factor", "must be more than 1 and at most 1000")
	bad(sane(c.MinImpactUSD), "cost_spike.min_impact_usd", "must be between 0 and 1000000")
	bad(sane(c.ColdStartUSD), "cost_spike.cold_start_usd", "must be between 0 and 1000000; 0 switches it off")
	bad(c.CoolDown >= c.Bucket, "cost_spike.cool_down", "must be at least cost_spike.bucket")
	bad(c.Lateness >= 0 && c.Bucket > 0 && c.Lateness <= 100*c.Bucket, "cost_spike.lateness", "must be between 0 and 100 buckets")
	bad(c.MaxTeams > 0, "cost_spike.max_teams", "must be positive")
}

func (c BudgetConfig) validate(bad func(ok bool, key, fix string)) {
	bad(len(c.Thresholds) > 0 && len(c.Thresholds) <= 8, "budget.thresholds", "must name one to eight percentages")
	for i, t := range c.Thresholds {
		bad(t > 0 && t <= 1000, "budget.thresholds", "must lie between 1 and 1000")
		bad(i == 0 || t > c.Thresholds[i-1], "budget.thresholds", "must ascend")
	}
}
