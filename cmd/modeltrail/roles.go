package main

import (
	"context"
	"os"
	"runtime/debug"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
)

func newTap() *cobra.Command {
	return &cobra.Command{
		Use: "tap", GroupID: "run", Short: "Run the tap: relay calls and publish two envelopes for each",
		Long: `The tap relays every call to the upstream of its route and publishes what it saw to Kafka. It never slows or fails
a call because of Kafka: envelopes wait on disk (docs/spool.md), and what cannot be kept is counted and reported. Only routes with
on_audit_failure: closed refuse calls that could not be audited.

modeltrail-tap is the same as a small binary of its own.`,
		Example: "  modeltrail tap --config modeltrail.yaml\n  OPENAI_BASE_URL=http://127.0.0.1:8080/openai/v1 python app.py",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withProcess(cmd, nil, func(ctx context.Context, p *app.Process) error {
				role, _, err := p.Tap(ctx, true)
				if err != nil {
					return err
				}
				return p.Run(ctx, role)
			})
		},
	}
}

func newReceive() *cobra.Command {
	return &cobra.Command{
		Use: "receive", GroupID: "run", Short: "Run the receiver: envelopes over HTTP to Kafka",
		Long: `The receiver takes envelopes over HTTP from taps in other networks and from gateways, and answers 2xx only when they
are durable: on disk here, or acknowledged by Kafka. Senders prove who they are with a bearer token, a signature or a client certificate; each has limits
of its own. docs/receiver.md tells how to send.`,
		Example: `  modeltrail receive --config modeltrail.yaml
  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' \
    --data @envelope.json https://modeltrail.example:8443/v1/envelopes`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withProcess(cmd, nil, func(ctx context.Context, p *app.Process) error {
				role, _, err := p.Receive(ctx)
				if err != nil {
					return err
				}
				return p.Run(ctx, role)
			})
		},
	}
}

// consumerRole is the command of a role that consumes a topic.
func consumerRole(use, short, long string, prepare func(*app.Process, context.Context) ([]app.Role, error)) *cobra.Command {
	return &cobra.Command{
		Use: use, GroupID: "run", Short: short, Long: long, Args: cobra.NoArgs,
		Example: "  modeltrail " + use + " --config modeltrail.yaml",
		RunE: func(cmd *cobra.Command, _ []string) error {
			return withProcess(cmd, nil, func(ctx context.Context, p *app.Process) error {
				roles, err := prepare(p, ctx)
				if err != nil {
					return err
				}
				return p.Run(ctx, roles...)
			})
		},
	}
}

func newStore() *cobra.Command {
	store := consumerRole("store", "Run the role store: envelopes and findings to ClickHouse",
		`store reads the envelopes topic, runs the chain (decode, identity, policy, price) and inserts rows; what cannot become
a row goes to the dead letters with its original bytes. Findings, statements of sources and dead letters of other roles
become rows as well. Run as many as there are partitions. A stopped or killed store goes on where it was, without losing
or doubling a row.`, (*app.Process).Store)
	store.PreRun = func(*cobra.Command, []string) { limitStoreMemory() }
	return store
}

// limitStoreMemory lets the collector run seldom while memory is free and hard before the process passes 300 MiB.
// GOGC and GOMEMLIMIT of the operator win. Measured with `make bench`.
func limitStoreMemory() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(230 << 20)
	}
}

func newEnrich() *cobra.Command {
	return consumerRole("enrich", "Run the role enrich: envelopes to events keyed by team",
		`enrich runs the same chain as store and writes events for the detectors and for other consumers. It also publishes
each version of the directory and of the price table, so that all roles use the same one.`, (*app.Process).Enrich)
}

func newDetect() *cobra.Command {
	return consumerRole("detect", "Run the role detect: events to findings",
		`detect watches events for out-of-scope use, cost spikes, unknown credentials and budgets, and writes findings. Its
state is rebuilt from the events topic and from ClickHouse when it starts.`, (*app.Process).Detect)
}

func newAlert() *cobra.Command {
	return consumerRole("alert", "Run the role alert: findings to webhooks and files",
		`alert sends each finding once to every sink of alert.sinks. Each sink is a consumer group of its own: a slow webhook
holds up nothing else.`, (*app.Process).Alert)
}
