package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"unsafe"

	"github.com/rs/zerolog"
)

// ErrInUse means that another process counts in the same folder for the same kind of source.
var ErrInUse = errors.New("ledger is in use by another process")

const (
	currentSuffix = ".ledger"
	deadSuffix    = ".dead"
	// maxDead bounds the files of epochs whose closing statement nobody acknowledged; beyond it the oldest go.
	maxDead = 1000
)

// folder is where the counts of one kind of source lie: <kind>.ledger of the present epoch, <kind>-<epoch>.dead of
// earlier ones until their closing statement is acknowledged.
type folder struct {
	dir, kind string
	lock      *os.File
	log       zerolog.Logger
}

func openFolder(dir, kind string, log zerolog.Logger) (*folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create ledger.state_dir: %w; name a folder that can be written, or \"\" to count in memory", err)
	}
	lock, err := lockFile(filepath.Join(dir, kind+".lock"))
	if err != nil {
		return nil, fmt.Errorf("lock ledger.state_dir %s: %w", dir, err)
	}
	return &folder{dir: dir, kind: kind, lock: lock, log: log}, nil
}

func (f *folder) path(suffix string) string { return filepath.Join(f.dir, f.kind+suffix) }

// retire puts the file of the last epoch aside and returns that epoch, 0 when there was none.
func (f *folder) retire() (uint64, error) {
	s, err := readState(f.path(currentSuffix))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return 0, nil
	case err != nil:
		f.log.Error().Err(err).Msg("the counts of the last epoch cannot be read; what it lost is unknown")
		return 0, os.Rename(f.path(currentSuffix), f.path(currentSuffix+".bad"))
	case s.phase.Load() == phaseDone:
		return s.epoch, os.Remove(f.path(currentSuffix))
	}
	return s.epoch, os.Rename(f.path(currentSuffix), f.deadPath(s.epoch))
}

func (f *folder) deadPath(epoch uint64) string {
	return f.path(fmt.Sprintf("-%020d%s", epoch, deadSuffix))
}

// create makes the file of a new epoch: whole, then under its name.
func (f *folder) create(s *state) (*memory, error) {
	temp, err := os.CreateTemp(f.dir, "."+f.kind+"-*")
	if err != nil {
		return nil, err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.Write(raw(s))
	if err := errors.Join(err, temp.Sync(), temp.Close()); err != nil {
		return nil, err
	}
	if err := os.Rename(temp.Name(), f.path(currentSuffix)); err != nil {
		return nil, err
	}
	return openMemory(f.path(currentSuffix))
}

// dead returns the earlier epochs whose closing statement is due, oldest first.
func (f *folder) dead() ([]*state, error) {
	paths, err := filepath.Glob(f.path("-*" + deadSuffix))
	if err != nil {
		return nil, err
	}
	slices.Sort(paths) // the epoch in the name has a fixed width
	if excess := len(paths) - maxDead; excess > 0 {
		f.log.Error().Int("epochs", excess).Msg("closing statements given up: too many wait")
		for _, path := range paths[:excess] {
			_ = os.Remove(path)
		}
		paths = paths[excess:]
	}
	var out []*state
	for _, path := range paths {
		s, err := readState(path)
		if err != nil {
			f.log.Error().Err(err).Msg("the counts of an earlier epoch cannot be read; what it lost is unknown")
			if err := os.Rename(path, strings.TrimSuffix(path, deadSuffix)+".bad"); err != nil {
				return nil, err
			}
			continue
		}
		out = append(out, s)
	}
	return out, nil
}

// forget removes an earlier epoch whose closing statement is acknowledged.
func (f *folder) forget(epoch uint64) error { return os.Remove(f.deadPath(epoch)) }

// readState copies a file into memory and finishes what a kill left half done.
func readState(path string) (*state, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	s := &state{}
	if len(data) != stateBytes {
		return nil, fmt.Errorf("read %s: %d bytes instead of %d", path, len(data), stateBytes)
	}
	copy(raw(s), data)
	if !s.valid() {
		return nil, fmt.Errorf("read %s: not a ledger of this version", path)
	}
	s.finishMove()
	return s, nil
}

// raw is the memory of a state. All its fields are whole words, so there are no gaps.
func raw(s *state) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(s)), stateBytes) } //nolint:gosec // plain numbers
