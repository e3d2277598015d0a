package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/admin"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/cmd/internal/tapserver"
	"github.com/modeltrail/modeltrail/ingest/ledger"
)

var errServe = errors.New("could not serve")

// serve runs until ctx ends, then drains.
func serve(ctx context.Context, cfg Config, log zerolog.Logger) error {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	deliveries := &ledger.Deliveries{Topic: cfg.Kafka.Topics.Envelopes}
	client, err := kafka.NewClient(cfg.Kafka, log, append(cfg.Publish.Options(), kgo.WithHooks(deliveries))...)
	if err != nil {
		return err
	}
	defer client.Close()
	statements, err := kafka.NewClient(cfg.Kafka, log, ledger.Options()...)
	if err != nil {
		return err
	}
	defer statements.Close()
	server, err := tapserver.New(tapserver.Settings{
		Alone: true,
		Tap:   cfg.Tap, Publish: cfg.Publish, Spool: cfg.Spool, Ledger: cfg.Ledger,
		Topic: cfg.Kafka.Topics.Envelopes, Sources: cfg.Kafka.Topics.Sources, Client: client,
		Deliveries: deliveries, Statements: statements,
		Version: version, Logger: log, Registerer: registry,
	})
	if err != nil {
		return fmt.Errorf("%w: %w", err, errServe)
	}
	endpoint, err := admin.Start(cfg.Admin, registry)
	if err != nil {
		return errors.Join(fmt.Errorf("%w: %w", err, errServe), server.Close())
	}
	endpoint.AddCheck("spool", server.CheckSpool) // not Kafka: the tap serves and keeps envelopes also without it
	log.Info().Str("admin", endpoint.Addr()).Strs("brokers", cfg.Kafka.Brokers).Str("version", version).Msg("modeltrail-tap started")
	err = server.Run(ctx)
	closing, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	_ = endpoint.Close(closing)
	if err != nil && !errors.Is(err, tapserver.ErrDrain) {
		return fmt.Errorf("%w: %w", err, errServe)
	}
	return err
}
