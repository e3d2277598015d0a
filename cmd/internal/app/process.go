// Package app wires the roles of one process: clients, the versioned directory, consumers, the tap, the embedded
// broker and engine. It is the only wiring; every part below gets what it needs through its constructor.
package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/admin"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/failpoint"
	"github.com/modeltrail/modeltrail/cmd/internal/history"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/schemas/tlsclient"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// startTimeout bounds how long a role waits for Kafka and ClickHouse when it starts. An orchestrator restarts it.
const startTimeout = 30 * time.Second

// ErrConfig is wrapped by errors that only another configuration, or another directory or price file, can mend.
var ErrConfig = errors.New("faulty configuration")

// Process is what the roles of one operating-system process share.
type Process struct {
	Config  config.Config
	Log     zerolog.Logger
	Version string

	registry *prometheus.Registry
	admin    *admin.Server
	closers  []func(context.Context) error
	follower *history.Follower
	letters  *dlq.Writer
	hooks    failpoint.Hooks // none but in chaos builds
	started  atomic.Bool
}

// New opens the admin endpoint and returns a process without roles. Close ends it.
func New(cfg config.Config, log zerolog.Logger, version string) (*Process, error) {
	if err := os.MkdirAll(cfg.DataDir, 0o700); err != nil {
		return nil, fmt.Errorf("create data_dir: %w", err)
	}
	hooks, err := failpoint.New(log, os.Getenv)
	if err != nil {
		return nil, err
	}
	p := &Process{Config: cfg, Log: log, Version: version, registry: prometheus.NewRegistry(), hooks: hooks}
	p.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	server, err := admin.Start(cfg.Admin, p.registry)
	if err != nil {
		return nil, err
	}
	p.admin = server
	p.admin.AddCheck("start", p.starting)
	p.closers = append(p.closers, server.Close)
	return p, nil
}

// starting keeps the process unready until its roles run: before, it has no other checks that could fail.
func (p *Process) starting(context.Context) error {
	if p.started.Load() {
		return nil
	}
	return errors.New("roles are being started")
}

// Run declares the process ready and runs its roles, as the function Run does.
func (p *Process) Run(ctx context.Context, roles ...Role) error {
	p.started.Store(true)
	return Run(ctx, roles...)
}

// AdminAddr is the address of health and metrics, "" when switched off.
func (p *Process) AdminAddr() string { return p.admin.Addr() }

// onClose registers what Close does; the last registered goes first.
func (p *Process) onClose(f func(context.Context) error) { p.closers = append(p.closers, f) }

// Close releases everything in the reverse order of its start, within ctx. It is called once.
func (p *Process) Close(ctx context.Context) error {
	var errs []error
	for i := len(p.closers) - 1; i >= 0; i-- {
		errs = append(errs, p.closers[i](ctx))
	}
	return errors.Join(errs...)
}

// kafka returns a client that has reached a broker; the process closes it.
func (p *Process) kafka(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	client, err := p.unreachedKafka(opts...)
	if err != nil {
		return nil, err
	}
	if err := p.Config.Kafka.Reach(ctx, client, startTimeout); err != nil {
		return nil, err
	}
	return client, nil
}

// unreachedKafka returns a client that connects when it is used: the tap serves calls also while Kafka is down.
func (p *Process) unreachedKafka(opts ...kgo.Opt) (*kgo.Client, error) {
	if len(p.Config.Kafka.Brokers) == 0 {
		return nil, fmt.Errorf("%w: kafka.brokers: name at least one broker, or run `modeltrail up` for the embedded one", ErrConfig)
	}
	client, err := kafka.NewClient(p.Config.Kafka, p.Log, opts...)
	if err != nil {
		return nil, err
	}
	p.onClose(func(context.Context) error { client.Close(); return nil })
	return client, nil
}

// clickhouse returns a connection pool that has reached the server; the process closes it.
func (p *Process) clickhouse(ctx context.Context) (driver.Conn, error) {
	return p.openClickHouse(ctx, p.Config.ClickHouse)
}

// clickhouseServer is like clickhouse, without a database: the migrations create it.
func (p *Process) clickhouseServer(ctx context.Context) (driver.Conn, error) {
	cfg := p.Config.ClickHouse
	cfg.Database = "default"
	return p.openClickHouse(ctx, cfg)
}

func (p *Process) openClickHouse(ctx context.Context, cfg clickhouse.Config) (driver.Conn, error) {
	conn, err := OpenClickHouse(ctx, cfg)
	if err != nil {
		return nil, err
	}
	p.onClose(func(context.Context) error { return conn.Close() })
	return conn, nil
}

// OpenClickHouse connects and waits until the server answers, at most for startTimeout.
func OpenClickHouse(ctx context.Context, cfg clickhouse.Config) (driver.Conn, error) {
	if len(cfg.Addr) == 0 {
		return nil, fmt.Errorf("%w: clickhouse.addr: name the server, or run `modeltrail up` for the embedded engine", ErrConfig)
	}
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	var last error // says more than the deadline that ends the wait
	for {
		err := conn.Ping(ctx)
		if err == nil {
			return conn, nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		var secured *tlsclient.Error
		if errors.As(tlsclient.Explain(err), &secured) {
			return nil, errors.Join(fmt.Errorf("reach clickhouse.addr %v: clickhouse.tls.%w", cfg.Addr, secured), conn.Close())
		}
		if clickhouse.Classify(err) != clickhouse.ClassTransient || ctx.Err() != nil {
			return nil, errors.Join(fmt.Errorf("reach clickhouse.addr %v as clickhouse.user %q with clickhouse.password: %w", cfg.Addr, cfg.User, last), conn.Close())
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}
