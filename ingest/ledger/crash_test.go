package ledger

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// TestLedger_Killed_LosesNoCount counts in a child process, which tells on standard output what it is about to count,
// and kills it. The counts of the next boot are what the child had told, give or take the one that was under way.
func TestLedger_Killed_LosesNoCount(t *testing.T) {
	if dir := os.Getenv("LEDGER_TEST_DIR"); dir != "" {
		countForever(dir)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for round := range 6 {
		dir := t.TempDir()
		cmd := exec.Command(program, "-test.run=^TestLedger_Killed_LosesNoCount$")
		cmd.Env = append(os.Environ(), "LEDGER_TEST_DIR="+dir)
		cmd.Stderr = os.Stderr
		pipe, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		var sofar uint64
		deadline := time.Now().Add(100*time.Millisecond + time.Duration(rand.IntN(150))*time.Millisecond)
		for time.Now().Before(deadline) {
			if _, err := fmt.Fscanln(pipe, &sofar); err != nil {
				t.Fatal(err)
			}
		}
		_ = cmd.Process.Kill()
		for {
			if _, err := fmt.Fscanln(pipe, &sofar); err != nil {
				break
			}
		}
		_ = cmd.Wait()
		out := &told{}
		l := newLedger(t, dir, out, nil)
		l.bury(t.Context())
		m := out.last()
		// Of every three calls (six envelopes) the child numbers four, drops one and forgets one.
		groups := m.Expected / 6
		if m.State != event.EpochState_EPOCH_STATE_CRASHED || groups < sofar || groups > sofar+1 || m.LastSequence < 4*sofar ||
			m.LastSequence+m.Dropped != m.Expected {
			t.Errorf("round %d: the child counted %d groups; told expected %d, numbered %d, dropped %d", round, sofar, m.Expected, m.LastSequence, m.Dropped)
		}
		var crash uint64
		for _, h := range m.Hours {
			crash += reasons(h.Dropped)[ReasonCrash]
		}
		if crash < sofar || crash > sofar+6 {
			t.Errorf("round %d: %d lost in the crash; the child forgot %d", round, crash, sofar)
		}
	}
}

func countForever(dir string) {
	cfg := DefaultConfig()
	cfg.StateDir, cfg.SourceKeyFile, cfg.Interval = dir, filepath.Join(dir, "key"), time.Hour
	l, err := New(cfg, Settings{Kind: "tap", Instance: "i", Send: (&told{}).send, Logger: zerolog.Nop()})
	if err != nil {
		panic(err)
	}
	l.Start()
	seq := uint64(0)
	for group := 1; ; group++ {
		for range 3 {
			l.Expect(2)
		}
		now := uint64(time.Now().UnixNano())
		for range 4 {
			seq++
			l.Numbered(now, seq)
		}
		l.Dropped(now, ReasonMemory, 1)
		fmt.Println(group)
	}
}

func TestState_KilledWithinAFold_CountsOnce(t *testing.T) {
	s := &state{}
	s.begin("tap", "i", 5, 0)
	s.retired.numbered.Store(10)
	s.hours[2].hour.Store(3600)
	s.hours[2].numbered.Store(4)
	s.hours[2].dropped[1].Store(3)
	before := s.sums()
	// A kill after the values were taken over and before the hour was emptied.
	s.move.value.set(&s.retired)
	s.move.value.numbered.Add(4)
	s.move.value.dropped[1].Add(3)
	s.move.slot = 2
	s.move.open.Store(1)
	s.retired.set(&s.move.value)
	path := filepath.Join(t.TempDir(), "state")
	if err := os.WriteFile(path, raw(s), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := readState(path)
	if err != nil || got.sums() != before {
		t.Errorf("counts are %v, %v; want %v", got.sums(), err, before)
	}
}

func TestFolder_WithAFileThatIsNone_StartsAndKeepsItAside(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "tap.ledger"), []byte("not a ledger"), 0o600); err != nil {
		t.Fatal(err)
	}
	l := newLedger(t, dir, &told{}, nil)
	if l.state.previous != 0 {
		t.Errorf("previous is %d", l.state.previous)
	}
	if _, err := os.Stat(filepath.Join(dir, "tap.ledger.bad")); err != nil {
		t.Error(err)
	}
	if _, err := New(l.cfg, l.set); !errors.Is(err, ErrInUse) {
		t.Errorf("a second ledger of the folder: %v", err)
	}
}

func TestLoadKey_KeepsItToItsOwner_AndRefusesWhatIsNone(t *testing.T) {
	path := filepath.Join(t.TempDir(), "folder", "key")
	first, err := LoadKey(path)
	if err != nil {
		t.Fatal(err)
	}
	again, err := LoadKey(path)
	if err != nil || !first.Equal(again) {
		t.Errorf("the second reading gives another key: %v", err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path); err == nil {
		t.Error("a file without a key is accepted")
	}
}
