package ledger

import (
	"sync/atomic"
	"unsafe"
)

const (
	stateMagic  = 0x3147444C4C52544D // "MTRLLDG1" read as little endian
	stateLayout = 1
	maxHours    = 64
	maxName     = 256 // bytes of kind and of instance
)

// Phases of an epoch.
const (
	phaseRunning = 1
	phaseClosed  = 2 // stopped in order; its last statement is not acknowledged yet
	phaseDone    = 3 // its last statement is acknowledged
)

// state is the layout of the file: counts of one epoch, nothing else. Every field is written by atomic stores, so that
// a process that is killed between two of them leaves whole numbers.
type state struct {
	magic, layout   uint64
	epoch, previous uint64
	phase           atomic.Uint64
	number          atomic.Uint64 // statements made
	touched         atomic.Int64  // unix nanoseconds of the last sign of life
	expected        atomic.Uint64
	delivered       atomic.Uint64
	through         atomic.Uint64

	// retired sums the hours whose last statement was acknowledged; other what is told under no hour of its own.
	retired, other hourState
	move           move
	hours          [maxHours]hourState
	kind, instance [maxName]byte // the rest is zero
}

const stateBytes = int(unsafe.Sizeof(state{}))

// hourState holds the counts of one hour.
type hourState struct {
	hour          atomic.Int64 // unix seconds; 0: free
	numbered      atomic.Uint64
	first, last   atomic.Uint64
	dropped, lost [maxReasons]atomic.Uint64
}

// move makes the fold of an hour into a sum repeatable: values are absolute, so that doing it twice is doing it once.
type move struct {
	open  atomic.Uint64 // 0: none; 1: into retired; 2: into other
	slot  uint64
	value hourState
}

// sums are the counts of an epoch over all hours.
type sums struct{ numbered, dropped, lost uint64 }

func (h *hourState) sums() (s sums) {
	s.numbered = h.numbered.Load()
	for i := range maxReasons {
		s.dropped += h.dropped[i].Load()
		s.lost += h.lost[i].Load()
	}
	return s
}

func (s *state) sums() sums {
	total := s.retired.sums()
	for _, h := range append([]*hourState{&s.other}, s.used()...) {
		part := h.sums()
		total.numbered += part.numbered
		total.dropped += part.dropped
		total.lost += part.lost
	}
	return total
}

func (s *state) used() []*hourState {
	var out []*hourState
	for i := range s.hours {
		if s.hours[i].hour.Load() != 0 {
			out = append(out, &s.hours[i])
		}
	}
	return out
}

func (h *hourState) set(from *hourState) {
	h.numbered.Store(from.numbered.Load())
	h.first.Store(from.first.Load())
	h.last.Store(from.last.Load())
	for i := range maxReasons {
		h.dropped[i].Store(from.dropped[i].Load())
		h.lost[i].Store(from.lost[i].Load())
	}
}

// span widens the range of sequences.
func (h *hourState) span(first, last uint64) {
	if now := h.first.Load(); first > 0 && (now == 0 || first < now) {
		h.first.Store(first)
	}
	if last > h.last.Load() {
		h.last.Store(last)
	}
}

// fold empties the hour in slot into retired, or into other when it was never told.
func (s *state) fold(slot int, told bool) {
	into, open := &s.other, uint64(2)
	if told {
		into, open = &s.retired, 1
	}
	value, from := &s.move.value, &s.hours[slot]
	value.set(into)
	value.numbered.Add(from.numbered.Load())
	value.span(from.first.Load(), from.last.Load())
	for i := range maxReasons {
		value.dropped[i].Add(from.dropped[i].Load())
		value.lost[i].Add(from.lost[i].Load())
	}
	s.move.slot = uint64(slot)
	s.move.open.Store(open)
	s.finishMove()
}

// finishMove does or repeats a fold that was begun.
func (s *state) finishMove() {
	into := &s.other
	switch s.move.open.Load() {
	case 0:
		return
	case 1:
		into = &s.retired
	}
	into.set(&s.move.value)
	if s.move.slot < maxHours {
		from := &s.hours[s.move.slot]
		from.set(&hourState{})
		from.hour.Store(0)
	}
	s.move.open.Store(0)
}

func (s *state) begin(kind, instance string, epoch, previous uint64) {
	s.magic, s.layout, s.epoch, s.previous = stateMagic, stateLayout, epoch, previous
	copy(s.kind[:], kind)
	copy(s.instance[:], instance)
	s.phase.Store(phaseRunning)
}

// valid reports whether the bytes are a state that this version wrote.
func (s *state) valid() bool { return s.magic == stateMagic && s.layout == stateLayout && s.epoch != 0 }

func text(name *[maxName]byte) string {
	n := 0
	for n < len(name) && name[n] != 0 {
		n++
	}
	return string(name[:n])
}
