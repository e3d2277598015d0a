package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/admin"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/tap"
)

var (
	errServe = errors.New("could not serve")
	errDrain = errors.New("shutdown deadline passed")
)

// service is the running tap.
type service struct {
	cfg       Config
	log       zerolog.Logger
	registry  *prometheus.Registry
	client    *kgo.Client
	publisher *publish.Publisher
	tap       *tap.Tap
	proxy     *tap.Proxy
	server    *http.Server
	admin     *admin.Server
}

// serve runs until ctx ends, then drains.
func serve(ctx context.Context, cfg Config, log zerolog.Logger) error {
	limitMemory(cfg)
	s := &service{cfg: cfg, log: log, registry: prometheus.NewRegistry()}
	s.registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	listener, err := net.Listen("tcp", cfg.Tap.Listen)
	if err != nil {
		return fmt.Errorf("listen on tap.listen %s: %w: %w", cfg.Tap.Listen, err, errServe)
	}
	if err := s.start(); err != nil {
		return errors.Join(err, listener.Close())
	}
	failed := make(chan error, 1)
	go func() { failed <- s.server.Serve(listener) }()
	log.Info().Str("listen", listener.Addr().String()).Str("admin", s.admin.Addr()).Strs("brokers", cfg.Kafka.Brokers).
		Int("routes", len(cfg.Tap.Routes)).Str("version", version).Msg("tap started")
	select {
	case <-ctx.Done():
		return s.stop()
	case err := <-failed:
		return errors.Join(fmt.Errorf("serve calls: %w: %w", err, errServe), s.stop())
	}
}

// limitMemory keeps the process near its two configured buffers plus a fixed part. While there is room the collector
// is lazy, since each of its runs meets some call; near the limit it works harder. GOMEMLIMIT and GOGC of the
// operator win.
func limitMemory(cfg Config) {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(200)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(int64(cfg.Tap.MaxInFlightBytes+cfg.Publish.MaxBufferedBytes) + 6<<20)
	}
}

func (s *service) start() (err error) {
	if s.client, err = kafka.NewClient(s.cfg.Kafka, s.log, s.cfg.Publish.Options()...); err != nil {
		return err
	}
	s.publisher, err = publish.New(s.client, s.cfg.Publish, publish.Settings{
		Topic: s.cfg.Kafka.Topics.Envelopes, Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	s.tap, err = tap.New(s.cfg.Tap, tap.Settings{
		Publisher: s.publisher, Version: version, Logger: s.log, Registerer: s.registry,
	})
	if err != nil {
		return err
	}
	if s.admin, err = admin.Start(s.cfg.Admin, s.registry); err != nil {
		return fmt.Errorf("%w: %w", err, errServe)
	}
	s.admin.AddCheck("kafka", func(ctx context.Context) error { return s.client.Ping(ctx) })
	s.proxy = tap.NewProxy(s.tap, nil)
	s.server = tap.NewServer(context.Background(), s.proxy)
	return nil
}

// stop ends in the order of the data: calls, envelopes in the tap, envelopes on the way to the broker.
func (s *service) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Tap.DrainTimeout)
	defer cancel()
	s.log.Info().Dur("deadline", s.cfg.Tap.DrainTimeout).Msg("draining")
	errs := []error{s.shutdown(ctx)}
	s.proxy.Close()
	errs = append(errs, s.tap.Close(ctx), s.publisher.Close(ctx))
	s.client.Close()
	final, release := context.WithTimeout(context.Background(), time.Second)
	defer release()
	_ = s.admin.Close(final)
	lost := s.tap.Dropped()
	s.log.Info().Uint64("dropped_envelopes", lost).Msg("tap stopped")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", errDrain, err)
	}
	return nil
}

// shutdown lets running calls use half of the deadline, then breaks them off, so that their envelopes still go out.
func (s *service) shutdown(ctx context.Context) error {
	calls, cancel := context.WithTimeout(ctx, s.cfg.Tap.DrainTimeout/2)
	defer cancel()
	if err := s.server.Shutdown(calls); err != nil {
		_ = s.server.Close()
		time.Sleep(50 * time.Millisecond) // handlers notice and queue their envelopes
		return fmt.Errorf("finish running calls: %w", err)
	}
	return nil
}
