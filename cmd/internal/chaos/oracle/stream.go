package oracle

import (
	"bufio"
	"fmt"
	"io"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// FindingLine is the table name of a line that holds a conclusion: detector and key.
const FindingLine = "finding"

// Write writes what every call must have, in the order of the calls: one line per row, "table, index, phase, cells",
// parted by tabs. The oracle's process is this function; refused is that of Rows.
func Write(w *workload.Workload, refused bool, out io.Writer) error {
	b := bufio.NewWriterSize(out, 1<<20)
	for i := range w.Config().Calls {
		for _, r := range Rows(w, i, refused) {
			fmt.Fprintf(b, "%s\t%d\t%d\t%s\n", r.Table, i, r.Phase, strings.Join(r.Cells, "\t"))
		}
		for _, f := range Findings(w, i) {
			fmt.Fprintf(b, "%s\t%d\t%d\t%s\t%s\n", FindingLine, i, f.Phase, f.Detector, f.Key)
		}
	}
	if err := b.Flush(); err != nil {
		return fmt.Errorf("write expected rows: %w", err)
	}
	return nil
}

// Line is one line of Write.
type Line struct {
	Table        string
	Index, Phase int
	Cells        []string
}

// Reader reads what Write wrote.
type Reader struct {
	in   *bufio.Reader
	next *Line
}

// NewReader returns a reader.
func NewReader(in io.Reader) *Reader { return &Reader{in: bufio.NewReaderSize(in, 1<<20)} }

// Until returns the lines of all calls before index end.
func (r *Reader) Until(end int) ([]Line, error) {
	var lines []Line
	for {
		if r.next == nil {
			line, err := r.read()
			if err != nil {
				if err == io.EOF { //nolint:errorlint // ReadString returns it as it is
					return lines, nil
				}
				return nil, err
			}
			r.next = &line
		}
		if r.next.Index >= end {
			return lines, nil
		}
		lines = append(lines, *r.next)
		r.next = nil
	}
}

func (r *Reader) read() (Line, error) {
	text, err := r.in.ReadString('\n')
	if err != nil {
		return Line{}, err
	}
	cells := strings.Split(strings.TrimSuffix(text, "\n"), "\t")
	if len(cells) < 4 {
		return Line{}, fmt.Errorf("read expected rows: short line %q", text)
	}
	l := Line{Table: cells[0], Cells: cells[3:]}
	if _, err := fmt.Sscan(cells[1]+" "+cells[2], &l.Index, &l.Phase); err != nil {
		return Line{}, fmt.Errorf("read expected rows: %q: %w", text, err)
	}
	return l, nil
}
