package tap

import (
	"cmp"
	"io"
	"net/http"
	"sync"
	"sync/atomic"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// RoundTripper returns a transport that relays through next and audits each call. A nil next means
// http.DefaultTransport. The route is the configured one whose upstream is the request's host and path. The error is an
// *UnavailableError when the call could not be audited and its route's on_audit_failure is closed.
func (t *Tap) RoundTripper(next http.RoundTripper) http.RoundTripper {
	if next == nil {
		next = http.DefaultTransport
	}
	return &transport{tap: t, next: next}
}

type transport struct {
	tap  *Tap
	next http.RoundTripper
}

// RoundTrip implements http.RoundTripper.
func (t *transport) RoundTrip(r *http.Request) (*http.Response, error) {
	rt := cmp.Or(byUpstream(t.tap.routes, r.URL), t.tap.fallback)
	if t.tap.refuses(rt) {
		if r.Body != nil {
			_ = r.Body.Close()
		}
		return nil, &UnavailableError{Route: rt.name, RetryAfter: retryAfter}
	}
	c := t.tap.begin(r, rt)
	c.host, c.client = cmp.Or(r.Host, r.URL.Host), ""
	out := r
	if r.Body != nil && r.Body != http.NoBody {
		out = withBody(r, c.tee(r.Body, r.ContentLength))
		if again := r.GetBody; again != nil {
			out.GetBody = func() (io.ReadCloser, error) {
				body, err := again()
				if err != nil {
					return nil, err
				}
				c.request.reset(&t.tap.chunks)
				return c.tee(body, r.ContentLength), nil
			}
		}
	} else {
		c.requestDone()
	}
	response, err := t.next.RoundTrip(out)
	if err != nil {
		c.end(unanswered(r, err), classify(err), nil)
		return response, err
	}
	if response.Request == out {
		response.Request = r
	}
	c.head(response.StatusCode, response.Header)
	switch {
	case response.StatusCode == http.StatusSwitchingProtocols, response.Body == nil, response.Body == http.NoBody:
		c.end(event.StreamOutcome_STREAM_OUTCOME_COMPLETE, "", response.Trailer)
	default:
		answer := &answerBody{body: response.Body, call: c}
		answer.done = func() {
			outcome, class := answer.outcome(r)
			c.end(outcome, class, response.Trailer)
		}
		response.Body = answer
	}
	return response, nil
}

// withBody returns a shallow copy of r with another body: a transport must not change the request it was given.
func withBody(r *http.Request, body io.ReadCloser) *http.Request {
	out := new(http.Request)
	*out = *r
	out.Body = body
	return out
}

// unanswered is the outcome of a call without a response head.
func unanswered(r *http.Request, err error) event.StreamOutcome {
	if err != nil && r.Context().Err() != nil {
		return event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT
	}
	return event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE
}

// tee captures a request body of the given length, -1 for unknown, while it is read.
func (c *call) tee(body io.ReadCloser, length int64) *requestBody {
	return &requestBody{body: body, call: c, left: length}
}

type requestBody struct {
	body  io.ReadCloser
	call  *call
	left  int64 // bytes to the end, negative for unknown
	begun atomic.Bool
	over  atomic.Bool
}

// unsentBytes is how much of a body is read that could not be sent because no connection to the provider was had. The
// server would read and discard as much to keep the caller's connection.
const unsentBytes = 256 << 10

// Read implements io.Reader.
func (b *requestBody) Read(p []byte) (int, error) {
	b.begun.Store(true)
	n, err := b.body.Read(p)
	if n > 0 {
		b.call.request.write(&b.call.tap.chunks, p[:n])
		if b.left > 0 {
			b.left = max(b.left-int64(n), 0)
		}
	}
	if err == io.EOF || b.left == 0 {
		b.over.Store(true)
		b.call.requestDone()
	}
	return n, err
}

// Close implements io.Closer.
func (b *requestBody) Close() error { return b.body.Close() }

// readUnsent reads what nobody has begun to read: which model was asked for must be known also when the provider could
// not be reached.
func (b *requestBody) readUnsent() {
	if b != nil && !b.begun.Load() {
		_, _ = io.CopyN(io.Discard, b, unsentBytes)
	}
}

// answerBody captures a response body while it is read. done is called once, at its end.
type answerBody struct {
	body io.ReadCloser
	call *call
	done func() // nil in the proxy, which ends the call itself
	once sync.Once

	mu     sync.Mutex // Close may come while Read waits
	closed bool
	err    error // why Read ended
	over   bool  // Read has seen the end
}

// Read implements io.Reader.
func (b *answerBody) Read(p []byte) (int, error) {
	n, err := b.body.Read(p)
	b.mu.Lock()
	if n > 0 && !b.closed {
		b.call.relayed(p[:n])
	}
	if err != nil && b.err == nil {
		b.err, b.over = err, err == io.EOF
	}
	b.mu.Unlock()
	if err != nil {
		b.finish()
	}
	return n, err
}

// Close implements io.Closer.
func (b *answerBody) Close() error {
	err := b.body.Close()
	b.finish()
	return err
}

func (b *answerBody) finish() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	if b.done != nil {
		b.once.Do(b.done)
	}
}

// outcome tells how the answer ended. Whoever stops reading before the end has left.
func (b *answerBody) outcome(r *http.Request) (event.StreamOutcome, string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case b.over:
		return event.StreamOutcome_STREAM_OUTCOME_COMPLETE, ""
	case b.err == nil || r.Context().Err() != nil:
		return event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT, ""
	}
	return event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT, classify(b.err)
}
