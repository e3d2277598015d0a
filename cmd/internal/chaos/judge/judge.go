package judge

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/manifest"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/oracle"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

type judge struct {
	m      *manifest.Manifest
	work   *workload.Workload
	db     *database
	topic  *contents
	report *Report
	sums   *sums
	found  map[string]string // findings that must be: key -> detector

	numbers numbers // of a run with taps
}

// Run judges a run that has settled. expected is what the oracle's process writes.
func Run(ctx context.Context, m *manifest.Manifest, expected io.Reader) *Report {
	j := &judge{m: m, work: workload.New(m.Workload), report: newReport(), sums: newSums(), found: map[string]string{}}
	j.report.conclude(j.run(ctx, oracle.NewReader(expected)))
	return j.report
}

func (j *judge) run(ctx context.Context, expected *oracle.Reader) error {
	db, err := openDatabase(j.m)
	if err != nil {
		return err
	}
	j.db = db
	if len(j.m.Taps) > 0 {
		return j.runTap(ctx, expected)
	}
	if err := j.readEnvelopes(ctx); err != nil {
		return err
	}
	steps := []func(context.Context) error{
		func(context.Context) error { return j.compareJournal() },
		j.offsets,
		func(ctx context.Context) error { return j.compareRows(ctx, expected) },
		j.refusedAndRepeated, j.strangers, j.versions, j.compareSums, j.deadLetterTopic,
	}
	if j.m.Detection {
		steps = append(steps, j.events, j.findings)
	}
	for _, step := range steps {
		if err := step(ctx); errors.Is(err, errCorrupted) {
			j.report.add(Unreadable, "database", "", "%v", err)
		} else if err != nil {
			return err
		}
	}
	return nil
}

// offsets compares the rows of the table envelopes with the offsets of the topic.
func (j *judge) offsets(ctx context.Context) error {
	rows, err := j.db.rows(ctx, "SELECT partition, count(), uniqExact(offset), min(offset), max(offset) FROM envelopes WHERE topic = 'modeltrail.envelopes' GROUP BY partition")
	if err != nil {
		return err
	}
	got := map[string][]string{}
	for _, r := range rows {
		got[r[0]] = r[1:]
	}
	for p, held := range j.topic.ranges {
		n := held.end - held.start
		want, have := []string{fmt.Sprint(n), fmt.Sprint(n), fmt.Sprint(held.start), fmt.Sprint(held.end - 1)}, got[fmt.Sprint(p)]
		if n == 0 && have == nil {
			continue
		}
		if fmt.Sprint(want) != fmt.Sprint(have) {
			j.report.add(OffsetHole, "envelopes", fmt.Sprintf("partition %d", p), "rows, distinct offsets, first and last are %v; the topic has %v", have, want)
		}
	}
	j.report.checked("rows = distinct offsets = end of the topic in %d partitions", len(j.topic.ranges))
	return nil
}

// errShort means that the oracle's process ended early.
var errShort = errors.New("the oracle ended before the last call")
