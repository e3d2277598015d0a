package app

import (
	"context"
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/tapserver"
	"github.com/modeltrail/modeltrail/ingest/ledger"
)

// Tap prepares the tap; alone means that it is the process's only role. It serves calls also while no broker can be reached.
// The address is known at once.
func (p *Process) Tap(_ context.Context, alone bool) (Role, string, error) {
	if len(p.Config.Tap.Routes) == 0 {
		return Role{}, "", fmt.Errorf("%w: tap.routes: name one route or more; `modeltrail config example` shows some", ErrConfig)
	}
	deliveries := &ledger.Deliveries{Topic: p.Config.Kafka.Topics.Envelopes}
	client, err := p.unreachedKafka(append(p.Config.Publish.Options(), kgo.WithHooks(deliveries))...)
	if err != nil {
		return Role{}, "", err
	}
	statements, err := p.unreachedKafka(ledger.Options()...)
	if err != nil {
		return Role{}, "", err
	}
	cfg := p.Config.Tap
	cfg.Credential.KeyFile = KeyFile(p.Config)
	spoolConfig := p.Config.Spool
	if spoolConfig.Dir == "" {
		spoolConfig.Dir = p.Config.Path("spool")
	}
	server, err := tapserver.New(tapserver.Settings{
		Tap: cfg, Publish: p.Config.Publish, Spool: spoolConfig, Ledger: LedgerConfig(p.Config),
		Topic: p.Config.Kafka.Topics.Envelopes, Sources: p.Config.Kafka.Topics.Sources, Client: client,
		Deliveries: deliveries, Statements: statements,
		Alone: alone, Version: p.Version, Logger: p.Log, Registerer: p.registry,
	})
	if err != nil {
		return Role{}, "", err
	}
	p.admin.AddCheck("spool", server.CheckSpool) // not Kafka: the tap serves and keeps envelopes also without it
	return Role{"tap", server.Run}, server.Addr(), nil
}

// KeyFile is where the fingerprint key lies.
func KeyFile(cfg config.Config) string {
	if file := cfg.Tap.Credential.KeyFile; file != defaultKeyFile {
		return file
	}
	return cfg.Path(defaultKeyFile)
}

// LedgerConfig is the ledger section with its default paths in the data folder.
func LedgerConfig(cfg config.Config) ledger.Config {
	out, standard := cfg.Ledger, ledger.DefaultConfig()
	out.StateDir = within(cfg, out.StateDir, standard.StateDir)
	out.SourceKeyFile = within(cfg, out.SourceKeyFile, standard.SourceKeyFile)
	return out
}

// defaultKeyFile is the fingerprint key's file name; it lies in the data folder unless the configuration says more.
const defaultKeyFile = "modeltrail-fingerprint.key"
