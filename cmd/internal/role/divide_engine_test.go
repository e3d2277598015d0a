package role_test

import (
	"fmt"
	"os"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// among says which of n envelopes are bad: the answers of these calls.
func among(calls ...int) func(int) bool {
	return func(i int) bool { return i%2 == 1 && slices.Contains(calls, i/2) }
}

// badOffsets are those that reach the server: of each hundred records the chain breaks on the last.
func badOffsets(n int, bad func(int) bool) (out []int64) {
	for i := range n {
		if bad(i) && i%100 != 99 {
			out = append(out, int64(i))
		}
	}
	return out
}

func testRefused(t *testing.T, s *suite) {
	for name, c := range map[string]struct {
		n      int
		bad    func(int) bool
		tables []string
		partly string
	}{
		"far from each other":          {700, among(60, 200, 201, 349), []string{"calls"}, ""},
		"more than are left out":       {1400, func(i int) bool { return i%74 == 1 }, []string{"calls"}, ""},
		"one":                          {700, among(171), []string{"calls"}, ""},
		"one, and its envelope":        {300, among(77), []string{"calls", "envelopes"}, ""},
		"three":                        {700, among(0, 170, 349), []string{"calls"}, ""},
		"neighbours":                   {400, among(10, 11, 12, 13, 14, 15, 40, 41), []string{"calls"}, ""},
		"all":                          {300, func(i int) bool { return true }, []string{"calls", "payloads", "tool_calls"}, ""},
		"every second call":            {200, func(i int) bool { return i%4 == 1 }, []string{"calls"}, ""},
		"one, by a later table":        {300, among(77), []string{"payloads"}, "payloads"},
		"some, by the last table":      {300, among(3, 77, 78), []string{"envelopes"}, "envelopes"},
		"a request, whose first table": {300, func(i int) bool { return i == 100 }, []string{"payloads", "envelopes"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			sc := newScene(t, s)
			sc.produce(c.n, c.bad)
			for _, table := range c.tables {
				sc.refuse(table)
			}
			sc.run(nil)
			sc.check(sc.control(), badOffsets(c.n, c.bad), c.partly)
			if got := sc.lettersInTopic("sink"); !slices.Equal(got, badOffsets(c.n, c.bad)) {
				t.Errorf("dead letter topic has %v", got)
			}
			t.Log(sc.inserts(), "inserts")
		})
	}
}

// testRefusedByTwo has calls refuse one record and payloads another of the same span, which is divided without the first.
func testRefusedByTwo(t *testing.T, s *suite) {
	sc := newScene(t, s)
	sc.produce(500, among())
	sc.exec("ALTER TABLE {db}.calls ADD CONSTRAINT no_poison CHECK offset NOT IN (101, 401)")
	sc.exec("ALTER TABLE {db}.payloads ADD CONSTRAINT no_poison CHECK offset NOT IN (201, 203, 350)")
	sc.run(nil)
	control := sc.control()
	for table, lacks := range map[string][]int64{"calls": {101, 401}, "payloads": {101, 201, 203, 350, 401}, "envelopes": {101, 201, 203, 350, 401}} {
		where := "NOT " + offsetsIn(lacks)
		if diff := cmp.Diff(control.dump(table, where), sc.dump(table, where)); diff != "" {
			t.Errorf("%s (-want +got):\n%.2000s", table, diff)
		}
		if table != "envelopes" && len(sc.dump(table, offsetsIn(lacks))) != 0 {
			t.Errorf("%s has rows of refused records", table)
		}
	}
	var got []string
	query := "SELECT groupArray(concat(toString(offset), ' ', reason)) FROM (SELECT offset, reason FROM " + sc.cfg.Database + ".dead_letters WHERE stage = 'sink' ORDER BY offset)"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	if want := []string{"101 violated_constraint", "201 partly_stored", "203 partly_stored", "350 violated_constraint", "401 violated_constraint"}; !slices.Equal(got, want) {
		t.Errorf("dead letters are %v, want %v", got, want)
	}
}

// inserts counts attempts.
func (sc *scene) inserts() (n int) {
	sc.t.Helper()
	families, err := sc.reg.Gather()
	if err != nil {
		sc.t.Fatal(err)
	}
	for _, f := range families {
		switch f.GetName() {
		case "modeltrail_clickhouse_insert_seconds":
			for _, m := range f.GetMetric() {
				n += int(m.GetHistogram().GetSampleCount())
			}
		case "modeltrail_clickhouse_insert_errors_total":
			for _, m := range f.GetMetric() {
				n += int(m.GetCounter().GetValue())
			}
		}
	}
	return n
}

// testRefusedCrash kills the role at every point of a delivery that is divided, and lets a successor finish.
func testRefusedCrash(t *testing.T, s *suite) {
	for name, bad := range map[string]func(int) bool{"one row": among(30), "two rows": among(9, 30)} {
		t.Run(name, func(t *testing.T) { refusedCrash(t, s, bad) })
	}
}

func refusedCrash(t *testing.T, s *suite, bad func(int) bool) {
	const n = 120
	count := newScene(t, s)
	count.produce(n, bad)
	count.refuse("calls")
	points := 0
	count.run(func(string, func()) { points++ })
	control := count.control()
	count.check(control, badOffsets(n, bad), "")
	t.Logf("%d points", points)
	stride := 9
	if os.Getenv("MODELTRAIL_EVERY_POINT") != "" {
		stride = 1
	}
	for at := 1 + points%stride; at <= points; at += stride {
		t.Run(fmt.Sprint("point ", at), func(t *testing.T) {
			sc := *count
			sc.t, sc.cfg, sc.group = t, s.fresh(t), fmt.Sprint("store-", at)
			sc.refuse("calls")
			passed := 0
			sc.run(func(_ string, crash func()) {
				if passed++; passed == at {
					crash()
				}
			})
			sc.run(nil)
			control.t = t
			sc.check(control, badOffsets(n, bad), "")
		})
	}
}

// testRefusedThenAccepted crashes inside a division, and the server takes the rows afterwards: a record is a row or a
// dead letter, whatever had been decided, and never both.
func testRefusedThenAccepted(t *testing.T, s *suite) {
	t.Run("one row", func(t *testing.T) { refusedThenAccepted(t, s, among(20), 4, 5, 6, 7, 8, 9, 10, 11, 12) })
	t.Run("two rows", func(t *testing.T) { refusedThenAccepted(t, s, among(9, 20), 4, 9, 12, 16, 21) })
}

func refusedThenAccepted(t *testing.T, s *suite, bad func(int) bool, points ...int) {
	const n = 60
	topic := newScene(t, s)
	topic.produce(n, bad)
	topic.run(nil)
	for _, at := range points {
		sc := *topic
		sc.cfg, sc.group = s.fresh(t), fmt.Sprint("store-", at)
		sc.refuse("calls")
		passed := 0
		sc.run(func(_ string, crash func()) {
			if passed++; passed == at {
				crash()
			}
		})
		sc.accept("calls")
		sc.run(nil)
		var refused []int64
		query := "SELECT groupArray(offset) FROM (SELECT offset FROM " + sc.cfg.Database + ".dead_letters WHERE stage = 'sink' ORDER BY offset)"
		if err := s.conn.QueryRow(t.Context(), query).Scan(&refused); err != nil {
			t.Fatal(err)
		}
		for _, offset := range refused {
			if !slices.Contains(badOffsets(n, bad), offset) {
				t.Errorf("offset %d is a dead letter", offset)
			}
		}
		t.Logf("crash at point %d: %v stayed refused", at, refused)
		sc.check(topic, refused, "")
	}
}

// testStoredThenRefused crashes after calls were stored, and the server refuses some of them afterwards: their repeat
// must find that they are there.
func testStoredThenRefused(t *testing.T, s *suite) {
	sc := newScene(t, s)
	sc.produce(60, among(9, 20))
	passed := 0
	if sc.run(func(point string, crash func()) {
		if point == "W2" {
			if passed++; passed == 3 { // the third table
				crash()
			}
		}
	}) {
		t.Fatal("no crash")
	}
	if got := tableRows(t, s, sc.cfg, "calls"); got != 30 {
		t.Fatalf("%d calls before the crash", got)
	}
	sc.refuse("calls")
	sc.run(nil)
	sc.check(sc.control(), nil, "")
}
