package clickhouse

import (
	"encoding/binary"
	"sync"
)

// chunkBytes is the unit in which bulk columns take memory.
const chunkBytes = 256 << 10

// Buffers lends memory for payloads to all Tables of a process. Open batches of many partitions then need the memory
// of what they hold, not of what each of them once held. The zero value is ready; it is safe for concurrent use.
type Buffers struct{ pool sync.Pool }

func (b *Buffers) take() *[chunkBytes]byte {
	if chunk, ok := b.pool.Get().(*[chunkBytes]byte); ok {
		return chunk
	}
	return new([chunkBytes]byte)
}

// bulk is a String column of large values. It grows by chunks, so that nothing is copied as it grows.
type bulk struct {
	plain
	shared *Buffers
	chunks []*[chunkBytes]byte
	used   int // bytes of the last chunk
	n      int
}

func (c *bulk) addBytes(v []byte) {
	var length [binary.MaxVarintLen64]byte
	c.write(length[:binary.PutUvarint(length[:], uint64(len(v)))])
	c.write(v)
	c.n++
}

func (c *bulk) write(p []byte) {
	for len(p) > 0 {
		if len(c.chunks) == 0 || c.used == chunkBytes {
			c.chunks = append(c.chunks, c.shared.take())
			c.used = 0
		}
		n := copy(c.chunks[len(c.chunks)-1][c.used:], p)
		c.used += n
		p = p[n:]
	}
}

func (c *bulk) rows() int { return c.n }

func (c *bulk) bytes() int64 {
	if len(c.chunks) == 0 {
		return 0
	}
	return int64(len(c.chunks)-1)*chunkBytes + int64(c.used)
}

func (c *bulk) parts(dst [][]byte) [][]byte {
	for i, chunk := range c.chunks {
		end := chunkBytes
		if i == len(c.chunks)-1 {
			end = c.used
		}
		dst = append(dst, chunk[:end])
	}
	return dst
}

func (c *bulk) reset() {
	for i, chunk := range c.chunks {
		c.shared.pool.Put(chunk)
		c.chunks[i] = nil
	}
	c.chunks, c.used, c.n = c.chunks[:0], 0, 0
}
