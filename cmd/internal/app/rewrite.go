package app

import (
	"context"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/replay"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Rewriting is what `modeltrail replay` and `modeltrail dlq` work with. The process closes it.
type Rewriting struct {
	Engine *replay.Engine
	Conn   driver.Conn
	Client *kgo.Client
	Dial   replay.Dial
}

// Rewriting connects to both servers and builds the chain that the role store has, with every version of directory and
// prices, so that a record is judged by those in force when it was taken.
func (p *Process) Rewriting(ctx context.Context, progress func(replay.Progress)) (*Rewriting, error) {
	conn, err := p.clickhouse(ctx)
	if err != nil {
		return nil, err
	}
	database := p.Config.ClickHouse.Database
	if err := p.checkServer(ctx, conn, database); err != nil {
		return nil, err
	}
	if err := clickhouse.CheckTables(ctx, conn, database, "replays", "dead_letter_resolutions", "spend_hourly", "credential_inventory"); err != nil {
		return nil, err
	}
	follower, err := p.follow(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.awaitPrices(ctx, follower); err != nil {
		return nil, err
	}
	client, err := p.kafka(ctx)
	if err != nil {
		return nil, err
	}
	writer, err := clickhouse.NewWriter(conn, p.Config.ClickHouse, clickhouse.Settings{Cluster: p.Config.Kafka.Cluster, Registerer: p.registry})
	if err != nil {
		return nil, err
	}
	topics := p.Config.Kafka.Topics
	engine, err := replay.New(replay.Settings{
		Conn: conn, Database: database, Cluster: p.Config.Kafka.Cluster, Writer: writer, Chain: chain(follower),
		Envelopes: topics.Envelopes, Findings: topics.Findings, Software: p.Version, Logger: p.Log, Progress: progress,
	})
	if err != nil {
		return nil, err
	}
	return &Rewriting{Engine: engine, Conn: conn, Client: client, Dial: p.dial}, nil
}

// Locate fills in the addresses of the `modeltrail up` that runs in the data folder where the configuration names no
// servers. operator gives the right to write; else the user may only read.
func Locate(cfg *config.Config, operator bool) error {
	if len(cfg.ClickHouse.Addr) > 0 && len(cfg.Kafka.Brokers) > 0 {
		return nil
	}
	running, err := ReadEndpoints(*cfg)
	if err != nil {
		return err
	}
	if len(cfg.ClickHouse.Addr) == 0 {
		c := &cfg.ClickHouse
		c.Addr, c.Protocol, c.Database = running.ClickHouseAddr, running.ClickHouseProtocol, running.ClickHouseDatabase
		c.User, c.Password = running.User, secret.New(running.Password)
		if operator {
			if running.OperatorUser == "" {
				return fmt.Errorf("%s does not name a user that may write: restart `modeltrail up`, or set clickhouse.addr, clickhouse.user and clickhouse.password", endpointsFile(*cfg))
			}
			c.User, c.Password = running.OperatorUser, secret.New(running.OperatorPassword)
		}
	}
	if len(cfg.Kafka.Brokers) == 0 {
		cfg.Kafka.Brokers = running.Brokers
	}
	return nil
}
