package app

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/history"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/identity"
	"github.com/modeltrail/modeltrail/processors/policy"
	"github.com/modeltrail/modeltrail/processors/price"
	"github.com/modeltrail/modeltrail/schemas/pricing"
)

// follow returns the process's follower of directory and prices, started on first use.
func (p *Process) follow(ctx context.Context) (*history.Follower, error) {
	if p.follower != nil {
		return p.follower, nil
	}
	client, err := p.kafkaOwned(ctx)
	if err != nil {
		return nil, err
	}
	follower, err := history.Follow(ctx, client, p.Config.Kafka.Topics.Directory, p.Log)
	if err != nil {
		client.Close()
		return nil, err
	}
	p.onClose(func(context.Context) error { follower.Close(); return nil })
	p.follower = follower
	return follower, nil
}

// recordBudgets writes the budgets of every directory version where the boards read them.
func (p *Process) recordBudgets(ctx context.Context, follower *history.Follower, conn driver.Conn) {
	follower.Observe(func(loaded history.Loaded) {
		if loaded.Directory == nil {
			return
		}
		if err := writeBudgets(ctx, conn, p.Config.ClickHouse.Database, loaded); err != nil {
			p.Log.Warn().Err(err).Msg("budgets were not written; boards show the ones before")
		}
	})
}

// kafkaOwned returns a reached client that its user closes.
func (p *Process) kafkaOwned(ctx context.Context, opts ...kgo.Opt) (*kgo.Client, error) {
	closers := p.closers
	client, err := p.kafka(ctx, opts...)
	p.closers = closers
	return client, err
}

// publishVersions publishes what the files hold and watches them until ctx ends. Without a price file the table
// that is built in is published, so that every role has the same one.
func (p *Process) publishVersions(ctx context.Context, follower *history.Follower) error {
	client, err := p.kafka(ctx, kgo.ProducerBatchMaxBytes(32<<20), kgo.ProducerBatchCompression(kgo.ZstdCompression()))
	if err != nil {
		return err
	}
	publisher := history.NewPublisher(client, p.Config.Kafka.Topics.Directory, p.Config.Directory.ActivationDelay, follower)
	prices := history.Version{Kind: history.KindPrices, Format: history.FormatModelTrail, Content: pricing.BuiltinSource()}
	if file := p.Config.Prices.File; file != "" {
		format := history.Format(p.Config.Prices.Format)
		if prices, err = history.ReadFile(history.KindPrices, format, file); err != nil {
			return fmt.Errorf("%w: prices.file: %w", ErrConfig, err)
		}
		p.watch(ctx, publisher, history.KindPrices, format, file)
	}
	if _, err := publisher.Publish(ctx, prices); err != nil {
		return err
	}
	if file := p.Config.Directory.File; file != "" {
		version, err := history.ReadFile(history.KindDirectory, history.FormatModelTrail, file)
		if err != nil {
			return fmt.Errorf("%w: directory.file: %w", ErrConfig, err)
		}
		if _, err := publisher.Publish(ctx, version); err != nil {
			return err
		}
		p.watch(ctx, publisher, history.KindDirectory, history.FormatModelTrail, file)
	}
	return follower.Await(ctx, history.KindPrices)
}

func (p *Process) watch(ctx context.Context, publisher *history.Publisher, kind history.Kind, format history.Format, file string) {
	log := p.Log.With().Str("component", "history").Str("file", file).Logger()
	go publisher.Watch(ctx, kind, format, file, p.Config.Directory.ReloadInterval, func(published bool, err error) {
		if err != nil {
			log.Error().Err(err).Msg("new version refused; the one before stays in force")
			return
		}
		log.Info().Str("kind", string(kind)).Msg("new version published")
	})
}

// PublishVersions publishes what the files hold, for a process that has no role.
func (p *Process) PublishVersions(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	follower, err := p.follow(ctx)
	if err != nil {
		return err
	}
	return p.publishVersions(ctx, follower)
}

// CheckFiles reads the directory and the price table that the configuration names and reports their faults.
func CheckFiles(cfg config.Config) error {
	var errs []error
	if file := cfg.Directory.File; file != "" {
		if _, err := history.ReadFile(history.KindDirectory, history.FormatModelTrail, file); err != nil {
			errs = append(errs, fmt.Errorf("directory.file: %w", err))
		}
	}
	if file := cfg.Prices.File; file != "" {
		if _, err := history.ReadFile(history.KindPrices, history.Format(cfg.Prices.Format), file); err != nil {
			errs = append(errs, fmt.Errorf("prices.file: %w", err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("%w: %w", ErrConfig, err)
	}
	return nil
}

// chain is the path from an envelope to an event, in reading order.
func chain(follower *history.Follower) processors.Chain {
	return processors.Chain{
		decode.New(),
		identity.New(follower.Directory),
		policy.New(follower.Directory),
		price.New(follower.Prices),
	}
}
