package completeness

import (
	"cmp"
	"maps"
	"slices"
	"time"
)

// Source is who numbers envelopes.
type Source struct{ Kind, Instance string }

// Epoch is one boot of a source.
type Epoch struct {
	Source
	Boot uint64 // unix nanoseconds
}

// States of an epoch, as in source_statements.state.
const (
	stateRunning = "running"
	stateClosed  = "closed"
	stateCrashed = "crashed"
)

// Head is what the newest statement of an epoch says.
type Head struct {
	Epoch
	Statement    uint64
	State        string
	LastSequence uint64
	Tracked      bool
	Through      uint64 // every sequence up to here was delivered or is counted as lost
	Pending      uint64
	Spooled      uint64
	Expected     uint64
	Issued       time.Time // the source's clock
	Heard        time.Time // the broker's clock
	Interval     time.Duration
	KeyID        string
	Trusted      bool // signature and key
}

// Told is what an epoch says of one hour. The zero hour is all that it does not tell apart.
type Told struct {
	Epoch
	Hour          time.Time
	Numbered      uint64
	First, Last   uint64 // sequences
	Dropped, Lost map[string]uint64
}

// Found is what the table envelopes holds of an epoch's hour, of sequences up to Head.LastSequence.
type Found struct {
	Epoch
	Hour          time.Time
	Stored, Dead  uint64 // distinct sequences
	Repeated      uint64 // rows
	BeyondThrough uint64 // distinct sequences above Head.Through
}

// Hour is the judgement of one source and hour.
// Sent = Stored + DeadLettered + lost ones (part of Dropped) + Pending + Missing - Surplus.
type Hour struct {
	Source
	Hour                       time.Time
	Epochs                     uint32
	Sent, Stored, DeadLettered uint64
	Repeated                   uint64
	Dropped                    map[string]uint64
	Pending, Missing, Surplus  uint64
	Verified                   bool
}

// Gap is the part of an epoch's hour that is missing for no known reason.
type Gap struct {
	Epoch
	Hour        time.Time
	First, Last uint64 // sequences among which it lies
	Judged      uint64 // of these, what lies above may also be on its way
	Count       uint64
	Others      uint64 // sequences of the same hour that are not found either, and explained
}

// Judgement is the result of Judge.
type Judgement struct {
	Hours    []Hour // by source and hour
	Gaps     []Gap
	Unstated []Found // epochs that make no statements
}

const reasonCrash = "crash"

// Judge compares. heads has one entry for each epoch of told; found counts only sequences that heads know.
func Judge(heads []Head, told []Told, found []Found) Judgement {
	var out Judgement
	spooled := spools(heads)
	hours := map[Source]map[time.Time]*Hour{}
	tolds, founds := byEpoch(told, func(t Told) Epoch { return t.Epoch }), byEpoch(found, func(f Found) Epoch { return f.Epoch })
	for _, h := range heads {
		parts := weigh(h, tolds[h.Epoch], founds[h.Epoch], spooled[h.Source])
		for i := range parts {
			parts[i].merge(hours, h)
			if gap, ok := parts[i].gap(h); ok {
				out.Gaps = append(out.Gaps, gap)
			}
		}
		delete(founds, h.Epoch)
	}
	for _, rest := range founds {
		out.Unstated = append(out.Unstated, rest...)
	}
	for _, source := range hours {
		for _, h := range source {
			out.Hours = append(out.Hours, *h)
		}
	}
	slices.SortFunc(out.Hours, func(a, b Hour) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Instance, b.Instance), a.Hour.Compare(b.Hour))
	})
	slices.SortFunc(out.Gaps, func(a, b Gap) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Boot, b.Boot), a.Hour.Compare(b.Hour))
	})
	slices.SortFunc(out.Unstated, func(a, b Found) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Instance, b.Instance), cmp.Compare(a.Boot, b.Boot), a.Hour.Compare(b.Hour))
	})
	return out
}

func byEpoch[T any](all []T, epoch func(T) Epoch) map[Epoch][]T {
	out := map[Epoch][]T{}
	for _, v := range all {
		out[epoch(v)] = append(out[epoch(v)], v)
	}
	return out
}

// spools is what each source's newest epoch says of its spool, which may hold records of earlier ones.
func spools(heads []Head) map[Source]uint64 {
	newest, out := map[Source]uint64{}, map[Source]uint64{}
	for _, h := range heads {
		if h.Boot >= newest[h.Source] {
			newest[h.Source], out[h.Source] = h.Boot, h.Spooled
		}
	}
	return out
}

// part is one epoch's hour under judgement.
type part struct {
	Told
	found                     Found
	pending, missing, surplus uint64
	crash                     uint64 // delivered to nobody when the process was killed
}

// weigh judges the hours of one epoch.
func weigh(h Head, told []Told, found []Found, spooled uint64) []part {
	parts := make([]part, 0, len(told)+1)
	at := map[time.Time]int{}
	for _, t := range told {
		at[t.Hour] = len(parts)
		parts = append(parts, part{Told: t})
	}
	var beyond uint64
	for _, f := range found {
		hour := f.Hour
		if _, ok := at[hour]; !ok {
			hour = time.Time{}
		}
		i, ok := at[hour]
		if !ok {
			i, at[hour] = len(parts), len(parts)
			parts = append(parts, part{Told: Told{Epoch: h.Epoch}})
		}
		parts[i].found.add(f)
		beyond += f.BeyondThrough
	}
	level(parts)
	slices.SortFunc(parts, func(a, b part) int { return b.Hour.Compare(a.Hour) }) // the newest wait first
	left := waiting(h, beyond)
	for i := range parts {
		p := &parts[i]
		p.pending = min(p.missing, left)
		left -= p.pending
		p.missing -= p.pending
		if h.State == stateCrashed && spooled == 0 {
			p.crash, p.pending = p.pending, 0
		} else if h.State == stateClosed && spooled == 0 {
			p.missing, p.pending = p.missing+p.pending, 0
		}
	}
	return parts
}

// waiting is how many of the sequences that are not found may still be on their way.
func waiting(h Head, beyond uint64) uint64 {
	if !h.Tracked {
		return h.Spooled
	}
	if h.Through >= h.LastSequence {
		return 0
	}
	open := h.LastSequence - h.Through
	return min(open-min(beyond, open), h.Pending)
}

func (f *Found) add(more Found) {
	f.Stored += more.Stored
	f.Dead += more.Dead
	f.Repeated += more.Repeated
}

// level finds what is missing and what is too many in each hour. A late envelope is counted by its source under no hour
// and found under its own: the zero hour takes what other hours have too many.
func level(parts []part) {
	zero := -1
	for i := range parts {
		p := &parts[i]
		want, have := p.Numbered-min(total(p.Lost), p.Numbered), p.found.Stored+p.found.Dead
		p.missing, p.surplus = want-min(have, want), have-min(have, want)
		if p.Hour.IsZero() {
			zero = i
		}
	}
	if zero < 0 {
		return
	}
	for i := range parts {
		moved := min(parts[i].surplus, parts[zero].missing)
		if i != zero && moved > 0 {
			parts[i].surplus -= moved
			parts[zero].missing -= moved
			parts[i].found.Stored -= min(moved, parts[i].found.Stored)
			parts[zero].found.Stored += moved
		}
	}
}

func total(counts map[string]uint64) (n uint64) {
	for _, c := range counts {
		n += c
	}
	return n
}

// merge adds an epoch's hour to its source's.
func (p *part) merge(hours map[Source]map[time.Time]*Hour, head Head) {
	if hours[p.Source] == nil {
		hours[p.Source] = map[time.Time]*Hour{}
	}
	h := hours[p.Source][p.Hour]
	if h == nil {
		h = &Hour{Source: p.Source, Hour: p.Hour, Dropped: map[string]uint64{}, Verified: true}
		hours[p.Source][p.Hour] = h
	}
	if p.Numbered > 0 {
		h.Epochs++
	}
	h.Sent += p.Numbered
	h.Stored += p.found.Stored
	h.DeadLettered += p.found.Dead
	h.Repeated += p.found.Repeated
	h.Pending += p.pending
	h.Missing += p.missing
	h.Surplus += p.surplus
	h.Verified = h.Verified && head.Trusted
	for _, counts := range []map[string]uint64{p.Dropped, p.Lost, {reasonCrash: p.crash}} {
		for reason, n := range counts {
			if n > 0 {
				h.Dropped[reason] += n
			}
		}
	}
}

// gap is what of the part nobody explains.
func (p *part) gap(h Head) (Gap, bool) {
	if p.missing == 0 {
		return Gap{}, false
	}
	judged := p.Last
	if h.Tracked && h.State != stateClosed {
		judged = min(p.Last, h.Through)
	}
	return Gap{
		Epoch: p.Epoch, Hour: p.Hour, First: p.First, Judged: judged, Last: p.Last, Count: p.missing, Others: total(p.Lost) + p.pending + p.crash,
	}, true
}

// equal tells whether two judgements of one hour are the same.
func (h Hour) equal(o Hour) bool {
	return maps.Equal(h.Dropped, o.Dropped) && h.Source == o.Source && h.Hour.Equal(o.Hour) && h.Epochs == o.Epochs && h.Sent == o.Sent && h.Stored == o.Stored &&
		h.DeadLettered == o.DeadLettered && h.Repeated == o.Repeated && h.Pending == o.Pending && h.Missing == o.Missing &&
		h.Surplus == o.Surplus && h.Verified == o.Verified
}
