package clickhouse

import (
	"bytes"
	"encoding/binary"
	"hash/maphash"
	"math"
)

// dictionary is a LowCardinality(String) column: the distinct values of the block and one key per row.
//
// The usual hash map of strings costs more than everything else that a row needs. Most columns repeat the value
// of the row before, so that is compared first; else an open-addressed table finds the key by hash, and compares
// with the encoded dictionary itself, so that no value is kept twice and nothing points into the caller's memory.
type dictionary struct {
	// What every row touches comes first, in one cache line.
	keys      []byte // one key per row, width bytes each
	encoded   []byte // dictionary: length and bytes of each value, as they go out
	lastStart uint32 // where the value of the row before is in encoded
	lastEnd   uint32
	last      uint32 // its key
	limit     uint32 // keys below it fit width

	width int
	spans []span   // where each value's bytes are in encoded
	table []uint32 // key+1 by hash; its length is a power of two
	seed  maphash.Seed
	ready bool // seed is made
	head  [3][8]byte
}

type span struct {
	hash       uint64
	start, end uint32
}

// Native format of LowCardinality: version of the keys' serialisation; flags of the one and only dictionary that
// follows ("has additional keys", "needs update"), with the key width in the low byte.
const (
	dictionaryVersion = 1
	dictionaryFlags   = 1<<9 | 1<<10
)

func (c *dictionary) add(v string) {
	if len(c.keys) == 0 || string(c.encoded[c.lastStart:c.lastEnd]) != v {
		c.lookup(v)
	}
	if key := c.last; c.width == 1 && key < c.limit {
		c.keys = append(c.keys, byte(key))
	} else {
		c.appendKey(key)
	}
}

// lookup makes v the value of the row before.
func (c *dictionary) lookup(v string) {
	if !c.ready {
		c.seed, c.ready = maphash.MakeSeed(), true
	}
	if len(c.spans)*2 >= len(c.table) {
		c.enlarge()
	}
	hash := maphash.String(c.seed, v)
	mask := uint64(len(c.table) - 1)
	for i := hash & mask; ; i = (i + 1) & mask {
		entry := c.table[i]
		if entry == 0 {
			c.last = uint32(len(c.spans)) //nolint:gosec // bounded by rows
			c.table[i] = c.last + 1
			c.encoded = appendLength(c.encoded, len(v))
			c.lastStart = uint32(len(c.encoded)) //nolint:gosec // a block is below 256 MB
			c.encoded = append(c.encoded, v...)
			c.lastEnd = uint32(len(c.encoded)) //nolint:gosec // a block is below 256 MB
			c.spans = append(c.spans, span{hash, c.lastStart, c.lastEnd})
			return
		}
		if s := c.spans[entry-1]; s.hash == hash && string(c.encoded[s.start:s.end]) == v {
			c.last, c.lastStart, c.lastEnd = entry-1, s.start, s.end
			return
		}
	}
}

func (c *dictionary) enlarge() {
	c.table = make([]uint32, max(16, len(c.table)*2))
	mask := uint64(len(c.table) - 1)
	for key, s := range c.spans {
		i := s.hash & mask
		for c.table[i] != 0 {
			i = (i + 1) & mask
		}
		c.table[i] = uint32(key) + 1 //nolint:gosec // bounded by rows
	}
}

// number is the key of a value, which is added where it is new.
func (c *dictionary) number(v string) uint32 {
	c.lookup(v)
	return c.last
}

// set changes the key of a row.
func (c *dictionary) set(row int, key uint32) {
	for key >= c.limit {
		c.widen()
	}
	switch at := row * c.width; c.width {
	case 1:
		c.keys[at] = byte(key) //nolint:gosec // fits the width
	case 2:
		binary.LittleEndian.PutUint16(c.keys[at:], uint16(key)) //nolint:gosec // fits the width
	default:
		binary.LittleEndian.PutUint32(c.keys[at:], key)
	}
}

func (c *dictionary) appendKey(key uint32) {
	for key >= c.limit {
		c.widen()
	}
	switch c.width {
	case 1:
		c.keys = append(c.keys, byte(key)) //nolint:gosec // fits the width
	case 2:
		c.keys = binary.LittleEndian.AppendUint16(c.keys, uint16(key)) //nolint:gosec // fits the width
	default:
		c.keys = binary.LittleEndian.AppendUint32(c.keys, key)
	}
}

// widen doubles the keys' width: 1, 2, 4 bytes.
func (c *dictionary) widen() {
	old, width := c.keys, c.width
	if width == 0 {
		c.width, c.limit = 1, 1<<8
		return
	}
	c.width *= 2
	if c.limit = 1 << 16; c.width == 4 {
		c.limit = math.MaxUint32
	}
	c.keys = make([]byte, 0, 2*cap(old))
	for i := 0; i < len(old); i += width {
		if width == 1 {
			c.keys = append(c.keys, old[i], 0)
		} else {
			c.keys = append(c.keys, old[i], old[i+1], 0, 0)
		}
	}
}

func (c *dictionary) rows() int    { return len(c.keys) / max(c.width, 1) }
func (c *dictionary) bytes() int64 { return int64(len(c.encoded) + len(c.keys) + 24) }

// maxIdleTable is the size above which an emptied table is given back rather than cleared at every block.
const maxIdleTable = 1 << 14

func (c *dictionary) reset() {
	c.encoded, c.spans, c.keys = c.encoded[:0], c.spans[:0], c.keys[:0]
	if len(c.table) > maxIdleTable {
		c.table = nil
	}
	clear(c.table)
	c.width, c.limit, c.last, c.lastStart, c.lastEnd = 0, 0, 0, 0, 0
}

func (c *dictionary) prefix(dst []byte) []byte {
	return binary.LittleEndian.AppendUint64(dst, dictionaryVersion)
}

func (c *dictionary) parts(dst [][]byte) [][]byte {
	if len(c.keys) == 0 {
		return dst
	}
	kind := uint64(bytes.IndexByte([]byte{1, 2, 4}, byte(c.width))) //nolint:gosec // 0, 1 or 2
	binary.LittleEndian.PutUint64(c.head[0][:], dictionaryFlags|kind)
	binary.LittleEndian.PutUint64(c.head[1][:], uint64(len(c.spans)))
	binary.LittleEndian.PutUint64(c.head[2][:], uint64(c.rows())) //nolint:gosec // a count
	return append(dst, c.head[0][:], c.head[1][:], c.encoded, c.head[2][:], c.keys)
}
