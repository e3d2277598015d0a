package ledger

import (
	"errors"
	"time"
)

// Config is the `ledger` section of the configuration.
type Config struct {
	StateDir      string        `yaml:"state_dir" json:"state_dir" jsonschema_description:"Folder of the file that keeps a source's counts through a crash. Empty keeps them in memory: what a killed process had lost is then unknown. Default modeltrail-ledger."`
	SourceKeyFile string        `yaml:"source_key_file" json:"source_key_file" jsonschema_description:"File with the Ed25519 key that signs statements (PKCS 8, PEM); created with mode 0600 if missing. Empty makes a new key at every start, which is reported as a changed key. Default modeltrail-source.key."`
	Interval      time.Duration `yaml:"interval" json:"interval" jsonschema_description:"Time between two statements of a source. Default 10s."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{StateDir: "modeltrail-ledger", SourceKeyFile: "modeltrail-source.key", Interval: 10 * time.Second}
}

// Validate reports every fault of the section. It reads no file.
func (c Config) Validate() error {
	if c.Interval < 100*time.Millisecond || c.Interval > time.Hour {
		return errors.New("ledger.interval: must be from 100ms to 1h")
	}
	return nil
}
