// Package broker runs the embedded Kafka broker of `modeltrail up`: kfake, which speaks the real protocol, with its
// log on disk. Production uses Apache Kafka or anything that speaks its protocol.
package broker

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
)

// ErrInUse means that another process holds the data folder.
var ErrInUse = errors.New("data folder is in use by another broker")

// Config is the `broker` section of the configuration.
type Config struct {
	DataDir        string        `yaml:"data_dir" json:"data_dir" jsonschema_description:"Folder of the embedded broker's log, one process at a time. Default modeltrail-data/broker."`
	Listen         string        `yaml:"listen" json:"listen" jsonschema_description:"Loopback address of the embedded broker, port 0 takes a free one. Default 127.0.0.1:9092."`
	SyncWrites     bool          `yaml:"sync_writes" json:"sync_writes" jsonschema_description:"Flush every write to disk before it is acknowledged, so that it survives a power loss; without it, it survives the end of the process. Default true."`
	CleanInterval  time.Duration `yaml:"clean_interval" json:"clean_interval" jsonschema_description:"How often records beyond kafka.topics.retention are removed. Default 5m."`
	RetentionBytes int64         `yaml:"retention_bytes" json:"retention_bytes" jsonschema_description:"Bytes that one partition keeps at most, so that the disk does not fill. Default 8589934592."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		DataDir: "modeltrail-data/broker", Listen: "127.0.0.1:9092", SyncWrites: true,
		CleanInterval: 5 * time.Minute, RetentionBytes: 8 << 30,
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
	return errors.Join(errs...)
}

// Broker is a running embedded broker.
type Broker struct {
	cluster *kfake.Cluster
	lock    *os.File
}

// Start opens the log and listens. The error wraps ErrInUse when another process holds the folder.
func Start(cfg Config, log zerolog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check broker configuration: %w", err)
	}
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	cluster, err := open(cfg)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	log.Info().Str("component", "broker").Strs("addresses", cluster.ListenAddrs()).Bool("sync_writes", cfg.SyncWrites).Msg("embedded broker started")
	return &Broker{cluster: cluster, lock: lock}, nil
}

func open(cfg Config) (*kfake.Cluster, error) {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on broker.listen %s: %w", cfg.Listen, err)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("modeltrail-embedded"),
		kfake.Ports(listener.Addr().(*net.TCPAddr).Port),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.DataDir(cfg.DataDir),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms": strconv.FormatInt(cfg.CleanInterval.Milliseconds(), 10),
			"log.retention.bytes":    strconv.FormatInt(cfg.RetentionBytes, 10),
		}),
	}
	if cfg.SyncWrites {
		opts = append(opts, kfake.SyncWrites())
	}
	cluster, err := kfake.NewCluster(opts...)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open embedded broker in %s: %w", cfg.DataDir, err), listener.Close())
	}
	return cluster, nil
}

// lockDir keeps a second process out of the folder for as long as the file is open; the kernel releases it when the
// process ends in whatever way.
func lockDir(dir string) (*os.File, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create broker.data_dir: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock broker.data_dir: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("lock broker.data_dir %s: %w", dir, ErrInUse), lock.Close())
	}
	return lock, nil
}

// Addrs are the addresses for kafka.brokers.
func (b *Broker) Addrs() []string { return b.cluster.ListenAddrs() }

// Close stops the broker; its log stays.
func (b *Broker) Close() error {
	b.cluster.Close()
	return b.lock.Close()
}
