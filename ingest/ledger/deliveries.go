package ledger

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/wire"
)

// Deliveries tells ledgers what became of envelopes. It is a hook of the franz-go client that produces them
// (kgo.WithHooks), also of those that come from a spool. The zero value with a topic is ready; before Attach it tells
// nobody.
type Deliveries struct {
	Topic   string // of envelopes
	ledgers atomic.Pointer[[]*Ledger]
}

// Attach adds a ledger. Each takes what is of its own epoch. It is not called concurrently.
func (d *Deliveries) Attach(l *Ledger) {
	ledgers := append(d.attached(), l)
	d.ledgers.Store(&ledgers)
}

func (d *Deliveries) attached() []*Ledger {
	if ledgers := d.ledgers.Load(); ledgers != nil {
		return slices.Clip(*ledgers)
	}
	return nil
}

// OnProduceRecordUnbuffered implements kgo.HookProduceRecordUnbuffered.
func (d *Deliveries) OnProduceRecordUnbuffered(r *kgo.Record, err error) {
	if err != nil || r.Topic != d.Topic {
		return
	}
	if n, ok := wire.ReadNumbering(r.Value); ok {
		for _, l := range d.attached() {
			l.Delivered(n.Epoch, n.Sequence)
		}
	}
}

// GivenUp notes an envelope's value that the publisher had taken and will never deliver.
func (d *Deliveries) GivenUp(value []byte, reason string) {
	if n, ok := wire.ReadNumbering(value); ok {
		for _, l := range d.attached() {
			l.Lost(n.Epoch, n.Sequence, n.ObservedUnixNano, reason)
		}
	}
}

// Options returns the options of the client that carries statements: every in-sync replica acknowledges, and a topic that
// is created later is waited for. It MUST NOT be the client of the envelopes, whose end would then wait for statements.
func Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.UnknownTopicRetries(-1), kgo.MaxBufferedRecords(64), kgo.ProducerLinger(0),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
	}
}

// Produce sends statements to a topic through a client with Options. It never waits for room in the client's buffer.
func Produce(client *kgo.Client, topic string) Send {
	return func(ctx context.Context, s Statement) error {
		r := &kgo.Record{Topic: topic, Key: s.Key, Value: s.Value, Timestamp: s.IssuedAt}
		for _, h := range s.Headers {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		acknowledged := make(chan error, 1)
		client.TryProduce(ctx, r, func(_ *kgo.Record, err error) { acknowledged <- err })
		select {
		case err := <-acknowledged:
			return err
		case <-ctx.Done():
			select { // both may have come
			case err := <-acknowledged:
				return err
			default:
				return errors.Join(errUnsent, ctx.Err())
			}
		}
	}
}

var errUnsent = errors.New("statement was not acknowledged")
