package completeness

import (
	"errors"
	"fmt"
	"regexp"
	"time"
)

// Config is the `completeness` section of the configuration.
type Config struct {
	Interval     time.Duration `yaml:"interval" json:"interval" jsonschema_description:"Time between two checks of the role store. Default 15s."`
	SilenceAfter time.Duration `yaml:"silence_after" json:"silence_after" jsonschema_description:"A source that has not stopped in order and makes no statement for this time is a finding. Default 60s."`
	Lookback     time.Duration `yaml:"lookback" json:"lookback" jsonschema_description:"Statements of this age and younger are checked again and again; older ones only by the command 'completeness'. Default 2h0m0s."`
	TrustedKeys  []string      `yaml:"trusted_keys" json:"trusted_keys" jsonschema_description:"Key ids of sources, 16 hex digits each, that may sign. Empty trusts the first key that each source used."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{Interval: 15 * time.Second, SilenceAfter: time.Minute, Lookback: 2 * time.Hour}
}

var keyID = regexp.MustCompile(`^[0-9a-f]{16}$`)

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var errs []error
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		errs = append(errs, errors.New("completeness.interval: must be from 100ms to 1h"))
	}
	if c.SilenceAfter < time.Second {
		errs = append(errs, errors.New("completeness.silence_after: must be 1s or more, and several times ledger.interval"))
	}
	if c.Lookback < time.Minute {
		errs = append(errs, errors.New("completeness.lookback: must be 1m or more"))
	}
	for i, id := range c.TrustedKeys {
		if !keyID.MatchString(id) {
			errs = append(errs, fmt.Errorf("completeness.trusted_keys[%d]: %q is not 16 hex digits; `modeltrail completeness` prints the key ids", i, id))
		}
	}
	return errors.Join(errs...)
}
