package app

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/history"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
	"github.com/modeltrail/modeltrail/ingest/receive"
	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// Role is a part that runs until its context ends. It returns nil after a clean end.
type Role struct {
	Name string
	Run  func(context.Context) error
}

// dial makes clients that their role closes.
func (p *Process) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	return kafka.NewClient(p.Config.Kafka, p.Log, opts...)
}

// Store prepares the role store: envelopes, findings, statements and dead letters to ClickHouse. It needs the migrated
// tables.
func (p *Process) Store(ctx context.Context) ([]Role, error) {
	conn, err := p.clickhouse(ctx)
	if err != nil {
		return nil, err
	}
	database := p.Config.ClickHouse.Database
	if err := p.checkServer(ctx, conn, database); err != nil {
		return nil, err
	}
	follower, err := p.follow(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.awaitPrices(ctx, follower); err != nil {
		return nil, err
	}
	p.recordBudgets(ctx, follower, conn)
	letters, err := p.deadLetters(ctx)
	if err != nil {
		return nil, err
	}
	writer, err := clickhouse.NewWriter(conn, p.Config.ClickHouse, clickhouse.Settings{
		Cluster: p.Config.Kafka.Cluster, Registerer: p.registry, Logger: p.Log,
		Window: p.Config.Schema.DeduplicationWindow, Faults: p.hooks.ClickHouse,
	})
	if err != nil {
		return nil, err
	}
	deps := role.StoreDeps{
		Chain: chain(follower), Writer: writer, DeadLetters: letters, Registerer: p.registry, Logger: p.Log,
		Reread: role.RereadFrom(p.dial), History: clickhouse.NewHistory(conn, p.Config.ClickHouse),
	}
	envelopes, err := role.NewStore(deps)
	if err != nil {
		return nil, err
	}
	findings, err := role.NewFindings(deps)
	if err != nil {
		return nil, err
	}
	p.admin.AddCheck("clickhouse", conn.Ping)
	store, err := p.consumer("store", p.Config.Store.Envelopes, p.Config.Kafka.Topics.Envelopes, envelopes)
	if err != nil {
		return nil, err
	}
	found, err := p.consumer("findings", p.Config.Store.Findings, p.Config.Kafka.Topics.Findings, findings)
	if err != nil {
		return nil, err
	}
	foreign, err := role.NewLetters(deps, func(stage string) bool {
		return stage == receive.Stage || strings.HasPrefix(stage, role.StageAlert)
	})
	if err != nil {
		return nil, err
	}
	lettered, err := p.consumer("letters", p.Config.Store.Letters, p.Config.Kafka.Topics.DeadLetters, foreign)
	if err != nil {
		return nil, err
	}
	proof, err := p.completeness(ctx, conn, deps)
	if err != nil {
		return nil, err
	}
	return append([]Role{store, found, lettered}, proof...), nil
}

// checkServer refuses a server on which a repeated insert could double rows. The windows must be those that the
// configuration asks for: outages up to their length are survived exactly.
func (p *Process) checkServer(ctx context.Context, conn driver.Conn, database string) error {
	if err := clickhouse.CheckSettings(ctx, conn); err != nil {
		return err
	}
	tables := slices.Concat(role.StoreTables(), role.FindingsTables(), role.SourcesTables(), role.LettersTables())
	slices.Sort(tables)
	asked := clickhouse.Guarantee{Window: p.Config.Schema.DeduplicationWindow, Seconds: p.Config.Schema.DeduplicationWindowSeconds}
	err := clickhouse.CheckGuarantee(ctx, conn, database, asked, slices.Compact(tables)...)
	if errors.Is(err, clickhouse.ErrNoDeduplication) {
		return fmt.Errorf("%w\nor set schema.deduplication_window and schema.deduplication_window_seconds to what the tables have", err)
	}
	return err
}

// deadLetters returns the process's writer of dead letters, made on first use.
func (p *Process) deadLetters(ctx context.Context) (*dlq.Writer, error) {
	if p.letters != nil {
		return p.letters, nil
	}
	producer, err := p.kafka(ctx, kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchMaxBytes(16<<20))
	if err != nil {
		return nil, err
	}
	p.letters, err = dlq.New(producer, dlq.Settings{Topic: p.Config.Kafka.Topics.DeadLetters, Version: p.Version, Registerer: p.registry})
	return p.letters, err
}

// consumer joins a runner to its client.
func (p *Process) consumer(name string, cfg stream.Config, topic string, newBatch stream.NewBatch) (Role, error) {
	cfg.Topics = []string{topic}
	loop, err := stream.Consume(p.dial, newBatch, cfg, stream.Settings{
		Name: name, Logger: p.Log, Registerer: p.registry, Faults: p.hooks.Stream,
	})
	if err != nil {
		return Role{}, err
	}
	return Role{name, loop.Run}, nil
}

// Enrich prepares the role enrich. It also publishes the versions of directory and prices that its files hold.
func (p *Process) Enrich(ctx context.Context) ([]Role, error) {
	follower, err := p.follow(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.publishVersions(ctx, follower); err != nil {
		return nil, err
	}
	enrich, err := role.NewEnrich(p.Config.Enrich, role.EnrichSettings{
		Dial: p.dial, Envelopes: p.Config.Kafka.Topics.Envelopes, Events: p.Config.Kafka.Topics.Events,
		Chain: chain(follower), Logger: p.Log, Registerer: p.registry,
	})
	if err != nil {
		return nil, err
	}
	return []Role{{"enrich", enrich.Run}}, nil
}

// Detect prepares the role detect. Budgets come from the directory topic.
func (p *Process) Detect(ctx context.Context) ([]Role, error) {
	follower, err := p.follow(ctx)
	if err != nil {
		return nil, err
	}
	set := role.DetectSettings{
		Dial: p.dial, Events: p.Config.Kafka.Topics.Events, Findings: p.Config.Kafka.Topics.Findings,
		Budget: budgets(follower), Logger: p.Log, Registerer: p.registry,
	}
	if len(p.Config.ClickHouse.Addr) > 0 {
		conn, err := clickhouse.Open(p.Config.ClickHouse)
		if err != nil {
			return nil, err
		}
		p.onClose(func(context.Context) error { return conn.Close() })
		set.History = spendHistory(conn, p.Config.ClickHouse.Database)
	}
	detect, err := role.NewDetect(p.Config.Detect, set)
	if err != nil {
		return nil, err
	}
	return []Role{{"detect", detect.Run}}, nil
}

// Alert prepares the role alert.
func (p *Process) Alert(ctx context.Context) ([]Role, error) {
	letters, err := p.deadLetters(ctx)
	if err != nil {
		return nil, err
	}
	alert, err := role.NewAlert(p.Config.Alert, role.AlertSettings{
		Dial: p.dial, Findings: p.Config.Kafka.Topics.Findings, DeadLetters: letters,
		Logger: p.Log, Registerer: p.registry,
	})
	if err != nil {
		return nil, err
	}
	return []Role{{"alert", alert.Run}}, nil
}

// awaitPrices waits for the first version: before it every row would be unpriced.
func (p *Process) awaitPrices(ctx context.Context, follower *history.Follower) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := follower.Await(ctx, history.KindPrices); err != nil {
		return fmt.Errorf("%w; start the role enrich, which publishes it, or run `modeltrail migrate`", err)
	}
	return nil
}
