// Package timeline keeps the versions of a value with the time from which each one holds, so that a record is
// always judged by the version in force when the broker took it: two consumer groups and a later replay agree.
package timeline

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

type entry[T any] struct {
	effective time.Time
	version   string
	value     T
}

// Timeline is the history of one value. Reads take no lock and see a consistent history; Add may run at the same
// time. The zero Timeline is empty and ready. A Timeline must not be copied after first use.
type Timeline[T any] struct {
	add     sync.Mutex
	history atomic.Pointer[[]entry[T]] // sorted by effective; replaced, never changed in place
}

// Add records that v, named version, holds from effective on. A version equal to the one already in force at
// that time is ignored; a different one with the same effective time takes effect after it. Callers that need
// two processes to agree MUST add the same versions in the same order, as a reader of one Kafka partition does.
func (t *Timeline[T]) Add(effective time.Time, version string, v T) {
	t.add.Lock()
	defer t.add.Unlock()
	var old []entry[T]
	if p := t.history.Load(); p != nil {
		old = *p
	}
	i := after(old, effective)
	if i > 0 && old[i-1].version == version {
		return
	}
	next := make([]entry[T], 0, len(old)+1)
	next = append(next, old[:i]...)
	next = append(next, entry[T]{effective: effective, version: version, value: v})
	next = append(next, old[i:]...)
	t.history.Store(&next)
}

// At returns the last value effective at or before at. A time before the first version gets the first one, so
// that calls recorded before the first configuration was published still carry a version. It is false only
// while the timeline is empty.
func (t *Timeline[T]) At(at time.Time) (T, bool) {
	p := t.history.Load()
	if p == nil {
		var none T
		return none, false
	}
	h := *p
	last := len(h) - 1
	if !at.Before(h[last].effective) { // nearly every call: the present
		return h[last].value, true
	}
	return h[max(after(h, at)-1, 0)].value, true
}

// Latest returns the value with the greatest effective time, its version and that time.
func (t *Timeline[T]) Latest() (v T, version string, effective time.Time, ok bool) {
	p := t.history.Load()
	if p == nil {
		return v, "", time.Time{}, false
	}
	e := (*p)[len(*p)-1]
	return e.value, e.version, e.effective, true
}

// Len returns the number of versions kept.
func (t *Timeline[T]) Len() int {
	p := t.history.Load()
	if p == nil {
		return 0
	}
	return len(*p)
}

// after returns the index of the first entry effective later than at.
func after[T any](h []entry[T], at time.Time) int {
	i, _ := slices.BinarySearchFunc(h, at, func(e entry[T], at time.Time) int {
		if e.effective.After(at) {
			return 1
		}
		return -1
	})
	return i
}
