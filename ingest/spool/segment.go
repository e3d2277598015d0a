package spool

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const (
	magic         = "MTSPOOL\x00"
	formatVersion = 1
	headerBytes   = 64
	frameBytes    = 20
	suffix        = ".seg"

	// flagSealed in a segment's flags: its records are sealed.
	flagSealed = 1
	// sealedBit in a frame's length: this record is sealed.
	sealedBit = 1 << 31
	// maxPayload bounds one record in bytes. Kafka records are far smaller.
	maxPayload = 256 << 20
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// segmentID seeds the checksums and the key of one segment.
type segmentID [16]byte

func (id segmentID) seed() uint32 { return crc32.Checksum(id[:], castagnoli) }

// segment is one file of the log.
type segment struct {
	path     string
	id       segmentID
	first    uint64    // the sequence in its name
	last     uint64    // of its last record, first-1 while it has none
	size     int64     // bytes that count
	created  time.Time // or its last change, for segments of an earlier process
	marks    []mark
	reported int64 // damage before this offset is counted; the reader's
}

// mark remembers when a record was appended, about one per second, for the age of the oldest.
type mark struct {
	seq uint64
	at  time.Time
}

func (s *segment) empty() bool { return s.last < s.first }

// note adds a mark for the record seq when the last one is old enough.
func (s *segment) note(seq uint64, now time.Time) {
	if n := len(s.marks); n == 0 || now.Sub(s.marks[n-1].at) >= time.Second {
		s.marks = append(s.marks, mark{seq, now})
	}
}

// since tells when the record seq was appended, give or take a second.
func (s *segment) since(seq uint64) time.Time {
	at := s.created
	for _, m := range s.marks {
		if m.seq > seq {
			break
		}
		at = m.at
	}
	return at
}

func segmentName(first uint64, id segmentID) string {
	return fmt.Sprintf("%020d-%s%s", first, hex.EncodeToString(id[:]), suffix)
}

// parseName reads a segment's name; false for a file that is no segment.
func parseName(name string) (first uint64, id segmentID, ok bool) {
	base, found := strings.CutSuffix(name, suffix)
	if !found {
		return 0, id, false
	}
	number, tail, found := strings.Cut(base, "-")
	if !found || len(number) != 20 || len(tail) != 2*len(id) {
		return 0, id, false
	}
	first, err := strconv.ParseUint(number, 10, 64)
	if err != nil || first == 0 {
		return 0, id, false
	}
	if _, err := hex.Decode(id[:], []byte(tail)); err != nil {
		return 0, id, false
	}
	return first, id, true
}

// fileHeader is what stands at the beginning of a segment.
type fileHeader struct {
	version  uint16
	flags    uint16
	id       segmentID
	first    uint64
	created  time.Time
	keyCheck [8]byte // tells another key from damage; zero without a key
}

func (h fileHeader) bytes() []byte {
	b := make([]byte, headerBytes)
	copy(b, magic)
	binary.LittleEndian.PutUint16(b[8:], h.version)
	binary.LittleEndian.PutUint16(b[10:], h.flags)
	copy(b[12:], h.id[:])
	binary.LittleEndian.PutUint64(b[28:], h.first)
	binary.LittleEndian.PutUint64(b[36:], uint64(h.created.UnixNano()))
	copy(b[44:], h.keyCheck[:])
	binary.LittleEndian.PutUint32(b[60:], crc32.Checksum(b[:60], castagnoli))
	return b
}

var errBadHeader = errors.New("damaged segment header")

func parseHeader(b []byte) (fileHeader, error) {
	var h fileHeader
	if len(b) < headerBytes || string(b[:8]) != magic || binary.LittleEndian.Uint32(b[60:]) != crc32.Checksum(b[:60], castagnoli) {
		return h, errBadHeader
	}
	h.version = binary.LittleEndian.Uint16(b[8:])
	h.flags = binary.LittleEndian.Uint16(b[10:])
	copy(h.id[:], b[12:])
	h.first = binary.LittleEndian.Uint64(b[28:])
	h.created = time.Unix(0, int64(binary.LittleEndian.Uint64(b[36:])))
	copy(h.keyCheck[:], b[44:])
	return h, nil
}

// frame writes the 20 bytes before a payload: length, sequence, checksum of both, checksum of the payload that goes
// on from the first.
func putFrame(b []byte, seed uint32, seq uint64, payload []byte, sealed bool) {
	length := uint32(len(payload))
	if sealed {
		length |= sealedBit
	}
	binary.LittleEndian.PutUint32(b, length)
	binary.LittleEndian.PutUint64(b[4:], seq)
	head := crc32.Update(seed, castagnoli, b[:12])
	binary.LittleEndian.PutUint32(b[12:], head)
	binary.LittleEndian.PutUint32(b[16:], crc32.Update(head, castagnoli, payload))
}

// createSegment makes the file with its header. A file that could not be made whole is removed.
func createSegment(dir string, first uint64, key *sealKey) (*segment, *os.File, error) {
	s := &segment{first: first, last: first - 1, size: headerBytes, created: time.Now()}
	if _, err := rand.Read(s.id[:]); err != nil {
		return nil, nil, err
	}
	h := fileHeader{version: formatVersion, id: s.id, first: first, created: s.created}
	if key != nil {
		h.flags, h.keyCheck = flagSealed, key.check
	}
	s.path = filepath.Join(dir, segmentName(first, s.id))
	f, err := os.OpenFile(s.path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, nil, err
	}
	if _, err := f.Write(h.bytes()); err != nil {
		return nil, nil, errors.Join(err, f.Close(), os.Remove(s.path))
	}
	return s, f, nil
}
