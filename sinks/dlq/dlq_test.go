package dlq_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

const topic = "dlq"

func setup(t *testing.T, opts ...kgo.Opt) (*dlq.Writer, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client := func(opts ...kgo.Opt) *kgo.Client {
		c, err := kgo.NewClient(append(opts, kgo.SeedBrokers(cluster.ListenAddrs()...))...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(c.Close)
		return c
	}
	w, err := dlq.New(client(opts...), dlq.Settings{Topic: topic, Version: "1.2.3", Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return w, client(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
}

func read(t *testing.T, c *kgo.Client, n int) (out []*kgo.Record) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	for len(out) < n {
		fetches := c.PollFetches(ctx)
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func headers(rec *kgo.Record) map[string]string {
	out := map[string]string{}
	for _, h := range rec.Headers {
		out[h.Key] = string(h.Value)
	}
	return out
}

func TestWrite_KeepsTheOriginalAndSaysWhy(t *testing.T) {
	w, reader := setup(t)
	reject := batch.Reject{
		Position:   batch.Position{Topic: "modeltrail.envelopes", Partition: 3, Offset: 42},
		IngestedAt: time.Date(2026, 9, 1, 12, 0, 0, 5, time.UTC), Key: []byte("call"), Value: []byte{0xff, 0x00},
		Headers: []batch.Header{{Key: "ce_id", Value: []byte("call/request")}, {Key: "dlq-reason", Value: []byte("an older one")}},
		Stage:   "wire", Reason: "not_protobuf", Detail: "not_protobuf",
	}
	if err := w.Write(context.Background(), []batch.Reject{reject}); err != nil {
		t.Fatal(err)
	}
	rec := read(t, reader, 1)[0]
	if string(rec.Key) != "call" || string(rec.Value) != "\xff\x00" {
		t.Errorf("key %q value %q", rec.Key, rec.Value)
	}
	want := map[string]string{
		"ce_id": "call/request", "dlq-topic": "modeltrail.envelopes", "dlq-partition": "3", "dlq-offset": "42", "dlq-stage": "wire",
		"dlq-reason": "not_protobuf", "dlq-detail": "not_protobuf", "dlq-timestamp": "2026-09-01T12:00:00.000000005Z", "dlq-version": "1.2.3",
	}
	if diff := cmp.Diff(want, headers(rec)); diff != "" {
		t.Error(diff)
	}
}

func TestWrite_ValueBeyondTheTopicsLimit_IsTruncatedAndMarked(t *testing.T) {
	w, reader := setup(t, kgo.ProducerBatchMaxBytes(200_000), kgo.ProducerBatchCompression(kgo.NoCompression()))
	big := batch.Reject{Value: []byte(strings.Repeat("x", 300_000)), Stage: "wire", Reason: "too_large"}
	if err := w.Write(context.Background(), []batch.Reject{big, {Value: []byte("small")}}); err != nil {
		t.Fatal(err)
	}
	for _, rec := range read(t, reader, 2) {
		if string(rec.Value) != "small" && (len(rec.Value) != 64<<10 || headers(rec)["dlq-truncated"] != "300000") {
			t.Errorf("%d bytes, headers %v", len(rec.Value), headers(rec))
		}
	}
}

func TestWrite_BrokerGone_IsAnError(t *testing.T) {
	w, _ := setup(t)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := w.Write(ctx, []batch.Reject{{Value: []byte("x")}}); err == nil {
		t.Error("an unacknowledged dead letter is taken for durable")
	}
	if err := w.Write(ctx, nil); err != nil {
		t.Errorf("nothing to write: %v", err)
	}
}
