//go:build chaos

package failpoint

import (
	"os"
	"os/exec"
	"syscall"
	"testing"

	"github.com/rs/zerolog"
)

func env(point, fault string) func(string) string {
	return func(name string) string { return map[string]string{EnvPoint: point, EnvFault: fault}[name] }
}

func TestNew_KillsAtTheNthPassing(t *testing.T) {
	if os.Getenv("FAILPOINT_TEST_CHILD") != "" {
		h, err := New(zerolog.Nop(), os.Getenv)
		if err != nil {
			os.Exit(3)
		}
		for range 2 {
			h.Stream.At("W3")
			h.Stream.At("W1")
		}
		os.Stdout.WriteString("still here")
		h.Stream.At("W1")
		os.Exit(0)
	}
	child := exec.Command(os.Args[0], "-test.run=^TestNew_KillsAtTheNthPassing$")
	child.Env = append(os.Environ(), "FAILPOINT_TEST_CHILD=1", EnvPoint+"=W1:3")
	out, err := child.Output()
	status, ok := child.ProcessState.Sys().(syscall.WaitStatus)
	if !ok || status.Signal() != syscall.SIGKILL || string(out) != "still here" {
		t.Errorf("%q, %v", out, err)
	}
}

func TestNew_FaultsBreakWhatTheySay(t *testing.T) {
	h, err := New(zerolog.Nop(), env("", "new_token"))
	if err != nil || h.ClickHouse.Token("t") == h.ClickHouse.Token("t") {
		t.Errorf("tokens are equal, %v", err)
	}
	h, err = New(zerolog.Nop(), env("", "shift_boundary"))
	if got := h.Stream.Shift(100); err != nil || got != 99 && got != 101 {
		t.Errorf("shifted to %d, %v", got, err)
	}
	h, err = New(zerolog.Nop(), env("W2:1", "multi_block"))
	if err != nil || h.ClickHouse.Midway == nil || h.Stream.At != nil {
		t.Errorf("%+v, %v", h, err)
	}
	for range 1000 {
		last := 0
		for _, at := range h.ClickHouse.Cut(10) {
			if at <= last || at >= 10 {
				t.Fatalf("cut at %d after %d", at, last)
			}
			last = at
		}
	}
	for _, wrong := range []string{"W9:1", "W1", "W1:0", "W1:x"} {
		if _, err := New(zerolog.Nop(), env(wrong, "")); err == nil {
			t.Errorf("%q is accepted", wrong)
		}
	}
	if _, err := New(zerolog.Nop(), env("", "other")); err == nil {
		t.Error("an unknown fault is accepted")
	}
}
