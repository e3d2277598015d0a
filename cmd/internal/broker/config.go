package broker

import (
	"errors"
	"fmt"
	"net"
	"time"
)

// Config is the `broker` section of the configuration.
type Config struct {
	DataDir         string        `yaml:"data_dir" json:"data_dir" jsonschema_description:"Folder of the embedded broker's log, one process at a time. Default modeltrail-data/broker."`
	Listen          string        `yaml:"listen" json:"listen" jsonschema_description:"Loopback address of the embedded broker, port 0 takes a free one. Default 127.0.0.1:9092."`
	SyncWrites      bool          `yaml:"sync_writes" json:"sync_writes" jsonschema_description:"Flush every write to disk before it is acknowledged, so that it survives a power loss; without it, it survives the end of the process. Default true."`
	CleanInterval   time.Duration `yaml:"clean_interval" json:"clean_interval" jsonschema_description:"How often records beyond kafka.topics.retention are removed. Default 5m."`
	RetentionBytes  int64         `yaml:"retention_bytes" json:"retention_bytes" jsonschema_description:"Bytes that one partition keeps at most, so that the disk does not fill. Default 8589934592."`
	MaxMessageBytes int64         `yaml:"max_message_bytes" json:"max_message_bytes" jsonschema_description:"Largest batch of records the broker accepts, in compressed bytes. Default 33554432."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		DataDir: "modeltrail-data/broker", Listen: "127.0.0.1:9092", SyncWrites: true,
		CleanInterval: 5 * time.Minute, RetentionBytes: 8 << 30, MaxMessageBytes: 32 << 20,
	}
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var errs []error
	if c.DataDir == "" {
		errs = append(errs, errors.New("data_dir: name a folder"))
	}
	host, _, err := net.SplitHostPort(c.Listen)
	if ip := net.ParseIP(host); err != nil || (host != "localhost" && (ip == nil || !ip.IsLoopback())) {
		errs = append(errs, fmt.Errorf("listen: %q is not a loopback address such as 127.0.0.1:9092; run Apache Kafka to serve other hosts", c.Listen))
	}
	if c.CleanInterval < time.Second {
		errs = append(errs, errors.New("clean_interval: must be 1s or more"))
	}
	if c.RetentionBytes < 64<<20 {
		errs = append(errs, errors.New("retention_bytes: must be 67108864 or more"))
	}
	if c.MaxMessageBytes < 1<<20 || c.MaxMessageBytes > 1<<29 {
		errs = append(errs, errors.New("max_message_bytes: must be between 1048576 and 536870912"))
	}
	return errors.Join(errs...)
}
