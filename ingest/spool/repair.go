package spool

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
)

// load reads the folder: cursor, segments, and what is certain of the last one.
func (l *Log) load() (err error) {
	if l.cursor, err = openCursor(l.cfg.Dir); err != nil {
		return err
	}
	l.retired = l.cursor.seq
	entries, err := os.ReadDir(l.cfg.Dir)
	if err != nil {
		return fmt.Errorf("read spool.dir: %w", err)
	}
	for _, e := range entries {
		first, id, ok := parseName(e.Name())
		if !ok || !e.Type().IsRegular() {
			continue
		}
		info, err := e.Info()
		if err != nil {
			return fmt.Errorf("read spool.dir: %w", err)
		}
		l.segments = append(l.segments, &segment{
			path: filepath.Join(l.cfg.Dir, e.Name()), id: id, first: first, size: info.Size(), created: info.ModTime(),
		})
	}
	slices.SortFunc(l.segments, func(a, b *segment) int {
		switch {
		case a.first < b.first:
			return -1
		case a.first > b.first:
			return 1
		}
		return 0
	})
	for i, s := range l.segments[:max(len(l.segments)-1, 0)] {
		s.last = l.segments[i+1].first - 1
	}
	if n := len(l.segments); n > 0 {
		// What was deleted had been retired, also when the cursor was not persisted any more.
		l.retired = max(l.retired, l.segments[0].first-1)
		if err := l.repair(l.segments[n-1]); err != nil {
			return err
		}
		l.last = l.segments[n-1].last
	}
	// The disk may have lost records that the cursor already counts: their numbers must not serve again.
	l.last = max(l.last, l.retired)
	l.synced = l.last
	if err := l.checkKey(); err != nil {
		return err
	}
	for _, s := range l.segments {
		l.bytes += s.size
	}
	l.forgetEmpty()
	l.reclaim()
	if l.last > l.retired {
		l.log.Info().Uint64("records", l.last-l.retired).Int64("bytes", l.bytes).Msg("spool holds records of an earlier run")
	}
	return nil
}

// forgetEmpty removes a last segment without records.
func (l *Log) forgetEmpty() {
	n := len(l.segments) - 1
	if n < 0 || !l.segments[n].empty() {
		return
	}
	if os.Remove(l.segments[n].path) == nil {
		l.bytes -= l.segments[n].size
		l.segments = l.segments[:n]
	}
}

// repair finds the last record of the last segment and truncates what a torn write left behind it. Damage before the
// last record is not repaired: the reader passes over it.
func (l *Log) repair(s *segment) error {
	f, err := os.OpenFile(s.path, os.O_RDWR, 0)
	if errors.Is(err, os.ErrPermission) {
		f, err = os.Open(s.path)
	}
	if err != nil {
		return fmt.Errorf("repair spool: %w", err)
	}
	defer f.Close()
	scan := scanner{src: f, seed: s.id.seed(), off: headerBytes, end: s.size, last: s.first - 1, good: headerBytes, bad: func(int64, int64) {}}
	for {
		_, ok, err := scan.read()
		if err != nil {
			return fmt.Errorf("repair spool: %w", err)
		}
		if !ok {
			break
		}
	}
	s.last = scan.lastIntact(s.first)
	if s.size > scan.good {
		l.log.Warn().Str("file", filepath.Base(s.path)).Int64("from", scan.good).Int64("to", s.size).Msg("torn end of spool truncated")
		l.metrics.torn.Add(float64(s.size - scan.good))
		_ = f.Truncate(scan.good) // where it is refused the reader passes over it
		s.size = scan.good
	}
	return nil
}

// lastIntact is the sequence of the last intact record, first-1 when there was none.
func (s *scanner) lastIntact(first uint64) uint64 {
	if s.good == headerBytes {
		return first - 1
	}
	return s.lastGood
}

// checkKey refuses records that could not be opened.
func (l *Log) checkKey() error {
	for _, s := range l.segments {
		if s.last <= l.retired {
			continue
		}
		h, err := readHeader(s.path)
		switch {
		case errors.Is(err, errBadHeader): // its records say for themselves whether they are sealed
			continue
		case err != nil:
			return fmt.Errorf("read spool: %w", err)
		case h.version != formatVersion:
			return fmt.Errorf("read spool: %s has format %d, this version reads %d; deliver it with the version that wrote it", s.path, h.version, formatVersion)
		case h.flags&flagSealed == 0:
			continue
		case l.key == nil:
			return fmt.Errorf("%w: %s holds sealed records and there is no key; restore tap.encryption_key, or move the folder away", ErrKey, l.cfg.Dir)
		case h.keyCheck != l.key.check:
			return fmt.Errorf("%w: restore the former tap.encryption_key until %s is empty, or move the folder away", ErrKey, l.cfg.Dir)
		}
	}
	return nil
}

func readHeader(path string) (fileHeader, error) {
	f, err := os.Open(path)
	if err != nil {
		return fileHeader{}, err
	}
	defer f.Close()
	b := make([]byte, headerBytes)
	if _, err := io.ReadFull(f, b); errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fileHeader{}, errBadHeader
	} else if err != nil {
		return fileHeader{}, err
	}
	return parseHeader(b)
}
