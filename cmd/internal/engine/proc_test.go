package engine_test

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"testing"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// rss is the resident memory of the engine's process in bytes.
func rss(t testing.TB, e *engine.Engine) int64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", e.PID()))
	if err != nil {
		t.Fatal(err)
	}
	_, line, ok := bytes.Cut(raw, []byte("VmRSS:"))
	if !ok {
		t.Fatal("no resident memory in /proc")
	}
	kib, err := strconv.ParseInt(string(bytes.Fields(line)[0]), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// cpuSeconds is the processor time the engine's process has used.
func cpuSeconds(t testing.TB, e *engine.Engine) float64 {
	t.Helper()
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", e.PID()))
	if err != nil {
		t.Fatal(err)
	}
	fields := bytes.Fields(raw[bytes.LastIndexByte(raw, ')'):])
	user, err := strconv.ParseFloat(string(fields[12]), 64)
	if err != nil {
		t.Fatal(err)
	}
	system, err := strconv.ParseFloat(string(fields[13]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return (user + system) / 100 // ticks of 10 ms
}
