package judge

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
)

// Verdict is the outcome.
type Verdict string

// The verdicts. CheckError means that the question could not be answered; it is neither of the others.
const (
	Pass       Verdict = "PASS"
	Fail       Verdict = "FAIL"
	CheckError Verdict = "CHECK_ERROR"
)

// ExitCode is the code with which the judge's process ends.
func (v Verdict) ExitCode() int {
	switch v {
	case Pass:
		return 0
	case Fail:
		return 1
	}
	return 2
}

// Violation is one thing that is wrong.
type Violation struct {
	Kind   string `json:"kind"` // see the Kind constants
	Where  string `json:"where"`
	ID     string `json:"id"` // call id or position
	Detail string `json:"detail,omitempty"`
}

// Kinds of violations.
const (
	Lost           = "lost"            // what must be there is not
	Doubled        = "doubled"         // it is there more than once
	Unreadable     = "unreadable"      // the engine cannot read what it stored
	Differs        = "differs"         // it is there with another content
	Unexpected     = "unexpected"      // it is there and must not be
	OffsetHole     = "offset hole"     // rows of a partition are not its offsets
	SumDiffers     = "sum differs"     // a materialized sum is not the sum of its rows
	FindingDoubled = "finding doubled" // a finding stands twice
	FigureDiffers  = "figure differs"  // a completeness figure is not the oracle's
)

// keptViolations is how many violations a report lists; all are counted.
const keptViolations = 50

// Report is what the judge found.
type Report struct {
	Verdict      Verdict        `json:"verdict"`
	Error        string         `json:"error,omitempty"` // of CHECK_ERROR
	Acknowledged int            `json:"acknowledged_records"`
	Records      int            `json:"records_in_topic"`
	Repeats      int            `json:"repeated_records_in_topic"`
	Calls        int            `json:"calls_compared"`
	Rows         map[string]int `json:"rows_compared"`
	Checks       []string       `json:"checks"`
	Counts       map[string]int `json:"violations"` // by kind
	Violations   []Violation    `json:"first_violations,omitempty"`
	Notes        []string       `json:"notes,omitempty"`
}

func newReport() *Report {
	return &Report{Rows: map[string]int{}, Counts: map[string]int{}}
}

func (r *Report) add(kind, where, id, format string, args ...any) {
	r.Counts[kind]++
	if len(r.Violations) < keptViolations {
		r.Violations = append(r.Violations, Violation{kind, where, id, fmt.Sprintf(format, args...)})
	}
}

func (r *Report) checked(format string, args ...any) {
	r.Checks = append(r.Checks, fmt.Sprintf(format, args...))
}
func (r *Report) note(format string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(format, args...))
}

// conclude sets the verdict from what was found.
func (r *Report) conclude(err error) {
	switch {
	case err != nil:
		r.Verdict, r.Error = CheckError, err.Error()
	case len(r.Counts) > 0:
		r.Verdict = Fail
	default:
		r.Verdict = Pass
	}
}

// JSON writes the report as one document.
func (r *Report) JSON(w io.Writer) error {
	encoder := json.NewEncoder(w)
	encoder.SetIndent("", "  ")
	return encoder.Encode(r)
}

// Text writes the report for people.
func (r *Report) Text(w io.Writer) {
	fmt.Fprintf(w, "verdict: %s\n", r.Verdict)
	if r.Error != "" {
		fmt.Fprintf(w, "the judge could not answer: %s\n", r.Error)
	}
	fmt.Fprintf(w, "%d records acknowledged, %d in the topic (%d of them repeats), %d calls compared\n", r.Acknowledged, r.Records, r.Repeats, r.Calls)
	for _, table := range sorted(r.Rows) {
		fmt.Fprintf(w, "  %-14s %d rows equal\n", table, r.Rows[table])
	}
	for _, c := range r.Checks {
		fmt.Fprintf(w, "  checked: %s\n", c)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(w, "  note: %s\n", n)
	}
	for _, kind := range sorted(r.Counts) {
		fmt.Fprintf(w, "  VIOLATIONS %s: %d\n", kind, r.Counts[kind])
	}
	for _, v := range r.Violations {
		fmt.Fprintf(w, "    %s in %s, %s: %s\n", v.Kind, v.Where, v.ID, v.Detail)
	}
}

func sorted(m map[string]int) []string {
	var keys []string
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

// ReadReport reads what JSON wrote.
func ReadReport(in io.Reader) (*Report, error) {
	r := newReport()
	if err := json.NewDecoder(in).Decode(r); err != nil {
		return nil, err
	}
	return r, nil
}
