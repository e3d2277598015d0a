package wire

import (
	"encoding/binary"
	"unsafe"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is the field of a message that a cursor stands on. data aliases the buffer.
type field struct {
	value  uint64 // varint and fixed kinds
	data   []byte // length-delimited kind
	number uint32
	kind   protowire.Type
}

// cursor walks over the fields of one message. It is used by value on the stack: nothing here allocates.
type cursor struct {
	field
	rest []byte
	bad  bool // the message is not protobuf
}

// next moves to the next field; false at the end or when the message is not protobuf.
func (c *cursor) next() bool {
	b := c.rest
	if len(b) == 0 || c.bad {
		return false
	}
	tag := uint64(b[0])
	if tag < 0x80 {
		b = b[1:]
	} else {
		var n int
		if tag, n = protowire.ConsumeVarint(b); n <= 0 || tag>>3 > uint64(protowire.MaxValidNumber) {
			return c.fail()
		}
		b = b[n:]
	}
	c.number, c.kind = uint32(tag>>3), protowire.Type(tag&7)
	if c.number == 0 {
		return c.fail()
	}
	switch c.kind {
	case protowire.BytesType:
		length, n := varint(b)
		if n <= 0 || length > uint64(len(b)-n) {
			return c.fail()
		}
		end := n + int(length)
		c.data, c.rest = b[n:end:end], b[end:]
	case protowire.VarintType:
		var n int
		if c.value, n = varint(b); n <= 0 {
			return c.fail()
		}
		c.rest = b[n:]
	case protowire.Fixed64Type:
		if len(b) < 8 {
			return c.fail()
		}
		c.value, c.rest = binary.LittleEndian.Uint64(b), b[8:]
	default:
		n := protowire.ConsumeFieldValue(protowire.Number(c.number), c.kind, b)
		if n < 0 {
			return c.fail()
		}
		c.rest = b[n:]
	}
	return true
}

func (c *cursor) fail() bool {
	c.bad = true
	return false
}

// varint is protowire.ConsumeVarint with its two commonest lengths first.
func varint(b []byte) (uint64, int) {
	if len(b) > 0 && b[0] < 0x80 {
		return uint64(b[0]), 1
	}
	if len(b) > 1 && b[1] < 0x80 {
		return uint64(b[0]&0x7f) | uint64(b[1])<<7, 2
	}
	return protowire.ConsumeVarint(b)
}

func (f *field) isBytes() bool  { return f.kind == protowire.BytesType }
func (f *field) isVarint() bool { return f.kind == protowire.VarintType }

// text sets *to to the field's bytes without copying.
func (f *field) text(to *string) bool {
	if f.kind != protowire.BytesType {
		return false
	}
	*to = unsafe.String(unsafe.SliceData(f.data), len(f.data))
	return true
}

// raw sets *to to the field's bytes without copying.
func (f *field) raw(to *[]byte) bool {
	if f.kind != protowire.BytesType {
		return false
	}
	*to = f.data
	return true
}

func (f *field) fixed(to *uint64) bool {
	*to = f.value
	return f.kind == protowire.Fixed64Type
}

// number32 and number64 read a varint into any integer type; wider values are cut as protobuf prescribes.
func number32[T ~int32 | ~uint32](f *field, to *T) bool {
	*to = T(f.value) //nolint:gosec // protobuf cuts wider varints to the field's width
	return f.kind == protowire.VarintType
}

func number64[T ~int64 | ~uint64](f *field, to *T) bool {
	*to = T(f.value) //nolint:gosec // protobuf's two's complement
	return f.kind == protowire.VarintType
}
