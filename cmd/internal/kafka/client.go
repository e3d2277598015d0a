package kafka

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kzerolog"
)

// Opts returns the options every client shares: addresses, TLS, SASL.
func (c Config) Opts() ([]kgo.Opt, error) {
	opts := []kgo.Opt{kgo.SeedBrokers(c.Brokers...), kgo.ClientID(c.ClientID), kgo.DialTimeout(c.DialTimeout)}
	if c.TLS.Enabled {
		if _, err := c.TLS.Client(); err != nil { // a faulty file shall be told at the start, not at the first call
			return nil, fmt.Errorf("kafka.tls: %w", err)
		}
		// DialTLSConfig and DialTimeout exclude each other in franz-go: the dialer carries both.
		opts = append(opts[:2], kgo.Dialer(c.TLS.Dialer(c.DialTimeout)))
	}
	// Each role has metrics of its own. Those of the client (KIP-714) would cost every process an encoder of 12 MiB.
	opts = append(opts, kgo.DisableClientMetrics())
	if mechanism := c.SASL.mechanism(); mechanism != nil {
		opts = append(opts, kgo.SASL(mechanism))
	}
	return opts, nil
}

// NewClient returns a client with the shared options and those given. It does not connect.
func NewClient(c Config, log zerolog.Logger, opts ...kgo.Opt) (*kgo.Client, error) {
	shared, err := c.Opts()
	if err != nil {
		return nil, err
	}
	log = log.With().Str("component", "kafka").Logger().Level(max(log.GetLevel(), zerolog.WarnLevel))
	shared = append(shared, kgo.WithLogger(kzerolog.New(&log)))
	client, err := kgo.NewClient(append(shared, opts...)...)
	if err != nil {
		return nil, fmt.Errorf("create kafka client: %w", err)
	}
	return client, nil
}

// Reach waits until a broker answers, at most for timeout; a setting that is wrong ends the wait. The error names the
// setting and the addresses.
func (c Config) Reach(ctx context.Context, client *kgo.Client, timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var last error // says more than the deadline that ends the wait
	for {
		err := client.Ping(ctx)
		if err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = c.Explain(err)
		}
		var setting *SettingError
		if errors.As(last, &setting) || ctx.Err() != nil {
			return fmt.Errorf("reach kafka.brokers %v: %w", c.Brokers, last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(250 * time.Millisecond):
		}
	}
}

// EnsureTopics creates the topics that are missing. Existing ones are left as they are.
func (c Config) EnsureTopics(ctx context.Context, client *kgo.Client) error {
	admin := kadm.NewClient(client)
	retention := strconv.FormatInt(c.Topics.Retention.Milliseconds(), 10)
	var errs []error
	for _, t := range []struct {
		name       string
		partitions int32
		retention  string
	}{
		{c.Topics.Envelopes, c.Topics.Partitions, retention},
		{c.Topics.Events, c.Topics.Partitions, retention},
		{c.Topics.Findings, 1, retention},
		{c.Topics.DeadLetters, 1, retention},
		{c.Topics.Sources, 1, retention},
		{c.Topics.Directory, 1, "-1"}, // one partition, kept for ever: versions have one order
	} {
		// The broker's clock, not the producer's, is the ingest time by which directory versions are chosen. The
		// embedded broker ignores it; there both clocks are one machine's.
		timestamps := "LogAppendTime"
		configs := map[string]*string{"retention.ms": &t.retention, "message.timestamp.type": &timestamps}
		response, err := admin.CreateTopics(ctx, t.partitions, c.Topics.ReplicationFactor, configs, t.name)
		if err == nil {
			err = response[t.name].Err
		}
		if err != nil && !errors.Is(err, kerr.TopicAlreadyExists) {
			errs = append(errs, fmt.Errorf("create topic %s: %w", t.name, c.ExplainTopic(err, t.name, "create")))
		}
	}
	return errors.Join(errs...)
}
