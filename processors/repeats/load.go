package repeats

import (
	"cmp"
	"context"
	"fmt"
	"slices"
)

// Range is a stretch of one source's numbers, both ends included.
type Range struct {
	Source
	First, Last uint64
}

// Number is one number that was delivered.
type Number struct {
	Source
	Sequence uint64
	Rejected bool // it only left a dead letter
}

// History is what was delivered before the open batch. Its answers MUST hold everything below the batch's first
// offset; a store whose replica lags answers with an error.
type History interface {
	// Highest calls each with the highest number of every source that has any.
	Highest(ctx context.Context, sources []Source, each func(Number)) error
	// Within calls each with every number of the ranges that is there.
	Within(ctx context.Context, ranges []Range, each func(Number)) error
}

// rangesAtOnce bounds one question.
const rangesAtOnce = 128

// Load fetches what the open batch needs to know: one question for all sources seen for the first time, and one for
// every 128 stretches of pages. It reports whether one of the open batch's records is a repeat that Add called
// VerdictUnknown. After an error it may be repeated.
func (x *Index) Load(ctx context.Context, h History) (repeats bool, err error) {
	if err := x.loadSources(ctx, h); err != nil {
		return false, err
	}
	ranges := x.ranges()
	found := make(map[*page]*page, len(x.missing)) // filled aside: half an answer must not count
	for _, p := range x.missing {
		found[p] = &page{}
	}
	for chunk := range slices.Chunk(ranges, rangesAtOnce) {
		err := h.Within(ctx, chunk, func(n Number) {
			s := x.sources[n.Source]
			if s == nil {
				return
			}
			if into := found[s.pages[n.Sequence>>pageShift]]; into != nil {
				into.there[n.Sequence%pageSize/64] |= 1 << (n.Sequence % 64)
				if n.Rejected {
					into.reject(n.Sequence % pageSize)
				}
			}
		})
		if err != nil {
			return false, fmt.Errorf("load known numbers: %w", err)
		}
	}
	repeats = x.merge(found)
	x.missing, x.unknown = x.missing[:0], x.unknown[:0]
	return repeats, nil
}

func (x *Index) loadSources(ctx context.Context, h History) error {
	if len(x.unknown) == 0 {
		return nil
	}
	asked := make([]Source, len(x.unknown))
	for i, s := range x.unknown {
		asked[i] = s.key
	}
	highest := make(map[Source]uint64, len(asked))
	for chunk := range slices.Chunk(asked, rangesAtOnce) {
		if err := h.Highest(ctx, chunk, func(n Number) { highest[n.Source] = n.Sequence }); err != nil {
			return fmt.Errorf("load known sources: %w", err)
		}
	}
	for _, s := range x.unknown {
		s.highest, s.known = highest[s.key], true
	}
	return nil
}

// ranges joins neighbouring missing pages that can have numbers at all.
func (x *Index) ranges() (out []Range) {
	pages := slices.DeleteFunc(slices.Clone(x.missing), func(p *page) bool {
		return p.of.highest == 0 || p.number > p.of.highest>>pageShift
	})
	slices.SortFunc(pages, func(a, b *page) int {
		return cmp.Or(cmp.Compare(a.of.key.Instance, b.of.key.Instance), cmp.Compare(a.of.key.Epoch, b.of.key.Epoch), cmp.Compare(a.number, b.number))
	})
	for _, p := range pages {
		first := p.number << pageShift
		if n := len(out); n > 0 && out[n-1].Source == p.of.key && out[n-1].Last+1 == first {
			out[n-1].Last += pageSize
			continue
		}
		out = append(out, Range{Source: p.of.key, First: first, Last: first + pageSize - 1})
	}
	return out
}

// merge puts what was found into the pages and marks the open additions that were there before.
func (x *Index) merge(found map[*page]*page) (repeats bool) {
	for i := range x.open {
		a := &x.open[i]
		word, mask := a.bit/64, uint64(1)<<(a.bit%64)
		if into := found[a.page]; into != nil && into.there[word]&mask != 0 {
			a.keep, a.was, repeats = true, false, true
			if a.page.rejected != nil {
				a.page.rejected[word] &^= mask // what became of the first record counts
			}
		}
	}
	for p, into := range found {
		for i, w := range into.there {
			p.there[i] |= w
		}
		if into.rejected != nil {
			if p.rejected == nil {
				p.rejected = new([words]uint64)
			}
			for i, w := range into.rejected {
				p.rejected[i] |= w
			}
		}
		p.loaded = true
	}
	return repeats
}
