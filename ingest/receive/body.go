package receive

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/modeltrail/modeltrail/schemas/content"
)

// budget bounds the memory of all requests at work.
type budget struct {
	max  int64
	used atomic.Int64
}

// share is what one request holds of the budget.
type share struct {
	budget *budget
	held   int64
}

// take reserves n bytes; false means that there is no room and nothing was reserved.
func (s *share) take(n int64) bool {
	if s.budget.used.Add(n) > s.budget.max {
		s.budget.used.Add(-n)
		return false
	}
	s.held += n
	return true
}

func (s *share) give(n int64) {
	s.held -= n
	s.budget.used.Add(-n)
}

// close gives everything back.
func (s *share) close() { s.give(s.held) }

// firstRead is the first buffer of a body of unknown length, in bytes.
const firstRead = 16 << 10

// read reads the body as it arrives. Memory is reserved before it is used.
func (c Config) read(r *http.Request, s *share) ([]byte, *failure) {
	if r.ContentLength > c.MaxBodyBytes {
		return nil, tooLarge("max_body_bytes", c.MaxBodyBytes)
	}
	size := int64(firstRead)
	if r.ContentLength >= 0 {
		size = r.ContentLength
	}
	if !s.take(size) {
		return nil, c.noRoom()
	}
	body := make([]byte, 0, size)
	for {
		if len(body) == cap(body) {
			var probe [1]byte
			n, err := io.ReadFull(r.Body, probe[:])
			switch {
			case errors.Is(err, io.EOF):
				return body, nil
			case err != nil:
				return nil, unread(err)
			case int64(len(body)+n) > c.MaxBodyBytes:
				return nil, tooLarge("max_body_bytes", c.MaxBodyBytes)
			}
			grown := min(max(int64(cap(body))*2, firstRead), c.MaxBodyBytes)
			if !s.take(grown) {
				return nil, c.noRoom()
			}
			before := int64(cap(body))
			body = append(make([]byte, 0, grown), body...)
			body = append(body, probe[0])
			s.give(before)
		}
		n, err := r.Body.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if errors.Is(err, io.EOF) {
			return body, nil
		}
		if err != nil {
			return nil, unread(err)
		}
	}
}

// unread tells a slow sender from one that left.
func unread(err error) *failure {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &failure{status: http.StatusRequestTimeout, code: "request_timeout", limit: "receive.read_timeout", message: "the body did not arrive in time"}
	}
	return &failure{status: http.StatusBadRequest, code: "body_incomplete", message: "the body ended early"}
}

// usualRatio is how much a compressed body is expected to grow; the largest size is reserved only when it does more.
const usualRatio = 8

// decompress undoes the content encoding within bounds and reserves what the envelopes will take.
func (c Config) decompress(encoding string, body []byte, s *share) ([]byte, *failure) {
	plain := body
	if encoding != "" && encoding != "identity" {
		limit := min(int64(len(body))*usualRatio+firstRead, c.MaxDecodedBytes)
		for {
			if !s.take(limit) {
				return nil, c.noRoom()
			}
			out, err := content.Decode(encoding, body, limit)
			if errors.Is(err, content.ErrTooLarge) && limit < c.MaxDecodedBytes {
				s.give(limit)
				limit = c.MaxDecodedBytes
				continue
			}
			switch {
			case errors.Is(err, content.ErrTooLarge):
				return nil, tooLarge("max_decoded_bytes", c.MaxDecodedBytes)
			case errors.Is(err, content.ErrUnsupported):
				return nil, &failure{status: http.StatusUnsupportedMediaType, code: "content_encoding", message: "Content-Encoding must be gzip, zstd, deflate, br or identity"}
			case err != nil:
				return nil, &failure{status: http.StatusBadRequest, code: "content_encoding", message: "the body is not what its Content-Encoding says, or ends early"}
			}
			plain = out
			break
		}
	}
	if int64(len(plain)) > c.MaxDecodedBytes {
		return nil, tooLarge("max_decoded_bytes", c.MaxDecodedBytes)
	}
	if !s.take(messageFactor * int64(len(plain))) {
		return nil, c.noRoom()
	}
	return plain, nil
}

func (c Config) noRoom() *failure {
	return &failure{
		status: http.StatusTooManyRequests, code: "overload", limit: "receive.max_in_flight_bytes", value: c.MaxInFlightBytes,
		message: "the bodies of requests at work fill the memory they may have", retry: overloadRetry,
	}
}

func tooLarge(limit string, value int64) *failure {
	return &failure{
		status: http.StatusRequestEntityTooLarge, code: "body_too_large", limit: "receive." + limit, value: value,
		message: fmt.Sprintf("the body is larger than %d bytes; send fewer records at once", value),
	}
}
