package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
)

func testConfig(dir string) Config {
	cfg := DefaultConfig()
	cfg.Dir, cfg.SegmentBytes, cfg.MaxBytes, cfg.SyncInterval = dir, 4<<10, 64<<20, 0
	return cfg
}

func open(t testing.TB, cfg Config, key []byte) *Log {
	t.Helper()
	l, err := Open(cfg, Settings{Logger: zerolog.Nop(), Key: key})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

// numbered is a record that says which one it is.
func numbered(i, size int) Record {
	return Record{
		Time: time.Unix(1_700_000_000, int64(i)), Key: fmt.Appendf(nil, "key-%d", i),
		Value:   append(fmt.Appendf(nil, "value %d ", i), bytes.Repeat([]byte{byte(i)}, size)...),
		Headers: []Header{{"ce_id", fmt.Appendf(nil, "%d/request", i)}, {"empty", []byte{}}},
	}
}

func fill(t testing.TB, l *Log, from, to, size int) {
	t.Helper()
	for i := from; i < to; i++ {
		if _, err := l.Append([]Record{numbered(i, size)}); err != nil {
			t.Fatal(err)
		}
	}
}

// drainAll reads everything that is there.
func drainAll(t testing.TB, l *Log) []Record {
	t.Helper()
	r := l.Reader()
	defer r.Close()
	var out []Record
	for {
		record, ok, err := r.Try()
		if err != nil {
			t.Fatal(err)
		}
		if !ok {
			return out
		}
		out = append(out, record)
	}
}

func value(t testing.TB, c prometheus.Metric) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

var testKey = bytes.Repeat([]byte{7}, 32)

func TestRecordsComeBackInOrderFromTheCursorAndAcrossRestarts(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": testKey} {
		t.Run(name, func(t *testing.T) {
			cfg := testConfig(t.TempDir())
			l := open(t, cfg, key)
			fill(t, l, 1, 101, 300)
			got := drainAll(t, l)
			if len(got) != 100 {
				t.Fatalf("%d records", len(got))
			}
			for i, r := range got {
				want := numbered(i+1, 300)
				want.Seq = uint64(i + 1)
				if diff := cmp.Diff(want, r); diff != "" {
					t.Fatal(diff)
				}
			}
			l.Retire(40)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			l = open(t, cfg, key)
			fill(t, l, 101, 111, 300)
			got = drainAll(t, l)
			if len(got) != 70 || got[0].Seq != 41 || got[69].Seq != 110 {
				t.Errorf("%d records, from %d", len(got), got[0].Seq)
			}
			if n := len(files(t, cfg.Dir)); n < 5 || n > 12 {
				t.Errorf("%d segments", n)
			}
			l.Retire(110)
			time.Sleep(3 * keepInterval)
			if n := len(files(t, cfg.Dir)); n > 1 {
				t.Errorf("%d segments of retired records", n)
			}
		})
	}
}

func files(t testing.TB, dir string) []string {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*"+suffix))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(names)
	return names
}

func TestSealedRecordsShowNothingAndNeedTheirKey(t *testing.T) {
	cfg := testConfig(t.TempDir())
	l := open(t, cfg, testKey)
	fill(t, l, 1, 3, 10)
	_ = l.Close()
	data, err := os.ReadFile(files(t, cfg.Dir)[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, word := range []string{"value", "key-1", "ce_id"} {
		if bytes.Contains(data, []byte(word)) {
			t.Errorf("%q stands in the file", word)
		}
	}
	for name, key := range map[string][]byte{"no key": nil, "another key": bytes.Repeat([]byte{8}, 32)} {
		if _, err := Open(cfg, Settings{Key: key}); !errors.Is(err, ErrKey) || !strings.Contains(err.Error(), "encryption_key") {
			t.Errorf("%s: %v", name, err)
		}
	}
	if got := drainAll(t, open(t, cfg, testKey)); len(got) != 2 {
		t.Errorf("%d records", len(got))
	}
}

func TestAFolderHasOneOwner(t *testing.T) {
	cfg := testConfig(t.TempDir())
	l := open(t, cfg, nil)
	_, err := Open(cfg, Settings{})
	if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), fmt.Sprint(os.Getpid())) || !strings.Contains(err.Error(), "spool.dir") {
		t.Errorf("%v", err)
	}
	_ = l.Close()
	open(t, cfg, nil)
}

func TestTheBoundRefusesAndRetiringMakesRoom(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.MaxBytes = 16 << 10
	l := open(t, cfg, nil)
	n := 0
	for {
		_, err := l.Append([]Record{numbered(n+1, 500)})
		if errors.Is(err, ErrFull) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	if l.Bytes() > cfg.MaxBytes || n < 20 || !errors.Is(l.Err(), ErrFull) || !errors.Is(l.Probe(), ErrFull) {
		t.Errorf("%d records in %d bytes, %v", n, l.Bytes(), l.Err())
	}
	l.Retire(uint64(n / 2))
	if err := l.Probe(); err != nil {
		t.Fatal(err)
	}
	fill(t, l, n+1, n+4, 500)
	if got := drainAll(t, l); len(got) != n+3-n/2 || got[len(got)-1].Seq != uint64(n+3) {
		t.Errorf("%d records", len(got))
	}
}

func TestAReaderWaitsForMore(t *testing.T) {
	l := open(t, testConfig(t.TempDir()), nil)
	r := l.Reader()
	defer r.Close()
	got := make(chan Record)
	go func() {
		record, _ := r.Next(t.Context())
		got <- record
	}()
	time.Sleep(20 * time.Millisecond)
	fill(t, l, 1, 2, 0)
	if record := <-got; record.Seq != 1 {
		t.Errorf("sequence %d", record.Seq)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	if _, err := r.Next(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("%v", err)
	}
}

func TestSeekGoesBothWays(t *testing.T) {
	l := open(t, testConfig(t.TempDir()), nil)
	fill(t, l, 1, 101, 200)
	r := l.Reader()
	defer r.Close()
	for _, seq := range []uint64{50, 99, 3, 4, 100, 1} {
		r.Seek(seq)
		if record, ok, err := r.Try(); !ok || err != nil || record.Seq != seq {
			t.Errorf("sought %d, got %d %v %v", seq, record.Seq, ok, err)
		}
	}
}

func TestDurableAppendsReturnAfterTheSync(t *testing.T) {
	for _, interval := range []time.Duration{0, 5 * time.Millisecond} {
		cfg := testConfig(t.TempDir())
		cfg.SyncInterval = interval
		l := open(t, cfg, nil)
		var wg sync.WaitGroup
		for i := range 50 {
			wg.Go(func() {
				seq, err := l.AppendDurable(t.Context(), []Record{numbered(i, 200)})
				if err != nil {
					t.Error(err)
				}
				l.mu.Lock()
				defer l.mu.Unlock()
				if l.synced < seq {
					t.Errorf("sequence %d returned, synced up to %d", seq, l.synced)
				}
			})
		}
		wg.Wait()
	}
}

func TestAfterABrokenWriteAppendingGoesOnInANewSegment(t *testing.T) {
	l := open(t, testConfig(t.TempDir()), testKey)
	fill(t, l, 1, 4, 10)
	l.mu.Lock()
	_ = l.file.Close() // every write fails now
	l.mu.Unlock()
	if _, err := l.Append([]Record{numbered(4, 10)}); err == nil || l.Err() == nil {
		t.Fatal("the write must fail")
	}
	fill(t, l, 4, 6, 10)
	if got := drainAll(t, l); len(got) != 5 || got[4].Seq != 5 || l.Err() != nil {
		t.Errorf("%d records, %v", len(got), l.Err())
	}
}

func TestNumbersThatTheCursorCountsNeverServeAgain(t *testing.T) {
	cfg := testConfig(t.TempDir())
	l := open(t, cfg, nil)
	fill(t, l, 1, 11, 10)
	l.Retire(10)
	_ = l.Close()
	for _, f := range files(t, cfg.Dir) { // as if the disk had lost them
		_ = os.Remove(f)
	}
	l = open(t, cfg, nil)
	fill(t, l, 11, 12, 10)
	if got := drainAll(t, l); len(got) != 1 || got[0].Seq != 11 {
		t.Errorf("%v", got)
	}
}

func TestATornCursorFallsBackToTheSlotBefore(t *testing.T) {
	cfg := testConfig(t.TempDir())
	l := open(t, cfg, nil)
	fill(t, l, 1, 11, 10)
	for _, seq := range []uint64{3, 6} {
		l.Retire(seq)
		time.Sleep(2 * keepInterval)
	}
	_ = l.Close()
	path := filepath.Join(cfg.Dir, "cursor")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	data[5]++ // slot of generation 2
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	if got := drainAll(t, open(t, cfg, nil)); len(got) != 7 || got[0].Seq != 4 {
		t.Errorf("%d records", len(got))
	}
}

func TestAppendReadAndRetireAtTheSameTime(t *testing.T) {
	cfg := testConfig(t.TempDir())
	cfg.SyncInterval = time.Millisecond
	l := open(t, cfg, nil)
	const writers, each = 4, 500
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() { fill(t, l, w*each, (w+1)*each, 100) })
	}
	r := l.Reader()
	defer r.Close()
	seen := map[string]bool{}
	for want := uint64(1); want <= writers*each; want++ {
		record, err := r.Next(t.Context())
		if err != nil || record.Seq != want {
			t.Fatalf("sequence %d, want %d: %v", record.Seq, want, err)
		}
		seen[string(record.Key)] = true
		if want%7 == 0 {
			l.Retire(want)
		}
	}
	wg.Wait()
	if len(seen) != writers*each {
		t.Errorf("%d different records", len(seen))
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"spool.segment_bytes": func(c *Config) { c.SegmentBytes = 1 },
		"spool.max_bytes":     func(c *Config) { c.MaxBytes = c.SegmentBytes },
		"spool.sync_interval": func(c *Config) { c.SyncInterval = -1 },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": testKey} {
		for _, sync := range []time.Duration{0, 5 * time.Millisecond} {
			b.Run(fmt.Sprintf("%s/sync=%v", name, sync), func(b *testing.B) {
				cfg := DefaultConfig()
				cfg.Dir, cfg.SyncInterval = b.TempDir(), sync
				l := open(b, cfg, key)
				records := []Record{numbered(1, 1500)}
				b.SetBytes(1500)
				b.ReportAllocs()
				for b.Loop() {
					seq, err := l.Append(records)
					if err != nil {
						b.Fatal(err)
					}
					l.Retire(seq)
				}
			})
		}
	}
}

func BenchmarkRead(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Dir, cfg.SyncInterval = b.TempDir(), 0
	l := open(b, cfg, nil)
	fill(b, l, 1, 20_001, 1500)
	r := l.Reader()
	defer r.Close()
	b.SetBytes(1500)
	b.ReportAllocs()
	for b.Loop() {
		_, ok, err := r.Try()
		if err != nil {
			b.Fatal(err)
		}
		if !ok {
			r.Seek(1)
		}
	}
}
