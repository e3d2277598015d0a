// Package repeats recognises records that a source delivers more than once: a tap resends what it cannot know to have
// arrived, and a broker may take a batch twice. A source numbers its envelopes within one boot epoch, so a number that
// the partition has brought before is a repeat.
//
// The log decides, not a cache: an Index holds which numbers are known in pages of bits, and a page that it does not
// hold is loaded from the store of what was delivered before the open batch. Add cannot wait for that. It notes the
// page, and Load, which may fail and be repeated, fetches all noted pages together and says whether one of the open
// batch's records turned out to be a repeat; the batch is then taken back with Rollback and added anew. The verdict
// on a record thus depends on nothing but the records before it.
//
// An Index serves one partition and is used by one goroutine. It holds at most Limits.Pages pages of 1 KiB and
// Limits.Sources sources, and what the open batch touches.
package repeats

import (
	"cmp"
	"math/bits"
	"slices"
	"strings"
)

// Verdict says what an Index knows of a number.
type Verdict uint8

// The verdicts.
const (
	VerdictNew     Verdict = iota // not there before
	VerdictRepeat                 // there before
	VerdictUnknown                // not in the open batch; whether it was there before is known after Load
)

// Numbers of one page.
const (
	pageShift = 13
	pageSize  = 1 << pageShift
	words     = pageSize / 64
)

// Limits bound an Index between batches.
type Limits struct {
	Pages   int // of 8192 numbers, 1 KiB each
	Sources int
}

// DefaultLimits returns 2 MiB of pages and 2048 sources.
func DefaultLimits() Limits { return Limits{Pages: 2048, Sources: 2048} }

// Source is one life of a tap or receiver.
type Source struct {
	Instance string
	Epoch    uint64
}

// source is what is held of a Source.
type source struct {
	key     Source
	pages   map[uint64]*page
	last    *page  // the page used last
	highest uint64 // of the numbers that were delivered; valid when known
	known   bool   // highest is known
	used    uint64 // turn of the last use
}

// page holds which of its numbers are there.
type page struct {
	number   uint64
	loaded   bool
	used     uint64         // turn of the last use
	there    [words]uint64  // delivered before, or added by the open batch
	rejected *[words]uint64 // of these, the ones that only left a dead letter; nil when there is none
	of       *source
}

// addition is one number of the open batch.
type addition struct {
	page *page
	bit  uint16
	was  bool // it had been rejected before and counts as delivered now
	keep bool // it was there before, as Load found
}

// Index knows the numbers of one partition's sources.
type Index struct {
	limits  Limits
	sources map[Source]*source
	recent  *source
	open    []addition
	missing []*page   // touched by the open batch and not loaded
	unknown []*source // seen for the first time by the open batch
	turn    uint64    // counts batches
	pages   int
}

// New returns an empty Index.
func New(limits Limits) *Index {
	return &Index{limits: limits, sources: make(map[Source]*source)}
}

// Add takes the number of the next record. 0 means that the source does not number; it is never a repeat. The
// instance's memory may be reused afterwards.
func (x *Index) Add(instance string, epoch, sequence uint64) Verdict {
	if sequence == 0 {
		return VerdictNew
	}
	p := x.page(instance, epoch, sequence>>pageShift)
	word, mask := sequence%pageSize/64, uint64(1)<<(sequence%64)
	if p.there[word]&mask != 0 {
		return VerdictRepeat
	}
	p.there[word] |= mask
	x.open = append(x.open, addition{page: p, bit: uint16(sequence % pageSize)}) //nolint:gosec // below pageSize
	if !p.loaded {
		return VerdictUnknown
	}
	return VerdictNew
}

// Readmit takes a number that Add called a repeat and that only left a dead letter before: the record has been sent
// again on purpose. False: a row of it is stored, it is a repeat.
func (x *Index) Readmit(instance string, epoch, sequence uint64) bool {
	p := x.page(instance, epoch, sequence>>pageShift)
	word, mask := sequence%pageSize/64, uint64(1)<<(sequence%64)
	if p.rejected == nil || p.rejected[word]&mask == 0 {
		return false
	}
	p.rejected[word] &^= mask
	x.open = append(x.open, addition{page: p, bit: uint16(sequence % pageSize), was: true, keep: true}) //nolint:gosec // below pageSize
	return true
}

// Reject notes that a record of the open batch only leaves a dead letter.
func (x *Index) Reject(instance string, epoch, sequence uint64) {
	if sequence == 0 {
		return
	}
	x.page(instance, epoch, sequence>>pageShift).reject(sequence % pageSize)
}

func (p *page) reject(bit uint64) {
	if p.rejected == nil {
		p.rejected = new([words]uint64)
	}
	p.rejected[bit/64] |= 1 << (bit % 64)
}

// page finds or makes the page of a number.
func (x *Index) page(instance string, epoch, number uint64) *page {
	s := x.recent
	if s == nil || s.key.Epoch != epoch || s.key.Instance != instance {
		s = x.source(instance, epoch)
	}
	if p := s.last; p != nil && p.number == number {
		return p
	}
	p, ok := s.pages[number]
	if !ok {
		// Above everything that was delivered a page is empty; nobody has to be asked.
		p = &page{number: number, of: s, loaded: s.known && number > s.highest>>pageShift}
		s.pages[number] = p
		x.pages++
		if !p.loaded {
			x.missing = append(x.missing, p)
		}
	}
	p.used, s.last = x.turn, p
	return p
}

func (x *Index) source(instance string, epoch uint64) *source {
	s, ok := x.sources[Source{instance, epoch}]
	if !ok {
		s = &source{key: Source{strings.Clone(instance), epoch}, pages: make(map[uint64]*page)}
		x.sources[s.key] = s
		x.unknown = append(x.unknown, s)
	}
	s.used, x.recent = x.turn, s
	return s
}

// Pending reports whether Load has something to fetch.
func (x *Index) Pending() bool { return len(x.missing) > 0 }

// Rollback takes back what the open batch added; its records are then added anew. What Load fetched stays.
func (x *Index) Rollback() {
	for _, a := range slices.Backward(x.open) {
		word, mask := a.bit/64, uint64(1)<<(a.bit%64)
		if a.was {
			a.page.reject(uint64(a.bit))
			continue
		}
		if a.keep {
			continue
		}
		a.page.there[word] &^= mask
		if a.page.rejected != nil {
			a.page.rejected[word] &^= mask
		}
	}
	x.open = x.open[:0]
}

// Commit ends the open batch: what it added has been delivered. It frees what exceeds the limits, least recently
// used first.
func (x *Index) Commit() {
	for _, a := range x.open {
		if n := a.page.number<<pageShift + uint64(a.bit); n > a.page.of.highest {
			a.page.of.highest = n
		}
	}
	for _, p := range x.missing {
		x.free(p) // nobody asked what else it holds
	}
	x.open, x.missing, x.unknown = x.open[:0], x.missing[:0], x.unknown[:0]
	x.turn++
	if x.pages > x.limits.Pages {
		x.freePages()
	}
	if len(x.sources) > x.limits.Sources {
		x.freeSources()
	}
}

// freePages leaves nine tenths of the pages that may be held.
func (x *Index) freePages() {
	all := make([]*page, 0, x.pages)
	for _, s := range x.sources {
		for _, p := range s.pages {
			all = append(all, p)
		}
	}
	slices.SortFunc(all, func(a, b *page) int { return cmp.Compare(a.used, b.used) })
	for _, p := range all[:len(all)-x.limits.Pages*9/10] {
		x.free(p)
	}
}

func (x *Index) free(p *page) {
	delete(p.of.pages, p.number)
	if p.of.last == p {
		p.of.last = nil
	}
	x.pages--
}

func (x *Index) freeSources() {
	all := make([]*source, 0, len(x.sources))
	for _, s := range x.sources {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *source) int { return cmp.Compare(a.used, b.used) })
	for _, s := range all[:len(all)-x.limits.Sources*9/10] {
		x.pages -= len(s.pages)
		delete(x.sources, s.key)
	}
	x.recent = nil
}

// Held returns how many numbers an Index holds as delivered or added, for tests and figures.
func (x *Index) Held() (n int) {
	for _, s := range x.sources {
		for _, p := range s.pages {
			for _, w := range p.there {
				n += bits.OnesCount64(w)
			}
		}
	}
	return n
}
