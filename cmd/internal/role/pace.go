package role

import (
	"slices"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Sizes of the parts into which a refused batch is divided.
const (
	maxGroup   = 128 // records inserted one by one; what became of them must fit a plan's note
	blindGroup = 8   // where the server does not say which row it refuses
	dense      = 4   // records between two groups below which the next one is larger
	maxOmitted = 16  // records left out of a span; each costs an insert that fails
	sparseFrom = 32  // records between two bad ones from which on the next one is left out
)

// pace decides how a refused batch is divided. It decides about speed only: every division leads to the same rows.
// A server that names the row it refuses is believed as far as where to look; one that does not is asked by halves.
// After a refusal only a few records more than were taken last are tried at once, so that a batch full of bad rows is
// not sent again for each of them.
type pace struct {
	reach     int   // records tried at once; 0: all
	suspect   int64 // a record of which the server complained, when suspected
	suspected bool
	group     int   // size of the last group
	groupEnd  int64 // its last offset
}

// between are the offsets from first to last.
func between(offsets []int64, first, last int64) []int64 {
	from, _ := slices.BinarySearch(offsets, first)
	to, _ := slices.BinarySearch(offsets, last+1)
	return offsets[from:to]
}

// cut returns where a smaller part of a refused span ends and whether its records are inserted one by one.
func (p *pace) cut(offsets []int64, span batch.Span, complaint int64) (last int64, singly bool) {
	records := between(offsets, span.First, span.Last)
	n := len(records)
	bad, named := slices.BinarySearch(records, complaint)
	switch {
	case n <= 1:
		return span.Last, true
	case named && bad > 0:
		p.suspect, p.suspected, p.reach = complaint, true, 4*(bad+1)
		return records[bad-1], false
	case named || n <= blindGroup:
		return p.groupFrom(offsets, records, span.Last, named), true
	}
	p.reach = n / 2
	return records[n/2-1], false
}

// next returns the end of the part that begins at first, and whether its records are inserted one by one.
func (p *pace) next(offsets []int64, first, limit int64) (last int64, singly bool) {
	records := between(offsets, first, limit)
	if p.suspected && len(records) > 0 && records[0] == p.suspect {
		p.suspected = false
		return p.groupFrom(offsets, records, limit, true), true
	}
	if p.reach > 0 && p.reach < len(records) {
		return records[p.reach-1], false
	}
	return limit, false
}

// groupFrom returns the end of a group that begins with the first of records. Groups grow while they follow each other
// closely.
func (p *pace) groupFrom(offsets, records []int64, limit int64, named bool) int64 {
	size := blindGroup
	if named {
		size = 1
	}
	if p.group > 0 && len(between(offsets, p.groupEnd+1, records[0]-1)) <= dense {
		size = max(size, min(4*p.group, maxGroup))
	}
	p.group = size
	if size >= len(records) {
		p.groupEnd = limit
	} else {
		p.groupEnd = records[size-1]
	}
	return p.groupEnd
}

// sparse reports whether the record of a complaint stands far enough from the bad ones before it to be left out. Where
// they are close, groups are faster.
func (p *pace) sparse(offsets, omitted []int64, complaint int64) bool {
	at, _ := slices.BinarySearch(omitted, complaint)
	switch {
	case len(omitted) >= maxOmitted:
		return false
	case at > 0 && len(between(offsets, omitted[at-1]+1, complaint-1)) < sparseFrom:
		return false
	}
	return p.group == 0 || len(between(offsets, p.groupEnd+1, complaint-1)) >= sparseFrom
}

// stored notes that a part was taken.
func (p *pace) stored() { p.reach *= 4 }
