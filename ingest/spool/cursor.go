package spool

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
)

// cursorFile keeps the sequence up to which everything is retired, in two slots that are written in turns: a torn
// write spoils one and the other still says where it was. It is written in place, so that a full disk does not
// keep the log from being emptied. An old cursor only means that records are delivered again.
type cursorFile struct {
	file       *os.File
	generation uint64
	seq        uint64
}

const (
	slotBytes  = 20
	slotStride = 512
)

// openCursor opens or makes the file. A file without a valid slot says 0.
func openCursor(dir string) (*cursorFile, error) {
	f, err := os.OpenFile(filepath.Join(dir, "cursor"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open spool cursor: %w", err)
	}
	c := &cursorFile{file: f}
	b := make([]byte, slotStride+slotBytes)
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, errors.Join(fmt.Errorf("read spool cursor: %w", err), f.Close())
	}
	for _, at := range []int{0, slotStride} {
		if n < at+slotBytes {
			continue
		}
		slot := b[at:][:slotBytes]
		generation := binary.LittleEndian.Uint64(slot)
		if binary.LittleEndian.Uint32(slot[16:]) == crc32.Checksum(slot[:16], castagnoli) && generation > c.generation {
			c.generation, c.seq = generation, binary.LittleEndian.Uint64(slot[8:])
		}
	}
	if n == 0 { // take the space now, while there is some
		_, _ = f.WriteAt(b, 0)
	}
	return c, nil
}

func (c *cursorFile) write(seq uint64) error {
	if seq <= c.seq {
		return nil
	}
	var slot [slotBytes]byte
	generation := c.generation + 1
	binary.LittleEndian.PutUint64(slot[:], generation)
	binary.LittleEndian.PutUint64(slot[8:], seq)
	binary.LittleEndian.PutUint32(slot[16:], crc32.Checksum(slot[:16], castagnoli))
	if _, err := c.file.WriteAt(slot[:], int64(generation%2)*slotStride); err != nil {
		return fmt.Errorf("write spool cursor: %w", err)
	}
	c.generation, c.seq = generation, seq
	return nil
}
