package tap

import (
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/modeltrail/modeltrail/ingest/credential"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// call is what is known of one call. The goroutines that relay it write the capture side; after an envelope was
// queued the worker alone reads it. No field is written by both.
type call struct {
	tap    *Tap
	route  *route
	worker *worker
	start  time.Time

	method, host, path, query, proto, client string
	headers                                  []attribute
	presented                                credential.Presented
	request                                  capture
	requestEnd                               int64

	status        int
	answerHeaders []attribute
	trailers      []attribute
	headAt        int64
	firstByteAt   int64
	endAt         int64
	answer        capture
	marks         marks
	outcome       event.StreamOutcome
	class         string

	requestOnce sync.Once
	ended       atomic.Bool

	known known // the worker's
}

// begin notes the request side of a call. The caller sets host and path where they differ from r's.
func (t *Tap) begin(r *http.Request, rt *route) *call {
	c := &call{
		tap: t, route: rt, worker: t.assign(), start: time.Now(),
		method: r.Method, host: r.Host, path: r.URL.EscapedPath(), query: r.URL.RawQuery, proto: r.Proto,
		client: r.RemoteAddr,
	}
	t.metrics.calls.Inc()
	t.ledger.Expect(2)
	c.headers = t.allow.collect(make([]attribute, 0, 12), r.Header)
	c.presented = credential.Extract(r.Header, r.URL.RawQuery)
	if t.cfg.TrustForwardedFor {
		if forwarded := first(r.Header, "X-Forwarded-For"); forwarded != "" {
			c.client, _, _ = strings.Cut(forwarded, ",")
		}
	}
	c.request.limit, c.answer.limit = rt.maxBody, rt.maxBody
	c.request.contentType = first(r.Header, "Content-Type")
	c.request.encoding = first(r.Header, "Content-Encoding")
	c.request.expected = r.ContentLength
	return c
}

// now returns unix nanoseconds that never run backwards within a call.
func (c *call) now() int64 { return c.start.UnixNano() + int64(time.Since(c.start)) }

// requestDone queues the request envelope, once. Whoever comes second waits for the first, so that the response
// envelope is queued behind it.
func (c *call) requestDone() {
	c.requestOnce.Do(func() {
		c.request.freeze()
		c.requestEnd = c.now()
		c.worker.put(c, event.Phase_PHASE_REQUEST)
	})
}

// head notes the response head. A provider may answer before it has read the request.
func (c *call) head(status int, h http.Header) {
	c.requestDone()
	c.headAt = c.now()
	c.status = status
	c.answerHeaders = c.tap.allow.collect(make([]attribute, 0, 8), h)
	c.answer.contentType = first(h, "Content-Type")
	c.answer.encoding = first(h, "Content-Encoding")
	c.answer.expected, _ = strconv.ParseInt(first(h, "Content-Length"), 10, 64) // 0 when it does not say
	c.marks.on = c.answer.encoding == "" && strings.HasPrefix(c.answer.contentType, "text/event-stream")
}

// relayed notes bytes of the answer.
func (c *call) relayed(p []byte) {
	if c.firstByteAt == 0 {
		c.firstByteAt = c.now()
	}
	c.marks.note(p, c.now)
	c.answer.write(&c.tap.chunks, p)
}

// end queues the response envelope, once.
func (c *call) end(outcome event.StreamOutcome, class string, trailers http.Header) {
	if c.ended.Swap(true) {
		return
	}
	c.requestDone()
	c.answer.freeze()
	c.endAt = c.now()
	c.outcome, c.class = outcome, class
	if len(trailers) > 0 {
		c.trailers = c.tap.allow.collect(nil, trailers)
	}
	c.worker.put(c, event.Phase_PHASE_RESPONSE)
}
