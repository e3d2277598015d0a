package spool

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// readTries is how often reading a segment may fail before the rest of it is given up as damaged.
const readTries = 5

// Reader yields the records of a log in order, from the first that was not retired when it was made. It serves one
// goroutine, and a log has one at a time.
type Reader struct {
	log   *Log
	want  uint64 // the next sequence
	limit uint64 // the last one of seg when it was looked at
	seg   *segment
	file  *os.File
	aead  cipher.AEAD
	scan  scanner
	errs  int
}

// Reader returns a reader from the cursor. Close it.
func (l *Log) Reader() *Reader {
	first, _ := l.Pending()
	return &Reader{log: l, want: first}
}

// Seek makes seq the next sequence.
func (r *Reader) Seek(seq uint64) {
	if seq < r.want {
		r.drop()
	} else if r.seg != nil {
		r.log.mu.Lock()
		passed := r.seg.last < seq
		r.log.mu.Unlock()
		if passed {
			r.drop()
		}
	}
	r.want = seq
}

// Next returns the next intact record and waits until there is one. Its bytes are the caller's. Damaged records are
// passed over, so sequences may jump. The error is that of ctx, ErrClosed, or one of reading, after which Next may be
// called again.
func (r *Reader) Next(ctx context.Context) (Record, error) {
	for {
		record, ok, err := r.Try()
		if ok || err != nil {
			return record, err
		}
		select {
		case <-r.log.arrived:
		case <-ctx.Done():
			return Record{}, fmt.Errorf("read spool: %w", ctx.Err())
		}
	}
}

// Try is Next without waiting: false means that there is no further record now.
func (r *Reader) Try() (Record, bool, error) {
	for {
		found, err := r.position()
		if !found || err != nil {
			return Record{}, false, err
		}
		f, ok, err := r.scan.read()
		switch {
		case err != nil:
			if err = r.failed(err); err != nil {
				return Record{}, false, err
			}
		case !ok:
			if r.scan.lastGood < r.limit && r.seg.reported == 0 { // it ends early
				r.damaged(r.scan.off, r.scan.end)
			}
			r.want = max(r.want, r.limit+1)
			r.drop()
		case f.seq >= r.want:
			r.errs = 0
			record, err := r.open(f)
			r.want = f.seq + 1
			if err == nil {
				return record, true, nil
			}
			r.damaged(r.scan.off-frameBytes-int64(len(f.payload)), r.scan.off)
		}
	}
}

// Close frees the reader's file.
func (r *Reader) Close() { r.drop() }

func (r *Reader) drop() {
	if r.file != nil {
		_ = r.file.Close()
	}
	r.seg, r.file, r.aead, r.scan.buf = nil, nil, nil, nil
}

// position makes the scanner stand in the segment of the wanted record, with the limits of this moment. False means
// that nothing is there to be read.
func (r *Reader) position() (bool, error) {
	l := r.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return false, ErrClosed
	}
	if r.want > l.last {
		return false, nil
	}
	for i, s := range l.segments {
		if s.last < r.want {
			continue
		}
		if s != r.seg {
			if err := r.enter(s); err != nil {
				return false, err
			}
		}
		r.scan.end, r.scan.next, r.limit = s.size, 0, s.last
		if i+1 < len(l.segments) {
			r.scan.next = l.segments[i+1].first
		}
		return true, nil
	}
	r.want = l.last + 1 // the files are gone
	return false, nil
}

func (r *Reader) enter(s *segment) error {
	r.drop()
	f, err := os.Open(s.path)
	if err != nil {
		if r.errs++; r.errs < readTries {
			return fmt.Errorf("read spool: %w", err)
		}
		r.log.log.Error().Err(err).Str("file", filepath.Base(s.path)).Msg("segment of spool cannot be opened; its records are given up")
		r.log.metrics.corrupt.Inc()
		r.errs, r.want = 0, s.last+1
		return fmt.Errorf("read spool: %w", err)
	}
	r.seg, r.file = s, f
	r.scan = scanner{src: f, seed: s.id.seed(), off: headerBytes, last: s.first - 1, good: headerBytes, bad: r.damaged}
	if r.log.key != nil {
		r.aead, err = r.log.key.aead(s.id)
	}
	return err
}

// failed counts an error of reading, and gives the rest of the segment up when it stays.
func (r *Reader) failed(err error) error {
	if r.errs++; r.errs < readTries {
		return fmt.Errorf("read spool: %w", err)
	}
	r.damaged(r.scan.off, r.scan.end)
	r.errs, r.want = 0, r.limit+1
	r.drop()
	return nil
}

// damaged counts and logs a range once, also when the segment is read again.
func (r *Reader) damaged(from, to int64) {
	if to <= r.seg.reported {
		return
	}
	r.seg.reported = max(to, 1)
	r.log.metrics.corrupt.Inc()
	r.log.log.Error().Str("file", filepath.Base(r.seg.path)).Int64("from", from).Int64("to", to).
		Msg("damaged bytes of spool passed over")
}

var errSealed = errors.New("record cannot be opened")

// open copies, and where sealed opens, one record.
func (r *Reader) open(f frame) (Record, error) {
	record := Record{Seq: f.seq}
	var plain []byte
	if f.sealed {
		if r.aead == nil {
			return record, errSealed
		}
		nonce := nonceFor(f.seq)
		var err error
		if plain, err = r.aead.Open(nil, nonce[:], f.payload, nil); err != nil {
			return record, errSealed
		}
	} else {
		plain = append(make([]byte, 0, len(f.payload)), f.payload...)
	}
	return record, parseRecord(plain, &record)
}

// OldestAge is how long ago the oldest record that is not retired was appended, to about a second; 0 when there is none.
func (l *Log) OldestAge() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, s := range l.segments {
		if s.last > l.retired && !s.empty() {
			return max(time.Since(s.since(l.retired+1)), 0)
		}
	}
	return 0
}
