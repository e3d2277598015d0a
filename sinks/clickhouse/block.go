package clickhouse

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"strings"
)

// block is a table's rows under construction: its columns in the order of the DDL.
type block struct {
	name    string // the table's
	columns []namedColumn
	list    string         // "a, b, c" for the INSERT statement
	offsets *fixed[int64]  // the column offset, which ascends
	arrived *fixed[int64]  // the column ingested_at
	version *fixed[uint32] // the column row_version; nil where the table has none
}

type namedColumn struct {
	name   string
	kind   string // the type in the server's spelling
	column column
	header []byte // name, type and prefix as they go out
}

// add registers the next column.
func (b *block) add(name, kind string, c column) {
	header := appendText(appendText(nil, name), kind)
	b.columns = append(b.columns, namedColumn{name: name, kind: kind, column: c, header: c.prefix(header)})
	if b.list != "" {
		b.list += ", "
	}
	b.list += name
	switch name {
	case "offset":
		b.offsets, _ = c.(*fixed[int64])
	case "ingested_at":
		b.arrived, _ = c.(*fixed[int64])
	case "row_version":
		b.version, _ = c.(*fixed[uint32])
	}
}

func appendText(dst []byte, s string) []byte { return append(appendLength(dst, len(s)), s...) }

func (b *block) rows() int { return b.columns[0].column.rows() }

func (b *block) bytes() (n int64) {
	for i := range b.columns {
		n += b.columns[i].column.bytes()
	}
	return n
}

func (b *block) reset() {
	for i := range b.columns {
		b.columns[i].column.reset()
	}
}

// within returns which rows [from, to) belong to records of the offsets [first, last].
func (b *block) within(first, last int64) (from, to int) {
	offsets := b.offsets.values
	from, _ = slices.BinarySearch(offsets, first)
	to, _ = slices.BinarySearch(offsets[from:], last+1)
	return from, from + to
}

// without returns the rows of the records of the offsets [first, last] but for those in omit, which ascends.
func (b *block) without(first, last int64, omit []int64) (rows []run) {
	from, to := b.within(first, last)
	for _, offset := range omit {
		if offset < first || offset > last {
			continue
		}
		start, end := b.within(offset, offset)
		if from < start {
			rows = append(rows, run{from, start})
		}
		from = max(from, end)
	}
	if from < to {
		rows = append(rows, run{from, to})
	}
	return rows
}

// slice is some of the rows, in ascending runs, as a block of its own, valid until the next change of b.
func (b *block) slice(rows []run) *block {
	if count(rows) == b.rows() {
		return b
	}
	out := &block{name: b.name, list: b.list, columns: make([]namedColumn, len(b.columns))}
	for i, c := range b.columns {
		c.column = c.column.slice(rows)
		out.columns[i] = c
		if c.name == "offset" {
			out.offsets, _ = c.column.(*fixed[int64])
		}
	}
	return out
}

// check reports a column that has another number of rows than the first: an error of this package, found before
// the server would refuse the whole block with a message about bytes.
func (b *block) check() error {
	rows := b.rows()
	for _, c := range b.columns {
		if c.column.rows() != rows {
			return fmt.Errorf("encode block %s: column %s has %d rows, not %d", b.name, c.name, c.column.rows(), rows)
		}
	}
	return nil
}

// native returns the parts of the block in ClickHouse's Native format at protocol revision 0, which is what an
// INSERT over HTTP reads.
func (b *block) native() [][]byte {
	head := binary.AppendUvarint(nil, uint64(len(b.columns)))
	head = binary.AppendUvarint(head, uint64(b.rows())) //nolint:gosec // a count
	parts := [][]byte{head}
	for i := range b.columns {
		parts = b.columns[i].column.parts(append(parts, b.columns[i].header))
	}
	return parts
}

func (b *block) insertQuery(database string) string {
	return "INSERT INTO " + quote(database) + "." + quote(b.name) + " (" + b.list + ")"
}

// quote writes an identifier in back quotes.
func quote(identifier string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(identifier) + "`"
}

// partsReader reads parts one after the other. It implements io.WriterTo so that a copy needs no buffer between.
type partsReader struct {
	parts [][]byte
	at    int
}

// Read implements io.Reader.
func (r *partsReader) Read(p []byte) (int, error) {
	for len(r.parts) > 0 {
		n := copy(p, r.parts[0][r.at:])
		r.at += n
		if r.at == len(r.parts[0]) {
			r.parts, r.at = r.parts[1:], 0
		}
		if n > 0 || len(p) == 0 {
			return n, nil
		}
	}
	return 0, io.EOF
}

// WriteTo implements io.WriterTo: large parts go out as they are, small ones together.
func (r *partsReader) WriteTo(w io.Writer) (total int64, err error) {
	out := bufio.NewWriterSize(w, 32<<10)
	for len(r.parts) > 0 {
		n, err := out.Write(r.parts[0][r.at:])
		total += int64(n)
		r.at += n
		if err != nil {
			return total, err
		}
		r.parts, r.at = r.parts[1:], 0
	}
	return total, out.Flush()
}
