package querycmd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/output"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/schemas/queries"
)

// ErrUsage is the cause of every error that another command line would mend; a program exits with 2.
var ErrUsage = errors.New("wrong usage")

// ErrExpectation reports that rows were found, or not found, against --expect; a program exits with 3.
var ErrExpectation = errors.New("expectation not met")

// Open connects to ClickHouse. The command closes what it returns.
type Open func(ctx context.Context) (driver.Conn, error)

// queryFlags are the flags of `modeltrail query`.
type queryFlags struct {
	params          []string
	sql             string
	file            string
	format          string
	output          string
	expect          string
	list            bool
	show            bool
	spreadsheetSafe bool
}

// statement is what goes to the server: text and the values of its parameters.
type statement struct {
	sql    string
	values map[string]string
}

const queryLong = `Ask a canned question by its name, or run SQL of your own. Nothing is ever changed: statements run with
ClickHouse's readonly setting.

Values never become part of the SQL text: name=value pairs of --param fill typed parameters such as {team:String}.
Times of canned questions are UTC and may be a date (2026-03-01), a time (2026-03-01T12:00:00Z) or an age (now-24h,
now-7d); a span includes its start and not its end.

JSON has one object a line; decimals, and integers beyond 2^53-1, are strings, so that no digit is lost. CSV leaves
NULL empty. Parquet keeps types: decimals as decimal128, times as UTC timestamps, lists and maps.

Exit codes: 0 done, with or without rows; 1 failed; 2 wrong usage; 3 --expect was not met.`

const queryExample = `  modeltrail query --list
  modeltrail query what-app-did --param app=checkout-bot --param from=now-7d
  modeltrail query who-used-model -p 'model=gpt-5*' --format csv --output users.csv
  modeltrail query call -p id=01K8X2 --format json
  modeltrail query outside-policy -p from=2026-03-01 --expect none    # for cron: exit 3 when there are any
  modeltrail query --sql "SELECT provider, count() FROM v_calls GROUP BY provider"
  modeltrail query --sql "SELECT * FROM v_calls WHERE team_id = {team:String}" -p team=payments --output calls.parquet
  modeltrail query --file report.sql        # or - for standard input
  modeltrail query spend-by-team-month --show     # the SQL behind a question`

// NewQuery returns the command `query`.
func NewQuery(open Open) *cobra.Command {
	var flags queryFlags
	cmd := &cobra.Command{
		Use:               "query [name]",
		Short:             "Ask a canned question or run read-only SQL",
		Long:              queryLong,
		Example:           queryExample,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: completeName,
		RunE: func(cmd *cobra.Command, args []string) error {
			return runQuery(cmd, args, flags, open)
		},
	}
	f := cmd.Flags()
	f.StringArrayVarP(&flags.params, "param", "p", nil, "name=value of a parameter; may be repeated")
	f.StringVar(&flags.sql, "sql", "", "one SQL statement instead of a name")
	f.StringVar(&flags.file, "file", "", "file with one SQL statement instead of a name; - reads standard input")
	f.StringVar(&flags.format, "format", "", "table, json, csv or parquet (default: by the ending of --output, else table)")
	f.StringVarP(&flags.output, "output", "o", "", "file to write instead of standard output; it is replaced only when the query succeeds")
	f.StringVar(&flags.expect, "expect", "", "rows or none: exit with 3 when the result is otherwise")
	f.BoolVar(&flags.list, "list", false, "list the canned questions and their parameters")
	f.BoolVar(&flags.show, "show", false, "print the SQL of the question instead of running it")
	f.BoolVar(&flags.spreadsheetSafe, "spreadsheet-safe", false, "CSV: put ' before text that a spreadsheet would run as a formula")
	for flag, complete := range map[string]cobra.CompletionFunc{
		"param":  completeParam,
		"format": cobra.FixedCompletions(output.Formats(), cobra.ShellCompDirectiveNoFileComp),
		"expect": cobra.FixedCompletions([]string{"rows", "none"}, cobra.ShellCompDirectiveNoFileComp),
	} {
		if err := cmd.RegisterFlagCompletionFunc(flag, complete); err != nil {
			panic(fmt.Sprintf("querycmd: completion of flag %s: %v", flag, err)) // a flag name misspelt above
		}
	}
	return cmd
}

func runQuery(cmd *cobra.Command, args []string, flags queryFlags, open Open) error {
	if flags.list {
		return list(cmd.OutOrStdout())
	}
	stmt, err := choose(args, flags, cmd.InOrStdin(), time.Now())
	if err != nil {
		return err
	}
	if flags.show {
		_, err := fmt.Fprintln(cmd.OutOrStdout(), stmt.sql)
		return err
	}
	opt, err := flags.outputOptions(cmd.OutOrStdout())
	if err != nil {
		return err
	}
	conn, err := open(cmd.Context())
	if err != nil {
		return fmt.Errorf("connect to clickhouse: %w", err)
	}
	defer conn.Close()
	count, err := flags.write(cmd.Context(), cmd.OutOrStdout(), conn, stmt, opt)
	if err != nil {
		return err
	}
	return flags.check(count)
}

// choose finds the statement that the command line means.
func choose(args []string, flags queryFlags, stdin io.Reader, now time.Time) (statement, error) {
	given, err := parseParams(flags.params)
	if err != nil {
		return statement{}, err
	}
	sources := 0
	for _, set := range []bool{len(args) == 1, flags.sql != "", flags.file != ""} {
		if set {
			sources++
		}
	}
	if sources != 1 {
		return statement{}, fmt.Errorf("%w: give one of a name, --sql or --file; --list shows the names", ErrUsage)
	}
	if len(args) == 1 {
		return canned(args[0], given, flags.show, now)
	}
	text := flags.sql
	if flags.file != "" {
		if text, err = readFile(flags.file, stdin); err != nil {
			return statement{}, err
		}
	}
	statements := ddl.Split(text)
	if len(statements) != 1 {
		return statement{}, fmt.Errorf("%w: found %d SQL statements; give exactly one", ErrUsage, len(statements))
	}
	return statement{sql: statements[0], values: given}, nil
}

func canned(name string, given map[string]string, show bool, now time.Time) (statement, error) {
	q, err := queries.Get(name)
	if err != nil {
		return statement{}, fmt.Errorf("%w: %w; --list shows the names%s", ErrUsage, err, suggest(name))
	}
	if show {
		return statement{sql: q.SQL}, nil
	}
	values, err := q.Bind(given, now)
	if err != nil {
		return statement{}, fmt.Errorf("%w: %w", ErrUsage, err)
	}
	return statement{sql: q.SQL, values: values}, nil
}

func parseParams(pairs []string) (map[string]string, error) {
	out := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		name, value, found := strings.Cut(pair, "=")
		if !found || name == "" {
			return nil, fmt.Errorf("%w: --param %q is not name=value", ErrUsage, pair)
		}
		out[name] = value
	}
	return out, nil
}

func readFile(name string, stdin io.Reader) (string, error) {
	if name == "-" {
		text, err := io.ReadAll(stdin)
		if err != nil {
			return "", fmt.Errorf("read statement: %w", err)
		}
		return string(text), nil
	}
	text, err := os.ReadFile(name) //nolint:gosec // the user names the file
	if err != nil {
		return "", fmt.Errorf("read statement: %w", err)
	}
	return string(text), nil
}

func (f queryFlags) outputOptions(w io.Writer) (output.Options, error) {
	name := f.format
	if name == "" {
		name = string(output.FormatTable)
		switch ending := strings.TrimPrefix(filepath.Ext(f.output), "."); ending {
		case "json", "csv", "parquet":
			name = ending
		case "ndjson", "jsonl":
			name = string(output.FormatJSON)
		}
	}
	format, err := output.ParseFormat(name)
	if err != nil {
		return output.Options{}, fmt.Errorf("%w: --format: %w", ErrUsage, err)
	}
	switch f.expect {
	case "", "rows", "none":
	default:
		return output.Options{}, fmt.Errorf("%w: --expect is %q; use rows or none", ErrUsage, f.expect)
	}
	opt := output.Options{Format: format, SpreadsheetSafe: f.spreadsheetSafe}
	if f.output == "" {
		opt.Width = terminalWidth(w)
		if format == output.FormatParquet && opt.Width > 0 {
			return output.Options{}, fmt.Errorf("%w: parquet is binary; name a file with --output", ErrUsage)
		}
	}
	return opt, nil
}

// write runs the statement and writes its rows. A named file appears only when all rows are in it.
func (f queryFlags) write(ctx context.Context, stdout io.Writer, conn driver.Conn, stmt statement, opt output.Options) (int64, error) {
	args := make([]any, 0, len(stmt.values))
	for name, value := range stmt.values {
		args = append(args, clickhouse.Named(name, value))
	}
	// readonly=2 forbids every change but lets the client set limits of its own query.
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"readonly": 2}))
	rows, err := conn.Query(ctx, stmt.sql, args...)
	if err != nil {
		return 0, explain(err)
	}
	defer rows.Close()
	if f.output == "" {
		count, err := output.Write(stdout, rows, opt)
		return count, explain(err)
	}
	file, err := os.CreateTemp(filepath.Dir(f.output), "."+filepath.Base(f.output)+".*")
	if err != nil {
		return 0, fmt.Errorf("create output: %w", err)
	}
	defer func() { _ = os.Remove(file.Name()) }()
	count, err := output.Write(file, rows, opt)
	if err := errors.Join(explain(err), file.Close()); err != nil {
		return count, err
	}
	if err := os.Rename(file.Name(), f.output); err != nil {
		return count, fmt.Errorf("finish output: %w", err)
	}
	return count, nil
}

func (f queryFlags) check(count int64) error {
	if (f.expect == "rows" && count == 0) || (f.expect == "none" && count > 0) {
		return fmt.Errorf("%w: expected %s, found %d rows", ErrExpectation, f.expect, count)
	}
	return nil
}

// explain puts a server's refusal in one sentence with its code and name; other errors pass unchanged.
func explain(err error) error {
	var exception *clickhouse.Exception
	if !errors.As(err, &exception) {
		return err
	}
	message, _, _ := strings.Cut(exception.Message, "Stack trace")
	label := fmt.Sprint(exception.Code)
	if exception.CodeName != "" {
		label += " " + exception.CodeName
	}
	return fmt.Errorf("clickhouse refused the query (%s): %s", label, strings.TrimSpace(message))
}
