package app

import (
	"context"
	"fmt"
	"net"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/receive"
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
	out, err := p.outlet(cfg.Instance)
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
		Publisher: out.publisher, Ledger: out.ledger,
		DeadLetters: letters, Formats: formats(), Topic: p.Config.Kafka.Topics.Envelopes,
		Version: p.Version, Logger: p.Log, Registerer: p.registry,
	})
	if err != nil {
		return Role{}, "", err
	}
	scheme := "http://"
	if cfg.TLS.Enabled() {
		scheme = "https://"
	}
	return Role{"receive", out.around(server.Run)}, scheme + reachable(server.Addr()), nil
}

// reachable replaces the address that means all interfaces.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err != nil || ip == nil || !ip.IsUnspecified() {
		return addr
	}
	return net.JoinHostPort("127.0.0.1", port)
}
