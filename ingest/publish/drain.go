package publish

import (
	"time"
)

const (
	// tick is how often the drainer looks at what no event tells: time that passed, and the disk.
	tick = 250 * time.Millisecond
	// fetchBytes and fetchRecords bound what is read from the spool at once.
	fetchBytes   = 64 << 10
	fetchRecords = 64
	// drainPause lies between two such pieces, so at most 12 800 envelopes a second come from the spool: a backlog must
	// not take from calls, once Kafka is back, what the outage did not. The pieces are small so that a call waits for
	// little of one.
	drainPause = 5 * time.Millisecond
)

// drainer sends what waits whenever the window has room, reads what is only in the spool, and looks after the time.
func (p *Publisher) drainer() {
	defer close(p.stopped)
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-ticker.C:
			p.look()
		case <-p.wake:
		}
		for p.refill() {
			if !p.rest() {
				return
			}
		}
	}
}

// rest lets calls have the processor between two pieces of a backlog. False means that the publisher stops.
func (p *Publisher) rest() bool {
	p.mu.Lock()
	hurried := p.closed
	p.mu.Unlock()
	if hurried {
		return true
	}
	select {
	case <-p.stop:
		return false
	case <-time.After(drainPause):
		return true
	}
}

// look does what depends on time.
func (p *Publisher) look() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		p.pump()
		return
	}
	if p.spoolDown != nil {
		if err := p.spool.Probe(); err != nil {
			p.spoolDown = err
		} else {
			p.spoolDown = nil
			p.log.Info().Msg("spool takes envelopes again")
			if p.spilling {
				_ = p.spoolLoose()
			}
		}
	}
	if p.spool != nil && !p.spilling && p.loose > 0 && p.lagging() {
		p.startSpill()
	}
	p.endSpill()
	if p.spool != nil {
		p.gate()
	}
	p.pump()
}

// refill reads the next records that are only in the spool and sends them. False means that there are none or that the
// window is full. Only the drainer takes from a run, so that mu need not be held while the disk is read.
func (p *Publisher) refill() bool {
	p.mu.Lock()
	p.pump()
	n := p.line.front()
	if n == nil || n.it != nil || len(p.fetched) > 0 || p.failures > 0 || p.ending || p.lone || p.outBytes >= p.window ||
		time.Now().Before(p.readAt) {
		p.mu.Unlock()
		return false
	}
	first, last := n.first, n.last
	p.mu.Unlock()
	items, next, err := p.fetch(first, last)
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.readAt = time.Now().Add(tick)
		p.warn.reading(err)
	}
	p.advance(items, first, next)
	p.pump()
	return next > first
}

// fetch reads records from first on, not beyond last, and tells which sequence is next: what lies between and was not
// read is damaged.
func (p *Publisher) fetch(first, last uint64) (items []*item, next uint64, err error) {
	p.reader.Seek(first)
	next = first
	for size := 0; next <= last && size < fetchBytes && len(items) < fetchRecords; {
		record, ok, err := p.reader.Try()
		if err != nil {
			return items, next, err
		}
		if !ok || record.Seq > last { // the rest of the run is damaged
			return items, last + 1, nil
		}
		items = append(items, p.unspooled(record))
		next = record.Seq + 1
		size += len(record.Value)
	}
	return items, next, nil
}

// advance replaces the head of the first run with what was read of it.
func (p *Publisher) advance(items []*item, first, next uint64) {
	if next == first {
		return
	}
	n := p.line.front()
	if n.first = next; n.first > n.last {
		p.line.pop()
	}
	for _, it := range items {
		p.keep(it)
	}
	p.fetched = items
	damaged := int64(next-first) - int64(len(items))
	if damaged == 0 {
		return
	}
	p.pending.Add(-damaged)
	p.lost.Add(uint64(damaged))
	p.metrics.byReason[reasonSpoolDamage].Add(float64(damaged))
	p.warn.say(reasonSpoolDamage, nil)
	if len(items) == 0 || items[len(items)-1].seq+1 < next { // nothing behind them retires them
		p.flight.push(&item{seq: next - 1, fate: done})
		p.settle()
	}
}
