package main

import (
	"context"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"
	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/querycmd"
)

// located returns the configuration with the addresses of a running `modeltrail up` where it names no servers.
func located(cmd *cobra.Command) (config.Config, error) {
	cfg, err := loadConfig(cmd)
	if err != nil {
		return cfg, err
	}
	return cfg, app.Locate(&cfg, false)
}

func newQuery() *cobra.Command {
	var asking *cobra.Command
	asking = querycmd.NewQuery(func(ctx context.Context) (driver.Conn, error) {
		cfg, err := located(asking)
		if err != nil {
			return nil, err
		}
		return app.OpenClickHouse(ctx, cfg.ClickHouse)
	})
	asking.GroupID = "ask"
	return asking
}

func newTail() *cobra.Command {
	var tailing *cobra.Command
	tailing = querycmd.NewTail(func(ctx context.Context) (querycmd.Stream, error) {
		cfg, err := located(tailing)
		if err != nil {
			return querycmd.Stream{}, err
		}
		client, err := kafka.NewClient(cfg.Kafka, zerolog.Nop())
		if err != nil {
			return querycmd.Stream{}, err
		}
		if err := cfg.Kafka.Reach(ctx, client, cfg.Kafka.DialTimeout); err != nil {
			client.Close()
			return querycmd.Stream{}, err
		}
		return querycmd.Stream{Client: client, Events: cfg.Kafka.Topics.Events, Findings: cfg.Kafka.Topics.Findings}, nil
	})
	tailing.GroupID = "ask"
	return tailing
}
