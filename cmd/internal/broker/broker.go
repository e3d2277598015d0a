package broker

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"syscall"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
)

// ErrInUse means that another process holds the data folder.
var ErrInUse = errors.New("data folder is in use by another broker")

const (
	// segmentBytes is the size of one file of a partition, and so by how much a partition may exceed its bound.
	segmentBytes = 64 << 20
	// offsetsRetentionMinutes keeps the place of a consumer group that is away for up to a year; Kafka's own week
	// would make a role that was off for longer start over.
	offsetsRetentionMinutes = 365 * 24 * 60
	// never stands for kfake's own cleaning interval: Broker cleans itself, to tell what was removed unread.
	never = 365 * 24 * 3600 * 1000
)

// Broker is a running embedded broker. Its methods are safe for concurrent use.
type Broker struct {
	cluster *kfake.Cluster
	addrs   []string
	lock    *os.File
	logger  zerolog.Logger

	closeOnce sync.Once
	closeErr  error
	stop      context.CancelFunc
	cleaned   chan struct{}
}

// Start opens the log and listens. The error wraps ErrInUse when another process holds the folder.
func Start(cfg Config, logger zerolog.Logger) (*Broker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check broker configuration: %w", err)
	}
	logger = logger.With().Str("component", "broker").Logger()
	lock, err := lockDir(cfg.DataDir)
	if err != nil {
		return nil, err
	}
	cluster, err := open(cfg, logger)
	if err != nil {
		return nil, errors.Join(err, lock.Close())
	}
	ctx, cancel := context.WithCancel(context.Background())
	b := &Broker{cluster: cluster, addrs: cluster.ListenAddrs(), lock: lock, logger: logger, stop: cancel, cleaned: make(chan struct{})}
	go b.cleanEvery(ctx, cfg.CleanInterval)
	logger.Info().Strs("addresses", b.addrs).Bool("sync_writes", cfg.SyncWrites).Msg("embedded broker started")
	return b, nil
}

func open(cfg Config, logger zerolog.Logger) (*kfake.Cluster, error) {
	listener, err := net.Listen("tcp", cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("listen on %s, set broker.listen to another address if the port is taken: %w", cfg.Listen, err)
	}
	opts := []kfake.Opt{
		kfake.NumBrokers(1),
		kfake.ClusterID("modeltrail-embedded"),
		kfake.Ports(listener.Addr().(*net.TCPAddr).Port),
		kfake.ListenFn(func(string, string) (net.Listener, error) { return listener, nil }),
		kfake.WithLogger(kfakeLogger{logger}),
		kfake.DataDir(cfg.DataDir),
		kfake.BrokerConfigs(map[string]string{
			"log.cleaner.backoff.ms":    strconv.Itoa(never),
			"log.retention.bytes":       strconv.FormatInt(cfg.RetentionBytes, 10),
			"log.segment.bytes":         strconv.Itoa(segmentBytes),
			"message.max.bytes":         strconv.FormatInt(cfg.MaxMessageBytes, 10),
			"offsets.retention.minutes": strconv.Itoa(offsetsRetentionMinutes),
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
func (b *Broker) Addrs() []string { return b.addrs }

// Close stops the broker; its log stays. Close is idempotent.
func (b *Broker) Close() error {
	b.closeOnce.Do(func() {
		b.stop()
		<-b.cleaned
		b.cluster.Close()
		b.closeErr = b.lock.Close()
	})
	return b.closeErr
}

// kfakeLogger passes on what kfake warns of: a write that failed, a file cut short. Its messages name topics,
// partitions, groups and paths, never records.
type kfakeLogger struct{ logger zerolog.Logger }

// Logf implements kfake.Logger.
func (l kfakeLogger) Logf(level kfake.LogLevel, format string, args ...any) {
	switch level {
	case kfake.LogLevelError:
		l.logger.Error().Str("reason", fmt.Sprintf(format, args...)).Msg("embedded broker failed")
	case kfake.LogLevelWarn:
		l.logger.Warn().Str("reason", fmt.Sprintf(format, args...)).Msg("embedded broker warns")
	}
}
