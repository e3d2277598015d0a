package provider

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/andybalholm/brotli"
)

// flusher is a compressor that can be made to write what it holds.
type flusher interface {
	io.WriteCloser
	Flush() error
}

type plain struct{ io.Writer }

func (plain) Flush() error { return nil }
func (plain) Close() error { return nil }

// newEncoder wraps the answer in the scripted content encoding if the caller accepts it.
func newEncoder(c *call) (flusher, error) {
	accepted := c.r.Header.Get("Accept-Encoding")
	switch enc := c.script.Encoding; {
	case enc == "" || !strings.Contains(accepted, enc):
		return plain{c.w}, nil
	case enc == "gzip":
		c.w.Header().Set("Content-Encoding", "gzip")
		return gzip.NewWriter(c.w), nil
	case enc == "br":
		c.w.Header().Set("Content-Encoding", "br")
		return brotli.NewWriterLevel(c.w, 4), nil
	default:
		return nil, fmt.Errorf("choose content encoding: %q is unknown", enc)
	}
}

// stream writes server-sent events (the WHATWG HTML standard, section 9.2).
type stream struct {
	c     *call
	out   flusher
	count int // pieces of text sent
	gone  bool
}

// newStream starts a streamed answer; nil when it cannot begin.
func newStream(c *call) *stream {
	h := c.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("Cache-Control", "no-cache")
	out, err := newEncoder(c)
	if err != nil {
		c.fail(http.StatusBadRequest, err.Error())
		return nil
	}
	c.w.WriteHeader(http.StatusOK)
	return &stream{c: c, out: out}
}

// send writes one event; name is empty for formats that have data lines only.
func (s *stream) send(name string, value any) {
	data, err := marshal(value)
	if err != nil {
		s.gone = true
		return
	}
	s.raw(name, string(data))
}

func (s *stream) raw(name, data string) {
	if s.gone {
		return
	}
	event := "data: " + data + "\n\n"
	if name != "" {
		event = "event: " + name + "\n" + event
	}
	if _, err := io.WriteString(s.out, event); err != nil {
		s.gone = true
		return
	}
	if s.out.Flush() != nil || http.NewResponseController(s.c.w).Flush() != nil {
		s.gone = true
	}
}

// piece is called before each piece of text: it keeps the pace and breaks the stream where the script says so.
// It reports whether the piece is to be sent.
func (s *stream) piece(fail func()) bool {
	if s.gone {
		return false
	}
	if cut := s.c.script.CutAfter; cut > 0 && s.count >= cut {
		panic(http.ErrAbortHandler) // net/http closes the connection without an end
	}
	if at := s.c.script.ErrorAfter; at > 0 && s.count >= at {
		fail()
		s.close()
		s.gone = true
		return false
	}
	if s.count > 0 && !s.c.sleep(s.c.script.Frame) {
		s.gone = true
		return false
	}
	s.count++
	return true
}

func (s *stream) close() {
	if !s.gone {
		_ = s.out.Close() // the caller may have left
	}
}
