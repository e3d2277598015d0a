package spool

import (
	"encoding/binary"
	"errors"
	"time"
)

// Header is one header of a record.
type Header struct {
	Key   string
	Value []byte
}

// Record is what one Kafka record says, without its topic.
type Record struct {
	Seq     uint64 // its place in the log, from 1; set by Append and by the Reader
	Time    time.Time
	Key     []byte
	Value   []byte
	Headers []Header
}

// errMalformed means that the bytes of a record are not what this package writes.
var errMalformed = errors.New("malformed record")

// maxHeaders bounds what a reader accepts.
const maxHeaders = 1 << 10

// appendRecord appends the encoding of r: time in Unix nanoseconds as zigzag varint, then key, value, the number of
// headers and each header's key and value, every one with its length as uvarint before it.
func appendRecord(dst []byte, r *Record) []byte {
	dst = binary.AppendVarint(dst, r.Time.UnixNano())
	dst = appendBytes(dst, r.Key)
	dst = appendBytes(dst, r.Value)
	dst = binary.AppendUvarint(dst, uint64(len(r.Headers)))
	for _, h := range r.Headers {
		dst = binary.AppendUvarint(dst, uint64(len(h.Key)))
		dst = append(dst, h.Key...)
		dst = appendBytes(dst, h.Value)
	}
	return dst
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

// encodedMax is an upper bound of a record's encoding in bytes.
func encodedMax(r *Record) int64 {
	n := 4*binary.MaxVarintLen64 + len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		n += 2*binary.MaxVarintLen64 + len(h.Key) + len(h.Value)
	}
	return int64(n)
}

// parseRecord reads an encoding. Key, value and header values alias b.
func parseRecord(b []byte, r *Record) error {
	nanos, n := binary.Varint(b)
	if n <= 0 {
		return errMalformed
	}
	r.Time, b = time.Unix(0, nanos), b[n:]
	var ok bool
	if r.Key, b, ok = cutBytes(b); !ok {
		return errMalformed
	}
	if r.Value, b, ok = cutBytes(b); !ok {
		return errMalformed
	}
	count, n := binary.Uvarint(b)
	if n <= 0 || count > maxHeaders {
		return errMalformed
	}
	b, r.Headers = b[n:], nil
	for range count {
		var key, value []byte
		if key, b, ok = cutBytes(b); !ok {
			return errMalformed
		}
		if value, b, ok = cutBytes(b); !ok {
			return errMalformed
		}
		if r.Headers == nil {
			r.Headers = make([]Header, 0, count)
		}
		r.Headers = append(r.Headers, Header{string(key), value})
	}
	if len(b) != 0 {
		return errMalformed
	}
	return nil
}

func cutBytes(b []byte) (head, rest []byte, ok bool) {
	size, n := binary.Uvarint(b)
	if n <= 0 || size > uint64(len(b)-n) {
		return nil, nil, false
	}
	end := n + int(size)
	return b[n:end:end], b[end:], true
}
