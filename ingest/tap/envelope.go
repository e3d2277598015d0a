package tap

import (
	"cmp"
	"net"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/modeltrail/modeltrail/ingest/credential"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Bounds of kept strings in bytes.
const (
	maxPathBytes  = 2 << 10
	maxQueryBytes = 2 << 10
)

// known is what both envelopes of a call repeat. The worker makes it at the request and keeps it until the answer.
type known struct {
	id          string
	credential  *event.Credential
	headers     []*event.Attribute
	path, query string
	client      string
	payload     *event.Payload // outline and digest, no body
	charged     int64          // outline bytes charged to the budget
}

// make builds one envelope, publishes it and frees what it held.
func (w *worker) make(c *call, phase event.Phase) {
	w.learn(c)
	request := w.describe(c)
	env := &w.env
	env.SchemaVersion, env.CallId, env.Phase = event.SchemaVersion, c.known.id, phase
	env.StartedUnixNano = uint64(c.start.UnixNano())
	env.Gateway, env.Route = w.tap.cfg.Gateway, c.route.name
	env.Provider, env.Dialect, env.CaptureMode = c.route.provider, c.route.dialect, c.route.mode
	env.Credential, env.Request, env.Response = c.known.credential, request, nil
	if phase == event.Phase_PHASE_REQUEST {
		env.ObservedUnixNano = uint64(c.requestEnd)
		p := w.payload(c, &c.request, phase)
		request.Payload = p
		outline := p.Outline // the response envelope needs it in any case
		if telling(p, c.route.mode) {
			p.Outline = nil
		}
		w.tap.publish(env, c.route.durability)
		p.Outline = outline
		w.remember(c, p)
		c.request.free(&w.tap.chunks)
		return
	}
	env.ObservedUnixNano = uint64(c.endAt)
	request.Payload = cmp.Or(c.known.payload, w.missing(&c.request))
	env.Response = w.response(c)
	w.tap.publish(env, c.route.durability)
	c.answer.free(&w.tap.chunks)
	c.request.free(&w.tap.chunks)
	w.tap.budget.give(c.known.charged)
}

// learn redacts the request's metadata, once per call, and lets go of the raw credential.
func (w *worker) learn(c *call) {
	k := &c.known
	if k.id != "" {
		return
	}
	id, err := uuid.NewV7()
	if err != nil { // the system's random source cannot fail on supported systems
		id = uuid.UUID{}
	}
	k.id = id.String()
	k.credential = w.tap.credential.Resolve(c.presented)
	c.presented = credential.Presented{}
	k.headers = w.attributes(c.headers)
	c.headers = nil
	k.path = w.clean(c.path, maxPathBytes)
	if c.query != "" {
		k.query = shorten(w.tap.redactor.Query(shorten(c.query, maxQueryBytes)), maxQueryBytes)
	}
	c.path, c.query = "", ""
	k.client = c.client
	if host, _, err := net.SplitHostPort(c.client); err == nil {
		k.client = host
	}
	k.client = shorten(strings.TrimSpace(k.client), 64)
}

func (w *worker) describe(c *call) *event.Request {
	r := &w.request
	r.Method, r.Host, r.Path, r.Query = shorten(c.method, 32), shorten(c.host, 256), c.known.path, c.known.query
	r.HttpVersion, r.Headers, r.ClientAddress = c.proto, c.known.headers, c.known.client
	r.UserAgent = find(c.known.headers, "user-agent")
	r.Traceparent = find(c.known.headers, "traceparent")
	r.RequestId = find(c.known.headers, "x-request-id", "x-correlation-id", "x-litellm-call-id", "x-kong-request-id")
	r.Payload = nil
	return r
}

// remember keeps the request's payload without its body for the response envelope. The outline is charged to the
// budget because the answer may take minutes; without budget the request envelope alone has it.
func (w *worker) remember(c *call, p *event.Payload) {
	p.Body, p.Redactions = nil, nil
	c.known.payload = p
	if n := int64(len(p.Outline)); n > 0 {
		if w.tap.budget.take(n, w.tap.budget.body) {
			c.known.charged = n
			return
		}
		p.Outline = nil
	}
}

// missing stands for a request whose envelope was given up.
func (w *worker) missing(body *capture) *event.Payload {
	return &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_TRUNCATED, WireBytes: body.wire,
		ContentType: w.clean(body.contentType, 256), ContentEncoding: w.clean(body.encoding, 64),
	}
}

func (w *worker) response(c *call) *event.Response {
	r := &w.answer
	r.StatusCode, r.Headers = int32(c.status), w.attributes(c.answerHeaders)
	r.Payload = w.payload(c, &c.answer, event.Phase_PHASE_RESPONSE)
	r.HeadersUnixNano, r.FirstByteUnixNano, r.EndedUnixNano = uint64(c.headAt), uint64(c.firstByteAt), uint64(c.endAt)
	r.Outcome, r.ErrorClass, r.Chunks = c.outcome, c.class, c.marks.chunks()
	r.Trailers = w.attributes(c.trailers)
	return r
}

// attributes redacts kept headers and sorts them, so that equal calls give equal envelopes.
func (w *worker) attributes(raw []attribute) []*event.Attribute {
	if len(raw) == 0 {
		return nil
	}
	slices.SortFunc(raw, func(a, b attribute) int { return strings.Compare(a.key, b.key) })
	block := make([]event.Attribute, len(raw))
	out := make([]*event.Attribute, len(raw))
	for i, a := range raw {
		block[i].Key, block[i].Value = a.key, w.clean(a.value, maxHeaderBytes)
		out[i] = &block[i]
	}
	return out
}

// clean redacts and shortens one string.
func (w *worker) clean(s string, limit int) string {
	if s == "" {
		return ""
	}
	out, _ := w.tap.redactor.String(shorten(s, limit))
	return shorten(out, limit)
}

// shorten cuts s to limit bytes of valid UTF-8.
func shorten(s string, limit int) string {
	if len(s) > limit {
		s = s[:limit]
	}
	return strings.ToValidUTF8(s, "")
}

func find(attributes []*event.Attribute, keys ...string) string {
	for _, key := range keys {
		for _, a := range attributes {
			if a.Key == key {
				return a.Value
			}
		}
	}
	return ""
}
