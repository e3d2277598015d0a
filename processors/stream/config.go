package stream

import (
	"errors"
	"fmt"
	"time"
)

// Config is one consumer role's section of the configuration. Topic and group names are given by code.
type Config struct {
	Topics            []string      `yaml:"-" json:"-" jsonschema_description:"Topics to consume; set by the role."`
	Group             string        `yaml:"group" json:"group" jsonschema_description:"Consumer group. Default modeltrail.<role>."`
	MaxBatchRows      int           `yaml:"max_batch_rows" json:"max_batch_rows" jsonschema_description:"Records of one batch. Default 10000."`
	MaxBatchBytes     int64         `yaml:"max_batch_bytes" json:"max_batch_bytes" jsonschema_description:"Bytes of one batch before it is cut. Default 16777216."`
	FlushInterval     time.Duration `yaml:"flush_interval" json:"flush_interval" jsonschema_description:"Longest time a record waits in an open batch. Default 1s."`
	MaxPartitionBytes int64         `yaml:"max_partition_bytes" json:"max_partition_bytes" jsonschema_description:"Bytes in flight of one partition above which its fetching pauses. Default 33554432."`
	MaxTotalBytes     int64         `yaml:"max_total_bytes" json:"max_total_bytes" jsonschema_description:"Bytes in flight of all partitions above which polling pauses. Default 67108864."`
	DrainTimeout      time.Duration `yaml:"drain_timeout" json:"drain_timeout" jsonschema_description:"Time to finish open batches when partitions are revoked or the process stops. Default 20s."`
	SessionTimeout    time.Duration `yaml:"session_timeout" json:"session_timeout" jsonschema_description:"Silence after which the group gives this member's partitions to another. Default 10s."`
	RetryMin          time.Duration `yaml:"retry_min" json:"retry_min" jsonschema_description:"First pause after a failed delivery or commit. Default 100ms."`
	RetryMax          time.Duration `yaml:"retry_max" json:"retry_max" jsonschema_description:"Longest pause between repeats of a delivery or commit. Default 30s."`
}

// pollRecords bounds one poll: large enough that a poll costs nothing per record, small enough that the bytes
// in flight overshoot their mark by little.
const pollRecords = 5000

// DefaultConfig returns the defaults; group and topics are the role's.
func DefaultConfig() Config {
	return Config{
		MaxBatchRows: 10_000, MaxBatchBytes: 16 << 20, FlushInterval: time.Second,
		MaxPartitionBytes: 32 << 20, MaxTotalBytes: 64 << 20,
		DrainTimeout: 20 * time.Second, SessionTimeout: 10 * time.Second,
		RetryMin: 100 * time.Millisecond, RetryMax: 30 * time.Second,
	}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	check := func(ok bool, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	check(c.Group != "", "group: name the consumer group")
	check(len(c.Topics) > 0, "topics: name at least one topic")
	check(c.MaxBatchRows > 0 && c.MaxBatchRows <= 1_000_000,
		"max_batch_rows: %d is outside 1..1000000; one batch must stay one insert block", c.MaxBatchRows)
	check(c.MaxBatchBytes > 0 && c.MaxBatchBytes <= 128<<20,
		"max_batch_bytes: %d is outside 1..134217728; one batch must stay one insert block", c.MaxBatchBytes)
	check(c.FlushInterval > 0, "flush_interval: must be positive, for example 1s")
	check(c.MaxPartitionBytes >= c.MaxBatchBytes, "max_partition_bytes: must be at least max_batch_bytes (%d)", c.MaxBatchBytes)
	check(c.MaxTotalBytes >= c.MaxPartitionBytes, "max_total_bytes: must be at least max_partition_bytes (%d)", c.MaxPartitionBytes)
	check(c.DrainTimeout > 0, "drain_timeout: must be positive, for example 20s")
	check(c.SessionTimeout >= time.Second, "session_timeout: must be at least 1s")
	check(c.RetryMin > 0, "retry_min: must be positive, for example 100ms")
	check(c.RetryMax >= c.RetryMin, "retry_max: must be at least retry_min (%s)", c.RetryMin)
	return errors.Join(errs...)
}
