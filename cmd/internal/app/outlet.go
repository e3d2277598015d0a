package app

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/tapserver"
	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/receive"
	"github.com/modeltrail/modeltrail/ingest/spool"
)

// outlet is what the receiver sends through: a publisher with a spool of its own, and the account of what it numbers.
type outlet struct {
	publisher *publish.Publisher
	spool     *spool.Log
	ledger    *ledger.Ledger
	log       zerolog.Logger
}

// outlet opens the receiver's way out. In a process that is a tap too, its metrics of publishing and spool are the tap's
// alone.
func (p *Process) outlet(instance string) (*outlet, error) {
	var registerer prometheus.Registerer
	if len(p.Config.Tap.Routes) == 0 {
		registerer = p.registry
	}
	if instance == "" {
		host, err := os.Hostname()
		if err != nil {
			return nil, fmt.Errorf("find receive.instance: %w", err)
		}
		instance = host
	}
	topics := p.Config.Kafka.Topics
	deliveries := &ledger.Deliveries{Topic: topics.Envelopes}
	client, err := p.unreachedKafka(append(p.Config.Publish.Options(), kgo.WithHooks(deliveries))...)
	if err != nil {
		return nil, err
	}
	statements, err := p.unreachedKafka(ledger.Options()...)
	if err != nil {
		return nil, err
	}
	o := &outlet{log: p.Log.With().Str("component", "receive").Logger()}
	waits := p.Config.Spool
	waits.Dir = cmp.Or(waits.Dir, p.Config.Path("spool")) + "-receive"
	key, err := p.Config.Tap.SpoolKey()
	if err != nil {
		return nil, err
	}
	if o.spool, err = spool.Open(waits, spool.Settings{Logger: p.Log, Registerer: registerer, Key: key}); err != nil {
		return nil, err
	}
	p.onClose(func(context.Context) error { return o.spool.Close() })
	o.publisher, err = publish.New(client, p.Config.Publish, publish.Settings{
		Topic: topics.Envelopes, Spool: o.spool, GivenUp: deliveries.GivenUp, Logger: p.Log, Registerer: registerer,
	})
	if err != nil {
		return nil, err
	}
	account := LedgerConfig(p.Config)
	if account.StateDir != "" {
		account.StateDir += "-receive"
	}
	o.ledger, err = ledger.New(account, ledger.Settings{
		Kind: receive.Kind, Instance: instance, Version: p.Version, Send: ledger.Produce(statements, topics.Sources), Tracked: true,
		Spool: tapserver.Waiting(o.spool), Idle: func() bool { return o.publisher.InFlight() == 0 }, Logger: p.Log, Registerer: registerer,
	})
	if err != nil {
		return nil, errors.Join(err, o.publisher.Close(context.Background()))
	}
	deliveries.Attach(o.ledger)
	return o, nil
}

// closing bounds how long the outlet may take to hand over what it holds; the spool keeps the rest.
const closing = 5 * time.Second

// around runs a receiver between the first and the last statement of its account.
func (o *outlet) around(run func(context.Context) error) func(context.Context) error {
	return func(ctx context.Context) error {
		o.ledger.Start()
		err := run(ctx)
		ending, cancel := context.WithTimeout(context.WithoutCancel(ctx), closing)
		defer cancel()
		err = errors.Join(err, o.publisher.Close(ending))
		least, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		if unsent := o.ledger.Close(least); unsent != nil {
			o.log.Warn().Err(unsent).Msg("closing statement waits for the next start")
		}
		return err
	}
}
