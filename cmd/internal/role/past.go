package role

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// idlePoll ends a read-back when the broker has nothing more: the last offsets may be gaps.
const idlePoll = 2 * time.Second

// past reads stretches of one partition that were consumed before, to rebuild state that nobody saves. It uses a
// client of its own and leaves the group alone.
type past struct {
	dial      Dial
	topic     string
	partition int32
}

// committed returns the group's committed offset; 0 when nothing was ever committed.
func (p past) committed(ctx context.Context, client *kgo.Client, group string) (int64, error) {
	offsets, err := kadm.NewClient(client).FetchOffsetsForTopics(ctx, group, p.topic)
	if err != nil {
		return 0, fmt.Errorf("fetch committed offset: %w", err)
	}
	at, ok := offsets.Lookup(p.topic, p.partition)
	if !ok {
		return 0, nil
	}
	if at.Err != nil {
		return 0, fmt.Errorf("fetch committed offset: %w", at.Err)
	}
	return max(at.At, 0), nil
}

// since returns the first offset whose record the broker took at or after a time, and never one before the start.
func (p past) since(ctx context.Context, client *kgo.Client, at time.Time) (int64, error) {
	listed, err := kadm.NewClient(client).ListOffsetsAfterMilli(ctx, at.UnixMilli(), p.topic)
	if err != nil {
		return 0, fmt.Errorf("list offset by time: %w", err)
	}
	found, ok := listed.Lookup(p.topic, p.partition)
	if !ok {
		return 0, errors.New("list offset by time: partition not found")
	}
	return found.Offset, found.Err
}

// start returns the first offset the broker still holds.
func (p past) start(ctx context.Context, client *kgo.Client) (int64, error) {
	listed, err := kadm.NewClient(client).ListStartOffsets(ctx, p.topic)
	if err != nil {
		return 0, fmt.Errorf("list log start: %w", err)
	}
	found, ok := listed.Lookup(p.topic, p.partition)
	if !ok {
		return 0, errors.New("list log start: partition not found")
	}
	return found.Offset, found.Err
}

// read passes the records of [from, to) to each. It returns when to is reached, when each returns false, when the
// broker has nothing more, or when ctx ends; complete says whether the stretch was read to its end.
func (p past) read(ctx context.Context, from, to int64, each func(*kgo.Record) bool) (complete bool, err error) {
	if from >= to {
		return true, nil
	}
	client, err := p.dial(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		p.topic: {p.partition: kgo.NewOffset().At(from)},
	}), kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.DisableFetchSessions())
	if err != nil {
		return false, fmt.Errorf("create reader of %s: %w", p.topic, err)
	}
	defer client.Close()
	for {
		poll, cancel := context.WithTimeout(ctx, idlePoll)
		fetches := client.PollFetches(poll)
		cancel()
		if ctx.Err() != nil {
			return false, nil
		}
		records := fetches.Records()
		if len(records) == 0 {
			if err := fetches.Err(); err != nil && !errors.Is(err, context.DeadlineExceeded) {
				return false, fmt.Errorf("read back %s/%d: %w", p.topic, p.partition, err)
			}
			return true, nil
		}
		for _, rec := range records {
			if rec.Offset >= to || !each(rec) {
				return true, nil
			}
		}
		if records[len(records)-1].Offset >= to-1 {
			return true, nil
		}
	}
}
