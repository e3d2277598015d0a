package workload

import "testing"

func TestMarkedCalls_AreAsManyAsAsked_BesideThePoison(t *testing.T) {
	for _, c := range []struct{ calls, poison, marked int }{{500_000, 1000, 100}, {100_000, 200, 20}, {20_000, 50, 10}} {
		w := New(Config{Seed: 1, Calls: c.calls, ExactPoisons: c.poison, ExactMarked: c.marked})
		poisoned := 0
		for i := range c.calls {
			if w.Poisoned(i) {
				poisoned++
			}
		}
		if n := w.MarkedCalls(); n != c.marked || poisoned != c.poison {
			t.Errorf("of %d calls %d are marked and %d poisoned; want %d and %d", c.calls, n, poisoned, c.marked, c.poison)
		}
	}
}

func TestPoisoned_SaysWhatCallSays(t *testing.T) {
	w := New(Config{Seed: 3, Calls: 5000, PoisonShare: 0.1})
	for i := range 5000 {
		if c := w.Call(i); w.Poisoned(i) != (c.Poison != NoPoison) || w.IndexOf(c.ID) != i {
			t.Fatalf("call %d: %+v", i, c)
		}
	}
}
