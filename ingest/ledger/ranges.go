package ledger

import "slices"

// ranges is a set of sequences that fills up from 1. What lies above its watermark is kept as closed intervals; there
// are as many as records overtake each other on their way to the brokers.
type ranges struct {
	through uint64 // all from 1 to here are in the set
	above   []interval
}

type interval struct{ first, last uint64 }

// add puts n into the set and reports whether it was new.
func (r *ranges) add(n uint64) bool {
	if n <= r.through {
		return false
	}
	at, found := slices.BinarySearchFunc(r.above, n, func(i interval, n uint64) int {
		switch {
		case i.last < n:
			return -1
		case i.first > n:
			return 1
		}
		return 0
	})
	if found {
		return false
	}
	joinsLeft := at > 0 && r.above[at-1].last+1 == n
	joinsRight := at < len(r.above) && r.above[at].first == n+1
	switch {
	case joinsLeft && joinsRight:
		r.above[at-1].last = r.above[at].last
		r.above = slices.Delete(r.above, at, at+1)
	case joinsLeft:
		r.above[at-1].last = n
	case joinsRight:
		r.above[at].first = n
	default:
		r.above = slices.Insert(r.above, at, interval{n, n})
	}
	if len(r.above) > 0 && r.above[0].first == r.through+1 {
		r.through = r.above[0].last
		r.above = slices.Delete(r.above, 0, 1)
	}
	return true
}

// raise puts everything up to n into the set.
func (r *ranges) raise(n uint64) {
	if n <= r.through {
		return
	}
	r.through = n
	for len(r.above) > 0 && r.above[0].first <= r.through+1 {
		r.through = max(r.through, r.above[0].last)
		r.above = slices.Delete(r.above, 0, 1)
	}
}
