package role

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

func TestNote_SurvivesItsFormat(t *testing.T) {
	span := batch.Span{Topic: "t", First: 1000, Last: 1127}
	long := note{done: map[string]int64{"calls": 1 << 60, "tool_calls": 1 << 60, "payloads": 1 << 60, "dead_letters": 1 << 60}, singly: true, fixed: true}
	for i := int64(0); i < maxGroup; i += 2 {
		long.refuse = append(long.refuse, refused{offset: span.First + i, code: 469, table: "tool_calls", partly: true})
	}
	run := note{done: map[string]int64{}, singly: true, fixed: true}
	for i := range int64(maxGroup) {
		run.refuse = append(run.refuse, refused{offset: span.First + i, code: 469, table: "calls"})
	}
	for _, n := range []note{{done: map[string]int64{}}, {done: map[string]int64{"calls": 5}}, {done: map[string]int64{}, singly: true}, {done: map[string]int64{}, singly: true, fixed: true}, long, run,
		{done: map[string]int64{"calls": 2000}, omitted: []int64{1000, 1017, 5000}},
		{done: map[string]int64{}, omitted: []int64{1003, 1127}, singly: true, apart: true},
		{done: map[string]int64{}, omitted: []int64{1003}, singly: true, apart: true, fixed: true, refuse: []refused{{offset: 1003, code: 469, table: "calls"}}},
		{done: map[string]int64{}, omitted: []int64{1003, 2000}, along: true, refuse: []refused{{offset: 1003, code: 469, table: "calls"}}},
	} {
		text := n.format(span)
		if len(text) > 3000 {
			t.Errorf("%d bytes", len(text))
		}
		got, err := parseNote(text, span)
		if diff := cmp.Diff(n, got, cmp.AllowUnexported(note{}, refused{})); err != nil || diff != "" {
			t.Errorf("%q: %v\n%s", text, err, diff)
		}
	}
	if text := run.format(span); text != "s;r=0x128.469.calls." {
		t.Errorf("a run is not one: %q", text)
	}
	for _, wrong := range []string{"x", "d=", "d=calls", "s;r=1", "s;r=0x0.1.calls.", "s;r=0x999.1.calls.", "s;r=127x2.1.calls.", "o=", "o=-1", "o=3,3", "o=4,x", "o=1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17",
		"x=3x1.1.calls.", "o=3;x=4x1.1.calls.", "o=3,4;x=3x2.1.calls.", "o=3;a;x=3x1.1.calls.", "o=3;x=3x1.1.calls.;r=3x1.1.calls."} {
		if _, err := parseNote(wrong, span); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
}

func FuzzParseNote(f *testing.F) {
	f.Add("d=calls:99;s;r=3x1.469.calls.,9x2.0.payloads.p")
	f.Add("o=3,17;a;r=3x1.469.calls.")
	f.Add("o=3;x=3x1.469.calls.")
	f.Fuzz(func(t *testing.T, text string) {
		span := batch.Span{First: 10, Last: 500}
		n, err := parseNote(text, span)
		if err != nil || len(n.refuse) > 1000 {
			return
		}
		again, err := parseNote(n.format(span), span)
		if err != nil || !cmp.Equal(n, again, cmp.AllowUnexported(note{}, refused{})) {
			t.Errorf("%q: %+v, then %+v, %v", text, n, again, err)
		}
	})
}

// TestPace_ReachesEveryRecord plays the division of batches with bad records against a server that complains of the
// first, of none, or of any.
func TestPace_ReachesEveryRecord(t *testing.T) {
	offsets := make([]int64, 2000)
	for i := range offsets {
		offsets[i] = int64(i * 2) // with holes
	}
	for name, c := range map[string]struct {
		bad func(int64) bool
		max int // parts
	}{
		"one":    {func(o int64) bool { return o == 1234 }, 40},
		"ten":    {func(o int64) bool { return o%400 == 14 }, 400},
		"all":    {func(int64) bool { return true }, 80},
		"halves": {func(o int64) bool { return o%4 == 0 }, 200},
	} {
		for _, complaint := range []string{"first", "none", "wrong"} {
			var p pace
			single, parts := 0, 0
			span := batch.Span{First: 0, Last: 4000}
			note := false
			for span.First <= 4000 {
				if parts++; parts > 20000 {
					t.Fatalf("%s, %s: no end", name, complaint)
				}
				records := between(offsets, span.First, span.Last)
				i := slices.IndexFunc(records, c.bad)
				if !note && i >= 0 {
					at := int64(-1)
					switch complaint {
					case "first":
						at = records[i]
					case "wrong":
						at = records[len(records)/2]
					}
					last, singly := p.cut(offsets, span, at)
					if last > span.Last || last < span.First || last == span.Last && !singly {
						t.Fatalf("%s, %s: %+v is cut at %d", name, complaint, span, last)
					}
					span.Last, note = last, singly
					continue
				}
				if note {
					if len(records) > maxGroup {
						t.Fatalf("%d records one by one", len(records))
					}
					single += len(records)
				} else {
					p.stored()
				}
				span.First = span.Last + 1
				if span.First <= 4000 {
					span.Last, note = p.next(offsets, span.First, 4000)
				}
			}
			t.Logf("%s, complaint %s: %d parts, %d records one by one", name, complaint, parts, single)
			if complaint == "first" && parts > c.max {
				t.Errorf("%s: %d parts", name, parts)
			}
			if strings.HasPrefix(name, "one") && single > 2*blindGroup {
				t.Errorf("%s, %s: %d records one by one for one that is bad", name, complaint, single)
			}
		}
	}
}
