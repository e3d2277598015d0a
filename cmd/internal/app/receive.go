package app

import (
	"context"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/receive"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// formats are the wire formats that the receiver takes, in the order of the documentation.
func formats() []receive.Format {
	return []receive.Format{receive.ModelTrail{}}
}

// Receive prepares the receiver and returns its URL. It listens also while no broker can be reached, and tells its
// senders so.
func (p *Process) Receive(context.Context) (Role, string, error) {
	cfg := p.Config.Receive
	if cfg.Listen == "" {
		return Role{}, "", fmt.Errorf("%w: receive.listen: name an address such as 127.0.0.1:8081", ErrConfig)
	}
	client, err := p.unreachedKafka(p.Config.Publish.Options()...)
	if err != nil {
		return Role{}, "", err
	}
	letters := p.letters
	if letters == nil {
		producer, err := p.unreachedKafka(kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchMaxBytes(16<<20))
		if err != nil {
			return Role{}, "", err
		}
		letters, err = dlq.New(producer, dlq.Settings{Topic: p.Config.Kafka.Topics.DeadLetters, Version: p.Version, Registerer: p.registry})
		if err != nil {
			return Role{}, "", err
		}
	}
	server, err := receive.Listen(cfg, receive.Settings{
		Publisher:   acknowledged{client, p.Config.Kafka},
		DeadLetters: letters, Formats: formats(), Topic: p.Config.Kafka.Topics.Envelopes,
		Version: p.Version, Logger: p.Log, Registerer: p.registry,
	})
	if err != nil {
		return Role{}, "", err
	}
	p.admin.AddCheck("receive_kafka", client.Ping)
	scheme := "http://"
	if cfg.TLS.Enabled() {
		scheme = "https://"
	}
	return Role{"receive", server.Run}, scheme + reachable(server.Addr()), nil
}

// reachable replaces the address that means all interfaces.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}

// acknowledged publishes envelopes and waits for Kafka.
type acknowledged struct {
	client *kgo.Client
	cfg    kafka.Config
}

// PublishDurable implements receive.Publisher: nil means that all in-sync replicas have every envelope. It returns with
// ctx; records that are on their way then may still arrive.
func (a acknowledged) PublishDurable(ctx context.Context, envs []*event.Envelope) error {
	results := make(chan error, len(envs))
	for _, env := range envs {
		r := &kgo.Record{
			Topic: a.cfg.Topics.Envelopes, Key: []byte(env.CallId), Value: wire.MarshalEnvelope(nil, env),
			Timestamp: time.Unix(0, int64(env.ObservedUnixNano)), //nolint:gosec // unix nanoseconds fit until the year 2262
		}
		for _, h := range wire.EnvelopeHeaders(env) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		a.client.TryProduce(ctx, r, func(_ *kgo.Record, err error) { results <- err })
	}
	var failed error
	for range envs {
		select {
		case err := <-results:
			if failed == nil {
				failed = err
			}
		case <-ctx.Done():
			if failed == nil {
				failed = ctx.Err()
			}
			return a.explain(failed)
		}
	}
	return a.explain(failed)
}

func (a acknowledged) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, kgo.ErrMaxBuffered):
		return fmt.Errorf("publish to %s: %w: %w", a.cfg.Topics.Envelopes, publish.ErrRefused, err)
	}
	return fmt.Errorf("publish to %s: %w", a.cfg.Topics.Envelopes, a.cfg.ExplainTopic(err, a.cfg.Topics.Envelopes, "write"))
}
