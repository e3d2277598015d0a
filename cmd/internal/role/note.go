package role

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// note is what the plan of a divided batch says beside its span, in the form "d=calls:99,payloads:99;s;r=3x1.469.calls.":
//
//	d  tables whose rows are stored up to an offset, under plans that were committed before
//	o  records, counted from the span's first, that are left out: their first table refused them, they are stored nowhere
//	s  the records of the span are inserted one by one
//	a  as s for those that were left out; the others of the span are stored
//	r  which of them the server refused, fixed: runs of count records from an offset counted from the span's first
//	x  the one that is left out, written as in r: its dead letter is made when the server took the others
type note struct {
	done    map[string]int64
	omitted []int64 // offsets, ascending; some may be behind the span
	singly  bool
	apart   bool // singly, and only those omitted
	fixed   bool // refuse is decided
	along   bool // refuse is the one that is left out
	refuse  []refused
}

// refused is a record of which the server refuses a row.
type refused struct {
	offset int64
	code   int32  // the server's exception code
	table  string // that refused
	partly bool   // rows of the record in other tables are stored
}

func (n note) format(span batch.Span) string {
	var parts []string
	if len(n.done) > 0 {
		var done []string
		for _, table := range slices.Sorted(maps.Keys(n.done)) {
			done = append(done, table+":"+strconv.FormatInt(n.done[table], 10))
		}
		parts = append(parts, "d="+strings.Join(done, ","))
	}
	if len(n.omitted) > 0 {
		var deltas []string
		for _, offset := range n.omitted {
			deltas = append(deltas, strconv.FormatInt(offset-span.First, 10))
		}
		parts = append(parts, "o="+strings.Join(deltas, ","))
	}
	switch {
	case n.apart:
		parts = append(parts, "a")
	case n.singly:
		parts = append(parts, "s")
	}
	switch {
	case n.along:
		parts = append(parts, "x="+formatRefused(span.First, n.refuse))
	case n.fixed:
		parts = append(parts, "r="+formatRefused(span.First, n.refuse))
	}
	return strings.Join(parts, ";")
}

func formatRefused(first int64, all []refused) string {
	var runs []string
	for i := 0; i < len(all); {
		r, count := all[i], int64(1)
		for i++; i < len(all); i++ {
			next := r
			next.offset += count
			if all[i] != next {
				break
			}
			count++
		}
		kind := ""
		if r.partly {
			kind = "p"
		}
		runs = append(runs, fmt.Sprintf("%dx%d.%d.%s.%s", r.offset-first, count, r.code, r.table, kind))
	}
	return strings.Join(runs, ",")
}

// parseNote reads what format wrote. A note that it does not understand is an error: whoever wrote it did something
// that this program does not know how to go on with.
func parseNote(text string, span batch.Span) (note, error) {
	n := note{done: map[string]int64{}}
	if text == "" {
		return n, nil
	}
	for _, part := range strings.Split(text, ";") {
		var err error
		switch key, value, _ := strings.Cut(part, "="); key {
		case "d":
			err = n.parseDone(value)
		case "o":
			err = n.parseOmitted(span, value)
		case "s":
			n.singly = true
		case "a":
			n.singly, n.apart = true, true
		case "r":
			n.fixed = true
			n.refuse, err = parseRefused(span, value)
		case "x":
			n.along = true
			if n.refuse, err = parseRefused(span, value); err == nil && (len(n.refuse) != 1 || !n.omits(n.refuse[0].offset)) {
				err = fmt.Errorf("%q is not the one record that is left out", value)
			}
		default:
			err = fmt.Errorf("unknown field %q", key)
		}
		if err != nil {
			return note{}, fmt.Errorf("read the note of the plan of %s/%d at %d: %w", span.Topic, span.Partition, span.First, err)
		}
	}
	if n.along && (n.fixed || n.singly) {
		return note{}, fmt.Errorf("read the note of the plan of %s/%d at %d: x stands beside a, s or r", span.Topic, span.Partition, span.First)
	}
	return n, nil
}

func (n *note) parseDone(text string) error {
	for _, entry := range strings.Split(text, ",") {
		table, offset, _ := strings.Cut(entry, ":")
		value, err := strconv.ParseInt(offset, 10, 64)
		if err != nil || table == "" {
			return fmt.Errorf("%q is no table with an offset", entry)
		}
		n.done[table] = value
	}
	return nil
}

func (n *note) parseOmitted(span batch.Span, text string) error {
	for _, entry := range strings.Split(text, ",") {
		delta, err := strconv.ParseInt(entry, 10, 64)
		offset := span.First + delta
		if err != nil || delta < 0 || len(n.omitted) > 0 && offset <= n.omitted[len(n.omitted)-1] || len(n.omitted) == maxOmitted {
			return fmt.Errorf("%q is no record to leave out", entry)
		}
		n.omitted = append(n.omitted, offset)
	}
	return nil
}

func parseRefused(span batch.Span, text string) (all []refused, err error) {
	if text == "" {
		return nil, nil
	}
	for _, run := range strings.Split(text, ",") {
		fields := strings.Split(run, ".")
		if len(fields) != 4 {
			return nil, fmt.Errorf("%q is no run of refused records", run)
		}
		from, count, _ := strings.Cut(fields[0], "x")
		delta, err1 := strconv.ParseInt(from, 10, 64)
		n, err2 := strconv.ParseInt(count, 10, 64)
		code, err3 := strconv.ParseInt(fields[1], 10, 32)
		if err1 != nil || err2 != nil || err3 != nil || delta < 0 || n < 1 || n > maxGroup || span.First+delta+n-1 > span.Last {
			return nil, fmt.Errorf("%q is no run of refused records", run)
		}
		for i := range n {
			all = append(all, refused{offset: span.First + delta + i, code: int32(code), table: fields[2], partly: fields[3] == "p"})
		}
	}
	return all, nil
}

// skip says which tables are complete for the span, but for the records that are left out.
func (n note) skip(span batch.Span) func(table string) bool {
	return func(table string) bool {
		through, ok := n.done[table]
		return ok && through >= span.Last
	}
}

// omits reports whether a record is left out.
func (n note) omits(offset int64) bool {
	_, found := slices.BinarySearch(n.omitted, offset)
	return found
}

// without is the span with the part of the token of its records but for those left out, of which there are more with
// every plan.
func (n note) without(span batch.Span) batch.Span {
	if left := between(n.omitted, span.First, span.Last); len(left) > 0 {
		span.Part = partWithout + strconv.Itoa(len(left))
	}
	return span
}
