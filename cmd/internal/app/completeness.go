package app

import (
	"context"
	"fmt"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/completeness"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/role"
)

// completeness prepares what proves the record complete, as parts of the role store: the consumer of statements and the
// checker that compares them with the rows.
func (p *Process) completeness(ctx context.Context, conn driver.Conn, deps role.StoreDeps) ([]Role, error) {
	trusted := p.Config.Completeness.TrustedKeys
	sources, err := role.NewSources(deps, func(keyID string) bool { return slices.Contains(trusted, keyID) })
	if err != nil {
		return nil, err
	}
	told, err := p.consumer("sources", p.Config.Store.Sources, p.Config.Kafka.Topics.Sources, sources)
	if err != nil {
		return nil, err
	}
	client, err := p.kafka(ctx, kgo.RequiredAcks(kgo.AllISRAcks()))
	if err != nil {
		return nil, err
	}
	checker, err := completeness.NewChecker(p.Config.Completeness, completeness.CheckerSettings{
		Record: record(p.Config, conn), Lag: lag(p.Config, client), Findings: p.Config.Kafka.Topics.Findings,
		Logger: p.Log, Registerer: p.registry,
	})
	if err != nil {
		return nil, err
	}
	return []Role{told, {"completeness", checker.Run}}, nil
}

func record(cfg config.Config, conn driver.Conn) completeness.Record {
	return completeness.Record{
		Conn: conn, Database: cfg.ClickHouse.Database, Topic: cfg.Kafka.Topics.Envelopes, Trusted: cfg.Completeness.TrustedKeys,
	}
}

func lag(cfg config.Config, client *kgo.Client) completeness.Lag {
	return completeness.Lag{
		Client: client, Envelopes: cfg.Kafka.Topics.Envelopes, Sources: cfg.Kafka.Topics.Sources,
		StoreGroup: cfg.Store.Envelopes.Group, SourceGroup: cfg.Store.Sources.Group,
	}
}

// OpenCompleteness connects the command completeness. Offline leaves Kafka alone. The caller calls done.
func OpenCompleteness(ctx context.Context, cfg config.Config, offline bool) (r completeness.Record, l *completeness.Lag, done func(), err error) {
	conn, err := OpenClickHouse(ctx, cfg.ClickHouse)
	if err != nil {
		return r, nil, nil, err
	}
	done = func() { _ = conn.Close() }
	r = record(cfg, conn)
	if offline {
		return r, nil, done, nil
	}
	client, err := kafka.NewClient(cfg.Kafka, zerolog.Nop())
	if err == nil {
		if err = cfg.Kafka.Reach(ctx, client, cfg.Kafka.DialTimeout); err != nil {
			client.Close()
			err = fmt.Errorf("%w; --offline judges without Kafka", err)
		}
	}
	if err != nil {
		done()
		return r, nil, nil, err
	}
	found := lag(cfg, client)
	return r, &found, func() { client.Close(); _ = conn.Close() }, nil
}
