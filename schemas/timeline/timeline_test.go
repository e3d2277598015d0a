package timeline_test

import (
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/timeline"
)

func day(d int) time.Time { return time.Date(2026, 1, d, 0, 0, 0, 0, time.UTC) }

func TestEmptyTimelineHasNoValue(t *testing.T) {
	var tl timeline.Timeline[string]
	if v, ok := tl.At(day(1)); ok || v != "" {
		t.Fatalf("At = %q, %v", v, ok)
	}
	if _, _, _, ok := tl.Latest(); ok {
		t.Fatal("Latest of an empty timeline")
	}
}

func TestAtReturnsTheVersionInForce(t *testing.T) {
	var tl timeline.Timeline[string]
	tl.Add(day(10), "v2", "b") // out of order on purpose
	tl.Add(day(5), "v1", "a")
	tl.Add(day(20), "v3", "c")
	for _, c := range []struct {
		at   time.Time
		want string
	}{
		{day(1), "a"}, // before the first version
		{day(5), "a"}, {day(9), "a"}, {day(10), "b"},
		{day(20).Add(-time.Nanosecond), "b"}, {day(20), "c"}, {day(30), "c"},
	} {
		if v, ok := tl.At(c.at); !ok || v != c.want {
			t.Errorf("At(%s) = %q, %v; want %q", c.at, v, ok, c.want)
		}
	}
	if v, version, at, ok := tl.Latest(); v != "c" || version != "v3" || !at.Equal(day(20)) || !ok {
		t.Errorf("Latest = %q %q %s %v", v, version, at, ok)
	}
}

func TestConsecutiveEqualVersionIsIgnored(t *testing.T) {
	var tl timeline.Timeline[int]
	tl.Add(day(1), "v1", 1)
	tl.Add(day(2), "v1", 2)
	tl.Add(day(3), "v2", 3)
	tl.Add(day(4), "v1", 4) // a return to an older version is a change
	if tl.Len() != 3 {
		t.Fatalf("Len = %d, want 3", tl.Len())
	}
	if v, _ := tl.At(day(2)); v != 1 {
		t.Errorf("At(day 2) = %d, want 1", v)
	}
	if v, _ := tl.At(day(4)); v != 4 {
		t.Errorf("At(day 4) = %d, want 4", v)
	}
}

func TestLaterAddWinsAtTheSameTime(t *testing.T) {
	var tl timeline.Timeline[int]
	tl.Add(day(1), "v1", 1)
	tl.Add(day(1), "v2", 2)
	if v, _ := tl.At(day(1)); v != 2 {
		t.Errorf("At = %d, want 2", v)
	}
}

func TestReadersSeeASortedHistoryWhileVersionsAreAdded(t *testing.T) {
	var tl timeline.Timeline[int]
	tl.Add(day(1), "0", 0)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			seen := 0
			for range 5000 {
				v, ok := tl.At(day(1).Add(1000 * time.Hour))
				if !ok || v < seen {
					t.Errorf("At went back from %d to %d", seen, v)
					return
				}
				seen = v
			}
		})
	}
	wg.Go(func() {
		for i := 1; i <= 500; i++ {
			tl.Add(day(1).Add(time.Duration(i)*time.Hour), strconv.Itoa(i), i)
		}
	})
	wg.Wait()
	if v, _ := tl.At(day(1).Add(250 * time.Hour)); v != 250 {
		t.Errorf("At(250h) = %d", v)
	}
}

func BenchmarkAt(b *testing.B) {
	var tl timeline.Timeline[*int]
	for i := range 64 {
		tl.Add(day(1).Add(time.Duration(i)*time.Hour), strconv.Itoa(i), &i)
	}
	for name, at := range map[string]time.Time{"latest": day(30), "history": day(2)} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tl.At(at)
			}
		})
	}
}
