//go:build !unix

package ledger

import (
	"errors"
	"os"
	"unsafe"
)

// memory is written to its file at every statement: a killed process loses what it counted since.
type memory struct {
	bytes []byte
	words []uint64 // the same memory, aligned
	file  *os.File
}

func openMemory(path string) (*memory, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	words := make([]uint64, (stateBytes+7)/8)
	m := &memory{words: words, bytes: unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(words))), stateBytes), file: file}
	if _, err := file.ReadAt(m.bytes, 0); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return m, nil
}

func (m *memory) state() *state { return (*state)(unsafe.Pointer(unsafe.SliceData(m.words))) }

func (m *memory) sync() error {
	_, err := m.file.WriteAt(m.bytes, 0)
	return errors.Join(err, m.file.Sync())
}

func (m *memory) close() error { return errors.Join(m.sync(), m.file.Close()) }

func lockFile(path string) (*os.File, error) { return os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600) }
