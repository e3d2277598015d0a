package judge

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/journal"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// place is where one copy of a record stands.
type place struct {
	partition int32
	offset    int64
	millis    int64 // broker time
}

// slot is one record of the workload: a phase of a call, or a poisoned record.
type slot struct {
	first  place
	digest uint64
	found  bool
	more   []place // further copies, by rising offset
}

// contents is what the envelopes topic holds.
type contents struct {
	slots   []slot // three for each call: poison, request, response
	ranges  map[int32]span
	records int
	repeats int
}

type span struct{ start, end int64 }

func (c *contents) at(index, phase int) *slot { return &c.slots[3*index+phase] }

// stall is how long a broker may say nothing while records are missing.
const stall = 60 * time.Second

var errSilent = errors.New("nothing came for a minute")

// readTopic calls f with every record of a topic up to its present end.
func readTopic(ctx context.Context, brokers []string, topic string, f func(*kgo.Record)) (map[int32]span, error) {
	plain, err := kgo.NewClient(kgo.SeedBrokers(brokers...))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	ranges, err := rangesOf(ctx, kadm.NewClient(plain), topic)
	if err != nil {
		return nil, err
	}
	offsets, left := map[int32]kgo.Offset{}, int64(0)
	for p, r := range ranges {
		if r.end > r.start {
			offsets[p] = kgo.NewOffset().At(r.start)
			left += r.end - r.start
		}
	}
	if left == 0 {
		return ranges, nil
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(brokers...), kgo.FetchMaxBytes(32<<20), kgo.FetchMaxPartitionBytes(8<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	for left > 0 {
		poll, cancel := context.WithTimeout(ctx, stall)
		fetches := client.PollRecords(poll, 20000)
		cancel()
		n := 0
		fetches.EachRecord(func(rec *kgo.Record) {
			n++
			if rec.Offset < ranges[rec.Partition].end {
				left--
				f(rec)
			}
		})
		if n == 0 {
			return nil, fmt.Errorf("read %s: %d records are missing and the broker gives none: %w", topic, left, errors.Join(errSilent, fetches.Err()))
		}
	}
	return ranges, nil
}

func rangesOf(ctx context.Context, admin *kadm.Client, topic string) (map[int32]span, error) {
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	ranges := map[int32]span{}
	ends.Each(func(end kadm.ListedOffset) {
		if end.Err != nil {
			err = end.Err
			return
		}
		start, _ := starts.Lookup(topic, end.Partition)
		ranges[end.Partition] = span{start.Offset, end.Offset}
	})
	if err != nil {
		return nil, fmt.Errorf("list offsets of %s: %w", topic, err)
	}
	return ranges, nil
}

// readEnvelopes reads the envelopes topic. What is no record of the workload is a violation.
func (j *judge) readEnvelopes(ctx context.Context) error {
	c := &contents{slots: make([]slot, 3*j.work.Config().Calls)}
	poisoned := make([]bool, j.work.Config().Calls)
	for i := range poisoned {
		poisoned[i] = j.work.Poisoned(i)
	}
	var envelope event.Envelope
	ranges, err := readTopic(ctx, j.m.Brokers, event.TopicEnvelopes, func(rec *kgo.Record) {
		c.records++
		index := j.work.IndexOf(string(rec.Key))
		if index < 0 {
			j.report.add(Unexpected, "topic "+rec.Topic, position(rec.Partition, rec.Offset), "no record of this workload")
			return
		}
		phase := 0
		if !poisoned[index] {
			envelope.Reset()
			if err := envelope.UnmarshalVT(rec.Value); err == nil {
				phase = int(envelope.Phase)
			}
			if phase != 1 && phase != 2 {
				j.report.add(Differs, "topic "+rec.Topic, j.work.ID(index), "the record cannot be read")
				return
			}
		}
		s, at := c.at(index, phase), place{rec.Partition, rec.Offset, rec.Timestamp.UnixMilli()}
		if s.found {
			c.repeats++
			s.more = append(s.more, at)
			return
		}
		s.found, s.first, s.digest = true, at, journal.Digest(rec.Value)
	})
	if err != nil {
		return err
	}
	c.ranges = ranges
	j.topic = c
	j.report.Records, j.report.Repeats = c.records, c.repeats
	return nil
}

func position(partition int32, offset int64) string { return fmt.Sprintf("%d/%d", partition, offset) }

// compareJournal checks that the broker kept what it acknowledged, byte for byte.
func (j *judge) compareJournal() error {
	acknowledged := make([]bool, len(j.topic.slots))
	err := journal.Read(j.m.Path(j.m.Journal), func(e journal.Entry) {
		if e.Index < 0 || e.Index >= j.work.Config().Calls || e.Phase < 0 || e.Phase > 2 {
			return
		}
		if n := 3*e.Index + e.Phase; !acknowledged[n] {
			acknowledged[n] = true
			j.report.Acknowledged++
		}
		s := j.topic.at(e.Index, e.Phase)
		switch {
		case !s.found || !s.has(e.Partition, e.Offset):
			j.report.add(Lost, "topic "+event.TopicEnvelopes, j.work.ID(e.Index), "acknowledged at %s, phase %d; the broker does not have it", position(e.Partition, e.Offset), e.Phase)
		case s.digest != e.Digest:
			j.report.add(Differs, "topic "+event.TopicEnvelopes, j.work.ID(e.Index), "the value is not the one that was acknowledged")
		}
	})
	if err != nil {
		return err
	}
	j.report.checked("%d acknowledged records stand in the topic as they were sent", j.report.Acknowledged)
	return nil
}

func (s *slot) has(partition int32, offset int64) bool {
	if s.first.partition == partition && s.first.offset == offset {
		return true
	}
	for _, p := range s.more {
		if p.partition == partition && p.offset == offset {
			return true
		}
	}
	return false
}

// wanted are the places whose rows must exist: the first copy alone where the store recognises repeats.
func (j *judge) wanted(index, phase int) []place {
	s := j.topic.at(index, phase)
	if !s.found {
		return nil
	}
	if phase != workload.PhasePoison && j.m.RepeatsRecognised {
		return []place{s.first}
	}
	return append([]place{s.first}, s.more...)
}
