package rig

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
)

// Kill is one kill.
type Kill struct {
	Seconds   float64 `json:"seconds"` // since the start of the run
	Component string  `json:"component"`
	Point     string  `json:"point"` // random, or the failpoint
	Name      string  `json:"name"`  // of the process
}

// Report is the outcome of a run.
type Report struct {
	Options      Options           `json:"options"`
	Repeat       string            `json:"repeat_with"`
	Seconds      float64           `json:"seconds"`
	Acknowledged int64             `json:"acknowledged_records"`
	Retried      int64             `json:"records_published_again"`
	Kills        map[string]int    `json:"random_kills"` // by component
	Points       map[string]int    `json:"failpoint_kills"`
	Faults       map[string]int    `json:"faults"`
	Skipped      map[string]string `json:"skipped_faults,omitempty"` // CHECK_ERROR of one fault: name and reason
	Alone        map[string]int    `json:"ended_by_themselves,omitempty"`
	Settled      bool              `json:"settled"`
	Notes        []string          `json:"notes,omitempty"`
	Log          []Kill            `json:"kills"`
	Judge        *judge.Report     `json:"judge"`
}

func newReport(o Options) *Report {
	return &Report{
		Options: o, Kills: map[string]int{}, Points: map[string]int{}, Faults: map[string]int{}, Skipped: map[string]string{}, Alone: map[string]int{},
		Repeat: o.command(),
	}
}

// command is how to make the same run again. Which instruction a kill hits is the machine's choice, not the seed's.
func (o Options) command() string {
	w, usual := o.Workload, DefaultOptions().Workload
	text := fmt.Sprintf(`make chaos CHAOS="-seed %d -calls %d -duration %s -kills %d -failpoint-kills %d -broker %s -stores %d -partitions %d -batch-rows %d -flush %s -session %s`,
		w.Seed, w.Calls, o.Duration, o.Kills, o.FailpointKills, o.Broker, o.Stores, o.Partitions, o.BatchRows, o.Flush, o.Session)
	for _, share := range []struct {
		flag       string
		it, normal float64
	}{{"poison", w.PoisonShare, usual.PoisonShare}, {"repeats", w.RepeatShare, usual.RepeatShare}, {"refused", w.MarkedShare, usual.MarkedShare}} {
		if share.it != share.normal && o.Taps == 0 {
			text += fmt.Sprintf(" -%s %g", share.flag, share.it)
		}
	}
	if o.Fault != "" {
		text += " -fault " + o.Fault
	}
	if o.Taps > 0 {
		text += fmt.Sprintf(" -taps %d", o.Taps)
	}
	if o.Copier {
		text += " -copier"
	}
	return text + `"`
}

func (r *Report) kill(at time.Duration, component, point, name string) {
	r.Log = append(r.Log, Kill{at.Seconds(), component, point, name})
	if point == "random" {
		r.Kills[component]++
	} else {
		r.Points[point]++
	}
}

// random is the number of kills at random moments.
func (r *Report) random() int {
	n := 0
	for _, k := range r.Kills {
		n += k
	}
	return n
}

func (r *Report) skip(fault, reason string) { r.Skipped[fault] = "CHECK_ERROR: " + reason }
func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) {
	fmt.Fprintf(w, "\nconservation test: seed %d, %d calls, broker %s, %.0f s\n", r.Options.Workload.Seed, r.Options.Workload.Calls, r.Options.Broker, r.Seconds)
	fmt.Fprintf(w, "  random kills    %4d  %s\n", r.random(), counts(r.Kills))
	n := 0
	for _, k := range r.Points {
		n += k
	}
	fmt.Fprintf(w, "  failpoint kills %4d  %s\n", n, counts(r.Points))
	fmt.Fprintf(w, "  other faults          %s\n", counts(r.Faults))
	for _, name := range slices.Sorted(maps.Keys(r.Skipped)) {
		fmt.Fprintf(w, "  not applied: %s, %s\n", name, r.Skipped[name])
	}
	if len(r.Alone) > 0 {
		fmt.Fprintf(w, "  ended by themselves and were started again: %s\n", counts(r.Alone))
	}
	fmt.Fprintf(w, "  published again after an error: %d records; settled: %t\n", r.Retried, r.Settled)
	for _, note := range r.Notes {
		fmt.Fprintf(w, "  note: %s\n", note)
	}
	r.Judge.Text(w)
	fmt.Fprintf(w, "repeat with: %s\n", r.Repeat)
}

func counts(m map[string]int) string {
	text := ""
	for _, k := range slices.Sorted(maps.Keys(m)) {
		text += fmt.Sprintf("%s %d  ", k, m[k])
	}
	return text
}
