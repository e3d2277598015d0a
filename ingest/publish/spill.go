package publish

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/spool"
)

// chunkBytes is how much goes to the spool with one write, in bytes.
const chunkBytes = 256 << 10

// keepBytes is how much of what lies in the spool is in memory too: more than the window, so that nothing is read back
// while Kafka keeps up.
const keepBytes = 2 * windowBytes

// mark is how much memory what waits may take before it waits on disk alone.
func (p *Publisher) mark() int64 { return int64(p.cfg.MaxBufferedBytes) / 2 }

// toSpool puts it to the end of the spool, when its durability or the state of Kafka asks for it, and to the end of the
// line. Everything that came before and could lie in the spool goes there first, so that the spool has the order of the
// line. An error means that it is in neither.
func (p *Publisher) toSpool(it *item) error {
	if it.how == Spill && !p.spilling {
		if !p.lagging() {
			return errDirect
		}
		p.startSpill()
	}
	if p.spoolDown != nil {
		return p.spoolDown
	}
	if err := p.spoolLoose(); err != nil {
		return err
	}
	records := []spool.Record{spooled(it)}
	if _, err := p.spool.Append(records); err != nil {
		return p.refusedBySpool(err)
	}
	p.enterSpooled(it, records[0].Seq)
	return nil
}

// errDirect means that Kafka takes what comes.
var errDirect = errors.New("spool is not needed")

// spoolDurable is toSpool for several, with a wait for their fsync.
func (p *Publisher) spoolDurable(items []*item) (func(context.Context) error, error) {
	if p.spoolDown != nil {
		return nil, p.spoolDown
	}
	if err := p.spoolLoose(); err != nil {
		return nil, err
	}
	records := make([]spool.Record, len(items))
	for i, it := range items {
		records[i] = spooled(it)
	}
	_, wait, err := p.spool.AppendThenSync(records)
	if err != nil {
		return nil, p.refusedBySpool(err)
	}
	for i, it := range items {
		p.enterSpooled(it, records[i].Seq)
	}
	return func(ctx context.Context) error {
		if err := wait(ctx); err != nil {
			return fmt.Errorf("publish envelopes: %w", err)
		}
		return nil
	}, nil
}

// enterSpooled puts what the spool holds at the end of the line, with its bytes while they are few and nothing before it
// is on disk alone.
func (p *Publisher) enterSpooled(it *item, seq uint64) {
	it.seq = seq
	p.metrics.spooled.Inc()
	if p.line.runs == 0 && p.bytes+it.size <= min(keepBytes, p.mark()) && p.items < p.cfg.MaxBufferedRecords/2 {
		p.enter(it)
		return
	}
	p.pending.Add(1)
	p.line.pushRun(seq, seq)
}

// spoolLoose appends what is in memory only and could lie in the spool, in the order of the line.
func (p *Publisher) spoolLoose() error {
	if p.loose == 0 {
		return nil
	}
	var items []*item
	collect := func(it *item) {
		if it.loose() {
			items = append(items, it)
		}
	}
	for _, it := range p.flight.items[p.flight.head:] {
		collect(it)
	}
	p.line.each(collect)
	for len(items) > 0 {
		var size int64
		n := 0
		var records []spool.Record
		for n < len(items) && (n == 0 || size+items[n].size <= chunkBytes) {
			size += items[n].size
			records = append(records, spooled(items[n]))
			n++
		}
		if _, err := p.spool.Append(records); err != nil {
			return p.refusedBySpool(err)
		}
		for i, it := range items[:n] {
			it.seq = records[i].Seq
			p.loose--
			p.metrics.spooled.Inc()
		}
		items = items[n:]
	}
	return nil
}

// spooled is the record of an item as the spool keeps it.
func spooled(it *item) spool.Record {
	r := it.record
	headers := make([]spool.Header, len(r.Headers))
	for i, h := range r.Headers {
		headers[i] = spool.Header{Key: h.Key, Value: h.Value}
	}
	return spool.Record{Time: r.Timestamp, Key: r.Key, Value: r.Value, Headers: headers}
}

// unspooled is the item of a record that was read from the spool.
func (p *Publisher) unspooled(record spool.Record) *item {
	headers := make([]kgo.RecordHeader, len(record.Headers))
	for i, h := range record.Headers {
		headers[i] = kgo.RecordHeader{Key: h.Key, Value: h.Value}
	}
	r := &kgo.Record{Topic: p.set.Topic, Key: record.Key, Value: record.Value, Timestamp: record.Time, Headers: headers}
	return &item{record: r, size: int64(len(r.Value)) + recordOverhead, seq: record.Seq, how: SpoolFirst, since: time.Now()}
}

// refusedBySpool notes that the spool takes nothing; the drainer finds out when it does again.
func (p *Publisher) refusedBySpool(err error) error {
	if errors.Is(err, spool.ErrTooLarge) {
		return err
	}
	p.spoolDown = err
	p.gate()
	p.metrics.bound.Inc()
	p.log.Error().Err(err).Int64("spool_bytes", p.spool.Bytes()).Msg("spool takes no envelopes")
	return err
}

// gate brings Takes to the state of spool and Kafka.
func (p *Publisher) gate() {
	p.shut[SpoolFirst].Store(p.spoolDown != nil)
	p.shut[Spill].Store(p.spoolDown != nil && (p.spilling || p.lagging()))
}

// lagging reports that Kafka does not keep up: memory is above its mark, or the oldest envelope has waited too long.
func (p *Publisher) lagging() bool {
	return p.bytes > p.mark() || p.items > p.cfg.MaxBufferedRecords/2 || p.oldestAge() > p.cfg.SpillAfter
}

// oldestAge is how long the oldest envelope in memory has waited.
func (p *Publisher) oldestAge() time.Duration {
	switch {
	case !p.flight.empty():
		return time.Since(p.flight.front().since)
	case len(p.fetched) > 0:
		return time.Since(p.fetched[0].since)
	}
	if n := p.line.front(); n != nil && n.it != nil {
		return time.Since(n.it.since)
	}
	return 0
}

// startSpill makes everything go through the spool until it is drained.
func (p *Publisher) startSpill() {
	p.spilling = true
	p.metrics.spills.Inc()
	p.log.Warn().Dur("oldest", p.oldestAge()).Int64("bytes", p.bytes).Msg("Kafka does not keep up: spilling to the spool")
	if p.spoolDown == nil {
		_ = p.spoolLoose() // refusedBySpool has said why
		p.shed()
	}
	p.gate()
}

// shed frees the memory of what waits and lies in the spool, beyond keepBytes.
func (p *Publisher) shed() {
	waiting := p.line.nodes[p.line.head:]
	kept := line{nodes: make([]node, 0, len(waiting))}
	for _, n := range waiting {
		switch {
		case n.it == nil:
			kept.pushRun(n.first, n.last)
		case n.it.seq > 0 && (kept.runs > 0 || p.bytes > min(keepBytes, p.mark())):
			p.free(n.it)
			kept.pushRun(n.it.seq, n.it.seq)
		default:
			kept.push(n.it)
		}
	}
	p.line = kept
}

// endSpill lets envelopes go to Kafka directly again once nothing waits on disk alone and Kafka keeps up.
func (p *Publisher) endSpill() {
	if !p.spilling || p.line.runs > 0 || len(p.fetched) > 0 || p.bytes > p.mark()/2 || p.oldestAge() > p.cfg.SpillAfter/2 {
		return
	}
	p.spilling = false
	p.log.Info().Msg("spool drained: envelopes go to Kafka directly")
	p.gate()
}
