package oracle

import (
	"bytes"
	"strconv"
	"testing"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

func work(calls int) *workload.Workload {
	return workload.New(workload.Config{Seed: 7, Calls: calls, PoisonShare: 0.05, RepeatShare: 0.1, Sources: 3})
}

func TestRows_EveryRowHasACellForEveryColumn(t *testing.T) {
	columns := map[string]int{}
	for _, table := range Tables() {
		columns[table.Name] = len(table.Columns)
	}
	seen := map[string]int{}
	for i := range 3000 {
		for _, r := range Rows(work(3000), i, false) {
			seen[r.Table]++
			if len(r.Cells) != columns[r.Table] {
				t.Fatalf("call %d, %s: %d cells for %d columns", i, r.Table, len(r.Cells), columns[r.Table])
			}
		}
	}
	for name := range columns {
		if seen[name] == 0 {
			t.Errorf("3000 calls have no row of %s", name)
		}
	}
}

func TestWrite_TheSameSeed_GivesTheSameBytes_AnotherSeedOthers(t *testing.T) {
	write := func(seed uint64) []byte {
		var out bytes.Buffer
		if err := Write(workload.New(workload.Config{Seed: seed, Calls: 500, PoisonShare: 0.05}), false, &out); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	if !bytes.Equal(write(1), write(1)) {
		t.Error("two runs of one seed differ")
	}
	if bytes.Equal(write(1), write(2)) {
		t.Error("two seeds give the same calls")
	}
}

func TestReader_GivesBackWhatWasWritten_CallByCall(t *testing.T) {
	w := work(200)
	var out bytes.Buffer
	if err := Write(w, false, &out); err != nil {
		t.Fatal(err)
	}
	r, last := NewReader(&out), -1
	for end := 10; end <= 200; end += 10 {
		lines, err := r.Until(end)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range lines {
			if l.Index < last || l.Index >= end {
				t.Fatalf("call %d in the part that ends at %d", l.Index, end)
			}
			last = l.Index
		}
	}
	if last != 199 {
		t.Fatalf("the last call is %d", last)
	}
}

func TestCost_IsThePriceTimesTheCount_ToTheLastDecimal(t *testing.T) {
	c := workload.Call{Kind: workload.Chat, Model: "gpt-5.5-mini", Answered: "gpt-5.5-mini", Uncached: 3, CacheRead: 64, Text: 7, Reasoning: 2}
	// 3 x 0.25e-6 + 64 x 0.025e-6 + 9 x 2e-6 USD
	if got := cost(&c)[1:4]; got[0] != "0.00002035" || got[1] != "0.00000235" || got[2] != "0.000018" {
		t.Errorf("total, input and output are %v", got)
	}
}

func TestSource_NumbersWithoutAGap_TwoForEveryCall(t *testing.T) {
	w := work(1001)
	next := map[string]uint64{}
	for i := range 1001 {
		s := w.Call(i).Source
		boot := s.Instance + strconv.FormatUint(s.Epoch, 10)
		if s.Request != next[boot]+1 || s.Response != s.Request+1 {
			t.Fatalf("call %d of %s is numbered %d and %d after %d", i, boot, s.Request, s.Response, next[boot])
		}
		next[boot] = s.Response
	}
	if len(next) != 6 {
		t.Errorf("%d boots of three sources; each starts anew once", len(next))
	}
}
