package output

import (
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// ErrFormat reports a format name that does not exist.
var ErrFormat = errors.New("unknown output format")

// Format is one of the ways to write rows.
type Format string

// The formats.
const (
	FormatTable   Format = "table"   // aligned columns, or one line for each value when a row is wider than the terminal
	FormatJSON    Format = "json"    // one JSON object for each row and line
	FormatCSV     Format = "csv"     // RFC 4180 with a header line; NULL is an empty field
	FormatParquet Format = "parquet" // Apache Parquet 2.6, Zstandard
)

// Formats lists the names of all formats.
func Formats() []string {
	return []string{string(FormatTable), string(FormatJSON), string(FormatCSV), string(FormatParquet)}
}

// ParseFormat returns the format of that name, or ErrFormat.
func ParseFormat(name string) (Format, error) {
	if !slices.Contains(Formats(), name) {
		return "", fmt.Errorf("choose format %q: %w; use one of %s", name, ErrFormat, strings.Join(Formats(), ", "))
	}
	return Format(name), nil
}

// Options says how rows are written.
type Options struct {
	Format Format
	// Width is the terminal's width in columns, for tables; 0 means no limit.
	Width int
	// SpreadsheetSafe puts an apostrophe before CSV text that a spreadsheet would take for a formula.
	SpreadsheetSafe bool
}

// Rows is the part of driver.Rows that Write reads. Write does not close it.
type Rows interface {
	Next() bool
	Scan(dest ...any) error
	ColumnTypes() []driver.ColumnType
	Err() error
}

// encoder writes rows in one format. A row holds normalised values; it is valid during the call only.
type encoder interface {
	row(values []any) error
	close() error
}

// Write writes all rows to w and returns how many there were. On an error the output may be incomplete. Write is
// not safe for concurrent use of the same rows or writer.
func Write(w io.Writer, rows Rows, opt Options) (int64, error) {
	columns := make([]column, 0, len(rows.ColumnTypes()))
	dest := make([]any, 0, len(rows.ColumnTypes()))
	for _, t := range rows.ColumnTypes() {
		columns = append(columns, column{name: t.Name(), typ: parseType(t.DatabaseTypeName())})
		dest = append(dest, reflect.New(t.ScanType()).Interface())
	}
	enc, err := newEncoder(w, columns, opt)
	if err != nil {
		return 0, err
	}
	var count int64
	values := make([]any, len(columns))
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return count, fmt.Errorf("scan row %d: %w", count+1, err)
		}
		for i, c := range columns {
			values[i] = c.typ.normalise(reflect.ValueOf(dest[i]).Elem())
		}
		if err := enc.row(values); err != nil {
			return count, fmt.Errorf("write row %d: %w", count+1, err)
		}
		count++
	}
	if err := rows.Err(); err != nil {
		return count, fmt.Errorf("read rows: %w", err)
	}
	if err := enc.close(); err != nil {
		return count, fmt.Errorf("finish output: %w", err)
	}
	return count, nil
}

func newEncoder(w io.Writer, columns []column, opt Options) (encoder, error) {
	switch opt.Format {
	case FormatTable:
		return newTableEncoder(w, columns, opt.Width), nil
	case FormatJSON:
		return newJSONEncoder(w, columns), nil
	case FormatCSV:
		return newCSVEncoder(w, columns, opt.SpreadsheetSafe)
	case FormatParquet:
		return newParquetEncoder(w, columns)
	}
	return nil, fmt.Errorf("choose format %q: %w", opt.Format, ErrFormat)
}
