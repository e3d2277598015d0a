package judge

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
)

func header(rec *kgo.Record, key string) string {
	for _, h := range rec.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

// deadLetterTopic checks that every poisoned record is in the dead letter topic, and nothing else. A crash may write a
// letter again; its position says that it is the same.
func (j *judge) deadLetterTopic(ctx context.Context) error {
	want := map[string]int{}
	for i := range j.work.Config().Calls {
		for phase := range 3 {
			if j.isLetter(i, phase) {
				for _, at := range j.wanted(i, phase) {
					want[position(at.partition, at.offset)] = 0
				}
			}
		}
	}
	again := 0
	_, err := readTopic(ctx, j.m.Brokers, event.TopicDeadLetters, func(rec *kgo.Record) {
		if header(rec, "dlq-topic") != event.TopicEnvelopes {
			return
		}
		key := header(rec, "dlq-partition") + "/" + header(rec, "dlq-offset")
		n, ok := want[key]
		if !ok {
			j.report.add(Unexpected, "topic "+event.TopicDeadLetters, key, "a letter of a record that is no poison, reason %s", header(rec, "dlq-reason"))
			return
		}
		if n > 0 {
			again++
		}
		want[key] = n + 1
	})
	if err != nil {
		return err
	}
	for key, n := range want {
		if n == 0 {
			j.report.add(Lost, "topic "+event.TopicDeadLetters, key, "no letter")
		}
	}
	j.report.checked("%d dead letters in their topic", len(want))
	if again > 0 {
		j.report.note("%d dead letters were written to their topic again after a crash; it is at least once, the table is exactly once", again)
	}
	return nil
}

// events checks that enrich lost nothing: every readable envelope is at least one event.
func (j *judge) events(ctx context.Context) error {
	seen := map[int32][]bool{}
	for p, held := range j.topic.ranges {
		seen[p] = make([]bool, held.end)
	}
	again := 0
	_, err := readTopic(ctx, j.m.Brokers, event.TopicEvents, func(rec *kgo.Record) {
		source := header(rec, "ce_source")
		partition, err1 := strconv.Atoi(source[strings.LastIndex(source, "/")+1:])
		offset, err2 := strconv.ParseInt(header(rec, "ce_id"), 10, 64)
		if err1 != nil || err2 != nil || offset < 0 || offset >= int64(len(seen[int32(partition)])) { //nolint:gosec // small
			j.report.add(Unexpected, "topic "+event.TopicEvents, position(rec.Partition, rec.Offset), "an event of no envelope")
			return
		}
		if seen[int32(partition)][offset] { //nolint:gosec // small
			again++
		}
		seen[int32(partition)][offset] = true //nolint:gosec // small
	})
	if err != nil {
		return err
	}
	n := 0
	for i := range j.work.Config().Calls {
		for phase := 1; phase <= 2; phase++ {
			s := j.topic.at(i, phase)
			if !s.found {
				continue
			}
			for _, at := range append([]place{s.first}, s.more...) {
				if n++; !seen[at.partition][at.offset] {
					j.report.add(Lost, "topic "+event.TopicEvents, j.work.ID(i), "no event of the envelope at %s", position(at.partition, at.offset))
				}
			}
		}
	}
	j.report.checked("%d envelopes are events", n)
	if again > 0 {
		j.report.note("%d events were written again; enrich is at least once, detect drops repeats", again)
	}
	return nil
}

// detectors are those whose conclusions do not depend on the order in which events come.
const detectors = "('out_of_scope', 'unknown_credential')"

// findings checks the conclusions: each one that the oracle draws is there, no other is, and each stands once where
// people read them. The table has one row for every record of the topic.
func (j *judge) findings(ctx context.Context) error {
	rows, err := j.db.rows(ctx, "SELECT finding_key, detector, count() FROM v_findings WHERE detector IN "+detectors+" GROUP BY ALL")
	if err != nil {
		return err
	}
	got := map[string]bool{}
	for _, r := range rows {
		got[r[0]] = true
		switch want, ok := j.found[r[0]]; {
		case !ok:
			j.report.add(Unexpected, "v_findings", r[0], "detector %s", r[1])
		case want != r[1]:
			j.report.add(Differs, "v_findings", r[0], "detector %s, want %s", r[1], want)
		case r[2] != "1":
			j.report.add(FindingDoubled, "v_findings", r[0], "%s rows", r[2])
		}
	}
	for key, detector := range j.found {
		if !got[key] {
			j.report.add(Lost, "v_findings", key, "detector %s", detector)
		}
	}
	ranges, err := readTopic(ctx, j.m.Brokers, event.TopicFindings, func(*kgo.Record) {})
	if err != nil {
		return err
	}
	records := int64(0)
	for p, held := range ranges {
		n := held.end - held.start
		records += n
		rows, err := j.db.rows(ctx, fmt.Sprintf("SELECT count(), uniqExact(offset) FROM findings WHERE partition = %d", p))
		if err != nil {
			return err
		}
		if want := fmt.Sprint([]int64{n, n}); fmt.Sprint(rows[0]) != want {
			j.report.add(FindingDoubled, "findings", fmt.Sprintf("partition %d", p), "rows and distinct offsets are %v; the topic has %s", rows[0], want)
		}
	}
	j.report.checked("%d findings, each once; %d records of them in the topic, each one row", len(j.found), records)
	return nil
}
