package main

import (
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"
)

// table prints percentiles side by side.
type table struct {
	out  io.Writer
	rows [][]string
}

func newTable(out io.Writer) *table {
	return &table{out: out, rows: [][]string{
		{
			"load", "n", "direct p50", "plain p50", "tap p50", "added p50", "by turns", "control", "by turns",
			"direct p99", "plain p99", "tap p99", "added p99", "by turns", "control", "by turns",
			"tap/plain p50", "p99", "failed plain", "tap",
		},
	}}
}

func (t *table) add(l load, s samples) {
	t.row(l.name, s.calls, s.turns, s.failed)
	if len(s.gaps) > 0 {
		t.row("64 frames, gap between two", s.gaps, nil, s.failed)
	}
}

func (t *table) row(name string, by map[string][]time.Duration, turns map[string][][]time.Duration, failed map[string]int) {
	row := []string{name, fmt.Sprint(len(by["tap"]))}
	var ratios []string
	for _, p := range []float64{0.5, 0.99} {
		direct, plain, tap := percentile(by["direct"], p), percentile(by["plain"], p), percentile(by["tap"], p)
		row = append(row, micro(direct), micro(plain), micro(tap))
		for _, proxy := range []string{"tap", "control"} {
			row = append(row, micro(percentile(by[proxy], p)-plain), byTurns(turns["plain"], turns[proxy], p))
		}
		ratios = append(ratios, fmt.Sprintf("%.2f", float64(tap)/float64(max(plain, 1))))
	}
	row = append(append(row, ratios...), fmt.Sprint(failed["plain"]), fmt.Sprint(failed["tap"]))
	t.rows = append(t.rows, row)
}

func (t *table) print() {
	w := tabwriter.NewWriter(t.out, 0, 0, 2, ' ', tabwriter.AlignRight)
	for _, row := range t.rows {
		for _, cell := range row {
			fmt.Fprint(w, cell, "\t")
		}
		fmt.Fprintln(w)
	}
	_ = w.Flush()
	fmt.Fprintln(t.out, "microseconds; added = tap minus plain proxy, over all calls; by turns = the median, over pairs of neighbouring turns, of\nthat difference; control = the same for a second plain proxy, which is the error of the measurement")
}

// byTurns is the median difference of a percentile between turns that followed each other. What else the machine does
// for a while spoils the turns that it meets and not the median, where it would make up the last percent of all calls.
func byTurns(plain, tap [][]time.Duration, p float64) string {
	var added []time.Duration
	for i := range min(len(plain), len(tap)) {
		if len(plain[i]) > 0 && len(tap[i]) > 0 {
			added = append(added, percentile(tap[i], p)-percentile(plain[i], p))
		}
	}
	if len(added) < minTurns {
		return "-"
	}
	return micro(percentile(added, 0.5))
}

// minTurns is how many pairs of turns a median is taken of.
const minTurns = 5

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(float64(len(d))*p))]
}

func micro(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Microsecond)) }
