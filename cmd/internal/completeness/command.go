package completeness

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/schemas/queries"
)

// ErrIncomplete means that the command ran and the record is not complete; a program exits with 3.
var ErrIncomplete = errors.New("the record is not complete")

// ErrUsage is the cause of every error that another command line would mend; a program exits with 2.
var ErrUsage = errors.New("wrong usage")

// Connect opens what the command needs. Offline asks for no Kafka, and the lag is nil then. The command calls done.
type Connect func(ctx context.Context, offline bool) (r Record, l *Lag, silenceAfter time.Duration, done func(), err error)

const commandLong = `completeness compares what every source says it sent, under its signature, with what ClickHouse holds, per source and hour.
Before it compares it waits until the role store has consumed all that Kafka holds, so that a backlog is no loss.

  sent           envelopes that the source numbered
  stored         of these, rows
  dead-lettered  of these, records that could not become a call; their bytes are in dead_letters
  dropped        envelopes given up, by reason: counted gaps. crash: lost with a killed process
  pending        numbered and not acknowledged by Kafka yet (in memory or in the spool)
  missing        acknowledged by Kafka and nowhere
  surplus        rows that no statement tells of
  verified       the figures stand in statements signed with the key that is trusted for the source

As a second proof it counts offsets: in each partition every offset from the first to the last is exactly one row.

Exit codes: 0 complete, 1 failed, 2 wrong usage, 3 something is missing or cannot be explained: missing, surplus, not verified,
a gap or a doubled offset, a source that fell silent, or no statement at all. Dropped envelopes are explained gaps; with
--strict they count too, as do pending ones, altered statements and envelopes of sources that make no statements.`

const commandExample = `  modeltrail completeness                                   # the last 24 hours
  modeltrail completeness --since 2026-03-01 --until 2026-04-01 --format csv > march.csv
  modeltrail completeness --source edge-1 --since now-2h
  modeltrail completeness --strict || mail -s "gaps in the audit trail" soc@example.com < /dev/null`

type commandFlags struct {
	since, until, source, format string
	strict, offline              bool
	wait                         time.Duration
}

// NewCommand returns the command `completeness`.
func NewCommand(connect Connect) *cobra.Command {
	var f commandFlags
	cmd := &cobra.Command{
		Use: "completeness", Short: "Prove that the record is complete, or say what is missing; exit code 3 when it is not",
		Long: commandLong, Example: commandExample, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return f.run(cmd, connect) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.since, "since", "now-24h", "first hour: a date, a time or an age such as now-7d")
	flags.StringVar(&f.until, "until", "now", "end of the span, not included")
	flags.StringVar(&f.source, "source", "", "only this source instance")
	flags.StringVar(&f.format, "format", "table", "table, json (one object a line) or csv (hours only)")
	flags.BoolVar(&f.strict, "strict", false, "also fail on counted gaps, pending envelopes and sources without statements")
	flags.BoolVar(&f.offline, "offline", false, "do not ask Kafka how far the store is; a backlog then looks like a loss")
	flags.DurationVar(&f.wait, "wait", 30*time.Second, "how long to wait for the store to catch up")
	return cmd
}

func (f commandFlags) span(now time.Time) (since, until time.Time, err error) {
	if since, err = queries.ParseTime(f.since, now); err != nil {
		return since, until, fmt.Errorf("%w: --since: %w", ErrUsage, err)
	}
	if until, err = queries.ParseTime(f.until, now); err != nil {
		return since, until, fmt.Errorf("%w: --until: %w", ErrUsage, err)
	}
	if !since.Before(until) {
		return since, until, fmt.Errorf("%w: --since must be before --until", ErrUsage)
	}
	if !slices.Contains([]string{"table", "json", "csv"}, f.format) {
		return since, until, fmt.Errorf("%w: --format is %q; use table, json or csv", ErrUsage, f.format)
	}
	return since.Truncate(time.Hour), until, nil
}

func (f commandFlags) run(cmd *cobra.Command, connect Connect) error {
	since, until, err := f.span(time.Now())
	if err != nil {
		return err
	}
	ctx := cmd.Context()
	record, lag, silence, done, err := connect(ctx, f.offline)
	if err != nil {
		return err
	}
	defer done()
	report, err := record.Report(ctx, lag, Request{Since: since, Until: until, Source: f.source, Wait: f.wait, SilenceAfter: silence})
	if err != nil {
		return err
	}
	if err := report.print(cmd.OutOrStdout(), cmd.ErrOrStderr(), f.format); err != nil {
		return err
	}
	if faults := report.Faults(f.strict); len(faults) > 0 {
		return fmt.Errorf("%w: %s", ErrIncomplete, join(faults))
	}
	return nil
}
