package e2e

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
)

// Topics returns the names of the topics.
func (n *Node) Topics() kafka.Topics { return n.Config().Kafka.Topics }

// Config returns the configuration as the process reads it, with the brokers of a running `up`.
func (n *Node) Config() config.Config {
	n.t.Helper()
	cfg, err := config.Load(n.ConfigPath)
	if err != nil {
		n.t.Fatal(err)
	}
	if len(cfg.Kafka.Brokers) == 0 {
		cfg.Kafka.Brokers = []string{cfg.Broker.Listen}
	}
	return cfg
}

// dial is for clients that their user closes.
func (n *Node) dial(opts ...kgo.Opt) *kgo.Client {
	n.t.Helper()
	client, err := kafka.NewClient(n.Config().Kafka, zerolog.Nop(), opts...)
	if err != nil {
		n.t.Fatal(err)
	}
	return client
}

// Produce writes records and waits for their acknowledgement. It returns them with their positions.
func (n *Node) Produce(records ...*kgo.Record) []*kgo.Record {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := n.dial(kgo.ProducerBatchMaxBytes(16 << 20))
	defer client.Close()
	if err := client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		n.t.Fatalf("produce: %v", err)
	}
	return records
}

// Range is what a partition holds: Start is the first offset, End the one after the last.
type Range struct{ Start, End int64 }

// Ends returns the range of every partition of a topic.
func (n *Node) Ends(topic string) map[int32]Range {
	n.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	client := n.dial()
	defer client.Close()
	admin := kadm.NewClient(client)
	starts, err := admin.ListStartOffsets(ctx, topic)
	if err != nil {
		n.t.Fatalf("list offsets of %s: %v", topic, err)
	}
	ends, err := admin.ListEndOffsets(ctx, topic)
	if err != nil {
		n.t.Fatalf("list offsets of %s: %v", topic, err)
	}
	ranges := map[int32]Range{}
	ends.Each(func(end kadm.ListedOffset) {
		start, _ := starts.Lookup(topic, end.Partition)
		ranges[end.Partition] = Range{start.Offset, end.Offset}
	})
	return ranges
}

// Records returns every record of a topic up to its end as it is now.
func (n *Node) Records(topic string) []*kgo.Record {
	n.t.Helper()
	offsets := map[int32]kgo.Offset{}
	left := 0
	for partition, held := range n.Ends(topic) {
		if held.End > held.Start {
			offsets[partition] = kgo.NewOffset().At(held.Start)
			left += int(held.End - held.Start)
		}
	}
	if left == 0 {
		return nil
	}
	client := n.dial(kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{topic: offsets}), kgo.FetchMaxPartitionBytes(16<<20))
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	var records []*kgo.Record
	for len(records) < left {
		fetches := client.PollFetches(ctx)
		if err := ctx.Err(); err != nil {
			n.t.Fatalf("read %s: %d of %d records: %v", topic, len(records), left, err)
		}
		records = append(records, fetches.Records()...)
	}
	return records[:left]
}

// DumpTopics returns every byte of every topic as text: keys, values and headers of all partitions. Values stand as
// they are and once more in hex.
func (n *Node) DumpTopics() string {
	n.t.Helper()
	var text strings.Builder
	topics := n.Topics()
	for _, topic := range []string{topics.Envelopes, topics.Events, topics.Findings, topics.DeadLetters, topics.Directory, topics.Sources} {
		for _, r := range n.Records(topic) {
			fmt.Fprintf(&text, "== %s/%d/%d key=%s\n", r.Topic, r.Partition, r.Offset, r.Key)
			for _, h := range r.Headers {
				fmt.Fprintf(&text, "%s: %s\n", h.Key, h.Value)
			}
			fmt.Fprintf(&text, "%s\n%X\n", r.Value, r.Value)
		}
	}
	return text.String()
}

// FindSecret returns a piece of dump around the secret, in clear, hex or base64, and "" when it is not there.
func FindSecret(dump, secret string) string {
	for _, form := range encodings(secret) {
		if at := strings.Index(dump, form); at >= 0 {
			return dump[max(0, at-200):min(len(dump), at+len(form)+100)]
		}
	}
	return ""
}
