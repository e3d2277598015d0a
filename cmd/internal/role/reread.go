package role

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Reread passes records of one partition, from first to last, to each once more, in order. Both offsets are of records
// that were read before. What it did not pass is no longer in the log.
type Reread func(ctx context.Context, topic string, partition int32, first, last int64, each func(*kgo.Record)) error

// rereadTimeout bounds one reading; the caller repeats.
const rereadTimeout = time.Minute

// RereadFrom returns a Reread over clients of its own, which leave the consumer group alone.
func RereadFrom(dial Dial) Reread {
	return func(ctx context.Context, topic string, partition int32, first, last int64, each func(*kgo.Record)) error {
		ctx, cancel := context.WithTimeout(ctx, rereadTimeout)
		defer cancel()
		fetch := int32(min(max((last-first+1)*4<<10, 16<<10), 1<<20)) //nolint:gosec // bounded; a broker sends a whole batch at least
		client, err := dial(
			kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: {partition: kgo.NewOffset().At(first)}}),
			kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), // where the log begins behind first by now
			kgo.FetchIsolationLevel(kgo.ReadCommitted()),
			kgo.FetchMaxBytes(fetch), kgo.FetchMaxPartitionBytes(fetch),
			kgo.DisableFetchSessions(), // its end would wait for the fetch that is ahead of us at the end of the log
		)
		if err != nil {
			return fmt.Errorf("create reader of %s: %w", topic, err)
		}
		defer client.Close()
		p := past{topic: topic, partition: partition}
		for {
			poll, done := context.WithTimeout(ctx, idlePoll)
			fetches := client.PollFetches(poll)
			done()
			if fetches.NumRecords() == 0 {
				if gone, err := p.gone(ctx, client, last, fetches.Err()); gone || err != nil {
					return err
				}
			}
			for _, rec := range fetches.Records() {
				if rec.Offset > last {
					return nil
				}
				each(rec)
				if rec.Offset == last {
					return nil
				}
			}
		}
	}
}

// gone says whether a poll came back empty because retention removed everything up to last.
func (p past) gone(ctx context.Context, client *kgo.Client, last int64, cause error) (bool, error) {
	start, err := p.start(ctx, client)
	if err == nil && start > last {
		return true, nil
	}
	if err == nil && errors.Is(cause, context.DeadlineExceeded) {
		err, cause = ctx.Err(), nil // the broker was slow
	}
	if err := errors.Join(err, cause); err != nil {
		return false, fmt.Errorf("read %s/%d up to %d once more: %w", p.topic, p.partition, last, err)
	}
	return false, nil
}
