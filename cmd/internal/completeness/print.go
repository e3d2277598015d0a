package completeness

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"io"
	"strconv"
	"text/tabwriter"
	"time"
)

func (r *Report) print(out, remarks io.Writer, format string) error {
	w := bufio.NewWriter(out)
	var err error
	switch format {
	case "json":
		err = r.printJSON(w)
	case "csv":
		err = r.printCSV(w)
	default:
		r.printTable(w)
		remarks = w
	}
	if err == nil && format != "json" {
		r.remark(remarks)
	}
	if err == nil {
		err = w.Flush()
	}
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return nil
}

func (r *Report) printTable(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "source\thour\tsent\tstored\tdead-lettered\trepeated\tdropped\tpending\tmissing\tsurplus\tverified\t")
	for _, h := range r.Hours {
		fmt.Fprintf(t, "%s/%s\t%s\t%d\t%d\t%d\t%d\t%s\t%d\t%d\t%d\t%s\t\n", label(h.Kind), label(h.Instance), hourName(h.Hour), h.Sent, h.Stored,
			h.DeadLettered, h.Repeated, orDash(reasonsText(h.Dropped)), h.Pending, h.Missing, h.Surplus, yes(h.Verified))
	}
	_ = t.Flush()
	fmt.Fprintln(w)
	t = tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "topic\tpartition\tfirst offset\tlast offset\trows\tmissing\tdoubled\twithout source\t")
	for _, p := range r.Partitions {
		fmt.Fprintf(t, "%s\t%d\t%d\t%d\t%d\t%d\t%d\t%d\t\n", p.Topic, p.Partition, p.First, p.Last, p.Rows, p.Missing, p.Doubled, p.Anonymous)
	}
	_ = t.Flush()
	fmt.Fprintln(w)
}

// remark writes what the figures leave out, and the summary as the last line.
func (r *Report) remark(w io.Writer) {
	for _, h := range r.Silent {
		fmt.Fprintf(w, "silent: %s/%s since %s\n", label(h.Kind), label(h.Instance), h.Heard.UTC().Format(layout))
	}
	for _, k := range r.Untrusted {
		fmt.Fprintf(w, "not trusted: key %s of %s/%s since %s; name it in completeness.trusted_keys if it is right\n", label(k.ID), label(k.Kind), label(k.Instance), k.First.UTC().Format(layout))
	}
	for _, i := range r.Invalid {
		fmt.Fprintf(w, "altered: %d statements in the name of %s/%s within the hour %s\n", i.Count, label(i.Kind), label(i.Instance), hourName(i.Hour))
	}
	if n := r.unstated(); n > 0 {
		fmt.Fprintf(w, "not provable: %d envelopes of sources that make no statements\n", n)
	}
	fmt.Fprintln(w, r.summary())
}

func (r *Report) summary() string {
	verdict := "complete"
	if len(r.Faults(false)) > 0 {
		verdict = "NOT COMPLETE"
	}
	t := r.Totals
	return fmt.Sprintf("%s: %d sent, %d stored, %d dead-lettered, %d dropped, %d pending, %d missing, %d surplus", verdict, t.Sent, t.Stored,
		t.DeadLettered, total(t.Dropped), t.Pending, t.Missing, t.Surplus)
}

func orDash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "NO"
}

func hourText(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

type jsonHour struct {
	Type         string            `json:"type"`
	Kind         string            `json:"source_kind,omitempty"`
	Instance     string            `json:"source_instance,omitempty"`
	Hour         string            `json:"hour,omitempty"`
	Sent         uint64            `json:"sent"`
	Stored       uint64            `json:"stored"`
	DeadLettered uint64            `json:"dead_lettered"`
	Repeated     uint64            `json:"repeated"`
	Dropped      map[string]uint64 `json:"dropped"`
	Pending      uint64            `json:"pending"`
	Missing      uint64            `json:"missing"`
	Surplus      uint64            `json:"surplus"`
	Verified     bool              `json:"verified"`
	Complete     *bool             `json:"complete,omitempty"`
	Faults       []string          `json:"faults,omitempty"`
	Unstated     uint64            `json:"without_statements,omitempty"`
}

func (h Hour) json(kind string) jsonHour {
	return jsonHour{
		Type: kind, Kind: h.Kind, Instance: h.Instance, Hour: hourText(h.Hour), Sent: h.Sent, Stored: h.Stored, DeadLettered: h.DeadLettered,
		Repeated: h.Repeated, Dropped: h.Dropped, Pending: h.Pending, Missing: h.Missing, Surplus: h.Surplus, Verified: h.Verified,
	}
}

type jsonPartition struct {
	Type          string `json:"type"`
	Topic         string `json:"topic"`
	Partition     int32  `json:"partition"`
	First         int64  `json:"first_offset"`
	Last          int64  `json:"last_offset"`
	Rows          uint64 `json:"rows"`
	Missing       uint64 `json:"missing"`
	Doubled       uint64 `json:"doubled"`
	WithoutSource uint64 `json:"without_source"`
}

// printJSON writes one object a line: hours, partitions, the summary.
func (r *Report) printJSON(w io.Writer) error {
	enc := json.NewEncoder(w)
	for _, h := range r.Hours {
		if err := enc.Encode(h.json("hour")); err != nil {
			return err
		}
	}
	for _, p := range r.Partitions {
		if err := enc.Encode(jsonPartition{"partition", p.Topic, p.Partition, p.First, p.Last, p.Rows, p.Missing, p.Doubled, p.Anonymous}); err != nil {
			return err
		}
	}
	sum, complete := r.Totals.json("summary"), len(r.Faults(false)) == 0
	sum.Complete, sum.Faults, sum.Unstated = &complete, r.Faults(false), r.unstated()
	return enc.Encode(sum)
}

func (r *Report) printCSV(w io.Writer) error {
	out := csv.NewWriter(w)
	rows := [][]string{{"source_kind", "source_instance", "hour", "sent", "stored", "dead_lettered", "repeated", "dropped", "dropped_reasons", "pending", "missing", "surplus", "verified"}}
	n := func(v uint64) string { return strconv.FormatUint(v, 10) }
	for _, h := range r.Hours {
		rows = append(rows, []string{label(h.Kind), label(h.Instance), hourText(h.Hour), n(h.Sent), n(h.Stored), n(h.DeadLettered), n(h.Repeated), n(total(h.Dropped)),
			reasonsText(h.Dropped), n(h.Pending), n(h.Missing), n(h.Surplus), strconv.FormatBool(h.Verified)})
	}
	return out.WriteAll(rows)
}
