package output

import (
	"fmt"
	"io"
	"strings"
	"time"
	"unicode"

	"github.com/jedib0t/go-pretty/v6/table"
	"github.com/jedib0t/go-pretty/v6/text"
)

// pageRows is how many rows a table lays out at once.
const pageRows = 500

// maxCell is the widest cell of a table in characters; a longer one ends with a mark.
const maxCell = 60

// tableEncoder lays out pages of rows. Later pages repeat the header, because their columns may be wider.
type tableEncoder struct {
	w       io.Writer
	columns []column
	width   int
	page    []table.Row
	widths  []int
	records int64
	upright bool // one line for each value
}

func newTableEncoder(w io.Writer, columns []column, width int) *tableEncoder {
	e := &tableEncoder{w: w, columns: columns, width: width, widths: make([]int, len(columns))}
	for i, c := range columns {
		e.widths[i] = text.StringWidthWithoutEscSequences(c.name)
	}
	return e
}

func (e *tableEncoder) row(values []any) error {
	row := make(table.Row, len(values))
	for i, v := range values {
		row[i] = e.columns[i].cell(v)
		e.widths[i] = max(e.widths[i], min(maxCell, text.StringWidthWithoutEscSequences(row[i].(string))))
	}
	e.page = append(e.page, row)
	if len(e.page) >= pageRows {
		return e.flush()
	}
	return nil
}

func (e *tableEncoder) close() error {
	if err := e.flush(); err != nil {
		return err
	}
	if e.records == 0 {
		_, err := fmt.Fprintln(e.w, "no rows")
		return err
	}
	return nil
}

func (e *tableEncoder) flush() error {
	if len(e.page) == 0 {
		return nil
	}
	if e.records == 0 {
		e.upright = e.width > 0 && e.lineWidth() > e.width
	}
	var err error
	if e.upright {
		err = e.flushUpright()
	} else {
		err = e.flushTable()
	}
	e.records += int64(len(e.page))
	e.page = e.page[:0]
	return err
}

// lineWidth is the width of a table line: each column with its padding and a border.
func (e *tableEncoder) lineWidth() int {
	width := 1
	for _, w := range e.widths {
		width += w + 3
	}
	return width
}

func (e *tableEncoder) flushTable() error {
	t := table.NewWriter()
	t.SetStyle(table.StyleLight)
	t.Style().Format.Header = text.FormatDefault
	header := make(table.Row, len(e.columns))
	configs := make([]table.ColumnConfig, 0, len(e.columns))
	for i, c := range e.columns {
		header[i] = c.name
		config := table.ColumnConfig{Number: i + 1, WidthMax: maxCell, WidthMaxEnforcer: snip}
		if c.typ.numeric() {
			config.Align = text.AlignRight
		}
		configs = append(configs, config)
	}
	t.AppendHeader(header)
	t.SetColumnConfigs(configs)
	t.AppendRows(e.page)
	_, err := fmt.Fprintln(e.w, t.Render())
	return err
}

// flushUpright writes every row as a block of "name  value" lines.
func (e *tableEncoder) flushUpright() error {
	nameWidth := 0
	for _, c := range e.columns {
		nameWidth = max(nameWidth, text.StringWidthWithoutEscSequences(c.name))
	}
	for i, row := range e.page {
		if _, err := fmt.Fprintf(e.w, "── row %d\n", e.records+int64(i)+1); err != nil {
			return err
		}
		for j, c := range e.columns {
			if _, err := fmt.Fprintf(e.w, "%s  %s\n", text.Pad(c.name, nameWidth, ' '), row[j]); err != nil {
				return err
			}
		}
	}
	return nil
}

func snip(cell string, width int) string { return text.Snip(cell, width, "…") }

func (t chType) numeric() bool {
	return t.kind == kindInt || t.kind == kindUint || t.kind == kindFloat || t.kind == kindDecimal
}

// cell renders a value for a terminal. NULL is "-"; control characters are shown, never sent: names and user
// agents come from outside and must not steer the reader's terminal.
func (c column) cell(v any) string {
	if v == nil {
		return "-"
	}
	if at, ok := v.(time.Time); ok && c.typ.kind == kindTime {
		if c.typ.precision > 0 {
			return at.Format("2006-01-02 15:04:05.000")
		}
		return at.Format(time.DateTime)
	}
	if at, ok := v.(time.Time); ok {
		return at.Format(time.DateOnly)
	}
	if list, ok := v.([]any); ok {
		parts := make([]string, 0, len(list))
		for _, item := range list {
			parts = append(parts, plain(item))
		}
		return Visible(strings.Join(parts, ", "))
	}
	return Visible(plain(v))
}

// Visible replaces every control and formatting character of s by an escape such as \n or \u001b, so that text from
// outside can be shown on a terminal.
func Visible(s string) string {
	clean := true
	for _, r := range s {
		if !unicode.IsPrint(r) {
			clean = false
			break
		}
	}
	if clean {
		return s
	}
	var b strings.Builder
	for _, r := range s {
		switch {
		case unicode.IsPrint(r):
			b.WriteRune(r)
		case r == '\n':
			b.WriteString(`\n`)
		case r == '\t':
			b.WriteString(`\t`)
		case r == '\r':
			b.WriteString(`\r`)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}
