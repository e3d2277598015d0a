package clickhouse

import "encoding/binary"

// A part of a batch is inserted from the columns of the whole: nothing is decoded again, and nothing is copied unless
// rows within the part are left out.

// run is the rows, the items or the bytes [from, to).
type run struct{ from, to int }

// count is the number of rows in ascending runs.
func count(runs []run) (n int) {
	for _, r := range runs {
		n += r.to - r.from
	}
	return n
}

// pick is what stands in the runs, one after the other. It shares the memory of values where it can.
func pick[T any](values []T, runs []run) []T {
	if len(runs) == 1 {
		return values[runs[0].from:runs[0].to]
	}
	out := make([]T, 0, count(runs))
	for _, r := range runs {
		out = append(out, values[r.from:r.to]...)
	}
	return out
}

func (c *fixed[T]) slice(rows []run) column { return &fixed[T]{values: pick(c.values, rows)} }

func (c *nullable[T]) slice(rows []run) column {
	return &nullable[T]{nulls: pick(c.nulls, rows), values: pick(c.values, rows)}
}

func (c *text) slice(rows []run) column {
	bytes := make([]run, len(rows))
	row, at := 0, 0
	for i, r := range rows {
		at += skipTexts(c.encoded[at:], r.from-row)
		bytes[i].from = at
		at += skipTexts(c.encoded[at:], r.to-r.from)
		bytes[i].to, row = at, r.to
	}
	return &text{encoded: pick(c.encoded, bytes), n: count(rows)}
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
func (c *dictionary) slice(rows []run) column {
	if 4*count(rows) >= len(c.spans) {
		keys := make([]run, len(rows))
		for i, r := range rows {
			keys[i] = run{r.from * c.width, r.to * c.width}
		}
		return &dictionary{keys: pick(c.keys, keys), encoded: c.encoded, spans: c.spans, width: c.width}
	}
	out := &dictionary{}
	for _, r := range rows {
		for row := r.from; row < r.to; row++ {
			s := c.spans[c.key(row)]
			out.add(string(c.encoded[s.start:s.end]))
		}
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

// rebased returns where the rows end, counted in the items that are left, and these items.
func rebased(ends []uint64, rows []run) (out fixed[uint64], items []run) {
	left := uint64(0)
	for _, r := range rows {
		base := uint64(0)
		if r.from > 0 {
			base = ends[r.from-1]
		}
		last := base
		for _, end := range ends[r.from:r.to] {
			out.add(left + end - base)
			last = end
		}
		left += last - base
		items = append(items, run{int(base), int(last)}) //nolint:gosec // counts
	}
	return out, items
}

func (c *list) slice(rows []run) column {
	ends, items := rebased(c.ends.values, rows)
	left, _ := c.items.slice(items).(*dictionary)
	return &list{ends: ends, items: *left}
}

func (c *mapping[V]) slice(rows []run) column {
	ends, items := rebased(c.ends.values, rows)
	keys, _ := c.keys.slice(items).(*dictionary)
	return &mapping[column]{ends: ends, keys: *keys, values: c.values.slice(items)}
}

// bulkSlice is some of the values of a bulk column.
type bulkSlice struct {
	plain
	of   *bulk
	runs []run // bytes
	n    int
}

func (c *bulk) slice(rows []run) column {
	return (&bulkSlice{of: c, runs: []run{{0, int(c.bytes())}}, n: c.n}).slice(rows)
}

// next returns where the value after the one at a byte begins.
func (c *bulk) next(at int) int {
	length := uint64(0)
	for shift := 0; ; shift += 7 {
		b := c.chunks[at/chunkBytes][at%chunkBytes]
		at++
		length |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return at + int(length) //nolint:gosec // written by addBytes
		}
	}
}

func (c *bulkSlice) rows() int    { return c.n }
func (c *bulkSlice) bytes() int64 { return int64(count(c.runs)) }
func (c *bulkSlice) reset()       {}

func (c *bulkSlice) parts(dst [][]byte) [][]byte {
	for _, r := range c.runs {
		for at := r.from; at < r.to; {
			within := at % chunkBytes
			end := min(chunkBytes, within+r.to-at)
			dst = append(dst, c.of.chunks[at/chunkBytes][within:end])
			at += end - within
		}
	}
	return dst
}

func (c *bulkSlice) slice(rows []run) column {
	out := &bulkSlice{of: c.of, n: count(rows)}
	row := 0
	for _, r := range c.runs {
		for at := r.from; at < r.to && len(rows) > 0; row++ {
			next := c.of.next(at)
			if row >= rows[0].from && row < rows[0].to {
				if last := len(out.runs) - 1; last >= 0 && out.runs[last].to == at {
					out.runs[last].to = next
				} else {
					out.runs = append(out.runs, run{at, next})
				}
			}
			for len(rows) > 0 && row+1 >= rows[0].to {
				rows = rows[1:]
			}
			at = next
		}
	}
	return out
}
