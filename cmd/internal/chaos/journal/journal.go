// Package journal is the producer's own record of what the broker acknowledged: an append-only file of one line per
// acknowledgement. It is written before anything else learns of the acknowledgement.
package journal

import (
	"bufio"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"sync"
)

// Entry is one acknowledged record.
type Entry struct {
	Index, Phase int
	Partition    int32
	Offset       int64
	Digest       uint64 // of the record's value
}

// Digest is the head of SHA-256 over a record's value.
func Digest(value []byte) uint64 {
	sum := sha256.Sum256(value)
	return binary.BigEndian.Uint64(sum[:])
}

// Writer appends entries. It is safe for concurrent use.
type Writer struct {
	mu   sync.Mutex
	file *os.File
	out  *bufio.Writer
	n    int
}

// Create starts a journal; it refuses to overwrite one.
func Create(path string) (*Writer, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, fmt.Errorf("create journal: %w", err)
	}
	return &Writer{file: file, out: bufio.NewWriterSize(file, 1<<16)}, nil
}

// Append adds one entry.
func (w *Writer) Append(e Entry) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.n++
	_, err := fmt.Fprintf(w.out, "%d %d %d %d %x\n", e.Index, e.Phase, e.Partition, e.Offset, e.Digest)
	return err
}

// Entries is how many entries were appended.
func (w *Writer) Entries() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.n
}

// Flush hands what was appended to the system.
func (w *Writer) Flush() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Flush()
}

// Close ends the journal.
func (w *Writer) Close() error { return errors.Join(w.Flush(), w.file.Close()) }

// Read calls f with every entry of a journal. A last line without an end is left out: it was not written whole.
func Read(path string, f func(Entry)) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	defer file.Close()
	in := bufio.NewReaderSize(file, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read journal: %w", err)
		}
		var e Entry
		if _, err := fmt.Sscanf(line, "%d %d %d %d %x", &e.Index, &e.Phase, &e.Partition, &e.Offset, &e.Digest); err != nil {
			return fmt.Errorf("read journal line %q: %w", line, err)
		}
		f(e)
	}
}
