package app

import (
	"context"
	"fmt"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/tapserver"
)

// Tap prepares the tap. It serves calls also while no broker can be reached. The address is known at once.
func (p *Process) Tap(context.Context) (Role, string, error) {
	if len(p.Config.Tap.Routes) == 0 {
		return Role{}, "", fmt.Errorf("%w: tap.routes: name one route or more; `modeltrail config example` shows some", ErrConfig)
	}
	client, err := p.unreachedKafka(p.Config.Publish.Options()...)
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
		Tap: cfg, Publish: p.Config.Publish, Spool: spoolConfig, Topic: p.Config.Kafka.Topics.Envelopes, Client: client,
		Version: p.Version, Logger: p.Log, Registerer: p.registry,
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

// defaultKeyFile is the fingerprint key's file name; it lies in the data folder unless the configuration says more.
const defaultKeyFile = "modeltrail-fingerprint.key"
