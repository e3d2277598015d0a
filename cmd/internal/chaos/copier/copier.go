// Package copier is what most pipelines are: a consumer that reads, inserts and then commits. It writes the same
// tables and columns through the same chain as the role store, without a plan and without a token that survives a
// retry. The conservation test runs it to show that the judge sees what at-least-once does.
package copier

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/history"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/identity"
	"github.com/modeltrail/modeltrail/processors/policy"
	"github.com/modeltrail/modeltrail/processors/price"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// KillEnv names the environment variable that makes the copier kill itself between its n-th insert and the commit
// of it.
const KillEnv = "CHAOS_COPIER_KILL"

// copier is one process.
type copier struct {
	cfg     config.Config
	conn    driver.Conn
	letters *dlq.Writer
	chain   processors.Chain
	kill    int
	inserts int
}

// Run copies envelopes and findings with a configuration of modeltrail until ctx ends.
func Run(ctx context.Context, cfg config.Config, log zerolog.Logger) error {
	c := &copier{cfg: cfg}
	c.kill, _ = strconv.Atoi(os.Getenv(KillEnv))
	var err error
	if c.conn, err = clickhouse.Open(cfg.ClickHouse); err != nil {
		return err
	}
	defer c.conn.Close()
	side, err := kafka.NewClient(cfg.Kafka, log)
	if err != nil {
		return err
	}
	defer side.Close()
	follower, err := history.Follow(ctx, side, cfg.Kafka.Topics.Directory, log)
	if err != nil {
		return err
	}
	if err := follower.Await(ctx, history.KindPrices); err != nil {
		return err
	}
	c.chain = processors.Chain{decode.New(), identity.New(follower.Directory), policy.New(follower.Directory), price.New(follower.Prices)}
	producer, err := kafka.NewClient(cfg.Kafka, log)
	if err != nil {
		return err
	}
	defer producer.Close()
	if c.letters, err = dlq.New(producer, dlq.Settings{Topic: cfg.Kafka.Topics.DeadLetters, Version: "copier", Registerer: prometheus.NewRegistry()}); err != nil {
		return err
	}
	failed := make(chan error, 2)
	for _, t := range []struct {
		topic, group string
		batches      func(role.StoreDeps) (newBatch, error)
	}{
		{cfg.Kafka.Topics.Envelopes, cfg.Store.Envelopes.Group, envelopes},
		{cfg.Kafka.Topics.Findings, cfg.Store.Findings.Group, findings},
	} {
		go func() { failed <- c.copy(ctx, t.topic, t.group, t.batches, log) }()
	}
	err = <-failed
	if ctx.Err() != nil {
		return nil
	}
	return err
}

type newBatch func(string, int32) (streamBatch, error)

// streamBatch is a batch as the role store makes it.
type streamBatch interface {
	Add(rec *kgo.Record)
	Deliver(ctx context.Context, span batch.Span) error
}

func envelopes(deps role.StoreDeps) (newBatch, error) {
	made, err := role.NewStore(deps)
	return func(topic string, partition int32) (streamBatch, error) { return made(topic, partition) }, err
}

func findings(deps role.StoreDeps) (newBatch, error) {
	made, err := role.NewFindings(deps)
	return func(topic string, partition int32) (streamBatch, error) { return made(topic, partition) }, err
}

// copy is the whole loop: poll, insert, commit.
func (c *copier) copy(ctx context.Context, topic, group string, batches func(role.StoreDeps) (newBatch, error), log zerolog.Logger) error {
	consumer, err := kafka.NewClient(c.cfg.Kafka, log, kgo.ConsumerGroup(group), kgo.ConsumeTopics(topic), kgo.DisableAutoCommit(),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.SessionTimeout(c.cfg.Store.Envelopes.SessionTimeout),
		kgo.HeartbeatInterval(c.cfg.Store.Envelopes.SessionTimeout/4))
	if err != nil {
		return err
	}
	defer consumer.Close()
	for {
		fetches := consumer.PollRecords(ctx, c.cfg.Store.Envelopes.MaxBatchRows)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		var failed error
		fetches.EachPartition(func(p kgo.FetchTopicPartition) {
			if failed == nil && len(p.Records) > 0 {
				failed = c.insert(ctx, p.Records, batches)
			}
		})
		if failed != nil {
			return failed
		}
		if len(fetches.Records()) > 0 {
			c.point()
			if err := consumer.CommitRecords(ctx, fetches.Records()...); err != nil && ctx.Err() == nil {
				log.Warn().Err(err).Msg("commit failed; the records may be read again")
			}
		}
		time.Sleep(c.cfg.Store.Envelopes.FlushInterval)
	}
}

// insert repeats until the records are in the tables. Every attempt is a stranger to the one before.
func (c *copier) insert(ctx context.Context, records []*kgo.Record, batches func(role.StoreDeps) (newBatch, error)) error {
	for {
		registry := prometheus.NewRegistry()
		// A cluster name of its own gives each attempt tokens of its own, which is to have none.
		writer, err := clickhouse.NewWriter(c.conn, c.cfg.ClickHouse, clickhouse.Settings{Cluster: uuid.NewString(), Registerer: registry})
		if err != nil {
			return err
		}
		made, err := batches(role.StoreDeps{Chain: c.chain, Writer: writer, DeadLetters: c.letters, Registerer: registry})
		if err != nil {
			return err
		}
		b, err := made(records[0].Topic, records[0].Partition)
		if err != nil {
			return err
		}
		for _, rec := range records {
			b.Add(rec)
		}
		span := batch.Span{Topic: records[0].Topic, Partition: records[0].Partition, First: records[0].Offset, Last: records[len(records)-1].Offset}
		if err = b.Deliver(ctx, span); err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), fmt.Errorf("insert: %w", err))
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// point kills the process when its time has come.
func (c *copier) point() {
	if c.inserts++; c.kill > 0 && c.inserts == c.kill {
		_ = syscall.Kill(syscall.Getpid(), syscall.SIGKILL)
	}
}
