package replay

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Dial makes a client; its user closes it.
type Dial func(opts ...kgo.Opt) (*kgo.Client, error)

// silence is how long a broker may give nothing although it holds the records.
const silence = 30 * time.Second

// Topic reads spans of a topic without offset gaps, which is what producers without transactions write. It is a Source;
// Close it when done.
type Topic struct {
	dial    Dial
	client  *kgo.Client
	topic   string
	id      int32
	next    int64 // of waiting, or of what the client gives
	waiting []*kgo.Record
}

// NewTopic returns a reader over clients of its own.
func NewTopic(dial Dial) *Topic { return &Topic{dial: dial} }

// Close releases the client.
func (t *Topic) Close() {
	if t.client != nil {
		t.client.Close()
		t.client = nil
	}
}

// Read implements Source.
func (t *Topic) Read(ctx context.Context, span Span, first, last int64, limit Limit) ([]Record, int64, error) {
	if t.client == nil || t.topic != span.Topic || t.id != span.Partition || t.next != first {
		if err := t.seek(span, first); err != nil {
			return nil, 0, err
		}
	}
	var out []Record
	var bytes int64
	for t.next <= last && len(out) < limit.Records && bytes < limit.Bytes {
		rec, err := t.record(ctx)
		if err != nil {
			return nil, 0, err
		}
		if rec.Offset != t.next {
			return nil, 0, fmt.Errorf("read %s/%d: offset %d is no longer in Kafka; the next one is %d", t.topic, t.id, t.next, rec.Offset)
		}
		t.waiting, t.next = t.waiting[1:], t.next+1
		bytes += int64(len(rec.Value))
		out = append(out, Record{Offset: rec.Offset, IngestedAt: rec.Timestamp, Key: rec.Key, Value: rec.Value, Headers: headers(rec)})
	}
	return out, t.next - 1, nil
}

func headers(rec *kgo.Record) []batch.Header {
	out := make([]batch.Header, len(rec.Headers))
	for i, h := range rec.Headers {
		out[i] = batch.Header{Key: h.Key, Value: h.Value}
	}
	return out
}

func (t *Topic) seek(span Span, first int64) error {
	t.Close()
	client, err := t.dial(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{span.Topic: {span.Partition: kgo.NewOffset().At(first)}}),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()), kgo.FetchMaxBytes(16<<20), kgo.FetchMaxPartitionBytes(8<<20), kgo.MaxConcurrentFetches(1))
	if err != nil {
		return fmt.Errorf("create reader of %s: %w", span.Topic, err)
	}
	t.client, t.topic, t.id, t.next, t.waiting = client, span.Topic, span.Partition, first, nil
	return nil
}

// record returns the next record, which stays waiting.
func (t *Topic) record(ctx context.Context) (*kgo.Record, error) {
	if len(t.waiting) > 0 {
		return t.waiting[0], nil
	}
	poll, cancel := context.WithTimeout(ctx, silence)
	defer cancel()
	for {
		fetches := t.client.PollRecords(poll, 2000)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if t.waiting = fetches.Records(); len(t.waiting) > 0 {
			return t.waiting[0], nil
		}
		if poll.Err() != nil {
			return nil, fmt.Errorf("read %s/%d: Kafka gave nothing from offset %d for %s", t.topic, t.id, t.next, silence)
		}
		if err := fetches.Err(); err != nil {
			return nil, fmt.Errorf("read %s/%d at offset %d: %w", t.topic, t.id, t.next, err)
		}
	}
}

// Choice says which stretch of a topic is meant. Times are the broker's; an offset of -1 and a zero time mean open.
type Choice struct {
	Topic                string
	Group                string // of the role store: what it has not committed is not replayed
	Partition            int32  // -1: all
	From, To             time.Time
	FromOffset, ToOffset int64 // ToOffset is not included, as To is not
}

// Spans finds the stretch's offsets in each partition, clipped to what Kafka holds and the store has committed. Notes
// tell what was clipped.
func (c Choice) Spans(ctx context.Context, client *kgo.Client) (spans []Span, notes []string, err error) {
	admin := kadm.NewClient(client)
	starts, err := listed(admin.ListStartOffsets(ctx, c.Topic))
	if err != nil {
		return nil, nil, fmt.Errorf("list the start of topic %s: %w", c.Topic, err)
	}
	first, last := starts, kadm.ListedOffsets(nil)
	if !c.From.IsZero() {
		if first, err = listed(admin.ListOffsetsAfterMilli(ctx, c.From.UnixMilli(), c.Topic)); err != nil {
			return nil, nil, fmt.Errorf("list offsets at --from: %w", err)
		}
	}
	if c.To.IsZero() {
		last, err = listed(admin.ListEndOffsets(ctx, c.Topic))
	} else {
		last, err = listed(admin.ListOffsetsAfterMilli(ctx, c.To.UnixMilli(), c.Topic))
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list offsets at --to: %w", err)
	}
	committed, err := admin.FetchOffsetsForTopics(ctx, c.Group, c.Topic)
	if err != nil {
		return nil, nil, fmt.Errorf("fetch offsets of group %s: %w", c.Group, err)
	}
	var partitions []int32
	starts.Each(func(l kadm.ListedOffset) { partitions = append(partitions, l.Partition) })
	slices.Sort(partitions)
	for _, id := range partitions {
		if c.Partition >= 0 && id != c.Partition {
			continue
		}
		start, _ := starts.Lookup(c.Topic, id)
		from, _ := first.Lookup(c.Topic, id)
		to, _ := last.Lookup(c.Topic, id)
		at, ok := committed.Lookup(c.Topic, id)
		if !ok || at.Err != nil {
			return nil, nil, fmt.Errorf("fetch offset of group %s in %s/%d: %w", c.Group, c.Topic, id, errors.Join(at.Err, errors.New("not known")))
		}
		span, note := c.clip(id, start.Offset, from.Offset, to.Offset, max(at.At, 0))
		notes = append(notes, note...)
		if span.First <= span.Last {
			spans = append(spans, span)
		}
	}
	return spans, notes, nil
}

func listed(l kadm.ListedOffsets, err error) (kadm.ListedOffsets, error) {
	if err == nil {
		err = l.Error()
	}
	return l, err
}

// clip cuts the wanted stretch [from, to) to what can be replayed.
func (c Choice) clip(id int32, start, from, to, committed int64) (Span, []string) {
	var notes []string
	if c.FromOffset >= 0 {
		if from = c.FromOffset; from < start {
			notes = append(notes, fmt.Sprintf("%s/%d: offsets %d to %d are no longer in Kafka and are left as they are", c.Topic, id, from, start-1))
		}
	}
	if c.ToOffset >= 0 {
		to = c.ToOffset
	}
	from = max(from, start)
	if to > committed && from < to {
		notes = append(notes, fmt.Sprintf("%s/%d: offsets from %d on are not stored yet and are left to the store", c.Topic, id, max(committed, from)))
		to = committed
	}
	return Span{Topic: c.Topic, Partition: id, First: from, Last: to - 1}, notes
}
