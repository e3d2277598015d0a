package role

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/alert"
)

const (
	reasonUnreadable = "unreadable"
	reasonStale      = "stale"
	recallTimeout    = 15 * time.Second
)

// alertBatch holds the findings of one span.
type alertBatch struct {
	sink       *alertSink
	dispatcher *alert.Dispatcher
	records    []*kgo.Record // of findings, by index
	findings   []*event.Finding
	unreadable []*kgo.Record
	rows       int
	bytes      int64
}

// newBatch reads the keys of what was delivered before back from the topic, newest first to be forgotten last.
func (s *alertSink) newBatch(topic string, partition int32) (stream.Batch, error) {
	b := &alertBatch{
		sink:       s,
		dispatcher: alert.NewDispatcher(s.notifier, s.cfg.Parallel, 2*s.cfg.Remember, s.severity, s.set.Logger, s.met),
	}
	ctx, cancel := context.WithTimeout(s.ctx, recallTimeout)
	defer cancel()
	n, err := b.recall(ctx, past{dial: s.set.Dial, topic: topic, partition: partition})
	if err != nil {
		s.log.Error().Err(err).Msg("delivered findings could not be read back; repeats of them may be delivered again")
	}
	s.log.Info().Str("topic", topic).Int32("partition", partition).Int("keys", n).Msg("delivered findings read back")
	return b, nil
}

func (b *alertBatch) recall(ctx context.Context, p past) (int, error) {
	client, err := b.sink.set.Dial()
	if err != nil {
		return 0, err
	}
	defer client.Close()
	start, err := p.start(ctx, client)
	if err != nil {
		return 0, err
	}
	to, err := p.committed(ctx, client, b.sink.group)
	if err != nil {
		return 0, err
	}
	n := 0
	complete, err := p.read(ctx, max(start, to-int64(b.sink.cfg.Remember)), to, func(rec *kgo.Record) bool {
		b.dispatcher.Remember(string(rec.Key))
		n++
		return true
	})
	if err == nil && !complete {
		err = errors.New("reading back took too long")
	}
	return n, err
}

// Add implements stream.Batch.
func (b *alertBatch) Add(rec *kgo.Record) {
	b.rows++
	b.bytes += int64(len(rec.Value))
	if time.Since(rec.Timestamp) > b.sink.cfg.MaxAge {
		b.sink.lost.WithLabelValues(b.sink.cfg.Name, reasonStale).Inc()
		return
	}
	f := &event.Finding{}
	if err := wire.UnmarshalFinding(rec.Value, f); err != nil {
		b.unreadable = append(b.unreadable, rec)
		return
	}
	b.findings, b.records = append(b.findings, f), append(b.records, rec)
}

// Rows implements stream.Batch.
func (b *alertBatch) Rows() int { return b.rows }

// Bytes implements stream.Batch.
func (b *alertBatch) Bytes() int64 { return b.bytes }

// Deliver implements stream.Batch. A repeat sends only what was not delivered before.
func (b *alertBatch) Deliver(ctx context.Context, _ batch.Span) error {
	for len(b.unreadable) > 0 {
		if err := b.sink.giveUp(ctx, b.unreadable[0], reasonUnreadable, errors.New("record is no finding of a known version")); err != nil {
			return err
		}
		b.unreadable = b.unreadable[1:]
	}
	return b.dispatcher.Deliver(ctx, b.findings, func(ctx context.Context, i int, reason string, cause error) error {
		return b.sink.giveUp(ctx, b.records[i], reason, cause)
	})
}

// Reset implements stream.Batch.
func (b *alertBatch) Reset() {
	clear(b.findings)
	clear(b.records)
	b.findings, b.records, b.unreadable, b.rows, b.bytes = b.findings[:0], b.records[:0], nil, 0, 0
}

// giveUp keeps a finding that this sink will not get: its original record goes to the dead letter topic, from where
// it can be produced again.
func (s *alertSink) giveUp(ctx context.Context, rec *kgo.Record, reason string, cause error) error {
	reject := newReject(rec, StageAlert+s.cfg.Name, reason, cause.Error())
	if err := s.set.DeadLetters.Write(ctx, []batch.Reject{reject}); err != nil {
		return err
	}
	s.lost.WithLabelValues(s.cfg.Name, reason).Inc()
	return nil
}
