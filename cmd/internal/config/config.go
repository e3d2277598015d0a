// Package config is the one YAML file of ModelTrail: the sections of all parts, their defaults, and the checks that
// span sections.
package config

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/admin"
	"github.com/modeltrail/modeltrail/cmd/internal/broker"
	"github.com/modeltrail/modeltrail/cmd/internal/completeness"
	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/receive"
	"github.com/modeltrail/modeltrail/ingest/spool"
	"github.com/modeltrail/modeltrail/ingest/tap"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Config is the whole file.
type Config struct {
	DataDir      string              `yaml:"data_dir" json:"data_dir" jsonschema_description:"Folder of everything a role keeps on disk: the tap's fingerprint key, alert files, and the embedded broker and engine of 'modeltrail up'. Default modeltrail-data."`
	Log          Log                 `yaml:"log" json:"log" jsonschema_description:"What is logged to standard error."`
	Admin        admin.Config        `yaml:"admin" json:"admin" jsonschema_description:"Health, readiness, metrics and profiles of a role."`
	Tap          tap.Config          `yaml:"tap" json:"tap" jsonschema_description:"The tap: routes, capture and redaction."`
	Receive      receive.Config      `yaml:"receive" json:"receive" jsonschema_description:"The receiver: envelopes and gateway logs over HTTP (docs/receiver.md)."`
	Ledger       ledger.Config       `yaml:"ledger" json:"ledger" jsonschema_description:"What a source keeps and says of its own counts: the proof of completeness starts here."`
	Publish      publish.Config      `yaml:"publish" json:"publish" jsonschema_description:"How the tap hands envelopes to Kafka."`
	Spool        spool.Config        `yaml:"spool" json:"spool" jsonschema_description:"The folder in which envelopes wait while Kafka does not take them."`
	Kafka        kafka.Config        `yaml:"kafka" json:"kafka" jsonschema_description:"The Kafka cluster and its topics."`
	Broker       broker.Config       `yaml:"broker" json:"broker" jsonschema_description:"The embedded broker of 'modeltrail up', used while kafka.brokers is empty."`
	ClickHouse   clickhouse.Config   `yaml:"clickhouse" json:"clickhouse" jsonschema_description:"The ClickHouse server or cluster that rows go to."`
	Engine       engine.Config       `yaml:"engine" json:"engine" jsonschema_description:"The embedded ClickHouse of 'modeltrail up', used while clickhouse.addr is empty."`
	Schema       ddl.Options         `yaml:"schema" json:"schema" jsonschema_description:"Layout and retention of the tables, used by 'modeltrail migrate'."`
	Directory    Directory           `yaml:"directory" json:"directory" jsonschema_description:"Teams, apps, credentials and policies."`
	Prices       Prices              `yaml:"prices" json:"prices" jsonschema_description:"The price table."`
	Store        Store               `yaml:"store" json:"store" jsonschema_description:"The role store: envelopes and findings to ClickHouse."`
	Completeness completeness.Config `yaml:"completeness" json:"completeness" jsonschema_description:"How the role store checks that the record is complete."`
	Enrich       role.EnrichConfig   `yaml:"enrich" json:"enrich" jsonschema_description:"The role enrich: envelopes to events."`
	Detect       role.DetectConfig   `yaml:"detect" json:"detect" jsonschema_description:"The role detect: events to findings."`
	Alert        role.AlertConfig    `yaml:"alert" json:"alert" jsonschema_description:"The role alert: findings to their receivers."`
}

// Log is the section of the log.
type Log struct {
	Level  string `yaml:"level" json:"level" jsonschema:"enum=debug,enum=info,enum=warn,enum=error" jsonschema_description:"Least level written: debug, info, warn or error. Default info."`
	Format string `yaml:"format" json:"format" jsonschema:"enum=auto,enum=json,enum=console" jsonschema_description:"json, console, or auto: console on a terminal and json elsewhere. Default auto."`
}

// Directory is the section of the directory file.
type Directory struct {
	File            string        `yaml:"file" json:"file" jsonschema_description:"YAML file of teams, apps, credentials and policies (docs/directory.md). The role that has it publishes each version for all roles. Empty publishes none."`
	ReloadInterval  time.Duration `yaml:"reload_interval" json:"reload_interval" jsonschema_description:"How often the files of directory and prices are looked at for a new version. Default 5s."`
	ActivationDelay time.Duration `yaml:"activation_delay" json:"activation_delay" jsonschema_description:"Time from publishing a version to its taking effect, so that every role knows it before. Default 2s."`
}

// Prices is the section of the price table.
type Prices struct {
	File   string `yaml:"file" json:"file" jsonschema_description:"Price table (docs/prices.md). Empty means the table that is built in."`
	Format string `yaml:"format" json:"format" jsonschema:"enum=modeltrail,enum=litellm" jsonschema_description:"Format of the file: modeltrail, or litellm for LiteLLM's price map. Default modeltrail."`
}

// Store is the section of the role store.
type Store struct {
	Envelopes stream.Config `yaml:"envelopes" json:"envelopes" jsonschema_description:"Consumption of the envelopes topic."`
	Findings  stream.Config `yaml:"findings" json:"findings" jsonschema_description:"Consumption of the findings topic."`
	Sources   stream.Config `yaml:"sources" json:"sources" jsonschema_description:"Consumption of the topic of sources' statements."`
	Letters   stream.Config `yaml:"letters" json:"letters" jsonschema_description:"Consumption of the dead letter topic, for letters of the receiver and of alert sinks."`
}

// Default returns the configuration that an empty file means.
func Default() Config {
	return Config{
		DataDir: "modeltrail-data", Log: Log{Level: "info", Format: "auto"},
		Admin: admin.DefaultConfig(), Tap: tap.DefaultConfig(), Receive: receive.DefaultConfig(), Ledger: ledger.DefaultConfig(), Publish: publish.DefaultConfig(), Spool: spool.DefaultConfig(),
		Kafka: kafka.DefaultConfig(), Broker: broker.DefaultConfig(),
		ClickHouse: clickhouse.DefaultConfig(), Engine: engine.DefaultConfig(), Schema: ddl.DefaultOptions(),
		Directory: Directory{ReloadInterval: 5 * time.Second, ActivationDelay: 2 * time.Second},
		Prices:    Prices{Format: "modeltrail"},
		Store:     defaultStore(), Completeness: completeness.DefaultConfig(),
		Enrich: role.DefaultEnrichConfig(), Detect: role.DefaultDetectConfig(), Alert: role.DefaultAlertConfig(),
	}
}

func defaultStore() Store {
	s := Store{Envelopes: stream.DefaultConfig(), Findings: stream.DefaultConfig(), Sources: stream.DefaultConfig(), Letters: stream.DefaultConfig()}
	s.Envelopes.Group = "modeltrail.store"
	s.Findings.Group = "modeltrail.findings"
	s.Findings.MaxBatchRows = 1000
	s.Sources.Group = "modeltrail.sources"
	s.Sources.MaxBatchRows = 1000
	s.Letters.Group = "modeltrail.letters"
	s.Letters.MaxBatchRows = 1000
	return s
}

// Path returns where a file of the data folder lies.
func (c Config) Path(elements ...string) string {
	return filepath.Join(append([]string{c.DataDir}, elements...)...)
}

// Validate reports every fault of every section, each with its key.
func (c Config) Validate() error {
	errs := []error{
		c.Log.validate(), c.Admin.Validate(), c.Tap.Validate(), c.Receive.Validate(), c.Ledger.Validate(), c.Publish.Validate(), c.Spool.Validate(), c.Kafka.Validate(),
		within("broker", c.Broker.Validate()), within("schema", c.Schema.Validate()), c.Prices.validate(),
		within("clickhouse", c.ClickHouse.Validate()), within("engine", c.Engine.Validate()),
		c.Detect.Validate(), c.Alert.Validate(), c.Completeness.Validate(),
	}
	for _, s := range []struct {
		key string
		cfg stream.Config
	}{
		{"store.envelopes", c.Store.Envelopes}, {"store.findings", c.Store.Findings}, {"store.sources", c.Store.Sources}, {"store.letters", c.Store.Letters}, {"enrich.stream", c.Enrich.Stream},
		{"detect.stream", c.Detect.Stream}, {"alert.stream", c.Alert.Stream},
	} {
		s.cfg.Topics = []string{"set by the role"}
		errs = append(errs, within(s.key, s.cfg.Validate()))
	}
	errs = append(errs, c.oneDatabase())
	if c.DataDir == "" {
		errs = append(errs, errors.New("data_dir: must not be empty"))
	}
	if c.Directory.ReloadInterval < 100*time.Millisecond {
		errs = append(errs, errors.New("directory.reload_interval: must be 100ms or more"))
	}
	if c.Directory.ActivationDelay < 0 {
		errs = append(errs, errors.New("directory.activation_delay: must not be negative"))
	}
	return errors.Join(errs...)
}

// oneDatabase refuses a second place that names the database or the cluster: the clickhouse section decides.
func (c Config) oneDatabase() error {
	standard := Default()
	var errs []error
	for _, s := range []struct{ key, value, standard, decides, by string }{
		{"schema.database", c.Schema.Database, standard.Schema.Database, c.ClickHouse.Database, "clickhouse.database"},
		{"schema.cluster", c.Schema.Cluster, standard.Schema.Cluster, c.ClickHouse.Cluster, "clickhouse.cluster"},
		{"engine.database", c.Engine.Database, standard.Engine.Database, c.ClickHouse.Database, "clickhouse.database"},
	} {
		if s.value != s.standard && s.value != s.decides {
			errs = append(errs, fmt.Errorf("%s: %q has no effect; set %s instead", s.key, s.value, s.by))
		}
	}
	return errors.Join(errs...)
}

// within puts the section's key before each line of an error.
func within(key string, err error) error {
	if err == nil {
		return nil
	}
	var parts interface{ Unwrap() []error }
	if !errors.As(err, &parts) {
		return fmt.Errorf("%s.%w", key, err)
	}
	var errs []error
	for _, e := range parts.Unwrap() {
		errs = append(errs, fmt.Errorf("%s.%w", key, e))
	}
	return errors.Join(errs...)
}

func (l Log) validate() error {
	var errs []error
	if !slices.Contains([]string{"debug", "info", "warn", "error"}, l.Level) {
		errs = append(errs, fmt.Errorf("log.level: %q is not debug, info, warn or error", l.Level))
	}
	if !slices.Contains([]string{"auto", "json", "console"}, l.Format) {
		errs = append(errs, fmt.Errorf("log.format: %q is not auto, json or console", l.Format))
	}
	return errors.Join(errs...)
}

func (p Prices) validate() error {
	if p.Format != "modeltrail" && p.Format != "litellm" {
		return fmt.Errorf("prices.format: %q is not modeltrail or litellm", p.Format)
	}
	return nil
}
