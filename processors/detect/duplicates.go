package detect

import (
	"hash/maphash"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// duplicates remembers the phases of calls that were seen, in two generations that rotate by event time or when
// one is full. A call is remembered for at least one window, unless the bound on entries is reached first.
type duplicates struct {
	seed      maphash.Seed
	window    int64 // nanoseconds
	limit     int
	rotatedAt int64
	young     map[uint64]struct{}
	old       map[uint64]struct{}
}

func newDuplicates(window time.Duration, limit int) *duplicates {
	return &duplicates{
		seed:   maphash.MakeSeed(),
		window: int64(window),
		limit:  limit,
		young:  make(map[uint64]struct{}),
	}
}

// repeated records the phase of a call and reports whether it was there already. A 64-bit keyed hash stands for
// the call id: with a million entries a false hit has a chance of 1 in 10^13 per event.
func (d *duplicates) repeated(callID string, phase event.Phase, at int64) bool {
	hash := maphash.String(d.seed, callID)*4 + uint64(phase)&3
	if _, ok := d.young[hash]; ok {
		return true
	}
	if _, ok := d.old[hash]; ok {
		return true
	}
	if at-d.rotatedAt > d.window || len(d.young) >= d.limit {
		d.old, d.young = d.young, make(map[uint64]struct{}, min(len(d.young), d.limit))
		d.rotatedAt = at
	}
	d.young[hash] = struct{}{}
	return false
}

// bytes estimates the heap of both generations: 8 bytes of key and 1 of control at a load of 7/8 or less.
func (d *duplicates) bytes() int64 { return int64(len(d.young)+len(d.old)) * 14 }
