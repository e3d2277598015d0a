package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/spf13/cobra"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/backfill"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/progress"
	"github.com/modeltrail/modeltrail/ingest/redact"
)

// backfillFlags are the flags of `modeltrail backfill`.
type backfillFlags struct {
	format string
	source string
	dryRun bool
}

func newBackfill() *cobra.Command {
	var f backfillFlags
	cmd := &cobra.Command{
		Use: "backfill FILE...", GroupID: "repair", Short: "Load archives of calls: JSON lines or Parquet",
		Long: `backfill publishes the calls of archives to the envelopes topic, from where they are stored like any other. Files are JSON
lines (also .gz and .zst; - is standard input) or Parquet, in the format of docs/backfill.md: the column names of the
table calls, so that what ` + "`modeltrail query`" + ` wrote can be loaded. Bodies are redacted first; a raw key is refused.

A file is known by its content: loading it twice adds nothing, and a load that broke off is repeated as a whole. Bad
lines are reported, written to FILE.rejected.jsonl and passed over.

Exit codes: 0 all lines were published, 1 failed, 2 wrong usage, 3 some lines were bad.`,
		Example: `  modeltrail backfill calls-2025.jsonl.gz
  modeltrail backfill --dry-run calls.parquet
  modeltrail query --sql "SELECT * FROM v_calls" --output calls.parquet && modeltrail backfill -c other.yaml calls.parquet
  zcat old/*.gz | modeltrail backfill --source old-gateway -`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error { return runBackfill(cmd, args, f) },
	}
	cmd.Flags().StringVar(&f.format, "format", string(backfill.FormatAuto), "auto (by the file's first bytes), jsonl or parquet")
	cmd.Flags().StringVar(&f.source, "source", "backfill", "gateway of records that name none")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "read and check everything and publish nothing")
	return cmd
}

func runBackfill(cmd *cobra.Command, files []string, f backfillFlags) error {
	switch backfill.Format(f.format) {
	case backfill.FormatAuto, backfill.FormatJSONL, backfill.FormatParquet:
	default:
		return fmt.Errorf("%w: --format is %q; use auto, jsonl or parquet", errUsage, f.format)
	}
	cfg, err := loadConfig(cmd)
	if err != nil {
		return err
	}
	redactor, err := redact.New(cfg.Tap.Redact)
	if err != nil {
		return err
	}
	set := backfill.Settings{Topic: cfg.Kafka.Topics.Envelopes, Source: f.source, Version: version, Redactor: redactor}
	if !f.dryRun {
		if set.Client, err = producer(cmd.Context(), cfg); err != nil {
			return err
		}
		defer set.Client.Close()
	}
	rejected := int64(0)
	for _, name := range files {
		result, err := loadFile(cmd, set, name, backfill.Format(f.format), f.dryRun)
		rejected += result.Rejected
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	if rejected > 0 {
		return exitError{3}
	}
	return nil
}

// producer connects to the configured brokers, or to those of a running `modeltrail up`.
func producer(ctx context.Context, cfg config.Config) (*kgo.Client, error) {
	if len(cfg.Kafka.Brokers) == 0 {
		running, err := app.ReadEndpoints(cfg)
		if err != nil {
			return nil, err
		}
		cfg.Kafka.Brokers = running.Brokers
	}
	client, err := kafka.NewClient(cfg.Kafka, zerolog.Nop(), backfill.Options()...)
	if err != nil {
		return nil, err
	}
	if err := cfg.Kafka.Reach(ctx, client, cfg.Kafka.DialTimeout); err != nil {
		client.Close()
		return nil, err
	}
	return client, nil
}

// openArchive opens a file, or spools standard input.
func openArchive(cmd *cobra.Command, name string) (*os.File, error) {
	if name == "-" {
		return backfill.Spool(cmd.InOrStdin())
	}
	file, err := os.Open(name) //nolint:gosec // the user names the file
	if err != nil {
		return nil, fmt.Errorf("open archive: %w", err)
	}
	return file, nil
}

func loadFile(cmd *cobra.Command, set backfill.Settings, name string, format backfill.Format, dryRun bool) (backfill.Result, error) {
	file, err := openArchive(cmd, name)
	if err != nil {
		return backfill.Result{}, err
	}
	defer file.Close()
	bar := newBarOf(cmd, name, "KiB")
	bad := &badLines{name: name + ".rejected.jsonl", write: !dryRun, report: cmd.ErrOrStderr(), bar: bar}
	if name == "-" {
		bad.name = "stdin.rejected.jsonl"
	}
	set.Complain = bad.add
	set.Progress = func(read, total, _ int64) { bar.Set(read/1024, total/1024) }
	loader, err := backfill.New(set)
	if err != nil {
		return backfill.Result{}, err
	}
	result, err := loader.Load(cmd.Context(), file, format)
	bar.Clear()
	if err := errors.Join(err, bad.close()); err != nil {
		if cmd.Context().Err() != nil {
			return result, errors.New("interrupted; load the file again: what was published is recognised")
		}
		return result, err
	}
	what := "published"
	if dryRun {
		what = "would be published"
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s: %d records %s as %s in %s (%.0f/s), %d lines rejected\n", name, result.Records, what, result.Instance,
		result.Took.Round(time.Millisecond), float64(result.Records)/max(result.Took.Seconds(), 0.001), result.Rejected)
	if result.Rejected > 0 && !dryRun {
		fmt.Fprintf(cmd.OutOrStdout(), "%s: the rejected lines are in %s; mend them there and load that file\n", name, bad.name)
	}
	return result, nil
}

// badLines reports bad lines and keeps them as they are. A rejected line may hold a key: the file is its owner's only.
type badLines struct {
	name   string
	write  bool
	report io.Writer
	bar    *progress.Bar
	file   *os.File
	out    *bufio.Writer
	n      int
	err    error
}

// reported is how many bad lines are named one by one.
const reported = 20

func (b *badLines) add(f backfill.Fault) {
	b.bar.Clear()
	if b.n++; b.n <= reported {
		fmt.Fprintf(b.report, "line %d: %s\n", f.Line, strings.ReplaceAll(f.Reason.Error(), "\n", "; "))
	} else if b.n == reported+1 {
		fmt.Fprintln(b.report, "more lines are bad; they are counted and not named")
	}
	if !b.write || b.err != nil {
		return
	}
	if b.file == nil {
		if b.file, b.err = os.OpenFile(b.name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600); b.err != nil { //nolint:gosec // beside the archive
			return
		}
		b.out = bufio.NewWriter(b.file)
	}
	_, b.err = b.out.Write(append(append([]byte(nil), f.Text...), '\n'))
}

func (b *badLines) close() error {
	if b.file == nil {
		if b.err != nil {
			return fmt.Errorf("write rejected lines: %w", b.err)
		}
		return nil
	}
	if err := errors.Join(b.err, b.out.Flush(), b.file.Close()); err != nil {
		return fmt.Errorf("write rejected lines: %w", err)
	}
	return nil
}
