package main

import (
	"fmt"
	"os"
	"runtime"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
)

const long = `modeltrail-tap stands between your applications and the providers of language models. It relays every call
unchanged and publishes what it saw to Kafka: who called, with which credential (as a keyed fingerprint, never the
key), what went out and what came back, with secrets and personal data removed.

A call is never slowed or failed by the audit. When Kafka is away, envelopes wait in bounded memory; what does not
fit is dropped, counted, and visible in the next envelope. With --spool-dir they wait on disk instead and survive
restarts; with --durability spool-first each one is on disk before it is sent:

  modeltrail-tap --upstream openai=https://api.openai.com --brokers 127.0.0.1:9092 \
    --spool-dir /var/lib/modeltrail/spool --durability spool-first

Point a client at the tap by its base URL:

  modeltrail-tap --upstream openai=https://api.openai.com --brokers 127.0.0.1:9092
  OPENAI_BASE_URL=http://127.0.0.1:8080/openai/v1 python app.py

  modeltrail-tap --upstream anthropic=https://api.anthropic.com --brokers 127.0.0.1:9092
  ANTHROPIC_BASE_URL=http://127.0.0.1:8080/anthropic node app.js

More than routes, such as capture modes per route, upstream credentials, TLS and SASL toward Kafka, stands in a file:

  tap:
    routes:
      - prefix: /openai
        upstream: https://api.openai.com
        provider: openai
        capture: redacted            # metadata, hash, redacted or full
        set_headers:
          - {name: authorization, value: "Bearer ", secret: {env: OPENAI_API_KEY}}
  kafka:
    brokers: [broker-1:9093]
    tls: {enabled: true}

Health, readiness and Prometheus metrics are at http://127.0.0.1:9464 (/healthz, /readyz, /metrics).
SIGTERM stops new calls, lets running ones end and publishes what waits, at most for tap.drain_timeout. With a spool
the rest waits there for the next start.

Exit codes: 0 stopped cleanly, 1 could not serve, 2 wrong flags or configuration, 3 calls or envelopes were lost at
the deadline of the shutdown.`

func newCommand() *cobra.Command {
	var f flags
	root := &cobra.Command{
		Use: "modeltrail-tap", Short: "Relay LLM calls and publish their audit trail to Kafka", Long: long,
		Args: cobra.NoArgs, SilenceUsage: true, SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := f.load()
			if err != nil {
				return err
			}
			level, err := zerolog.ParseLevel(f.logLevel)
			if err != nil {
				return fmt.Errorf("--log-level: %q is not debug, info, warn or error", f.logLevel)
			}
			log := zerolog.New(os.Stderr).Level(level).With().Timestamp().Logger()
			return serve(cmd.Context(), cfg, log)
		},
	}
	fs := root.Flags()
	fs.StringVar(&f.config, "config", "", "YAML file with the sections tap, ledger, publish, spool, kafka and admin")
	fs.StringArrayVar(&f.upstreams, "upstream", nil, "NAME=URL: relay calls below /NAME to URL; may be repeated")
	fs.StringSliceVar(&f.brokers, "brokers", nil, "Kafka brokers as host:port, comma-separated")
	fs.StringVar(&f.listen, "listen", "", "address of the proxy (default 127.0.0.1:8080)")
	fs.StringVar(&f.admin, "admin", "", "address of health and metrics (default 127.0.0.1:9464)")
	fs.StringVar(&f.instance, "instance", "", "stable name of this tap (default the host name)")
	fs.StringVar(&f.capture, "capture", "", "what is kept of bodies: metadata, hash, redacted, full (default redacted)")
	fs.StringVar(&f.spoolDir, "spool-dir", "", "folder in which envelopes wait for Kafka (default none: they wait in memory)")
	fs.StringVar(&f.durability, "durability", "", "memory, spill or spool-first (default spill with --spool-dir, else memory)")
	fs.StringVar(&f.logLevel, "log-level", "info", "debug, info, warn or error")
	root.AddCommand(&cobra.Command{
		Use: "version", Short: "Print the version", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "modeltrail-tap %s %s %s/%s\n", version, runtime.Version(), runtime.GOOS, runtime.GOARCH)
			return err
		},
	})
	return root
}
