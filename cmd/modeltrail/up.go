package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/ingest/tap"
)

func newUp() *cobra.Command {
	var withDemo bool
	cmd := &cobra.Command{
		Use: "up", GroupID: "run", Short: "Run everything in one process, on an embedded broker and an embedded ClickHouse",
		Long: `up starts all roles. Where the configuration names no Kafka brokers or no ClickHouse, it embeds them: the broker in this
process, ClickHouse in a child process (installed on first use). Where it names no routes, /openai and /anthropic go to
the public APIs. What it stores lies in data_dir; a second start finds what the first one stored.

With --demo it also starts a scripted provider and traffic of several teams, with one out-of-scope call and one cost
spike within the first minute.`,
		Example: "  modeltrail up --demo\n  modeltrail up --config modeltrail.yaml\n  OPENAI_BASE_URL=http://127.0.0.1:8080/openai/v1 python app.py",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if withDemo {
				return upDemo(cmd)
			}
			return withProcess(cmd, publicRoutes, func(ctx context.Context, p *app.Process) error {
				endpoints, err := p.Embed(ctx)
				if err != nil {
					return err
				}
				return p.Up(ctx, endpoints, func(e app.Endpoints) { announce(cmd.OutOrStdout(), p.Config, e) })
			})
		},
	}
	cmd.Flags().BoolVar(&withDemo, "demo", false, "also run a scripted provider and generated traffic")
	return cmd
}

// publicRoutes lets `modeltrail up` be useful without a configuration.
func publicRoutes(cfg *config.Config) {
	if len(cfg.Tap.Routes) == 0 {
		cfg.Tap.Routes = []tap.Route{
			{Name: "openai", Prefix: "/openai", Upstream: "https://api.openai.com", Provider: "openai"},
			{Name: "anthropic", Prefix: "/anthropic", Upstream: "https://api.anthropic.com", Provider: "anthropic"},
		}
	}
}

// announce says where to look.
func announce(w io.Writer, cfg config.Config, e app.Endpoints) {
	fmt.Fprintln(w, "\nModelTrail is up.")
	for _, route := range cfg.Tap.Routes {
		fmt.Fprintf(w, "  tap          %s%s  ->  %s\n", e.TapURL, route.Prefix, route.Upstream)
	}
	if e.ReceiveURL != "" {
		fmt.Fprintf(w, "  receiver     %s/v1/envelopes\n", e.ReceiveURL)
	}
	if e.SQLURL != "" {
		fmt.Fprintf(w, "  SQL          %s  (database %s, read-only user %s, password in %s)\n", e.SQLURL, e.ClickHouseDatabase, e.User, cfg.Path("endpoints.yaml"))
	}
	fmt.Fprintln(w, "  questions    modeltrail query --list")
	fmt.Fprintln(w, "  live tail    modeltrail tail")
	if e.Alerts != "" {
		fmt.Fprintf(w, "  alerts       tail -f %s\n", e.Alerts)
	}
	fmt.Fprintln(w, "  stop         Ctrl-C; what was stored stays")
	fmt.Fprintln(w)
}
