package clickhouse

import (
	"encoding/binary"
	"unsafe"
)

// column is one column of a block under construction. Its parts are the bytes of ClickHouse's Native format in the
// column's own memory, valid until the next append or reset.
type column interface {
	rows() int
	bytes() int64
	reset()
	// prefix appends what stands before the data: the serialisation version of dictionaries.
	prefix(dst []byte) []byte
	// parts appends the data. It may be called repeatedly.
	parts(dst [][]byte) [][]byte
	// slice is some of the rows, in ascending runs, as a column of their own. It may share the memory and is only read.
	slice(rows []run) column
}

// plain is embedded by columns without a serialisation prefix.
type plain struct{}

func (plain) prefix(dst []byte) []byte { return dst }

// number is what fixed columns hold. All supported platforms are little endian, like the Native format.
type number interface {
	~int8 | ~uint8 | ~uint16 | ~uint32 | ~uint64 | ~int32 | ~int64
}

// fixed is a column of fixed width: integers, Enum8, Bool, DateTime64 and Decimal(18, 12).
type fixed[T number] struct {
	plain
	values []T
}

func (c *fixed[T]) add(v T)      { c.values = append(c.values, v) }
func (c *fixed[T]) rows() int    { return len(c.values) }
func (c *fixed[T]) reset()       { c.values = c.values[:0] }
func (c *fixed[T]) bytes() int64 { return int64(len(c.values)) * int64(unsafe.Sizeof(T(0))) }

func (c *fixed[T]) parts(dst [][]byte) [][]byte {
	if len(c.values) == 0 {
		return dst
	}
	return append(dst, unsafe.Slice((*byte)(unsafe.Pointer(unsafe.SliceData(c.values))), c.bytes())) //nolint:gosec // fixed-width numbers
}

// nullable is a fixed column with absent values.
type nullable[T number] struct {
	plain
	nulls  []byte
	values []T
}

func (c *nullable[T]) add(v T) {
	c.nulls = append(c.nulls, 0)
	c.values = append(c.values, v)
}

func (c *nullable[T]) addNull() {
	c.nulls = append(c.nulls, 1)
	c.values = append(c.values, 0)
}

func (c *nullable[T]) rows() int { return len(c.nulls) }
func (c *nullable[T]) reset()    { c.nulls, c.values = c.nulls[:0], c.values[:0] }
func (c *nullable[T]) bytes() int64 {
	return int64(len(c.nulls)) * int64(1+unsafe.Sizeof(T(0)))
}

func (c *nullable[T]) parts(dst [][]byte) [][]byte {
	values := fixed[T]{values: c.values}
	return values.parts(append(dst, c.nulls))
}

// text is a String column: length and bytes of each value, as they go out.
type text struct {
	plain
	encoded []byte
	n       int
}

func (c *text) add(v string) {
	c.encoded = append(appendLength(c.encoded, len(v)), v...)
	c.n++
}

func (c *text) addBytes(v []byte) {
	c.encoded = append(appendLength(c.encoded, len(v)), v...)
	c.n++
}

func (c *text) rows() int    { return c.n }
func (c *text) reset()       { c.encoded, c.n = c.encoded[:0], 0 }
func (c *text) bytes() int64 { return int64(len(c.encoded)) }

func (c *text) parts(dst [][]byte) [][]byte { return append(dst, c.encoded) }

func appendLength(dst []byte, n int) []byte {
	if n < 0x80 {
		return append(dst, byte(n))
	}
	return binary.AppendUvarint(dst, uint64(n)) //nolint:gosec // a length
}

// list is Array(LowCardinality(String)).
type list struct {
	ends  fixed[uint64]
	items dictionary
}

func (c *list) add(values []string) {
	for _, v := range values {
		c.items.add(v)
	}
	c.endRow()
}

func (c *list) endRow() { c.ends.add(uint64(c.items.rows())) } //nolint:gosec // a count

func (c *list) rows() int                   { return c.ends.rows() }
func (c *list) bytes() int64                { return c.ends.bytes() + c.items.bytes() }
func (c *list) prefix(dst []byte) []byte    { return c.items.prefix(dst) }
func (c *list) parts(dst [][]byte) [][]byte { return c.items.parts(c.ends.parts(dst)) }

func (c *list) reset() {
	c.ends.reset()
	c.items.reset()
}

// mapping is Map(LowCardinality(String), V): keys and values of a row, closed by endRow.
type mapping[V column] struct {
	ends   fixed[uint64]
	keys   dictionary
	values V
}

func (c *mapping[V]) endRow()                  { c.ends.add(uint64(c.keys.rows())) } //nolint:gosec // a count
func (c *mapping[V]) rows() int                { return c.ends.rows() }
func (c *mapping[V]) bytes() int64             { return c.ends.bytes() + c.keys.bytes() + c.values.bytes() }
func (c *mapping[V]) prefix(dst []byte) []byte { return c.values.prefix(c.keys.prefix(dst)) }

func (c *mapping[V]) parts(dst [][]byte) [][]byte {
	return c.values.parts(c.keys.parts(c.ends.parts(dst)))
}

func (c *mapping[V]) reset() {
	c.ends.reset()
	c.keys.reset()
	c.values.reset()
}

// Limits of stored values.
const (
	maxMoney  = 999_999_999_999_999_999 // Decimal(18, 12) in units of 1e-12
	maxMicros = 9_223_372_036_854_775   // DateTime64(6) as far as unix nanoseconds reach: the year 2262
)

// micros turns unix nanoseconds into DateTime64(6).
func micros(unixNano uint64) int64 {
	return int64(min(unixNano/1000, maxMicros)) //nolint:gosec // bounded above
}

// clamp is n where the column can hold it, else the nearest value that it can; ok is false then.
func clamp[T ~uint16 | ~uint32 | ~uint64](n int64) (v T, ok bool) {
	switch limit := uint64(^T(0)); {
	case n < 0:
		return 0, false
	case uint64(n) > limit:
		return ^T(0), false
	}
	return T(n), true //nolint:gosec // checked above
}
