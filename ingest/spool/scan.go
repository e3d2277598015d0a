package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io"
)

// readAhead is how much a scanner reads at once, in bytes.
const readAhead = 128 << 10

// frame is one intact record as it lies in a segment.
type frame struct {
	seq     uint64
	sealed  bool
	payload []byte // valid until the scanner moves
}

// scanner finds the intact records between two offsets of a segment.
type scanner struct {
	src      io.ReaderAt
	seed     uint32
	off      int64  // of the next frame
	end      int64  // bytes beyond it do not count
	last     uint64 // sequences up to it cannot come any more
	next     uint64 // nor this one and later ones; 0 for no such limit
	good     int64  // end of the last intact frame
	lastGood uint64 // and its sequence
	bad      func(from, to int64)

	buf  []byte
	base int64 // offset of buf
}

// state of the bytes at an offset.
type state int

const (
	intact     state = iota
	badPayload       // the frame's own header holds, so its end is known
	badHeader
	atEnd
)

// read returns the next intact record, or false when there is none before end. Damage is reported through bad. An
// error is one of reading the file; read may be called again.
func (s *scanner) read() (frame, bool, error) {
	for {
		f, end, st, err := s.look(s.off)
		if err != nil {
			return frame{}, false, err
		}
		switch st {
		case intact:
			s.off, s.good, s.last, s.lastGood = end, end, f.seq, f.seq
			return f, true, nil
		case badPayload:
			s.bad(s.off, end)
			s.off, s.last = end, f.seq
		case badHeader:
			to, err := s.resync(s.off + 1)
			if err != nil {
				return frame{}, false, err
			}
			s.bad(s.off, to)
			s.off = to
		case atEnd:
			return frame{}, false, nil
		}
	}
}

// look judges what begins at off and tells where it ends.
func (s *scanner) look(off int64) (frame, int64, state, error) {
	if off >= s.end {
		return frame{}, off, atEnd, nil
	}
	b, err := s.view(off, frameBytes)
	if b == nil {
		return frame{}, off, badHeader, err
	}
	head := binary.LittleEndian.Uint32(b[12:])
	length := binary.LittleEndian.Uint32(b)
	f := frame{seq: binary.LittleEndian.Uint64(b[4:]), sealed: length&sealedBit != 0}
	size := int64(length &^ sealedBit)
	switch {
	case crc32.Update(s.seed, castagnoli, b[:12]) != head,
		f.seq <= s.last, s.next != 0 && f.seq >= s.next, size > maxPayload, off+frameBytes+size > s.end:
		return frame{}, off, badHeader, nil
	}
	sum := binary.LittleEndian.Uint32(b[16:])
	if f.payload, err = s.view(off+frameBytes, int(size)); f.payload == nil {
		return frame{}, off, badHeader, err
	}
	end := off + frameBytes + size
	if crc32.Update(head, castagnoli, f.payload) != sum {
		return f, end, badPayload, nil
	}
	return f, end, intact, nil
}

// resync returns the offset of the next intact frame, or end. That an offset inside a payload looks like one would
// need two checksums that are seeded with the segment's random id.
func (s *scanner) resync(from int64) (int64, error) {
	for off := from; off+frameBytes <= s.end; off++ {
		_, _, st, err := s.look(off)
		if err != nil {
			return 0, err
		}
		if st == intact {
			return off, nil
		}
	}
	return s.end, nil
}

// view returns n bytes at off, or nil when they are not there. A file that is shorter than it was ends there.
func (s *scanner) view(off int64, n int) ([]byte, error) {
	if off+int64(n) > s.end {
		return nil, nil
	}
	if n == 0 {
		return []byte{}, nil
	}
	if off >= s.base && off+int64(n) <= s.base+int64(len(s.buf)) {
		return s.buf[off-s.base:][:n], nil
	}
	want := int(min(int64(max(n, readAhead)), s.end-off))
	if cap(s.buf) < want || cap(s.buf) > 8*readAhead && want <= readAhead {
		s.buf = make([]byte, 0, max(want, readAhead))
	}
	got, err := s.src.ReadAt(s.buf[:want], off)
	s.buf, s.base = s.buf[:got], off
	switch {
	case got >= n:
		return s.buf[:n], nil
	case err == nil || errors.Is(err, io.EOF):
		s.end = off + int64(got)
		return nil, nil
	}
	return nil, err
}
