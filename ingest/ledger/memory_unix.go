//go:build unix

package ledger

import (
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// memory is a file that is mapped into memory: the kernel keeps what was written also when the process is killed.
type memory struct{ bytes []byte }

// openMemory maps a file that has stateBytes bytes.
func openMemory(path string) (*memory, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	b, err := unix.Mmap(int(file.Fd()), 0, stateBytes, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %s: %w", path, err)
	}
	return &memory{b}, nil
}

func (m *memory) state() *state { return (*state)(unsafe.Pointer(unsafe.SliceData(m.bytes))) } //nolint:gosec // page aligned

// sync brings the bytes to the disk.
func (m *memory) sync() error { return unix.Msync(m.bytes, unix.MS_SYNC) }

// close leaves the mapping in place, because a goroutine that counts late must not fault; the process ends soon.
func (m *memory) close() error { return m.sync() }

// lockFile keeps a second process out of the folder; the kernel releases it when the process ends.
func lockFile(path string) (*os.File, error) {
	lock, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return nil, errors.Join(ErrInUse, lock.Close())
	}
	return lock, nil
}
