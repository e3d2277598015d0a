package spool

import (
	"errors"
	"time"
)

// Config is the `spool` section of the configuration.
type Config struct {
	Dir          string        `yaml:"dir" json:"dir" jsonschema_description:"Folder of the spool, one for each process, on a disk of its own where possible. Default <data_dir>/spool for modeltrail; modeltrail-tap has none unless it is set."`
	MaxBytes     int64         `yaml:"max_bytes" json:"max_bytes" jsonschema_description:"Bound over all segments in bytes; beyond it tap.on_audit_failure decides. Default 1073741824."`
	SegmentBytes int64         `yaml:"segment_bytes" json:"segment_bytes" jsonschema_description:"Size of one segment in bytes; disk space is given back a segment at a time. Default 16777216."`
	SyncInterval time.Duration `yaml:"sync_interval" json:"sync_interval" jsonschema_description:"Longest time between write and fsync, so what a loss of power may cost; 0s leaves it to the kernel. Default 5ms."`
}

// minSegmentBytes is the least segment_bytes: a few records.
const minSegmentBytes = 4 << 10

// DefaultConfig returns the defaults, without a folder.
func DefaultConfig() Config {
	return Config{MaxBytes: 1 << 30, SegmentBytes: 16 << 20, SyncInterval: 5 * time.Millisecond}
}

// Validate reports every fault of the section. An empty Dir means no spool and is no fault.
func (c Config) Validate() error {
	var errs []error
	if c.SegmentBytes < minSegmentBytes || c.SegmentBytes > 1<<30 {
		errs = append(errs, errors.New("spool.segment_bytes: must be from 4096 to 1073741824"))
	}
	if c.MaxBytes < 4*c.SegmentBytes {
		errs = append(errs, errors.New("spool.max_bytes: must be at least 4 times spool.segment_bytes"))
	}
	if c.SyncInterval < 0 || c.SyncInterval > time.Minute {
		errs = append(errs, errors.New("spool.sync_interval: must be from 0s to 1m"))
	}
	return errors.Join(errs...)
}
