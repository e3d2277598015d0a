package main

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"
	"time"
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
		direct, plain, tap := percentile(by["direct"], p), percentile(by["plain"], p), percentile(by["tap"], p)
		row := []string{name, fmt.Sprint(len(by["tap"])), micro(direct), micro(plain), micro(tap)}
		for _, proxy := range []string{"tap", "control"} {
			row = append(row, signed(percentile(by[proxy], p)-plain), byTurns(turns["plain"], turns[proxy], p))
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

// byTurns is the median difference of a percentile between turns that followed each other, with the interval in which it
// lies by 95 % (order statistics, that is, whatever the distribution). What else the machine does for a while spoils the
// turns that it meets and not the median, where it would make up the last percent of all calls.
func byTurns(plain, tap [][]time.Duration, p float64) string {
	var added []time.Duration
	for i := range min(len(plain), len(tap)) {
		if len(plain[i]) > 0 && len(tap[i]) > 0 {
			added = append(added, percentile(tap[i], p)-percentile(plain[i], p))
		}
	}
	n := float64(len(added))
	reach := 0.98 * math.Sqrt(n) // of the normal approximation: 1.96 * sqrt(n)/2 ranks about the middle
	low, high := int(n/2-reach), int(n/2+reach)
	if low < 0 || high >= len(added) || len(added) < minTurns {
		return "-"
	}
	slices.Sort(added)
	return fmt.Sprintf("%s (%s to %s)", signed(percentile(added, 0.5)), signed(added[low]), signed(added[high]))
}

// minTurns is how many pairs of turns a median is taken of.
const minTurns = 8

func percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(float64(len(d))*p))]
}

func micro(d time.Duration) string { return fmt.Sprintf("%.0f", float64(d)/float64(time.Microsecond)) }

// signed writes microseconds with their sign.
func signed(d time.Duration) string {
	return fmt.Sprintf("%+d", d.Round(time.Microsecond).Microseconds())
}
