package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/deadletter"
	"github.com/modeltrail/modeltrail/cmd/internal/output"
	"github.com/modeltrail/modeltrail/cmd/internal/replay"
	"github.com/modeltrail/modeltrail/schemas/batch"
)

func newDLQ() *cobra.Command {
	cmd := &cobra.Command{
		Use: "dlq", GroupID: "repair", Short: "List, show and replay dead letters: records that could not become rows",
		Long: `Every record that could not become a row is kept with its original bytes, position, step, reason and error. dlq shows what
is still open and replays it once the cause is mended: with a newer binary, or after the server takes the rows again.`,
		Example: `  modeltrail dlq list --summary
  modeltrail dlq list --reason not_protobuf --since now-7d --format json
  modeltrail dlq show modeltrail.envelopes/3/18044
  modeltrail dlq replay --stage decode --dry-run`,
		Args: cobra.NoArgs,
	}
	cmd.AddCommand(newDLQList(), newDLQShow(), newDLQReplay())
	return cmd
}

// letterFlags are the filter's flags, as they were typed.
type letterFlags struct {
	Reason string `json:"reason"`
	Stage  string `json:"stage"`
	Source string `json:"source"`
	Since  string `json:"since"`
	Until  string `json:"until"`
	Limit  int    `json:"limit"`
}

func (f *letterFlags) register(cmd *cobra.Command, limit int) {
	flags := cmd.Flags()
	flags.StringVar(&f.Reason, "reason", "", "only this reason, for example not_protobuf")
	flags.StringVar(&f.Stage, "stage", "", "only what this step refused, for example wire, decode or sink")
	flags.StringVar(&f.Source, "source", "", "only records of this topic")
	flags.StringVar(&f.Since, "since", "", "only records taken at this time or later: a date, a time or an age (now-24h)")
	flags.StringVar(&f.Until, "until", "", "only records taken before this time")
	flags.IntVar(&f.Limit, "limit", limit, "at most so many; 0 means no limit")
}

func (f *letterFlags) filter(now time.Time) (deadletter.Filter, error) {
	out := deadletter.Filter{Reason: f.Reason, Stage: f.Stage, Topic: f.Source, Limit: f.Limit}
	var err error
	if out.Since, err = moment("--since", f.Since, now); err == nil {
		out.Until, err = moment("--until", f.Until, now)
	}
	return out, err
}

// reading runs f with a connection of a user that may only read.
func reading(cmd *cobra.Command, f func(ctx context.Context, conn driver.Conn, cfg config.Config) error) error {
	cfg, err := located(cmd)
	if err != nil {
		return err
	}
	conn, err := app.OpenClickHouse(cmd.Context(), cfg.ClickHouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	return f(cmd.Context(), conn, cfg)
}

func newDLQList() *cobra.Command {
	var filter letterFlags
	var format string
	var summary bool
	formats := []string{string(output.FormatTable), string(output.FormatJSON), string(output.FormatCSV)}
	cmd := &cobra.Command{
		Use: "list", Short: "List open dead letters, oldest first; never their bytes",
		Long: `list shows the dead letters that no replay has resolved: position, time, age in seconds, the step that refused the record,
the latest reason, and how often it was tried. --summary counts them by topic, step and reason.`,
		Example: "  modeltrail dlq list --summary\n  modeltrail dlq list --stage decode --since now-24h\n  modeltrail dlq list --format csv --limit 0 > letters.csv",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selected, err := filter.filter(time.Now())
			if err != nil {
				return err
			}
			if !slices.Contains(formats, format) {
				return fmt.Errorf("%w: --format is %q; use %s", errUsage, format, strings.Join(formats, ", "))
			}
			return reading(cmd, func(ctx context.Context, conn driver.Conn, cfg config.Config) error {
				book := deadletter.Open(conn, cfg.ClickHouse.Database)
				ask := book.List
				if summary {
					ask = book.Summary
				}
				rows, err := ask(ctx, selected)
				if err != nil {
					return err
				}
				defer rows.Close()
				_, err = output.Write(cmd.OutOrStdout(), rows, output.Options{Format: output.Format(format)})
				return err
			})
		},
	}
	filter.register(cmd, 1000)
	cmd.Flags().StringVar(&format, "format", string(output.FormatTable), "table, json (one object a line) or csv")
	cmd.Flags().BoolVar(&summary, "summary", false, "count by topic, step and reason")
	return cmd
}

func newDLQShow() *cobra.Command {
	var as deadletter.Bytes
	cmd := &cobra.Command{
		Use: "show TOPIC/PARTITION/OFFSET", Short: "Show one dead letter; its bytes only with --raw or --hex",
		Long: `show prints what is known of one dead letter: when it was taken, which step refused it and why, and its Kafka headers. The
original bytes may hold prompts, so they are printed on request only: --hex as a dump, --raw as they are and nothing
else.`,
		Example: "  modeltrail dlq show modeltrail.envelopes/3/18044\n  modeltrail dlq show modeltrail.envelopes/3/18044 --raw > record.bin",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			at, err := position(args[0])
			if err != nil {
				return err
			}
			return reading(cmd, func(ctx context.Context, conn driver.Conn, cfg config.Config) error {
				letter, err := deadletter.Open(conn, cfg.ClickHouse.Database).Get(ctx, at)
				if err != nil {
					return err
				}
				return letter.Print(cmd.OutOrStdout(), as)
			})
		},
	}
	cmd.Flags().BoolVar(&as.Raw, "raw", false, "print the original value and nothing else")
	cmd.Flags().BoolVar(&as.Hex, "hex", false, "also print key and value as a hex dump")
	cmd.MarkFlagsMutuallyExclusive("raw", "hex")
	return cmd
}

// position reads topic/partition/offset.
func position(text string) (batch.Position, error) {
	parts := strings.Split(text, "/")
	if len(parts) == 3 && parts[0] != "" {
		partition, err1 := strconv.ParseInt(parts[1], 10, 32)
		offset, err2 := strconv.ParseInt(parts[2], 10, 64)
		if err1 == nil && err2 == nil {
			return batch.Position{Topic: parts[0], Partition: int32(partition), Offset: offset}, nil
		}
	}
	return batch.Position{}, fmt.Errorf("%w: %q is not topic/partition/offset, as in modeltrail.envelopes/3/18044", errUsage, text)
}

func newDLQReplay() *cobra.Command {
	var filter letterFlags
	var dryRun, yes bool
	var reason string
	cmd := &cobra.Command{
		Use: "replay", Short: "Pass dead letters through the chain again and store what it takes now",
		Long: `replay takes the original bytes of open dead letters, passes them through the chain of this binary and writes rows at their
original position. What is refused again stays open with one more attempt and the new reason. Giving the command twice
adds nothing; an interrupted one goes on where it was.

Exit codes: 0 all were resolved, 1 failed, 2 wrong usage, 3 some are still refused.`,
		Example: "  modeltrail dlq replay --dry-run\n  modeltrail dlq replay --reason unknown_schema_version --yes\n  modeltrail dlq replay --stage sink --since 2026-03-01 --yes",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			selected, err := filter.filter(time.Now())
			if err != nil {
				return err
			}
			request, err := json.Marshal(filter)
			if err != nil {
				return fmt.Errorf("encode filter: %w", err)
			}
			bar := newBar(cmd, "dlq replay")
			return repairing(cmd, bar, func(_ context.Context, p *app.Process, r *app.Rewriting) error {
				database := p.Config.ClickHouse.Database
				book, topics := deadletter.Open(r.Conn, database), p.Config.Kafka.Topics
				job := replay.Job{Kind: replay.KindLetters, Request: string(request), Reason: reason, Spans: func(ctx context.Context) ([]replay.Span, error) {
					return book.Spans(ctx, selected, topics.Envelopes, topics.Findings)
				}}
				return perform(cmd, r.Engine, job, replay.NewLetters(r.Conn, database), bar, dryRun, yes)
			})
		},
	}
	filter.register(cmd, 0)
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "say what would become of them and write nothing")
	cmd.Flags().BoolVar(&yes, "yes", false, "do not ask")
	cmd.Flags().StringVar(&reason, "why", "", "why, for the record")
	return cmd
}
