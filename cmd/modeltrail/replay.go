package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/progress"
	"github.com/modeltrail/modeltrail/cmd/internal/replay"
	"github.com/modeltrail/modeltrail/schemas/queries"
)

// errUsage is the cause of errors that another command line would mend.
var errUsage = errors.New("wrong usage")

// replayFlags are the flags of `modeltrail replay`.
type replayFlags struct {
	from, to             string
	fromOffset, toOffset int64
	topic                string
	partition            int32
	dryRun, yes          bool
	reason               string
	abandon              uint32
}

func newReplay() *cobra.Command {
	var f replayFlags
	cmd := &cobra.Command{
		Use: "replay", GroupID: "repair", Short: "Read a span of envelopes again with this binary's decoders and write new versions of the rows",
		Long: `replay reads the envelopes of a span from Kafka, passes them through the chain of this binary (decode, identity, policy,
price, with the directory and prices in force when each was taken) and writes new versions of the rows. When all are
written they become current at one moment; the rows before stay in the tables and are no longer shown. Sums follow.

Times are the broker's, in UTC: a date (2026-03-01), a time (2026-03-01T12:00:00Z) or an age (now-24h). A span includes
its start and not its end. Only what the role store has stored is replayed.

An interrupted replay goes on when the same command is given again. Running a finished one again makes another version.`,
		Example: `  modeltrail replay --from 2026-03-01 --to 2026-03-08 --dry-run          what would change
  modeltrail replay --from 2026-03-01 --to 2026-03-08 --reason "decoder fix" --yes
  modeltrail replay --partition 2 --from-offset 120000 --to-offset 180000
  modeltrail replay --abandon 1764000000                                  give an unfinished one up`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.abandon != 0 {
				return repairing(cmd, nil, func(ctx context.Context, _ *app.Process, r *app.Rewriting) error {
					return r.Engine.Abandon(ctx, f.abandon)
				})
			}
			return runReplay(cmd, f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.from, "from", "", "first time of the span")
	flags.StringVar(&f.to, "to", "", "end of the span")
	flags.Int64Var(&f.fromOffset, "from-offset", -1, "first offset, instead of --from; needs --partition")
	flags.Int64Var(&f.toOffset, "to-offset", -1, "offset after the last, instead of --to; needs --partition")
	flags.StringVar(&f.topic, "topic", "", "topic of envelopes (default: kafka.topics.envelopes)")
	flags.Int32Var(&f.partition, "partition", -1, "only this partition")
	flags.BoolVar(&f.dryRun, "dry-run", false, "say what would change and write nothing")
	flags.BoolVar(&f.yes, "yes", false, "do not ask")
	flags.StringVar(&f.reason, "reason", "", "why, for the record")
	flags.Uint32Var(&f.abandon, "abandon", 0, "give up the unfinished replay of this number; its rows stay unseen")
	return cmd
}

// choice checks the flags.
func (f replayFlags) choice(cfg config.Config, now time.Time) (replay.Choice, error) {
	c := replay.Choice{Topic: f.topic, Group: cfg.Store.Envelopes.Group, Partition: f.partition, FromOffset: f.fromOffset, ToOffset: f.toOffset}
	if c.Topic == "" {
		c.Topic = cfg.Kafka.Topics.Envelopes
	}
	offsets := f.fromOffset >= 0 || f.toOffset >= 0
	switch {
	case offsets && f.partition < 0:
		return c, fmt.Errorf("%w: --from-offset and --to-offset need --partition", errUsage)
	case f.from != "" && f.fromOffset >= 0, f.to != "" && f.toOffset >= 0:
		return c, fmt.Errorf("%w: give a time or an offset, not both", errUsage)
	case f.from == "" && f.fromOffset < 0, f.to == "" && f.toOffset < 0:
		return c, fmt.Errorf("%w: say what to replay with --from and --to, for example --from now-24h --to now", errUsage)
	}
	var err error
	if c.From, err = moment("--from", f.from, now); err == nil {
		c.To, err = moment("--to", f.to, now)
	}
	if err == nil && !c.From.IsZero() && !c.To.IsZero() && !c.From.Before(c.To) {
		err = fmt.Errorf("%w: --from %s is not before --to %s", errUsage, f.from, f.to)
	}
	return c, err
}

// moment reads a time, or an age with or without "now-"; "" is the zero time.
func moment(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if age, err := queries.ParseAge(text); err == nil {
		return now.Add(-age), nil
	}
	at, err := queries.ParseTime(text, now)
	if err != nil {
		return at, fmt.Errorf("%w: %s is %q; use a date (2026-03-01), a time (2026-03-01T12:00:00Z) or an age (now-24h)", errUsage, flag, text)
	}
	return at, nil
}

// request is the arguments in one form, by which an interrupted replay is recognised.
func (f replayFlags) request(topic string) string {
	text, err := json.Marshal(map[string]any{
		"topic": topic, "from": f.from, "to": f.to, "from_offset": f.fromOffset, "to_offset": f.toOffset, "partition": f.partition,
	})
	if err != nil {
		return err.Error() // strings and numbers always encode
	}
	return string(text)
}

func runReplay(cmd *cobra.Command, f replayFlags) error {
	bar := newBar(cmd, "replay")
	return repairing(cmd, bar, func(ctx context.Context, p *app.Process, r *app.Rewriting) error {
		choice, err := f.choice(p.Config, time.Now())
		if err != nil {
			return err
		}
		source := replay.NewTopic(r.Dial)
		defer source.Close()
		spans := func(ctx context.Context) ([]replay.Span, error) {
			spans, notes, err := choice.Spans(ctx, r.Client)
			for _, note := range notes {
				fmt.Fprintln(cmd.ErrOrStderr(), note)
			}
			return spans, err
		}
		job := replay.Job{Kind: replay.KindSpan, Request: f.request(choice.Topic), Reason: f.reason, Spans: spans}
		return perform(cmd, r.Engine, job, source, bar, f.dryRun, f.yes)
	})
}

// perform previews or runs a job and says what came of it.
func perform(cmd *cobra.Command, engine *replay.Engine, job replay.Job, source replay.Source, bar *progress.Bar, dryRun, yes bool) error {
	ctx, out := cmd.Context(), cmd.OutOrStdout()
	if dryRun {
		return preview(ctx, out, engine, job, source, bar)
	}
	spans := job.Spans
	job.Spans = func(ctx context.Context) ([]replay.Span, error) {
		found, err := spans(ctx)
		if err != nil || len(found) == 0 {
			return nil, err
		}
		describe(cmd.ErrOrStderr(), job.Kind, found)
		return found, confirm(cmd, yes)
	}
	result, err := engine.Run(ctx, job, source)
	bar.Clear()
	if errors.Is(err, replay.ErrNothing) {
		fmt.Fprintln(out, "nothing to replay")
		return nil
	}
	if err != nil && ctx.Err() != nil {
		return fmt.Errorf("replay %d was interrupted; nothing of it is visible before it is finished. Give the same command again to go on", result.Version)
	}
	if err != nil {
		return err
	}
	verb := "replay"
	if result.Resumed {
		verb = "resumed replay"
	}
	fmt.Fprintf(out, "%s %d: %d records, %d stored, %d refused; their rows are current now and the sums have followed\n",
		verb, result.Version, result.Records, result.Stored, result.Refused)
	if result.Refused > 0 && job.Kind == replay.KindLetters {
		return exitError{3}
	}
	if result.Refused > 0 {
		fmt.Fprintln(out, "what was refused is in `modeltrail dlq list`")
	}
	return nil
}

func describe(w io.Writer, kind replay.Kind, spans []replay.Span) {
	for _, s := range spans {
		if kind == replay.KindLetters {
			fmt.Fprintf(w, "%s/%d: %d dead letters between offsets %d and %d\n", s.Topic, s.Partition, len(s.Offsets), s.First, s.Last)
			continue
		}
		fmt.Fprintf(w, "%s/%d: offsets %d to %d, %d records\n", s.Topic, s.Partition, s.First, s.Last, s.Last-s.First+1)
	}
}

func confirm(cmd *cobra.Command, yes bool) error {
	if yes {
		return nil
	}
	if in, ok := cmd.InOrStdin().(*os.File); !ok || !isatty.IsTerminal(in.Fd()) {
		return fmt.Errorf("%w: this writes new versions of rows; add --yes where nobody can be asked, or --dry-run to look first", errUsage)
	}
	fmt.Fprint(cmd.ErrOrStderr(), "Write new versions of these rows? [y/N] ")
	answer, _ := bufio.NewReader(cmd.InOrStdin()).ReadString('\n')
	if a := strings.ToLower(strings.TrimSpace(answer)); a != "y" && a != "yes" {
		return errors.New("not confirmed; nothing was written")
	}
	return nil
}

func preview(ctx context.Context, out io.Writer, engine *replay.Engine, job replay.Job, source replay.Source, bar *progress.Bar) error {
	spans, err := job.Spans(ctx)
	if err != nil {
		return err
	}
	p, err := engine.Preview(ctx, job.Kind, spans, source)
	bar.Clear()
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "dry run, nothing was written\n  records              %d\n", p.Records)
	if job.Kind == replay.KindSpan {
		fmt.Fprintf(out, "  calls                %d, of which %d would change, %d are new, %d would be gone\n", p.Calls, p.Changed, p.New, p.Gone)
		fmt.Fprintf(out, "  cost                 $%s now, $%s afterwards\n", p.CostBefore, p.CostAfter)
	}
	fmt.Fprintf(out, "  dead letters         %d would become rows\n", p.Resolved)
	reasons := make([]string, 0, len(p.Refused))
	for reason := range p.Refused {
		reasons = append(reasons, reason)
	}
	slices.Sort(reasons)
	for _, reason := range reasons {
		fmt.Fprintf(out, "  refused              %d %s\n", p.Refused[reason], reason)
	}
	return nil
}

func newBar(cmd *cobra.Command, what string) *progress.Bar { return newBarOf(cmd, what, "records") }

func newBarOf(cmd *cobra.Command, what, unit string) *progress.Bar {
	file, ok := cmd.ErrOrStderr().(*os.File)
	return progress.New(cmd.ErrOrStderr(), ok && isatty.IsTerminal(file.Fd()), what, unit)
}

// repairing runs f with what a replay needs: the configured servers, or those of a running `modeltrail up`.
func repairing(cmd *cobra.Command, bar *progress.Bar, f func(context.Context, *app.Process, *app.Rewriting) error) error {
	quiet := func(cfg *config.Config) {
		cfg.Admin.Listen = "" // a role of this machine may have it
		if level, _ := cmd.Flags().GetString("log-level"); level == "" {
			cfg.Log.Level = "warn"
		}
	}
	return withProcess(cmd, quiet, func(ctx context.Context, p *app.Process) error {
		if err := app.Locate(&p.Config, true); err != nil {
			return err
		}
		r, err := p.Rewriting(ctx, func(at replay.Progress) {
			if bar != nil {
				bar.Set(at.Done, at.Total)
			}
		})
		if err != nil {
			return err
		}
		return f(ctx, p, r)
	})
}
