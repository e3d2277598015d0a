package progress

import (
	"strings"
	"testing"
	"time"
)

func bar(terminal bool) (*Bar, *strings.Builder, *time.Time) {
	var out strings.Builder
	at := time.Unix(1000, 0)
	b := New(&out, terminal, "replay", "records")
	b.now = func() time.Time { return at }
	b.started, b.drawn = at, at
	return b, &out, &at
}

func TestOnATerminalOneLineIsRedrawnAndCleared(t *testing.T) {
	b, out, at := bar(true)
	b.Set(1, 100)
	if out.Len() > 0 {
		t.Errorf("drawn at once: %q", out.String())
	}
	*at = at.Add(10 * time.Second)
	b.Set(50, 100)
	if got := out.String(); got != "\rreplay [##############..............]   50 %  50 of 100 records  5/s  10s left" {
		t.Errorf("drawn %q", got)
	}
	b.Set(100, 100)
	b.Clear()
	if got := out.String(); strings.Contains(got, "\n") || !strings.HasSuffix(got, " \r") {
		t.Errorf("left on the terminal: %q", got)
	}
}

func TestElsewhereALineIsWrittenNowAndThen(t *testing.T) {
	b, out, at := bar(false)
	for i := range int64(100) {
		b.Set(i, 0)
		*at = at.Add(200 * time.Millisecond)
	}
	b.Clear()
	if got := out.String(); strings.Count(got, "\n") != 3 || strings.ContainsAny(got, "\r#") || !strings.HasPrefix(got, "replay  25 records  5/s\n") {
		t.Errorf("written %q", got)
	}
}
