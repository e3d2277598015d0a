package tap

import (
	"bufio"
	"cmp"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Middleware audits each call that next serves. The route is the configured one whose prefix the path has; paths
// without a route are audited under the name "default". A call that could not be audited, on a route with on_audit_failure
// closed, is answered with 503.
func (t *Tap) Middleware(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		rt := cmp.Or(byPath(t.routes, r.URL.Path), t.fallback)
		if t.refuses(rt) {
			refuseUnaudited(w)
			return
		}
		c := t.begin(r, rt)
		in := r
		if r.ContentLength != 0 && r.Body != nil && r.Body != http.NoBody {
			in = withBody(r, c.tee(r.Body, r.ContentLength))
		} else {
			c.requestDone()
		}
		rec := &recorder{ResponseWriter: w, call: c}
		defer func() { rec.end(r) }()
		if _, can := w.(http.Hijacker); can {
			next.ServeHTTP(&hijackRecorder{rec}, in)
		} else {
			next.ServeHTTP(rec, in)
		}
		rec.returned = true
	})
}

// recorder captures what a handler writes.
type recorder struct {
	http.ResponseWriter
	call     *call
	written  int64
	failed   bool // a write did not reach the client
	hijacked bool
	returned bool
}

// WriteHeader implements http.ResponseWriter.
func (w *recorder) WriteHeader(status int) {
	w.ResponseWriter.WriteHeader(status)
	if w.call.headAt == 0 && (status >= 200 || status == http.StatusSwitchingProtocols) {
		w.call.head(status, w.Header())
	}
}

// Write implements io.Writer.
func (w *recorder) Write(p []byte) (int, error) {
	n, err := w.ResponseWriter.Write(p)
	if w.call.headAt == 0 {
		w.call.head(http.StatusOK, w.Header()) // after the write, which may have found the content type
	}
	if n > 0 {
		w.written += int64(n)
		w.call.relayed(p[:n])
	}
	w.failed = w.failed || err != nil
	return n, err
}

// Flush implements http.Flusher.
func (w *recorder) Flush() { _ = w.FlushError() }

// FlushError is what http.ResponseController calls.
func (w *recorder) FlushError() error {
	if w.call.headAt == 0 {
		w.call.head(http.StatusOK, w.Header())
	}
	err := http.NewResponseController(w.ResponseWriter).Flush()
	w.failed = w.failed || err != nil && w.written > 0
	return err
}

// Unwrap lets http.ResponseController reach the server's writer.
func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// hijackRecorder is a recorder on a connection that can be taken over.
type hijackRecorder struct{ *recorder }

// Hijack implements http.Hijacker. What passes afterwards is not captured.
func (w *hijackRecorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(w.ResponseWriter).Hijack()
	if err == nil {
		w.hijacked = true
		if w.call.headAt == 0 {
			w.call.head(http.StatusSwitchingProtocols, w.Header())
		}
	}
	return conn, rw, err
}

func (w *recorder) end(r *http.Request) {
	left := r.Context().Err() != nil
	if w.call.headAt == 0 && w.returned && !left {
		w.call.head(http.StatusOK, w.Header())
	}
	outcome, class := w.outcome(left)
	w.call.end(outcome, class, w.trailers())
}

func (w *recorder) outcome(left bool) (event.StreamOutcome, string) {
	switch {
	case w.hijacked || w.returned && !w.failed && (!left || w.whole()):
		return event.StreamOutcome_STREAM_OUTCOME_COMPLETE, ""
	case w.failed || left:
		return event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT, ""
	case w.call.headAt == 0:
		return event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE, classOther
	}
	return event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT, classOther
}

// whole reports that all bytes of the announced length were written: the client may leave before the handler.
func (w *recorder) whole() bool {
	length, err := strconv.ParseInt(w.Header().Get("Content-Length"), 10, 64)
	return err == nil && w.call.headAt != 0 && length == w.written
}

// trailers are the fields that were announced, or set with http.TrailerPrefix.
func (w *recorder) trailers() http.Header {
	var out http.Header
	put := func(name string, values []string) {
		if out == nil {
			out = http.Header{}
		}
		out[http.CanonicalHeaderKey(name)] = values
	}
	h := w.Header()
	for _, announced := range h["Trailer"] {
		for name := range strings.SplitSeq(announced, ",") {
			name = http.CanonicalHeaderKey(strings.TrimSpace(name))
			if values, ok := h[name]; ok {
				put(name, values)
			}
		}
	}
	for name, values := range h {
		if bare, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			put(bare, values)
		}
	}
	return out
}
