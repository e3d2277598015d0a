// Package boardtest runs every query of every board on a ClickHouse engine, as Grafana would, and says which panels
// fail or stay empty. Tests use it; a board that passes here shows something on every panel.
package boardtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/grafana/grafana-plugin-sdk-go/data"

	"github.com/modeltrail/modeltrail/dashboards/board"
	"github.com/modeltrail/modeltrail/dashboards/macro"
)

// ErrEmpty reports a panel or variable without a value to show.
var ErrEmpty = errors.New("nothing to show")

// Conn is the part of a ClickHouse connection that running boards needs. Its database holds ModelTrail's tables.
type Conn interface {
	Query(ctx context.Context, query string, args ...any) (driver.Rows, error)
}

// Options says for which moment boards are shown. From and To replace the boards' own range.
type Options struct {
	From, To time.Time
	// Variables selects values of template variables by name; a variable that is not named selects all.
	Variables map[string][]string
}

// Result is one query of a panel or of a variable.
type Result struct {
	Board string // title
	Panel string // title, or "variable NAME"
	SQL   string // as ClickHouse received it
	Frame *data.Frame
	Err   error
}

// points is how many points Grafana asks of a time series on a wide screen.
const points = 1000

// Run runs every query of every board in files. Its error tells of unreadable boards only; queries that failed or
// gave nothing carry an Err in their result.
func Run(ctx context.Context, conn Conn, files fs.FS, opt Options) ([]Result, error) {
	names, err := fs.Glob(files, "*.json")
	if err != nil {
		return nil, fmt.Errorf("list boards: %w", err)
	}
	if len(names) == 0 {
		return nil, fmt.Errorf("list boards: %w", fs.ErrNotExist)
	}
	var out []Result
	for _, name := range names {
		text, err := fs.ReadFile(files, name)
		if err != nil {
			return nil, fmt.Errorf("read board: %w", err)
		}
		b, err := board.Decode(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path.Base(name), err)
		}
		out = append(out, runBoard(ctx, conn, b, opt)...)
	}
	return out, nil
}

// Failures returns the results with an error.
func Failures(results []Result) []Result {
	var out []Result
	for _, r := range results {
		if r.Err != nil {
			out = append(out, r)
		}
	}
	return out
}

func runBoard(ctx context.Context, conn Conn, b board.Board, opt Options) []Result {
	expand := macro.Context{From: opt.From, To: opt.To, Variables: map[string][]string{}}
	for _, v := range b.Templating.List {
		expand.Variables[v.Name] = opt.Variables[v.Name]
	}
	var out []Result
	for _, v := range b.Templating.List {
		if v.Type == "query" {
			r := Result{Board: b.Title, Panel: "variable " + v.Name}
			out = append(out, r.run(ctx, conn, v.Query, false, expand))
		}
	}
	for _, p := range b.Panels {
		for _, target := range p.Targets {
			expand.Interval = interval(opt.To.Sub(opt.From), p.Interval)
			r := Result{Board: b.Title, Panel: p.Title}
			out = append(out, r.run(ctx, conn, target.RawSQL, target.Format == board.FormatTimeSeries, expand))
		}
	}
	return out
}

func (r Result) run(ctx context.Context, conn Conn, raw string, series bool, expand macro.Context) Result {
	if r.SQL, r.Err = macro.Expand(raw, expand); r.Err != nil {
		return r
	}
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"readonly": 2}))
	rows, err := conn.Query(ctx, r.SQL)
	if err != nil {
		r.Err = fmt.Errorf("query: %w", err)
		return r
	}
	defer rows.Close()
	if r.Frame, r.Err = frame(r.Panel, rows); r.Err != nil {
		return r
	}
	if series {
		r.Err = checkSeries(r.Frame)
	}
	if r.Err == nil {
		r.Err = checkFilled(r.Frame)
	}
	return r
}

// interval is the width of a point as Grafana chooses it: the range over the points, not less than the panel's own.
func interval(span time.Duration, least string) time.Duration {
	width := (span / points).Truncate(time.Second)
	if d, err := time.ParseDuration(least); err == nil && width < d {
		return d
	}
	return max(width, time.Second)
}

// checkSeries does what the data source does with a time series: it must be in order of time and turn into one field
// for each label.
func checkSeries(f *data.Frame) error {
	if f.Rows() == 0 {
		return ErrEmpty
	}
	schema := f.TimeSeriesSchema()
	switch schema.Type {
	case data.TimeSeriesTypeLong:
		if _, err := data.LongToWide(f, nil); err != nil {
			return fmt.Errorf("widen time series: %w", err)
		}
	case data.TimeSeriesTypeWide:
	default:
		return fmt.Errorf("not a time series: fields %s", fieldTypes(f))
	}
	if schema.TimeIndex != 0 {
		return fmt.Errorf("time is field %d, not the first", schema.TimeIndex)
	}
	return nil
}

// checkFilled wants at least one row, and no column in which every value is missing unless it is text or optional
// beside a filled number.
func checkFilled(f *data.Frame) error {
	if f.Rows() == 0 {
		return ErrEmpty
	}
	for _, field := range f.Fields {
		if field.Type().Time() {
			continue
		}
		for i := range field.Len() {
			if v, ok := field.ConcreteAt(i); ok && v != "" {
				return nil
			}
		}
	}
	return fmt.Errorf("%w: every value is NULL or empty", ErrEmpty)
}

func fieldTypes(f *data.Frame) string {
	parts := make([]string, 0, len(f.Fields))
	for _, field := range f.Fields {
		parts = append(parts, field.Name+" "+field.Type().String())
	}
	return strings.Join(parts, ", ")
}
