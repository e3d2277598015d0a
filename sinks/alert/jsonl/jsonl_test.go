package jsonl

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/alert"
)

func finding(key string) *event.Finding {
	return &event.Finding{Key: key, Severity: event.Severity_SEVERITY_LOW, Title: "line\nbreak"}
}

func open(t *testing.T, path string) *Notifier {
	t.Helper()
	n, err := New("file", Config{Path: path})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// keys reads the file strictly: one JSON object per line, nothing else.
func keys(t *testing.T, path string) []string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range bytes.Lines(data) {
		var m alert.Message
		if err := json.Unmarshal(line, &m); err != nil || line[len(line)-1] != '\n' {
			t.Fatalf("line %q: %v", line, err)
		}
		out = append(out, m.Key)
	}
	return out
}

func TestFindingsAreAppendedOnePerLineByManyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	n := open(t, path)
	var wait sync.WaitGroup
	for i := range 200 {
		wait.Go(func() {
			if err := n.Notify(t.Context(), finding(fmt.Sprint(i))); err != nil {
				t.Error(err)
			}
		})
	}
	wait.Wait()
	if got := keys(t, path); len(got) != 200 {
		t.Errorf("%d lines", len(got))
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v: %v", info.Mode(), err)
	}
}

func TestRotationByRenameLosesNothing(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "alerts.jsonl")
	n := open(t, path)
	const workers, each = 4, 50
	var wait sync.WaitGroup
	for w := range workers {
		wait.Go(func() {
			for i := range each {
				if err := n.Notify(t.Context(), finding(fmt.Sprintf("%d-%d", w, i))); err != nil {
					t.Error(err)
				}
				if i%10 == 0 {
					n.Reopen()
				}
			}
		})
	}
	for i := range 10 {
		if err := os.Rename(path, filepath.Join(dir, fmt.Sprintf("old.%d", i))); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Error(err)
		}
	}
	wait.Wait()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]int{}
	for _, file := range files {
		for _, key := range keys(t, file) {
			seen[key]++
		}
	}
	if len(seen) != workers*each {
		t.Errorf("%d findings in %d files", len(seen), len(files))
	}
	if n.open.users != 0 {
		t.Errorf("%d users of the file are left", n.open.users)
	}
}

func TestLineTornByACrashIsClosedOff(t *testing.T) {
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	if err := os.WriteFile(path, []byte(`{"key":"whole"}`+"\n"+`{"key":"to`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := open(t, path).Notify(t.Context(), finding("after")); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	var last alert.Message
	if len(lines) != 3 || json.Unmarshal(lines[2], &last) != nil || last.Key != "after" {
		t.Errorf("file is %q", data)
	}
}

func TestFullDiskIsTransientAndLeavesNoTornLine(t *testing.T) {
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=16k"); err != nil {
		t.Skipf("a small file system needs the right to mount: %v", err)
	}
	t.Cleanup(func() { _ = syscall.Unmount(dir, 0) })
	path := filepath.Join(dir, "alerts.jsonl")
	n := open(t, path)
	t.Cleanup(func() { _ = n.Close() })
	stored, failed := 0, 0
	for i := 0; failed < 3; i++ {
		err := n.Notify(t.Context(), finding(fmt.Sprint(i)))
		switch {
		case err == nil:
			stored++
		case alert.IsPermanent(err) || !errors.Is(err, syscall.ENOSPC):
			t.Fatalf("error %v", err)
		default:
			failed++
		}
		if i > 1000 {
			t.Fatal("the disk never filled")
		}
	}
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	data, err := os.ReadFile(path + ".1")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(path + ".1"); err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(t.Context(), finding("room again")); err != nil {
		t.Fatal(err)
	}
	if got := keys(t, path); len(got) != 1 {
		t.Errorf("after the rotation: %v", got)
	}
	whole := bytes.Count(data, []byte("\n"))
	if whole != stored {
		t.Errorf("%d whole lines for %d acknowledged findings", whole, stored)
	}
}

func TestUnusablePathStopsTheStart(t *testing.T) {
	for _, path := range []string{"", filepath.Join(t.TempDir(), "missing", "file")} {
		if _, err := New("file", Config{Path: path}); err == nil {
			t.Errorf("%q accepted", path)
		}
	}
}

func BenchmarkNotify(b *testing.B) {
	n, err := New("file", Config{Path: filepath.Join(b.TempDir(), "a")})
	if err != nil {
		b.Fatal(err)
	}
	f := finding("k")
	for b.Loop() {
		if err := n.Notify(b.Context(), f); err != nil {
			b.Fatal(err)
		}
	}
}
