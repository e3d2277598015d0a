package output

import (
	"encoding/csv"
	"fmt"
	"io"
	"strings"
	"time"
)

// csvEncoder writes RFC 4180 with a header line.
type csvEncoder struct {
	w       *csv.Writer
	columns []column
	safe    bool
	record  []string
}

func newCSVEncoder(w io.Writer, columns []column, safe bool) (*csvEncoder, error) {
	e := &csvEncoder{w: csv.NewWriter(w), columns: columns, safe: safe, record: make([]string, len(columns))}
	for i, c := range columns {
		e.record[i] = c.name
	}
	if err := e.w.Write(e.record); err != nil {
		return nil, fmt.Errorf("write header: %w", err)
	}
	return e, nil
}

func (e *csvEncoder) row(values []any) error {
	for i, v := range values {
		field := plain(v)
		if at, ok := v.(time.Time); ok {
			field = e.columns[i].typ.formatTime(at)
		}
		if e.safe && e.columns[i].typ.kind == kindText {
			field = defuse(field)
		}
		e.record[i] = field
	}
	return e.w.Write(e.record)
}

func (e *csvEncoder) close() error {
	e.w.Flush()
	return e.w.Error()
}

// defuse keeps a spreadsheet from running text as a formula. Names of models, tools and user agents come from
// outside, so an export that people open with a spreadsheet needs it.
func defuse(field string) string {
	if field != "" && strings.ContainsRune("=+-@\t\r", rune(field[0])) {
		return "'" + field
	}
	return field
}
