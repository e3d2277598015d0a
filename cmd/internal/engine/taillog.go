package engine

import (
	"fmt"
	"os"
	"strings"
	"sync"
)

// maxLog bounds the engine's own log: one file of this size and the one before it.
const maxLog = 8 << 20

// tailLog is where the engine process writes. It is a file of its own and never our log, because ClickHouse quotes
// statements in its messages. The last lines are kept for the error of a start that fails.
type tailLog struct {
	path string

	mu   sync.Mutex
	file *os.File
	size int64
	last []byte
}

func openTailLog(path string) (*tailLog, error) {
	t := &tailLog{path: path}
	if err := t.open(); err != nil {
		return nil, err
	}
	return t, nil
}

func (t *tailLog) open() error {
	f, err := os.OpenFile(t.path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open engine log: %w", err)
	}
	t.file = f
	if info, err := f.Stat(); err == nil {
		t.size = info.Size()
	}
	return nil
}

// Write implements io.Writer and never fails: a full disk must not stop the engine's process.
func (t *tailLog) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last = append(t.last, p...)
	if len(t.last) > 2048 {
		t.last = append([]byte(nil), t.last[len(t.last)-2048:]...)
	}
	if t.size > maxLog {
		_ = t.file.Close()
		_ = os.Rename(t.path, t.path+".1")
		if t.open() != nil {
			return len(p), nil
		}
		t.size = 0
	}
	n, _ := t.file.Write(p)
	t.size += int64(n)
	return len(p), nil
}

// tail is the end of the log on one line.
func (t *tailLog) tail() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return strings.Join(strings.Fields(string(t.last)), " ")
}

func (t *tailLog) close() {
	t.mu.Lock()
	defer t.mu.Unlock()
	_ = t.file.Close()
}
