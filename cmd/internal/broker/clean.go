package broker

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// cleanEvery removes what is beyond the retention of each topic until ctx ends.
func (b *Broker) cleanEvery(ctx context.Context, interval time.Duration) {
	defer close(b.cleaned)
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if err := b.clean(ctx); err != nil && ctx.Err() == nil {
				b.logger.Error().Err(err).Msg("embedded broker cannot tell what its retention removed")
			}
		}
	}
}

// clean applies compaction and retention and reports, as an error that a human must see, what a consumer group
// lost by it. The records are removed in any case: a full disk would stop every producer.
func (b *Broker) clean(ctx context.Context) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(b.addrs...), kgo.ClientID("modeltrail-embedded-broker"))
	if err != nil {
		b.cluster.Compact()
		return fmt.Errorf("open client: %w", err)
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	before, errBefore := admin.ListStartOffsets(ctx)
	b.cluster.Compact() // compaction and retention
	after, err := admin.ListStartOffsets(ctx)
	if err := errors.Join(errBefore, err); err != nil {
		return fmt.Errorf("list start offsets: %w", err)
	}
	moved := make(map[string]map[int32]int64)
	after.Each(func(end kadm.ListedOffset) {
		start, ok := before.Lookup(end.Topic, end.Partition)
		if !ok || end.Offset <= start.Offset {
			return
		}
		if moved[end.Topic] == nil {
			moved[end.Topic] = make(map[int32]int64)
		}
		moved[end.Topic][end.Partition] = end.Offset
		b.logger.Info().Str("topic", end.Topic).Int32("partition", end.Partition).Int64("records", end.Offset-start.Offset).
			Int64("offset", end.Offset).Msg("retention removed records")
	})
	if len(moved) == 0 {
		return nil
	}
	return b.reportUnread(ctx, admin, moved)
}

// reportUnread names each group whose committed offset lies before the new start of a partition.
func (b *Broker) reportUnread(ctx context.Context, admin *kadm.Client, starts map[string]map[int32]int64) error {
	groups, err := admin.ListGroups(ctx)
	if err != nil {
		return fmt.Errorf("list groups: %w", err)
	}
	for _, group := range groups.Groups() {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil {
			return fmt.Errorf("fetch offsets of group: %w", err)
		}
		offsets.Each(func(o kadm.OffsetResponse) {
			if start, ok := starts[o.Topic][o.Partition]; ok && o.At < start {
				b.logger.Error().Str("group", group).Str("topic", o.Topic).Int32("partition", o.Partition).
					Int64("records", start-o.At).Msg("retention removed records before the group read them, raise broker.retention_bytes or kafka.topics.retention")
			}
		})
	}
	return nil
}
