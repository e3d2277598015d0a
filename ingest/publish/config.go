package publish

import (
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Config is the `publish` section of the configuration.
type Config struct {
	MaxBufferedBytes   int           `yaml:"max_buffered_bytes" json:"max_buffered_bytes" jsonschema_description:"Memory for envelopes that wait for a broker, in bytes; beyond it envelopes are refused and counted. Default 12582912."`
	MaxBufferedRecords int           `yaml:"max_buffered_records" json:"max_buffered_records" jsonschema_description:"Envelopes that may wait for a broker, as a number. Default 20000."`
	MaxRecordBytes     int           `yaml:"max_record_bytes" json:"max_record_bytes" jsonschema_description:"Largest uncompressed batch in bytes; the broker's own limit counts compressed bytes. Default 1310720."`
	Linger             time.Duration `yaml:"linger" json:"linger" jsonschema_description:"How long a batch waits for more envelopes. Default 20ms."`
	SpillAfter         time.Duration `yaml:"spill_after" json:"spill_after" jsonschema_description:"Age of the oldest unacknowledged envelope from which durability spill writes to the spool. Default 2s."`
	DeliveryTimeout    time.Duration `yaml:"delivery_timeout" json:"delivery_timeout" jsonschema_description:"After this an undelivered envelope of durability memory is dropped and counted, others are sent again; 0s waits as long as memory lasts. Default 0s."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		MaxBufferedBytes: 12 << 20, MaxBufferedRecords: 20_000, MaxRecordBytes: 1280 << 10, Linger: 20 * time.Millisecond,
		SpillAfter: 2 * time.Second,
	}
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var errs []error
	if c.MaxRecordBytes < 64<<10 || c.MaxRecordBytes > 1<<29 {
		errs = append(errs, errors.New("publish.max_record_bytes: must be from 65536 to 536870912"))
	}
	if c.MaxBufferedBytes < c.MaxRecordBytes {
		errs = append(errs, errors.New("publish.max_buffered_bytes: must be max_record_bytes or more"))
	}
	if c.MaxBufferedRecords < 1 {
		errs = append(errs, errors.New("publish.max_buffered_records: must be 1 or more"))
	}
	if c.Linger < 0 || c.Linger > time.Minute {
		errs = append(errs, errors.New("publish.linger: must be from 0s to 1m"))
	}
	if c.SpillAfter < 10*time.Millisecond || c.SpillAfter > time.Hour {
		errs = append(errs, errors.New("publish.spill_after: must be from 10ms to 1h"))
	}
	if c.DeliveryTimeout != 0 && c.DeliveryTimeout < time.Second {
		errs = append(errs, errors.New("publish.delivery_timeout: must be 0s or 1s and more"))
	}
	return errors.Join(errs...)
}

// Options returns the producer options the client must be built with: every in-sync replica acknowledges,
// idempotent, compressed with zstd, and bounded. The client holds a window of what waits; the publisher holds the rest.
func (c Config) Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()),
		compression(),
		kgo.ProducerBatchMaxBytes(int32(c.MaxRecordBytes)),
		kgo.MaxBufferedBytes(2*windowBytes + 2*c.MaxRecordBytes),
		kgo.ProducerLinger(c.Linger),
		kgo.RecordDeliveryTimeout(c.DeliveryTimeout),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.UnknownTopicRetries(-1), // a topic that is created later is no reason to lose what waits for it
	}
}

// compression is zstd off the calls' way.
func compression() kgo.Opt {
	c, err := newCompressor()
	if err != nil { // not with these options
		return kgo.ProducerBatchCompression(kgo.ZstdCompression())
	}
	return kgo.WithCompressor(c)
}
