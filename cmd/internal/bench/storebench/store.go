package main

import (
	"context"
	"fmt"
	"os"
	"runtime/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/identity"
	"github.com/modeltrail/modeltrail/processors/policy"
	"github.com/modeltrail/modeltrail/processors/price"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/timeline"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// fullChain is the product's chain over a directory of 180 known callers and the built-in prices.
func fullChain() (processors.Chain, error) {
	d, err := directory.Parse(directoryFile())
	if err != nil {
		return nil, err
	}
	prices, err := pricing.Builtin()
	if err != nil {
		return nil, err
	}
	directories, tables := &timeline.Timeline[*directory.Directory]{}, &timeline.Timeline[*pricing.Table]{}
	directories.Add(time.Unix(0, 0), d.Version(), d)
	tables.Add(time.Unix(0, 0), prices.Version(), prices)
	return processors.Chain{decode.New(), identity.New(directories), price.New(tables), policy.New(directories)}, nil
}

func (r *rig) sink(database string) clickhouse.Config {
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol, cfg.Database = []string{r.Engine}, clickhouse.ProtocolHTTP, database
	cfg.User, cfg.Password = r.User, secret.New(r.Password)
	return cfg
}

// consumer is the stream configuration of the store's process.
func (t task) consumer() stream.Config {
	cfg := stream.DefaultConfig()
	cfg.Group, cfg.Topics, cfg.MaxBatchRows = t.Group, []string{event.TopicEnvelopes}, t.Options.Rows
	return cfg
}

// runStore runs the role store over the whole topic: real consumer, real chain, real inserts, real commits.
func runStore(t task) (result, error) {
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	m := fromProcessStart()
	if t.Options.CPUProfile != "" {
		f, err := os.Create(t.Options.CPUProfile)
		if err != nil {
			return result{}, err
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			return result{}, err
		}
		defer pprof.StopCPUProfile()
	}
	newBatch, cleanup, err := storeBatches(t)
	if err != nil {
		return result{}, err
	}
	defer cleanup()
	cfg, membership := t.consumer(), &stream.Membership{}
	client, err := kgo.NewClient(append(stream.Options(cfg, membership), kgo.SeedBrokers(t.Rig.Broker))...)
	if err != nil {
		return result{}, err
	}
	defer client.Close()
	left := newCountdown(2*t.Options.Calls+t.Options.Unread, stop)
	runner, err := stream.New(client, left.wrap(newBatch), cfg, stream.Settings{
		Name: "store", Membership: membership, Logger: zerolog.New(os.Stderr).Level(zerolog.WarnLevel), Registerer: prometheus.NewRegistry(),
	})
	if err != nil {
		return result{}, err
	}
	deadline := time.AfterFunc(10*time.Minute, stop)
	defer deadline.Stop()
	if err := runner.Run(ctx); err != nil {
		return result{}, err
	}
	res := m.stop(t.Options.Calls)
	if n := left.missing(); n > 0 {
		return res, fmt.Errorf("gave up with %d envelopes left", n)
	}
	return res, nil
}

func storeBatches(t task) (stream.NewBatch, func(), error) {
	chain, err := fullChain()
	if err != nil {
		return nil, nil, err
	}
	cfg, registry := t.Rig.sink(t.Database), prometheus.NewRegistry()
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		return nil, nil, err
	}
	if err := clickhouse.CheckTables(context.Background(), conn, t.Database, role.StoreTables()...); err != nil {
		return nil, nil, err
	}
	writer, err := clickhouse.NewWriter(conn, cfg, clickhouse.Settings{Cluster: "bench", Registerer: registry})
	if err != nil {
		return nil, nil, err
	}
	producer, err := kgo.NewClient(kgo.SeedBrokers(t.Rig.Broker))
	if err != nil {
		return nil, nil, err
	}
	letters, err := dlq.New(producer, dlq.Settings{Topic: event.TopicDeadLetters, Version: "bench", Registerer: registry})
	if err != nil {
		return nil, nil, err
	}
	dial := func(opts ...kgo.Opt) (*kgo.Client, error) {
		return kgo.NewClient(append(opts, kgo.SeedBrokers(t.Rig.Broker))...)
	}
	newBatch, err := role.NewStore(role.StoreDeps{
		Chain: chain, Writer: writer, DeadLetters: letters, Registerer: registry,
		Reread: role.RereadFrom(dial), History: clickhouse.NewHistory(conn, cfg),
	})
	return newBatch, func() { producer.Close(); _ = conn.Close() }, err
}

// countdown stops the run when every envelope is durable. The commit of the last batch follows in Run's drain.
type countdown struct {
	durable chan int
	left    int
	done    chan struct{}
}

func newCountdown(n int, stop context.CancelFunc) *countdown {
	c := &countdown{durable: make(chan int, 1024), left: n, done: make(chan struct{})}
	go func() {
		defer close(c.done)
		for rows := range c.durable {
			if c.left -= rows; c.left <= 0 {
				stop()
			}
		}
	}()
	return c
}

func (c *countdown) missing() int {
	close(c.durable)
	<-c.done
	return max(c.left, 0)
}

func (c *countdown) wrap(newBatch stream.NewBatch) stream.NewBatch {
	return func(topic string, partition int32) (stream.Batch, error) {
		b, err := newBatch(topic, partition)
		return &counted{Batch: b, c: c}, err
	}
}

type counted struct {
	stream.Batch
	c *countdown
}

// Advance counts the rows of a durable batch.
func (b *counted) Advance(ctx context.Context, plan stream.Plan) (stream.Plan, error) {
	next, err := b.Batch.(stream.Stepwise).Advance(ctx, plan)
	if err == nil && next.Empty() {
		b.c.durable <- b.Rows()
	}
	return next, err
}

// runConsume reads the topic with the store's own client options and does nothing with the records.
func runConsume(t task) (result, error) {
	m := fromProcessStart()
	client, err := kgo.NewClient(
		kgo.SeedBrokers(t.Rig.Broker), kgo.ConsumeTopics(event.TopicEnvelopes), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()), kgo.FetchMaxBytes(8<<20), kgo.FetchMaxPartitionBytes(2<<20),
	)
	if err != nil {
		return result{}, err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	for n := 0; n < 2*t.Options.Calls; {
		fetches := client.PollRecords(ctx, 5000)
		if err := fetches.Err(); err != nil {
			return result{}, err
		}
		n += fetches.NumRecords()
	}
	return m.stop(t.Options.Calls), nil
}

// runInsert builds one batch from the topic's first records and inserts it under as many spans as the topic
// has batches. Only the inserts are measured.
func runInsert(t task) (result, error) {
	newBatch, cleanup, err := storeBatches(t)
	if err != nil {
		return result{}, err
	}
	defer cleanup()
	b, err := newBatch(event.TopicEnvelopes, 0)
	if err != nil {
		return result{}, err
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(t.Rig.Broker), kgo.ConsumeTopics(event.TopicEnvelopes), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		return result{}, err
	}
	ctx := context.Background()
	var records []*kgo.Record
	for len(records) < t.Options.Rows {
		records = append(records, client.PollFetches(ctx).Records()...)
	}
	client.Close()
	for _, rec := range records[:t.Options.Rows] {
		b.Add(rec)
	}
	batches := max(2*t.Options.Calls/t.Options.Rows, 1)
	m := startMeter()
	for i := range int64(batches) {
		span := batch.Span{Topic: event.TopicEnvelopes, First: i * 1_000_000, Last: i*1_000_000 + 1}
		if err := b.Deliver(ctx, span); err != nil {
			return result{}, err
		}
	}
	return m.stop(batches * t.Options.Rows / 2), nil
}
