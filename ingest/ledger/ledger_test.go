package ledger

import (
	"context"
	"errors"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// told collects statements as a topic would.
type told struct {
	mu   sync.Mutex
	all  []*event.SourceStatement
	fail error
}

func (o *told) send(_ context.Context, s Statement) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.fail != nil {
		return o.fail
	}
	m, err := wire.UnmarshalStatement(s.Value)
	if err != nil {
		return err
	}
	o.all = append(o.all, m)
	return nil
}

func (o *told) last() *event.SourceStatement {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.all[len(o.all)-1]
}

type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

func (c *clock) nano() uint64 { return uint64(c.at.UnixNano()) }

func newLedger(t *testing.T, dir string, out *told, c *clock) *Ledger {
	t.Helper()
	cfg := DefaultConfig()
	cfg.StateDir, cfg.SourceKeyFile = dir, filepath.Join(t.TempDir(), "key")
	set := Settings{Kind: "tap", Instance: "edge-1", Send: out.send, Tracked: true, Logger: zerolog.Nop()}
	if c != nil {
		set.Now = c.now
	}
	l, err := New(cfg, set)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func reasons(counts []*event.ReasonCount) map[string]uint64 {
	out := map[string]uint64{}
	for _, c := range counts {
		out[c.Reason] += c.Count
	}
	return out
}

func TestLedger_TellsWhatWasCounted(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 10, 59, 59, 0, time.UTC)}
	out := &told{}
	l := newLedger(t, t.TempDir(), out, c)
	for range 3 {
		l.Expect(2)
	}
	for seq := range uint64(3) {
		l.Numbered(c.nano(), seq+1)
	}
	l.Numbered(c.nano(), 4)
	l.Refused(c.nano(), 4)
	l.Dropped(c.nano(), ReasonRefused, 1)
	late := c.nano()
	c.at = c.at.Add(2 * time.Second)
	l.Numbered(c.nano(), 4)
	l.Numbered(late, 5) // an envelope of the hour before is numbered after one of this hour
	l.Delivered(l.Epoch(), 2)
	l.Delivered(l.Epoch(), 1)
	l.Delivered(l.Epoch(), 1)
	l.Delivered(7, 3)
	l.Lost(l.Epoch(), 3, late, ReasonTooLarge)
	l.Lost(l.Epoch(), 3, late, ReasonTooLarge)
	if err := l.tell(t.Context(), l.statement(false)); err != nil {
		t.Fatal(err)
	}
	m := out.last()
	if m.Expected != 6 || m.LastSequence != 5 || m.Dropped != 1 || m.Lost != 1 || m.Delivered != 2 || m.DeliveredThrough != 3 || m.Pending != 2 {
		t.Errorf("told %v", m)
	}
	if len(m.Hours) != 2 || m.Hours[0].Numbered != 4 || m.Hours[0].FirstSequence != 1 || m.Hours[0].LastSequence != 5 ||
		m.Hours[1].Numbered != 1 || m.Hours[1].FirstSequence != 4 || m.Hours[1].HourUnix != c.at.Truncate(time.Hour).Unix() {
		t.Errorf("hours are %v", m.Hours)
	}
	if got := reasons(m.Hours[0].Lost); got[ReasonTooLarge] != 1 {
		t.Errorf("lost is %v", got)
	}
}

func TestLedger_TellsAnHourAgainUntilItIsAcknowledged_AndLetsItGo(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	out := &told{fail: errors.New("no broker")}
	l := newLedger(t, "", out, c)
	l.Numbered(c.nano(), 1)
	_ = l.tell(t.Context(), l.statement(false))
	c.at = c.at.Add(30 * time.Hour)
	out.fail = nil
	for round, want := range []int{2, 1} { // the old hour and the present one, then the present one
		if err := l.tell(t.Context(), l.statement(false)); err != nil || len(out.last().Hours) != want {
			t.Errorf("round %d: %v, hours %v; want %d", round, err, out.last().Hours, want)
		}
	}
	l.statement(false)
	if len(l.state.used()) != 1 || out.last().LastSequence != 1 {
		t.Errorf("%d hours are kept, %d numbered", len(l.state.used()), out.last().LastSequence)
	}
	l.Numbered(uint64(c.at.Add(-30*time.Hour).UnixNano()), 2)
	_ = l.tell(t.Context(), l.statement(false))
	if h := out.last().Hours; h[len(h)-1].HourUnix != 0 || h[len(h)-1].Numbered != 1 || out.last().LastSequence != 2 {
		t.Errorf("a late envelope is told as %v", h)
	}
}

func TestLedger_WithoutBrokerForDays_StaysBoundedAndKeepsTheTotals(t *testing.T) {
	c := &clock{time.Date(2026, 3, 1, 10, 0, 0, 0, time.UTC)}
	out := &told{fail: errors.New("no broker")}
	l := newLedger(t, "", out, c)
	for i := range uint64(200) {
		l.Numbered(c.nano(), i+1)
		l.Dropped(c.nano(), ReasonMemory, 2)
		_ = l.tell(t.Context(), l.statement(false))
		c.at = c.at.Add(time.Hour)
	}
	out.fail = nil
	if err := l.tell(t.Context(), l.statement(false)); err != nil {
		t.Fatal(err)
	}
	m, numbered := out.last(), uint64(0)
	for _, h := range m.Hours {
		numbered += h.Numbered
	}
	if m.LastSequence != 200 || m.Dropped != 400 || numbered != 200 || len(m.Hours) > keepHours+3 {
		t.Errorf("told %d of 200 in %d hours, %d dropped", numbered, len(m.Hours), m.Dropped)
	}
}

func TestLedger_ClosedInOrder_AccountsForEverything(t *testing.T) {
	dir, out := t.TempDir(), &told{}
	l := newLedger(t, dir, out, nil)
	l.Start()
	l.Expect(2)
	l.Numbered(uint64(time.Now().UnixNano()), 1)
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	l.Dropped(1, ReasonClosed, 5) // too late to count
	m := out.last()
	if m.State != event.EpochState_EPOCH_STATE_CLOSED || m.Dropped != 1 || reasons(m.Hours[0].Dropped)[ReasonShutdown] != 1 {
		t.Errorf("told %v", m)
	}
	first := l.Epoch()
	l = newLedger(t, dir, out, nil)
	l.Start()
	if err := l.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, m := range out.all {
		if m.Source.BootEpoch == l.Epoch() && m.PreviousEpoch != first {
			t.Errorf("previous epoch is %d; want %d", m.PreviousEpoch, first)
		}
	}
}

func TestLedger_ThatCouldNotSayGoodbye_SaysItAtTheNextStart(t *testing.T) {
	dir, out := t.TempDir(), &told{fail: errors.New("no broker")}
	l := newLedger(t, dir, out, nil)
	l.Start()
	l.Expect(2)
	if err := l.Close(t.Context()); err == nil {
		t.Fatal("closing without a broker succeeds")
	}
	out.fail = nil
	next := newLedger(t, dir, out, nil)
	next.bury(t.Context())
	if m := out.last(); m.Source.BootEpoch != l.Epoch() || m.State != event.EpochState_EPOCH_STATE_CLOSED || m.Dropped != 2 {
		t.Errorf("told %v", m)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, "*"+deadSuffix)); len(files) > 0 {
		t.Errorf("%v stay", files)
	}
}

// TestRanges_InAnyOrder_AgreesWithASet compares with the plain way to do it.
func TestRanges_InAnyOrder_AgreesWithASet(t *testing.T) {
	for range 200 {
		n := 1 + rand.IntN(60)
		order := rand.Perm(n)
		var r ranges
		seen := map[uint64]bool{}
		for _, i := range slices.Concat(order, order[:n/2]) {
			v := uint64(i + 1)
			if r.add(v) == seen[v] {
				t.Fatalf("add(%d) told the wrong thing", v)
			}
			seen[v] = true
			want := uint64(0)
			for seen[want+1] {
				want++
			}
			if r.through != want {
				t.Fatalf("watermark is %d, want %d", r.through, want)
			}
		}
		if len(r.above) != 0 {
			t.Fatalf("%v remain", r.above)
		}
	}
}

// TestLedger_WithAnIdlePublisher_StopsWaiting: what was damaged on disk is reported by nobody, and missing in the end.
func TestLedger_WithAnIdlePublisher_StopsWaiting(t *testing.T) {
	out, idle := &told{}, false
	l := newLedger(t, "", out, nil)
	l.set.Idle = func() bool { return idle }
	l.set.Spool = func() (uint64, time.Time) { return 2, time.Unix(5, 0) }
	for seq := range uint64(5) {
		l.Numbered(uint64(time.Now().UnixNano()), seq+1)
	}
	l.Delivered(l.Epoch(), 1)
	l.Delivered(l.Epoch(), 4)
	for i, want := range []uint64{1, 5} {
		idle = i == 1
		if err := l.tell(t.Context(), l.statement(false)); err != nil || out.last().DeliveredThrough != want || out.last().Delivered != 2 {
			t.Errorf("round %d: %v, %v; want through %d", i, err, out.last(), want)
		}
	}
	if m := out.last(); m.Spooled != 2 || m.Acknowledged != 4 || m.OldestSpooledUnixNano != 5e9 {
		t.Errorf("told %v", m)
	}
}

func TestLedger_ManyGoroutines_CountAll(t *testing.T) {
	l := newLedger(t, t.TempDir(), &told{}, nil)
	l.Start()
	var wait sync.WaitGroup
	for g := range uint64(4) {
		wait.Go(func() {
			for i := range uint64(500) {
				l.Expect(2)
				l.Numbered(uint64(time.Now().UnixNano()), g*500+i+1)
				l.Delivered(l.Epoch(), g*500+i+1)
				l.Dropped(uint64(time.Now().UnixNano()), ReasonMemory, 1)
			}
		})
	}
	wait.Wait()
	if got := l.state.sums(); got.numbered != 2000 || got.dropped != 2000 || l.state.through.Load() != 2000 {
		t.Errorf("counted %v, delivered through %d", got, l.state.through.Load())
	}
	if err := l.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func BenchmarkNumbered(b *testing.B) {
	cfg := DefaultConfig()
	cfg.StateDir, cfg.SourceKeyFile = b.TempDir(), ""
	l, err := New(cfg, Settings{Kind: "tap", Instance: "i", Send: (&told{}).send, Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	now, seq := uint64(time.Now().UnixNano()), uint64(0)
	for b.Loop() {
		seq++
		l.Expect(2)
		l.Numbered(now, seq)
		l.Delivered(l.Epoch(), seq)
	}
}
