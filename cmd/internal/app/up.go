package app

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/modeltrail/modeltrail/cmd/internal/broker"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/sinks/alert/jsonl"
)

// Endpoints is where a running `modeltrail up` can be reached. It lies in the data folder, readable by its owner
// only, so that `modeltrail query` and `modeltrail tail` need no configuration.
type Endpoints struct {
	Brokers            []string `yaml:"brokers"`
	ClickHouseAddr     []string `yaml:"clickhouse_addr"`
	ClickHouseProtocol string   `yaml:"clickhouse_protocol"`
	ClickHouseDatabase string   `yaml:"clickhouse_database"`
	User               string   `yaml:"user"`
	Password           string   `yaml:"password"`
	OperatorUser       string   `yaml:"operator_user"` // may write: for replay and dlq
	OperatorPassword   string   `yaml:"operator_password"`
	TapURL             string   `yaml:"tap_url"`
	ReceiveURL         string   `yaml:"receive_url,omitempty"`
	SQLURL             string   `yaml:"sql_url"`
	Alerts             string   `yaml:"alerts"`
}

func endpointsFile(cfg config.Config) string { return cfg.Path("endpoints.yaml") }

// ReadEndpoints returns where the `modeltrail up` of this data folder listens.
func ReadEndpoints(cfg config.Config) (Endpoints, error) {
	var e Endpoints
	data, err := os.ReadFile(endpointsFile(cfg))
	if errors.Is(err, os.ErrNotExist) {
		return e, fmt.Errorf("nothing runs in data_dir %s: start `modeltrail up`, or name clickhouse.addr and kafka.brokers in --config", cfg.DataDir)
	}
	if err != nil {
		return e, fmt.Errorf("read endpoints: %w", err)
	}
	if err := yaml.Unmarshal(data, &e); err != nil {
		return e, fmt.Errorf("read endpoints: %w", err)
	}
	return e, nil
}

// Embed starts the embedded broker and engine where the configuration names no servers, creates topics and tables,
// and returns where everything can be reached.
func (p *Process) Embed(ctx context.Context) (Endpoints, error) {
	cfg := &p.Config
	var e Endpoints
	if err := CheckFiles(*cfg); err != nil { // before anything is started or installed
		return e, err
	}
	if len(cfg.Kafka.Brokers) == 0 {
		if err := p.embedBroker(); err != nil {
			return e, err
		}
	}
	if len(cfg.ClickHouse.Addr) == 0 {
		if err := p.embedEngine(ctx, &e); err != nil {
			return e, err
		}
	}
	if len(cfg.Alert.Sinks) == 0 {
		cfg.Alert.Sinks = []role.AlertSinkConfig{{Name: "file", Type: role.SinkJSONL, JSONL: jsonl.Config{Path: cfg.Path("alerts.jsonl")}}}
		e.Alerts = cfg.Path("alerts.jsonl")
	}
	e.Brokers = cfg.Kafka.Brokers
	e.ClickHouseAddr, e.ClickHouseProtocol, e.ClickHouseDatabase = cfg.ClickHouse.Addr, cfg.ClickHouse.Protocol, cfg.ClickHouse.Database
	return e, p.Migrate(ctx)
}

func (p *Process) embedBroker() error {
	cfg := p.Config.Broker
	cfg.DataDir = within(p.Config, cfg.DataDir, broker.DefaultConfig().DataDir)
	b, err := broker.Start(cfg, p.Log)
	if err != nil {
		return fmt.Errorf("start embedded broker: %w", err)
	}
	p.onClose(func(context.Context) error { return b.Close() })
	p.Config.Kafka.Brokers = b.Addrs()
	return nil
}

func (p *Process) embedEngine(ctx context.Context, e *Endpoints) error {
	cfg := p.Config.Engine
	cfg.DataDir = within(p.Config, cfg.DataDir, engine.DefaultConfig().DataDir)
	if cfg.InstallDir == "" {
		cfg.InstallDir = engineInstallDir(p.Config)
	}
	cfg.Database = p.Config.ClickHouse.Database
	run, err := engine.Start(ctx, cfg, p.Log)
	if err != nil {
		return fmt.Errorf("start embedded engine: %w", err)
	}
	p.onClose(run.Close)
	admin, reader := run.Users()
	clickhouse := &p.Config.ClickHouse
	clickhouse.Addr, clickhouse.Protocol = []string{run.Addr()}, string(run.Protocol())
	clickhouse.User, clickhouse.Password = admin.Name, admin.Password
	e.OperatorUser, e.OperatorPassword = admin.Name, admin.Password.Value()
	e.User, e.Password, e.SQLURL = reader.Name, reader.Password.Value(), "http://"+run.HTTPAddr()
	return nil
}

// engineInstallDir is shared by all data folders of a user: the library is large.
func engineInstallDir(cfg config.Config) string {
	if cache, err := os.UserCacheDir(); err == nil {
		return filepath.Join(cache, "modeltrail", "engine")
	}
	return cfg.Path("engine")
}

// within moves a path that is still the default below the configured data folder.
func within(cfg config.Config, path, standard string) string {
	if path == standard {
		return cfg.Path(filepath.Base(standard))
	}
	return path
}

// Migrate creates the topics and the tables that are missing.
func (p *Process) Migrate(ctx context.Context) error {
	client, err := p.kafka(ctx)
	if err != nil {
		return err
	}
	if err := p.Config.Kafka.EnsureTopics(ctx, client); err != nil {
		return err
	}
	conn, err := p.clickhouseServer(ctx)
	if err != nil {
		return err
	}
	applied, err := ddl.Apply(ctx, conn, SchemaOptions(p.Config))
	if err != nil {
		return fmt.Errorf("migrate tables: %w", err)
	}
	for _, name := range applied {
		p.Log.Info().Str("migration", name).Msg("migration applied")
	}
	return nil
}

// ApplyGrants creates the roles and grants of a server with access management.
func (p *Process) ApplyGrants(ctx context.Context) error {
	conn, err := p.clickhouseServer(ctx)
	if err != nil {
		return err
	}
	return ddl.ApplyGrants(ctx, conn, SchemaOptions(p.Config))
}

// SchemaOptions takes database and cluster from the clickhouse section: there is one place to name them.
func SchemaOptions(cfg config.Config) ddl.Options {
	opt := cfg.Schema
	opt.Database, opt.Cluster = cfg.ClickHouse.Database, cfg.ClickHouse.Cluster
	return opt
}

// Up starts all roles in the order of the data, so that nothing is produced that nobody would consume, and runs until
// ctx ends. It stops in the opposite direction: first the tap, then the consumers. announce is called when all is up.
func (p *Process) Up(ctx context.Context, e Endpoints, announce func(Endpoints), extra ...Role) error {
	enrich, err := p.Enrich(ctx) // first: it publishes directory and prices, which the others wait for
	if err != nil {
		return err
	}
	consumers := enrich
	for _, prepare := range []func(context.Context) ([]Role, error){p.Store, p.Detect, p.Alert} {
		roles, err := prepare(ctx)
		if err != nil {
			return err
		}
		consumers = append(consumers, roles...)
	}
	tap, address, err := p.Tap(ctx, false)
	if err != nil {
		return err
	}
	e.TapURL = "http://" + address
	upstreams := append([]Role{tap}, extra...)
	if p.Config.Receive.Listen != "" {
		receive, url, err := p.Receive(ctx)
		if err != nil {
			return err
		}
		e.ReceiveURL = url
		upstreams = append(upstreams, receive)
	}
	if err := p.writeEndpoints(e); err != nil {
		return err
	}
	downstream, stopDownstream := context.WithCancel(context.WithoutCancel(ctx))
	defer stopDownstream()
	upstream, stopUpstream := context.WithCancel(ctx)
	defer stopUpstream()
	ended := make(chan error, 1)
	go func() {
		err := Run(downstream, consumers...)
		stopUpstream()
		ended <- err
	}()
	p.started.Store(true)
	announce(e)
	err = Run(upstream, upstreams...)
	stopDownstream()
	return errors.Join(err, <-ended)
}

func (p *Process) writeEndpoints(e Endpoints) error {
	data, err := yaml.Marshal(e)
	if err != nil {
		return fmt.Errorf("write endpoints: %w", err)
	}
	file := endpointsFile(p.Config)
	if err := os.WriteFile(file, data, 0o600); err != nil {
		return fmt.Errorf("write endpoints: %w", err)
	}
	p.onClose(func(context.Context) error { return os.Remove(file) })
	return nil
}

// CloseTimeout bounds the release of clients, engine and broker after the roles have ended.
const CloseTimeout = 30 * time.Second
