package ledger

import (
	"time"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// Statement is a signed statement on its way to Kafka.
type Statement struct {
	Key      []byte // the instance
	Value    []byte
	Headers  []batch.Header
	IssuedAt time.Time

	told [maxHours]sums // what it says of each hour
}

// statement tells the present counts. With last it is the epoch's closing one and nothing is counted any more.
func (l *Ledger) statement(last bool) Statement {
	now, idle := l.set.Now(), l.set.Idle != nil && l.set.Idle()
	spool := l.spool() // the publisher's lock may be held by one who waits for ours
	l.mu.Lock()
	defer l.mu.Unlock()
	l.settle(now)
	s := l.state
	s.touched.Store(now.UnixNano())
	if idle {
		l.ranges.raise(l.before)
		s.through.Store(l.ranges.through)
	}
	message := l.message(s, now, spool)
	l.before = message.LastSequence
	message.State = event.EpochState_EPOCH_STATE_RUNNING
	if last {
		message.State = event.EpochState_EPOCH_STATE_CLOSED
		if !l.stopped {
			l.account(s, now, ReasonShutdown)
			l.stopped = true
			s.phase.Store(phaseClosed)
		}
		total := s.sums()
		message.Dropped = total.dropped
	}
	present := l.at(uint64(now.UnixNano())).hour.Load()
	if present == 0 { // no room for an hour: the other hours tell
		present = -1
	}
	out := l.finish(s, message, func(slot int, h *hourState) bool {
		return last || h.hour.Load() == present || l.told[slot] != h.sums()
	})
	for i := range s.hours {
		out.told[i] = s.hours[i].sums()
	}
	return out
}

// account puts what was owed and neither numbered nor given up under a reason, into the hour of the last sign of life.
// The caller holds mu, or s belongs to an earlier epoch.
func (l *Ledger) account(s *state, at time.Time, reason string) {
	total := s.sums()
	rest := int64(s.expected.Load() - total.numbered - total.dropped) //nolint:gosec // counts
	if rest <= 0 {
		return
	}
	start := at.Unix() / 3600 * 3600
	into := &s.other
	for i := range s.hours {
		if s.hours[i].hour.Load() == start {
			into = &s.hours[i]
			break
		}
		if into == &s.other && s.hours[i].hour.Load() == 0 {
			into = &s.hours[i]
		}
	}
	if into != &s.other && into.hour.Load() == 0 {
		into.hour.Store(start)
	}
	into.dropped[reasonIndex(reason)].Add(uint64(rest))
}

// waiting is what stands in the spool.
type waiting struct {
	records uint64
	oldest  time.Time
}

func (l *Ledger) spool() (w waiting) {
	if l.set.Spool != nil {
		w.records, w.oldest = l.set.Spool()
	}
	return w
}

// message fills in everything but state, hours and signature.
func (l *Ledger) message(s *state, now time.Time, spool waiting) *event.SourceStatement {
	total := s.sums()
	m := &event.SourceStatement{
		SchemaVersion: event.SchemaVersion,
		Source:        &event.Source{Kind: text(&s.kind), Instance: text(&s.instance), BootEpoch: s.epoch, Version: l.set.Version},
		Number:        s.number.Add(1), IssuedUnixNano: uint64(now.UnixNano()),
		PreviousEpoch: s.previous, Expected: s.expected.Load(),
		LastSequence: total.numbered, Dropped: total.dropped, Lost: total.lost,
		Tracked: l.set.Tracked, IntervalNano: uint64(l.cfg.Interval),
	}
	m.Started = m.Number == 1
	if m.Spooled = spool.records; m.Spooled > 0 {
		m.OldestSpooledUnixNano = uint64(max(spool.oldest.UnixNano(), 0))
	}
	if m.Tracked {
		m.Delivered, m.DeliveredThrough = s.delivered.Load(), s.through.Load()
		m.Acknowledged = min(m.Delivered+m.Spooled, m.LastSequence)
		m.Pending = m.LastSequence - min(m.Delivered+m.Lost, m.LastSequence)
	}
	return m
}

// finish adds the hours that tell and signs.
func (l *Ledger) finish(s *state, m *event.SourceStatement, tells func(slot int, h *hourState) bool) Statement {
	for i := range s.hours {
		if h := &s.hours[i]; h.hour.Load() != 0 && tells(i, h) {
			m.Hours = append(m.Hours, h.message())
		}
	}
	if (s.other.sums() != sums{}) {
		m.Hours = append(m.Hours, s.other.message())
	}
	return Statement{
		Key: []byte(m.Source.Instance), Value: wire.MarshalStatement(m, l.key), Headers: wire.StatementHeaders(m),
		IssuedAt: time.Unix(0, int64(m.IssuedUnixNano)), //nolint:gosec // until the year 2262
	}
}

func (h *hourState) message() *event.HourCount {
	m := &event.HourCount{HourUnix: h.hour.Load(), Numbered: h.numbered.Load()}
	if m.Numbered > 0 {
		m.FirstSequence, m.LastSequence = h.first.Load(), h.last.Load()
	}
	for i, reason := range reasonList {
		if n := h.dropped[i].Load(); n > 0 {
			m.Dropped = append(m.Dropped, &event.ReasonCount{Reason: reason, Count: n})
		}
		if n := h.lost[i].Load(); n > 0 {
			m.Lost = append(m.Lost, &event.ReasonCount{Reason: reason, Count: n})
		}
	}
	return m
}

// obituary is the closing statement of an earlier epoch. What a killed one owed is counted as lost in the crash.
func (l *Ledger) obituary(s *state) (Statement, uint64) {
	state, lost := event.EpochState_EPOCH_STATE_CLOSED, uint64(0)
	if s.phase.Load() == phaseRunning {
		state = event.EpochState_EPOCH_STATE_CRASHED
		l.account(s, time.Unix(0, s.touched.Load()), ReasonCrash)
		for _, h := range append([]*hourState{&s.other}, s.used()...) {
			lost += h.dropped[reasonIndex(ReasonCrash)].Load()
		}
	}
	m := l.message(s, l.set.Now(), l.spool())
	m.State = state
	return l.finish(s, m, func(int, *hourState) bool { return true }), lost
}
