package completeness

import (
	"context"
	"fmt"
	"strings"
	"time"
)

// Request says what a report covers.
type Request struct {
	Since, Until time.Time     // hours that begin at or after Since and before Until
	Source       string        // instance; empty: all
	Wait         time.Duration // for the store to catch up
	SilenceAfter time.Duration
}

// Report is the proof, or what stands against it.
type Report struct {
	Judgement
	Partitions []Partition
	Silent     []Head
	Invalid    []Invalid
	Untrusted  []Key
	Heads      []Head
	Totals     Hour // sums of Hours
}

// Report judges a span once. lag may be nil, which takes what is stored as all that will be.
func (r Record) Report(ctx context.Context, lag *Lag, q Request) (Report, error) {
	var out Report
	if lag != nil {
		if err := lag.AwaitStatements(ctx, q.Wait); err != nil {
			return out, err
		}
	}
	now := time.Now()
	snapshot, err := r.Load(ctx, q.Since, q.Source)
	if err != nil {
		return out, err
	}
	if lag != nil {
		ends, starts, err := lag.Ends(ctx, lag.Envelopes)
		if err != nil {
			return out, err
		}
		if err := lag.Await(ctx, ends, starts, q.Wait); err != nil {
			return out, err
		}
	}
	found, err := r.Find(ctx, snapshot, q.Source)
	if err != nil {
		return out, err
	}
	out.Judgement = Judge(snapshot.Heads, snapshot.Told, found)
	out.Heads = snapshot.Heads
	out.cut(q)
	for _, i := range snapshot.Invalid {
		if q.Source == "" || q.Source == i.Instance {
			out.Invalid = append(out.Invalid, i)
		}
	}
	for _, k := range snapshot.Keys {
		if !k.Trusted && !k.Last.Before(q.Since) && (q.Source == "" || q.Source == k.Instance) {
			out.Untrusted = append(out.Untrusted, k)
		}
	}
	for _, h := range newest(snapshot.Heads) {
		if h.State == stateRunning && now.Sub(h.Heard) > max(q.SilenceAfter, 3*h.Interval) && q.Until.After(h.Heard) {
			out.Silent = append(out.Silent, h)
		}
	}
	out.Partitions, err = r.Partitions(ctx, q.Since)
	return out, err
}

// cut leaves what lies within the span and sums it up.
func (r *Report) cut(q Request) {
	within := func(hour time.Time) bool {
		return hour.IsZero() || !hour.Before(q.Since) && hour.Before(q.Until)
	}
	hours, gaps, unstated := r.Hours, r.Gaps, r.Unstated
	r.Hours, r.Gaps, r.Unstated = nil, nil, nil
	r.Totals = Hour{Dropped: map[string]uint64{}, Verified: true}
	for _, h := range hours {
		if !within(h.Hour) || h.Sent+h.Stored+h.DeadLettered+total(h.Dropped) == 0 {
			continue
		}
		r.Hours = append(r.Hours, h)
		t := &r.Totals
		t.Sent, t.Stored, t.DeadLettered, t.Repeated = t.Sent+h.Sent, t.Stored+h.Stored, t.DeadLettered+h.DeadLettered, t.Repeated+h.Repeated
		t.Pending, t.Missing, t.Surplus = t.Pending+h.Pending, t.Missing+h.Missing, t.Surplus+h.Surplus
		t.Verified = t.Verified && h.Verified
		for reason, n := range h.Dropped {
			t.Dropped[reason] += n
		}
	}
	for _, g := range gaps {
		if within(g.Hour) {
			r.Gaps = append(r.Gaps, g)
		}
	}
	for _, f := range unstated {
		if within(f.Hour) {
			r.Unstated = append(r.Unstated, f)
		}
	}
}

// unstated counts envelopes of sources that make no statements.
func (r *Report) unstated() (n uint64) {
	for _, f := range r.Unstated {
		n += f.Stored + f.Dead
	}
	return n
}

// Faults lists what stands against completeness, nothing when the record is complete. Strict counts explained gaps too.
func (r *Report) Faults(strict bool) []string {
	var out []string
	fault := func(n uint64, text string) {
		if n > 0 {
			out = append(out, fmt.Sprintf(text, n))
		}
	}
	var holes, doubled uint64
	for _, p := range r.Partitions {
		holes += p.Missing
		doubled += p.Doubled
	}
	if len(r.Heads) == 0 {
		out = append(out, "no source made a statement in this span")
	}
	fault(r.Totals.Missing, "%d envelopes are missing")
	fault(r.Totals.Surplus, "%d envelopes that no statement tells of")
	fault(holes, "%d offsets are missing")
	fault(doubled, "%d offsets stand twice")
	fault(uint64(len(r.Silent)), "%d sources are silent")
	if !r.Totals.Verified {
		out = append(out, "some figures are not verified")
	}
	if strict {
		fault(total(r.Totals.Dropped), "%d envelopes were dropped")
		fault(r.Totals.Pending, "%d envelopes are pending")
		fault(r.unstated(), "%d envelopes of sources without statements")
		var altered uint64
		for _, i := range r.Invalid {
			altered += i.Count
		}
		fault(altered, "%d statements were altered")
	}
	return out
}

func join(faults []string) string { return strings.Join(faults, ", ") }
