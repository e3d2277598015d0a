package spool

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/rs/zerolog"
)

// original is a small log of three segments that is damaged in every way.
type original struct {
	files   []string // names
	data    map[string][]byte
	records []Record
	ends    map[string][]end // by file: where each record ends
}

type end struct {
	seq uint64
	at  int64
}

func makeOriginal(t *testing.T, key []byte) original {
	t.Helper()
	cfg := testConfig(t.TempDir())
	o := original{data: map[string][]byte{}, ends: map[string][]end{}}
	for run := range 3 { // each run leaves a segment
		l := open(t, cfg, key)
		for i := range 3 {
			if _, err := l.Append([]Record{numbered(3*run+i+1, i)}); err != nil {
				t.Fatal(err)
			}
			s := l.segments[len(l.segments)-1]
			name := filepath.Base(s.path)
			o.ends[name] = append(o.ends[name], end{s.last, s.size})
		}
		o.records = drainAll(t, l)
		_ = l.Close()
	}
	for _, path := range files(t, cfg.Dir) {
		data, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(path)
		o.files, o.data[name] = append(o.files, name), data
	}
	if len(o.files) != 3 || len(o.records) != 9 {
		t.Fatalf("%d files, %d records", len(o.files), len(o.records))
	}
	return o
}

// check opens a folder in which one file was changed from byte `from` on and requires what must come back: all
// records that end before it, those of other segments, in order, unchanged, and nothing else.
func (o original) check(t *testing.T, key []byte, changed string, data []byte, from int64) {
	t.Helper()
	dir, err := os.MkdirTemp(fastDir(), "spool-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(dir)
	for _, name := range o.files {
		content := o.data[name]
		if name == changed {
			content = data
		}
		if err := os.WriteFile(filepath.Join(dir, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	l, err := Open(testConfig(dir), Settings{Logger: zerolog.Nop(), Key: key})
	if err != nil {
		t.Fatalf("byte %d of %s: %v", from, changed, err)
	}
	defer l.Close()
	got := drainAll(t, l)
	have := map[uint64]bool{}
	var before uint64
	for _, r := range got {
		if r.Seq <= before || r.Seq > 9 {
			t.Fatalf("byte %d of %s: sequence %d after %d", from, changed, r.Seq, before)
		}
		if diff := cmp.Diff(o.records[r.Seq-1], r); diff != "" {
			t.Fatalf("byte %d of %s: %s", from, changed, diff)
		}
		before = r.Seq
		have[r.Seq] = true
	}
	for _, name := range o.files {
		for _, e := range o.ends[name] {
			if (name != changed || e.at <= from) && !have[e.seq] {
				t.Fatalf("byte %d of %s: record %d of %s is missing", from, changed, e.seq, name)
			}
		}
	}
	if from%16 != 0 {
		return
	}
	if _, err := l.Append([]Record{numbered(99, 1)}); err != nil {
		t.Fatal(err)
	}
	if more := drainAll(t, l); len(more) != len(got)+1 || !bytes.Equal(more[len(got)].Key, []byte("key-99")) {
		t.Fatalf("byte %d of %s: %d records after an append, %d before", from, changed, len(more), len(got))
	}
}

// fastDir is a folder in memory where there is one: thousands of small logs are made.
func fastDir() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

func TestEveryCutAndEveryDamagedByteLeavesTheIntactRecords(t *testing.T) {
	for name, key := range map[string][]byte{"plain": nil, "sealed": testKey} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := makeOriginal(t, key)
			for _, file := range o.files {
				data := o.data[file]
				for i := range data {
					at := int64(i)
					o.check(t, key, file, data[:i], at)
					flipped := bytes.Clone(data)
					flipped[i] ^= 1 << (i % 8)
					o.check(t, key, file, flipped, at)
					if data[i] != 0 {
						zeroed := bytes.Clone(data)
						zeroed[i] = 0
						o.check(t, key, file, zeroed, at)
					}
				}
			}
		})
	}
}

func TestZeroedAndForeignTailsAreNoRecords(t *testing.T) {
	o := makeOriginal(t, nil)
	last := o.files[2]
	data := o.data[last]
	for name, tail := range map[string][]byte{
		"zeros": make([]byte, 5000), "another segment": o.data[o.files[0]], "own records again": data[headerBytes:],
	} {
		t.Run(name, func(t *testing.T) { o.check(t, nil, last, append(bytes.Clone(data), tail...), int64(len(data))) })
	}
}

func TestDamageInTheMiddleLosesOnlyItsRecord(t *testing.T) {
	o := makeOriginal(t, nil)
	name := o.files[1]
	data := bytes.Clone(o.data[name])
	data[o.ends[name][1].at-1] ^= 0xff // the last byte of its second record
	dir := t.TempDir()
	for _, f := range o.files {
		content := o.data[f]
		if f == name {
			content = data
		}
		if err := os.WriteFile(filepath.Join(dir, f), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	l, err := Open(testConfig(dir), Settings{Logger: zerolog.New(&log)})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := drainAll(t, l); len(got) != 8 || got[4].Seq != 6 {
		t.Errorf("%d records", len(got))
	}
	drainAll(t, l)
	if n := value(t, l.metrics.corrupt); n != 1 || !bytes.Contains(log.Bytes(), []byte(`"from":`)) || !bytes.Contains(log.Bytes(), []byte(name)) {
		t.Errorf("%v corrupt ranges, log %s", n, log.String())
	}
}

// FuzzSegment reads any bytes as a segment: no panic, sequences rise, and what the reader delivers stands in the
// file with its checksums.
func FuzzSegment(f *testing.F) {
	id := segmentID{1, 2, 3}
	var whole []byte
	{
		l := &Log{seed: id.seed()}
		l.encode([]Record{numbered(1, 5), numbered(2, 0), numbered(3, 40)})
		whole = append(make([]byte, headerBytes), l.buf...)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(append(append([]byte{}, whole...), whole...))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, data []byte) {
		s := scanner{
			src: bytes.NewReader(data), seed: id.seed(), off: headerBytes, end: int64(len(data)), good: headerBytes,
			bad: func(from, to int64) {
				if from >= to || to > int64(len(data)) {
					t.Fatalf("damage from %d to %d of %d", from, to, len(data))
				}
			},
		}
		var before uint64
		for {
			fr, ok, err := s.read()
			if err != nil {
				t.Fatal(err)
			}
			if !ok {
				return
			}
			if fr.seq <= before {
				t.Fatalf("sequence %d after %d", fr.seq, before)
			}
			before = fr.seq
			again := make([]byte, frameBytes)
			putFrame(again, id.seed(), fr.seq, fr.payload, fr.sealed)
			if !bytes.Contains(data, append(again, fr.payload...)) {
				t.Fatal("a record that the file does not hold")
			}
			var record Record
			if parseRecord(bytes.Clone(fr.payload), &record) == nil {
				if back := appendRecord(nil, &record); len(back) > len(fr.payload) {
					t.Fatal("an encoding that grew")
				}
			}
		}
	})
}
