package main

import (
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// table prints percentiles side by side, a part for each.
type table struct {
	out    io.Writer
	header []string
	parts  []part
}

// part is the rows of one percentile.
type part struct {
	p    float64
	name string
	rows [][]string
}

func newTable(out io.Writer) *table {
	return &table{
		out:    out,
		header: []string{"calls", "direct", "plain", "tap", "added", "by turns", "control", "by turns", "tap/plain", "failed plain", "control", "tap"},
		parts:  []part{{p: 0.5, name: "median"}, {p: 0.99, name: "99th percentile"}},
	}
}

func (t *table) add(l load, s samples) {
	t.row(l.name, s.calls, s.turns, s.failed)
	if len(s.gaps) > 0 {
		t.row("64 frames, gap between two", s.gaps, s.gapTurns, s.failed)
	}
}

func (t *table) row(name string, by map[string][]time.Duration, turns map[string][][]time.Duration, failed map[string]int) {
	for i := range t.parts {
		p := t.parts[i].p
		direct, plain, tap := tapscene.Percentile(by["direct"], p), tapscene.Percentile(by["plain"], p), tapscene.Percentile(by["tap"], p)
		row := []string{name, fmt.Sprint(len(by["tap"])), micro(direct), micro(plain), micro(tap)}
		for _, proxy := range []string{"tap", "control"} {
			row = append(row, tapscene.Signed(tapscene.Percentile(by[proxy], p)-plain), tapscene.ByTurns(turns["plain"], turns[proxy], p))
		}
		row = append(row, fmt.Sprintf("%.2f", float64(tap)/float64(max(plain, 1))))
		for _, proxy := range []string{"plain", "control", "tap"} {
			row = append(row, fmt.Sprint(failed[proxy]))
		}
		t.parts[i].rows = append(t.parts[i].rows, row)
	}
}

func (t *table) print() {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, part := range t.parts {
		for _, row := range append([][]string{append([]string{part.name}, t.header...)}, part.rows...) {
			for _, cell := range row {
				fmt.Fprint(w, cell, "\t")
			}
			fmt.Fprintln(w)
		}
		_ = w.Flush()
		fmt.Fprintln(t.out)
	}
	fmt.Fprintln(t.out, "microseconds; added = tap minus plain proxy, over all calls; by turns = the median, over pairs of neighbouring turns, of\n"+
		"that difference, and its 95 % interval; control = the same for a second plain proxy, which is the error of the measurement")
}

func micro(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Microsecond)) }
