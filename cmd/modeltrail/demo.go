package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/demo"
	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
	"github.com/modeltrail/modeltrail/cmd/internal/demo/traffic"
	"github.com/modeltrail/modeltrail/cmd/internal/demo/watch"
	"github.com/modeltrail/modeltrail/ingest/credential"
	"github.com/modeltrail/modeltrail/ingest/tap"
)

// upDemo runs everything with a scripted provider and generated traffic.
func upDemo(cmd *cobra.Command) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen for the scripted provider: %w", err)
	}
	server := &http.Server{Handler: provider.New(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	defer server.Close()
	change := func(cfg *config.Config) { demoConfig(cfg, "http://"+listener.Addr().String()) }
	return withProcess(cmd, change, func(ctx context.Context, p *app.Process) error {
		if err := writeDemoDirectory(&p.Config); err != nil {
			return err
		}
		endpoints, err := p.Embed(ctx)
		if err != nil {
			return err
		}
		look := watch.New(p.Config.ClickHouse, p.Config.Kafka, cmd.OutOrStdout())
		calls := func(ctx context.Context) error {
			cfg := traffic.DefaultConfig()
			cfg.TapURL = endpoints.TapURL
			cfg.SpikeAfter, cfg.Repeat = 32*time.Second, 3*time.Minute
			_, err := traffic.Run(ctx, cfg, p.Log)
			return err
		}
		up := func(e app.Endpoints) {
			endpoints = e
			announce(cmd.OutOrStdout(), p.Config, e)
		}
		return p.Up(ctx, endpoints, up, app.Role{Name: "demo traffic", Run: calls}, app.Role{Name: "demo watch", Run: look.Run})
	})
}

// demoConfig points the tap at the scripted provider and gives the cost detector windows that suit a demonstration
// of a minute.
func demoConfig(cfg *config.Config, provider string) {
	cfg.Tap.Gateway = "demo"
	cfg.Tap.Routes = []tap.Route{
		{Name: "openai", Prefix: "/openai", Upstream: provider, Provider: "openai"},
		{Name: "anthropic", Prefix: "/anthropic", Upstream: provider, Provider: "anthropic"},
	}
	spike := &cfg.Detect.Detectors.CostSpike
	spike.Bucket, spike.BaselineBuckets, spike.MinBuckets = 5*time.Second, 24, 4
	spike.Lateness, spike.CoolDown, spike.MinImpactUSD = 5*time.Second, time.Minute, 1
	cfg.Directory.File = cfg.Path("demo-directory.yaml")
}

// writeDemoDirectory writes the demonstration's directory with the fingerprints that this installation's key gives.
func writeDemoDirectory(cfg *config.Config) error {
	keyed := cfg.Tap.Credential
	keyed.KeyFile = app.KeyFile(*cfg)
	key, err := credential.LoadKey(keyed)
	if err != nil {
		return err
	}
	content := demo.Directory(func(secret string) string { return credential.Fingerprint(key, secret) })
	if err := os.WriteFile(cfg.Directory.File, content, 0o600); err != nil {
		return fmt.Errorf("write demo directory: %w", err)
	}
	return nil
}
