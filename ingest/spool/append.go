package spool

import (
	"errors"
	"fmt"
	"os"
	"time"
)

// maxScratch is the largest buffer kept between appends, in bytes.
const maxScratch = 2 << 20

// append writes the records with one write. The caller holds mu.
func (l *Log) append(records []Record) (uint64, error) {
	if l.closed {
		return 0, ErrClosed
	}
	if len(records) == 0 {
		return l.last, nil
	}
	need, err := l.need(records)
	if err != nil {
		return 0, err
	}
	if l.bytes+need > l.cfg.MaxBytes {
		if l.reclaim(); l.bytes+need > l.cfg.MaxBytes {
			l.metrics.refused.Add(float64(len(records)))
			l.err = ErrFull
			return 0, ErrFull
		}
	}
	if err := l.write(records, need); err != nil {
		l.metrics.refused.Add(float64(len(records)))
		l.err = fmt.Errorf("append to spool: %w", err)
		return 0, l.err
	}
	l.err = nil
	l.metrics.appended.Add(float64(len(records)))
	if l.cfg.SyncInterval > 0 {
		l.kickSync()
	}
	l.signal()
	return l.last, nil
}

// need is an upper bound of the bytes that the records take on disk.
func (l *Log) need(records []Record) (int64, error) {
	need := int64(headerBytes)
	for i := range records {
		n := encodedMax(&records[i]) + 16
		if n > maxPayload {
			return 0, ErrTooLarge
		}
		need += n + frameBytes
	}
	return need, nil
}

func (l *Log) write(records []Record, need int64) error {
	if l.file != nil {
		if active := l.segments[len(l.segments)-1]; !active.empty() && active.size+need > l.cfg.SegmentBytes {
			if err := l.seal(); err != nil {
				return err
			}
		}
	}
	if l.file == nil {
		if err := l.begin(); err != nil {
			return err
		}
	}
	active := l.segments[len(l.segments)-1]
	l.encode(records)
	if _, err := l.file.Write(l.buf); err != nil {
		l.undo()
		return err
	}
	size := int64(len(l.buf))
	active.size += size
	l.bytes += size
	l.last += uint64(len(records))
	active.last = l.last
	active.note(l.last-uint64(len(records))+1, time.Now())
	if cap(l.buf) > maxScratch {
		l.buf = nil
	}
	return nil
}

// encode builds the frames in buf and gives the records their sequences.
func (l *Log) encode(records []Record) {
	l.buf = l.buf[:0]
	for i := range records {
		r := &records[i]
		r.Seq = l.last + 1 + uint64(i)
		at := len(l.buf)
		l.buf = append(l.buf, make([]byte, frameBytes)...)
		if l.aead == nil {
			l.buf = appendRecord(l.buf, r)
		} else {
			l.plain = appendRecord(l.plain[:0], r)
			nonce := nonceFor(r.Seq)
			l.buf = l.aead.Seal(l.buf, nonce[:], l.plain, nil)
		}
		putFrame(l.buf[at:], l.seed, r.Seq, l.buf[at+frameBytes:], l.aead != nil)
	}
	if cap(l.plain) > maxScratch {
		l.plain = nil
	}
}

// begin starts a segment. It carries the number that comes next.
func (l *Log) begin() error {
	s, f, err := createSegment(l.cfg.Dir, l.last+1, l.key)
	if err != nil {
		return fmt.Errorf("begin segment: %w", err)
	}
	if l.aead = nil; l.key != nil {
		if l.aead, err = l.key.aead(s.id); err != nil {
			return errors.Join(err, f.Close(), os.Remove(s.path))
		}
	}
	if l.cfg.SyncInterval > 0 { // else the file itself may not survive
		if err := syncDir(l.cfg.Dir); err != nil {
			return errors.Join(fmt.Errorf("begin segment: %w", err), f.Close(), os.Remove(s.path))
		}
	}
	l.segments, l.file, l.seed = append(l.segments, s), f, s.id.seed()
	l.bytes += s.size
	return nil
}

// seal ends the segment that is appended to. What is promised to be durable is synced before.
func (l *Log) seal() error {
	if l.file == nil {
		return nil
	}
	var err error
	if l.synced < l.last && (l.cfg.SyncInterval > 0 || l.wanted > l.synced) {
		begun := time.Now()
		if err = l.file.Sync(); err != nil {
			l.failSync(l.last, err)
		} else {
			l.metrics.fsync.Observe(time.Since(begun).Seconds())
			l.synced = l.last
			l.wakeSync()
		}
	}
	l.leave()
	return err
}

// leave closes the last segment and forgets it when it holds nothing.
func (l *Log) leave() {
	_ = l.file.Close()
	l.file, l.aead = nil, nil
	n := len(l.segments) - 1
	if s := l.segments[n]; s.empty() {
		if os.Remove(s.path) == nil {
			l.segments, l.bytes = l.segments[:n], l.bytes-s.size
		}
	}
}

// undo removes what a failed write may have left. The segment is not written again: the bytes of its end are no
// longer certain, and a sealed record's nonce must not serve another one.
func (l *Log) undo() {
	active := l.segments[len(l.segments)-1]
	_ = l.file.Truncate(active.size) // or the next Open, or the reader, finds that they are no record
	l.leave()
}

// reclaim deletes the segments of which everything is retired. The caller holds mu.
func (l *Log) reclaim() {
	for len(l.segments) > 0 {
		s := l.segments[0]
		if s.last > l.retired || l.file != nil && len(l.segments) == 1 {
			return
		}
		if err := os.Remove(s.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return // the next round tries again
		}
		l.bytes -= s.size
		l.segments = l.segments[1:]
	}
}

func (l *Log) signal() {
	select {
	case l.arrived <- struct{}{}:
	default:
	}
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
