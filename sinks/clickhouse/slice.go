package clickhouse

import "encoding/binary"

// A part of a batch is inserted from the columns of the whole: nothing is decoded or encoded again.

func (c *fixed[T]) slice(from, to int) column { return &fixed[T]{values: c.values[from:to]} }

func (c *nullable[T]) slice(from, to int) column {
	return &nullable[T]{nulls: c.nulls[from:to], values: c.values[from:to]}
}

func (c *text) slice(from, to int) column {
	start := skipTexts(c.encoded, from)
	end := start + skipTexts(c.encoded[start:], to-from)
	return &text{encoded: c.encoded[start:end], n: to - from}
}

// skipTexts returns where the n-th value begins.
func skipTexts(encoded []byte, n int) (at int) {
	for range n {
		length, size := binary.Uvarint(encoded[at:])
		at += size + int(length) //nolint:gosec // written by add
	}
	return at
}

// slice keeps the whole dictionary for many rows and makes a small one for few, whose block it would outweigh.
func (c *dictionary) slice(from, to int) column {
	if 4*(to-from) >= len(c.spans) {
		return &dictionary{keys: c.keys[from*c.width : to*c.width], encoded: c.encoded, spans: c.spans, width: c.width}
	}
	out := &dictionary{}
	for row := from; row < to; row++ {
		s := c.spans[c.key(row)]
		out.add(string(c.encoded[s.start:s.end]))
	}
	return out
}

func (c *dictionary) key(row int) uint32 {
	switch at := row * c.width; c.width {
	case 1:
		return uint32(c.keys[at])
	case 2:
		return uint32(binary.LittleEndian.Uint16(c.keys[at:]))
	default:
		return binary.LittleEndian.Uint32(c.keys[at:])
	}
}

// rebased returns the ends of the rows [from, to) counted from the first item of these rows, and their items.
func rebased(ends []uint64, from, to int) (rows fixed[uint64], firstItem, endItem int) {
	base := uint64(0)
	if from > 0 {
		base = ends[from-1]
	}
	last := base
	for _, end := range ends[from:to] {
		rows.add(end - base)
		last = end
	}
	return rows, int(base), int(last) //nolint:gosec // counts
}

func (c *list) slice(from, to int) column {
	ends, first, end := rebased(c.ends.values, from, to)
	items, _ := c.items.slice(first, end).(*dictionary)
	return &list{ends: ends, items: *items}
}

func (c *mapping[V]) slice(from, to int) column {
	ends, first, end := rebased(c.ends.values, from, to)
	keys, _ := c.keys.slice(first, end).(*dictionary)
	return &mapping[column]{ends: ends, keys: *keys, values: c.values.slice(first, end)}
}

// bulkSlice is a run of values of a bulk column.
type bulkSlice struct {
	plain
	of         *bulk
	start, end int // bytes
	n          int
}

func (c *bulk) slice(from, to int) column {
	start := c.skip(0, from)
	return &bulkSlice{of: c, start: start, end: c.skip(start, to-from), n: to - from}
}

// skip returns where the n-th value after the byte at begins.
func (c *bulk) skip(at, n int) int {
	for range n {
		length := uint64(0)
		for shift := 0; ; shift += 7 {
			b := c.chunks[at/chunkBytes][at%chunkBytes]
			at++
			length |= uint64(b&0x7f) << shift
			if b < 0x80 {
				break
			}
		}
		at += int(length) //nolint:gosec // written by addBytes
	}
	return at
}

func (c *bulkSlice) rows() int    { return c.n }
func (c *bulkSlice) bytes() int64 { return int64(c.end - c.start) }
func (c *bulkSlice) reset()       {}

func (c *bulkSlice) parts(dst [][]byte) [][]byte {
	for at := c.start; at < c.end; {
		within := at % chunkBytes
		end := min(chunkBytes, within+c.end-at)
		dst = append(dst, c.of.chunks[at/chunkBytes][within:end])
		at += end - within
	}
	return dst
}

func (c *bulkSlice) slice(from, to int) column {
	start := c.of.skip(c.start, from)
	return &bulkSlice{of: c.of, start: start, end: c.of.skip(start, to-from), n: to - from}
}
