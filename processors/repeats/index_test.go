package repeats

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
)

// store is a History of everything delivered below an offset.
type store struct {
	log    []entry // by offset
	below  int
	fail   error
	asked  int // questions
	ranges int
}

type entry struct {
	Number
	repeated bool
	again    bool // sent again on purpose
}

func (s *store) each(match func(Number) bool, each func(Number)) {
	for _, e := range s.log[:s.below] {
		if !e.repeated && e.Sequence != 0 && match(e.Number) {
			each(e.Number)
		}
	}
}

func (s *store) Highest(_ context.Context, sources []Source, each func(Number)) error {
	s.asked++
	highest := map[Source]uint64{}
	for _, src := range sources {
		s.each(func(n Number) bool { return n.Source == src }, func(n Number) { highest[src] = max(highest[src], n.Sequence) })
	}
	for src, n := range highest {
		each(Number{Source: src, Sequence: n})
	}
	return s.fail
}

func (s *store) Within(_ context.Context, ranges []Range, each func(Number)) error {
	s.asked++
	s.ranges += len(ranges)
	stored := map[Number]bool{}
	for _, r := range ranges {
		match := func(n Number) bool { return n.Source == r.Source && n.Sequence >= r.First && n.Sequence <= r.Last }
		s.each(match, func(n Number) {
			stored[Number{n.Source, n.Sequence, false}] = stored[Number{n.Source, n.Sequence, false}] || !n.Rejected
		})
	}
	for n, ok := range stored {
		each(Number{n.Source, n.Sequence, !ok})
	}
	return s.fail
}

// deliver adds a batch as the role store does and returns the verdicts.
func deliver(t *testing.T, x *Index, s *store, entries []entry) []bool {
	t.Helper()
	repeated := make([]bool, len(entries))
	add := func() {
		for i, e := range entries {
			v := x.Add(e.Instance, e.Epoch, e.Sequence)
			repeated[i] = v == VerdictRepeat && (!e.again || !x.Readmit(e.Instance, e.Epoch, e.Sequence))
			if !repeated[i] && e.Rejected {
				x.Reject(e.Instance, e.Epoch, e.Sequence)
			}
		}
	}
	add()
	if x.Pending() {
		found, err := x.Load(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		if found {
			x.Rollback()
			add()
			if x.Pending() {
				t.Fatal("pages are missing after a load")
			}
		}
	}
	return repeated
}

// TestIndex_AgreesWithTheLogBeforeTheRecord compares with a set of everything seen, over restarts, undelivered batches,
// tiny limits and other cuts of the same log.
func TestIndex_AgreesWithTheLogBeforeTheRecord(t *testing.T) {
	for seed := range uint64(60) {
		rng := rand.New(rand.NewPCG(seed, 1))
		s := &store{log: script(rng, 3000)}
		limits := Limits{Pages: 1 + rng.IntN(20), Sources: 1 + rng.IntN(4)}
		x := New(limits)
		for s.below < len(s.log) {
			end := min(s.below+1+rng.IntN(200), len(s.log))
			got := deliver(t, x, s, s.log[s.below:end])
			for i, e := range s.log[s.below:end] {
				if got[i] != e.repeated {
					t.Fatalf("seed %d offset %d %+v: repeated %v", seed, s.below+i, e, got[i])
				}
			}
			switch rng.IntN(10) {
			case 0: // the process dies before the batch is committed
				x = New(limits)
				continue
			case 1:
				x = New(limits) // and after
			case 2:
				x.Rollback() // the batch is built again
				continue
			default:
				x.Commit()
			}
			s.below = end
			if x.pages > limits.Pages || len(x.sources) > limits.Sources {
				t.Fatalf("%d pages, %d sources are held", x.pages, len(x.sources))
			}
		}
	}
}

// script is a log with its true verdicts.
func script(rng *rand.Rand, n int) []entry {
	type state struct{ stored, rejected bool }
	seen := map[Number]state{}
	var log []entry
	for range n {
		var e entry
		if len(log) > 0 && rng.IntN(4) == 0 {
			e.Number = log[max(0, len(log)-1-rng.IntN(500))].Number
			e.again = rng.IntN(3) == 0
		} else {
			e.Source = Source{fmt.Sprint("tap-", rng.IntN(4)), uint64(rng.IntN(2))}
			e.Sequence = uint64(rng.IntN(10*pageSize)) * uint64(rng.IntN(20)) / 19
		}
		e.Rejected = rng.IntN(5) == 0
		key := Number{Source: e.Source, Sequence: e.Sequence}
		if e.Sequence != 0 {
			before := seen[key]
			e.repeated = before.stored || before.rejected && !e.again
			if !e.repeated {
				seen[key] = state{stored: !e.Rejected, rejected: e.Rejected}
			}
		}
		log = append(log, e)
	}
	return log
}

func TestIndex_NumbersInOrderAskTheStoreOnce(t *testing.T) {
	s, x := &store{}, New(DefaultLimits())
	for batch := range 50 {
		for i := range 1000 {
			x.Add("tap", 1, uint64(batch*1000+i+1))
			x.Add("other", uint64(batch/10), uint64(batch*1000+i+1))
		}
		if x.Pending() {
			if _, err := x.Load(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		x.Commit()
	}
	if s.asked != 5 || s.ranges != 0 { // the first batch, and each of the other's four restarts
		t.Errorf("%d questions, %d ranges", s.asked, s.ranges)
	}
}

func TestIndex_StoreFails_NothingCountsAndTheLoadIsRepeated(t *testing.T) {
	tap := Source{"tap", 1}
	s := &store{log: []entry{{Number: Number{Source: tap, Sequence: 5}}}, below: 1, fail: errors.New("gone")}
	x := New(DefaultLimits())
	if v := x.Add("tap", 1, 5); v != VerdictUnknown {
		t.Fatalf("verdict %v", v)
	}
	for range 3 {
		if _, err := x.Load(t.Context(), s); err == nil || !x.Pending() {
			t.Fatalf("%v, pending %v", err, x.Pending())
		}
	}
	s.fail = nil
	if found, err := x.Load(t.Context(), s); err != nil || !found {
		t.Fatalf("found %v, %v", found, err)
	}
	x.Rollback()
	if v := x.Add("tap", 1, 5); v != VerdictRepeat {
		t.Errorf("verdict %v", v)
	}
	if v := x.Add("tap", 1, 0); v != VerdictNew {
		t.Errorf("a record without a number: %v", v)
	}
}

func BenchmarkAdd(b *testing.B) {
	for _, taps := range []int{1, 8, 200} {
		b.Run(fmt.Sprint(taps, " sources"), func(b *testing.B) {
			x, s := New(DefaultLimits()), &store{}
			names := make([]string, taps)
			for i := range names {
				names[i] = fmt.Sprint("gateway-", i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				// One of eight partitions sees every eighth number of a source.
				if x.Add(names[i%taps], 1_790_000_000_000_000_000, uint64(i/taps*8+1)) == VerdictRepeat {
					b.Fatal("no number comes twice")
				}
				if i%10_000 == 9_999 {
					if x.Pending() {
						if _, err := x.Load(b.Context(), s); err != nil {
							b.Fatal(err)
						}
					}
					x.Commit()
				}
			}
		})
	}
}
