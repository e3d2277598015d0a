package tap

import (
	"bytes"
	"io"
	"net/http"
)

// gatherBytes is the longest request that is read before it goes upstream. With a header of less than 2 KiB it fits one
// write of the transport (WriteBufferSize).
const gatherBytes = 6 << 10

// gather reads a short request of known length before it goes upstream. The transport sends what is in memory together
// with its header, in one system call that wakes the provider once; a body that may still be on its way takes two. A
// caller that breaks off within those bytes has asked the provider nothing.
func (x *exchange) gather() error {
	if x.unsent == nil || x.in.ContentLength < 0 || x.in.ContentLength > gatherBytes {
		return nil
	}
	x.whole = make([]byte, x.in.ContentLength)
	_, err := io.ReadFull(x.unsent, x.whole)
	return err
}

// outgoing is the request with its body in memory, where that was gathered. The transport may then send it again on
// another connection when the provider closed the one it had before anything was written.
func (x *exchange) outgoing(r *http.Request) *http.Request {
	if x.whole == nil {
		return r
	}
	body := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(x.whole)), nil }
	first, _ := body()
	out := withBody(r, first)
	out.GetBody = body
	return out
}
