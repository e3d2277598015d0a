package detect

import (
	"hash/maphash"
	"time"
)

// heldWindows is how many dedup windows are remembered: the newest and the two before it.
const heldWindows = 3

// windowSet remembers which conclusions were drawn within aligned windows of event time, how often each came
// back, and how many different ones hang on one parent.
type windowSet struct {
	seed   maphash.Seed
	window int64 // nanoseconds
	fanOut int   // conclusions per parent and window that are reported one by one
	limit  int   // conclusions and parents held per window
	newest int64
	slots  [heldWindows]windowSlot
}

type windowSlot struct {
	index   int64
	repeats map[uint64]uint32
	parents map[uint64]uint32
}

// outcome is what windowSet.note says about a conclusion.
type outcome uint8

const (
	outcomeRepeat   outcome = iota // known in this window
	outcomeFirst                   // report it
	outcomeOverflow                // the parent just passed its fan-out: report the parent once
	outcomeDropped                 // the parent passed its fan-out before, or the window is full
)

func newWindowSet(window time.Duration, fanOut, limit int) *windowSet {
	return &windowSet{seed: maphash.MakeSeed(), window: int64(window), fanOut: fanOut, limit: limit}
}

// index numbers the window of an event time.
func (w *windowSet) index(at int64) int64 { return floorDiv(at, w.window) }

// hash names a conclusion or a parent within this set.
func (w *windowSet) hash(parts ...string) uint64 {
	var h maphash.Hash
	h.SetSeed(w.seed)
	for _, part := range parts {
		maphash.WriteComparable(&h, part)
	}
	return h.Sum64()
}

// note records one occurrence and says whether it is news; before is how often the same conclusion came in the
// window before this one. A window older than all held ones is news every time: the stable key makes that harmless.
func (w *windowSet) note(at int64, base, parent uint64) (result outcome, before uint32) {
	index := w.index(at)
	if index > w.newest {
		w.newest = index
	}
	if index <= w.newest-heldWindows {
		return outcomeFirst, 0
	}
	slot := w.slot(index)
	if n, ok := slot.repeats[base]; ok {
		slot.repeats[base] = n + 1
		return outcomeRepeat, 0
	}
	if len(slot.repeats) >= w.limit || len(slot.parents) >= w.limit {
		return outcomeDropped, 0
	}
	children := slot.parents[parent]
	if children > uint32(w.fanOut) {
		return outcomeDropped, 0
	}
	slot.parents[parent] = children + 1
	if children == uint32(w.fanOut) {
		return outcomeOverflow, 0
	}
	slot.repeats[base] = 1
	if previous := &w.slots[floorMod(index-1, heldWindows)]; previous.index == index-1 {
		before = previous.repeats[base]
	}
	return outcomeFirst, before
}

func (w *windowSet) slot(index int64) *windowSlot {
	slot := &w.slots[floorMod(index, heldWindows)]
	if slot.index != index || slot.repeats == nil {
		*slot = windowSlot{index: index, repeats: make(map[uint64]uint32), parents: make(map[uint64]uint32)}
	}
	return slot
}

// bytes estimates the heap of the held windows.
func (w *windowSet) bytes() int64 {
	var n int
	for i := range w.slots {
		n += len(w.slots[i].repeats) + len(w.slots[i].parents)
	}
	return int64(n) * 20
}

func floorDiv(a, b int64) int64 {
	q := a / b
	if a%b < 0 {
		q--
	}
	return q
}

func floorMod(a, b int64) int64 { return a - floorDiv(a, b)*b }
