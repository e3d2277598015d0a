package completeness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ErrBehind means that the store has not consumed what was there when the statements were read.
var ErrBehind = errors.New("the role store is behind")

// Lag asks Kafka how far the role store is. It is safe for concurrent use.
type Lag struct {
	Client                  *kgo.Client
	Envelopes, Sources      string // topics
	StoreGroup, SourceGroup string
}

// Ends is where the partitions of a topic end.
type Ends map[int32]kadm.ListedOffset

// Ends returns the present ends of a topic. Whatever was acknowledged before lies below them.
func (l Lag) Ends(ctx context.Context, topic string) (ends Ends, starts Ends, err error) {
	admin := kadm.NewClient(l.Client)
	listed, err := admin.ListEndOffsets(ctx, topic)
	if err == nil {
		err = listed.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list ends of %s: %w", topic, err)
	}
	first, err := admin.ListStartOffsets(ctx, topic)
	if err == nil {
		err = first.Error()
	}
	if err != nil {
		return nil, nil, fmt.Errorf("list starts of %s: %w", topic, err)
	}
	return listed[topic], first[topic], nil
}

// behind counts the records below ends that a group has not finished.
func (l Lag) behind(ctx context.Context, group, topic string, ends, starts Ends) (int64, error) {
	committed, err := kadm.NewClient(l.Client).FetchOffsetsForTopics(ctx, group, topic)
	if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // a group that never committed has finished nothing
		return 0, fmt.Errorf("read offsets of group %s: %w", group, err)
	}
	var open int64
	for id, end := range ends {
		at := starts[id].Offset
		if c, ok := committed.Lookup(topic, id); ok {
			if c.Err != nil {
				return 0, fmt.Errorf("read offsets of group %s: %w", group, c.Err)
			}
			at = max(at, c.At)
		}
		open += max(0, end.Offset-at)
	}
	return open, nil
}

// Await waits until the store has finished everything below ends. ErrBehind means that it did not within the time.
func (l Lag) Await(ctx context.Context, ends, starts Ends, most time.Duration) error {
	return l.await(ctx, l.StoreGroup, l.Envelopes, ends, starts, most)
}

// AwaitStatements waits until every statement that Kafka holds is a row.
func (l Lag) AwaitStatements(ctx context.Context, most time.Duration) error {
	ends, starts, err := l.Ends(ctx, l.Sources)
	if err != nil {
		return err
	}
	return l.await(ctx, l.SourceGroup, l.Sources, ends, starts, most)
}

func (l Lag) await(ctx context.Context, group, topic string, ends, starts Ends, most time.Duration) error {
	deadline := time.Now().Add(most)
	for {
		open, err := l.behind(ctx, group, topic, ends, starts)
		if err != nil {
			return err
		}
		if open == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("%w: %d records of %s wait for group %s", ErrBehind, open, topic, group)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}
