package judge

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/journal"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/oracle"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// tapColumns are the columns of calls that do not depend on when a tap took a call and how it numbered it.
var tapColumns = []string{
	"method", "path", "http_status", "stream", "stream_outcome", "error_class", "error_type", "user_agent", "request_id", "conversation_id",
	"credential_fingerprint", "credential_last4", "credential_kind", "credential_id", "credential_status", "principal", "principal_kind", "end_user",
	"team_id", "app_id", "owner", "purpose", "cost_center", "identity_source", "policy_id", "policy_version", "policy_decision", "policy_rule",
	"policy_reason", "provider", "operation", "dialect", "decode_error", "request_model", "response_model", "response_id", "service_tier",
	"finish_reasons", "tools_offered", "tool_names", "usage_source", "usage_flags", "in_total", "in_uncached", "in_cache_read", "in_cache_write_5m",
	"in_cache_write_1h", "in_cache_write_unknown", "out_total", "out_text", "out_reasoning", "cost_status", "cost_usd", "input_cost_usd",
	"output_cost_usd", "cost_detail", "price_id", "capture_mode", "request_payload_state", "request_bytes", "response_payload_state", "response_bytes",
}

// runTap judges a run whose calls went through taps: every answer that a caller got completely is exactly one row, or
// the tap that had it was killed before it could make it durable, which the calls of a moment only may claim.
func (j *judge) runTap(ctx context.Context, expected *oracle.Reader) error {
	if err := j.readNumbers(ctx); err != nil {
		return err
	}
	answered := map[int]journal.Entry{}
	if err := journal.Read(j.m.Path(j.m.Journal), func(e journal.Entry) { answered[e.Index] = e }); err != nil {
		return err
	}
	j.report.Acknowledged = len(answered)
	steps := []func(context.Context) error{j.offsets, func(ctx context.Context) error { return j.answers(ctx, expected, answered) }, j.completeness}
	for _, step := range steps {
		if err := step(ctx); err != nil {
			return err
		}
	}
	return nil
}

// numbers are what the sources numbered, by source and boot.
type numbers map[string]map[uint64]bool

// readNumbers reads the envelopes topic for its ranges and the sequences in it.
func (j *judge) readNumbers(ctx context.Context) error {
	j.topic, j.numbers = &contents{}, numbers{}
	var envelope event.Envelope
	ranges, err := readTopic(ctx, j.m.Brokers, event.TopicEnvelopes, func(rec *kgo.Record) {
		j.topic.records++
		envelope.Reset()
		if err := envelope.UnmarshalVT(rec.Value); err != nil {
			j.report.add(Unexpected, "topic "+rec.Topic, position(rec.Partition, rec.Offset), "no envelope")
			return
		}
		s := envelope.GetSource()
		boot := fmt.Sprintf("%s\t%d", s.GetInstance(), s.GetBootEpoch())
		if j.numbers[boot] == nil {
			j.numbers[boot] = map[uint64]bool{}
		}
		if j.numbers[boot][s.GetSequence()] {
			j.topic.repeats++
		}
		j.numbers[boot][s.GetSequence()] = true
	})
	j.topic.ranges = ranges
	j.report.Records, j.report.Repeats = j.topic.records, j.topic.repeats
	return err
}

// answers compares the rows of the calls with what the oracle says.
func (j *judge) answers(ctx context.Context, expected *oracle.Reader, answered map[int]journal.Entry) error {
	at := map[string]int{}
	for i, c := range oracle.Calls.Columns {
		at[c.Name] = i
	}
	excused, oldest := 0, int64(0)
	for from := 0; from < j.work.Config().Calls; from += chunk {
		to := min(from+chunk, j.work.Config().Calls)
		lines, err := expected.Until(to)
		if err != nil {
			return err
		}
		rows, err := j.db.rows(ctx, fmt.Sprintf("SELECT %s FROM calls WHERE request_id >= '%s' AND request_id <= '%s'", strings.Join(tapColumns, ", "), j.work.ID(from), j.work.ID(to-1)))
		if err != nil {
			return err
		}
		got := map[int][][]string{}
		for _, r := range rows {
			i := j.work.IndexOf(r[slices.Index(tapColumns, "request_id")])
			got[i] = append(got[i], r)
		}
		for _, l := range lines {
			if l.Table != oracle.Calls.Name {
				continue
			}
			entry, complete := answered[l.Index]
			have := got[l.Index]
			after, killed := j.m.KilledAfter(entry.Partition, entry.Offset)
			switch {
			case len(have) > 1:
				j.report.add(Doubled, "calls", l.Cells[0], "%d rows of one call", len(have))
			case !complete:
			case len(have) == 0 && killed:
				excused, oldest = excused+1, max(oldest, after)
			case len(have) == 0:
				j.report.add(Lost, "calls", l.Cells[0], "the caller had its answer at %d ms through tap %d, which was not killed then", entry.Offset, entry.Partition)
			default:
				j.compareAnswer(l.Cells, have[0], at)
			}
		}
	}
	j.report.Calls = len(answered)
	if excused > 0 {
		j.report.note("%d answers have no row: their tap was killed with their envelopes still in memory, the oldest %d ms after its end", excused, oldest)
	}
	j.report.checked("%d answers that came completely are one row each, %d more were in memory of a killed tap", len(answered)-excused, excused)
	return nil
}

func (j *judge) compareAnswer(want, have []string, at map[string]int) {
	var diffs []string
	for i, name := range tapColumns {
		expected := want[at[name]]
		if name == "request_id" {
			expected = strings.TrimPrefix(expected, "req-")
		}
		if have[i] != expected {
			diffs = append(diffs, fmt.Sprintf("%s is %.80q, want %.80q", name, have[i], expected))
		}
	}
	if len(diffs) > 0 {
		j.report.add(Differs, "calls", want[0], "%s", strings.Join(diffs, "; "))
		return
	}
	j.report.Rows["calls"]++
}

// completeness compares the figures of the product's own proof with what the topic holds.
func (j *judge) completeness(ctx context.Context) error {
	doubles, err := j.db.rows(ctx, "SELECT count(), uniqExact(source_instance, source_epoch, source_sequence) FROM envelopes WHERE toString(status) = 'stored'")
	if err != nil {
		return err
	}
	sequences := 0
	for _, boot := range j.numbers {
		sequences += len(boot)
	}
	if want := fmt.Sprint([]int{sequences, sequences}); fmt.Sprint(doubles[0]) != want {
		j.report.add(Doubled, "envelopes", "sequences", "rows and distinct sequences are %v; the topic has %s", doubles[0], want)
	}
	j.report.checked("%d sequences of %d boots, each one stored row", sequences, len(j.numbers))
	there, err := j.db.rows(ctx, "SELECT count() FROM system.tables WHERE database = currentDatabase() AND name = 'v_source_completeness'")
	if err != nil || there[0][0] == "0" {
		j.report.note("this ModelTrail has no table source_completeness: its figures were not judged")
		return err
	}
	rows, err := j.db.rows(ctx, "SELECT sum(stored), sum(dead_lettered), sum(pending), sum(missing), sum(surplus) FROM v_source_completeness WHERE source_kind = 'tap'")
	if err != nil {
		return err
	}
	if want := fmt.Sprint([]int{sequences, 0, 0, 0, 0}); fmt.Sprint(rows[0]) != want {
		j.report.add(FigureDiffers, "v_source_completeness", "all taps", "stored, dead-lettered, pending, missing and surplus are %v, want %s", rows[0], want)
	}
	j.report.checked("v_source_completeness counts what the topic holds: %d stored, none pending, missing or surplus", sequences)
	return nil
}
