package workload

import (
	"bytes"
	"fmt"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// Record is one Kafka record of a workload.
type Record struct {
	Index   int
	Phase   int // 1 request, 2 response; 0 for poison
	Key     []byte
	Value   []byte
	Headers [][2]string
}

// Records returns what the source of call i publishes: two envelopes, or one poisoned record.
func (w *Workload) Records(i int) []Record {
	c := w.Call(i)
	request, response := c.envelopes()
	if c.Poison != NoPoison {
		return []Record{{Index: i, Key: []byte(c.ID), Value: c.poison(request)}}
	}
	return []Record{record(&c, 1, request), record(&c, 2, response)}
}

func record(c *Call, phase int, e *event.Envelope) Record {
	r := Record{Index: c.Index, Phase: phase, Key: []byte(c.ID), Value: wire.MarshalEnvelope(nil, e)}
	for _, h := range wire.EnvelopeHeaders(e) {
		r.Headers = append(r.Headers, [2]string{h.Key, string(h.Value)})
	}
	return r
}

// LaterSchema is the schema version of an envelope that only a reader of a later version could take.
const LaterSchema = 99

func (c *Call) poison(e *event.Envelope) []byte {
	switch c.Poison {
	case Empty:
		return nil
	case FromLater:
		e.SchemaVersion = LaterSchema
		return wire.MarshalEnvelope(nil, e)
	case Nameless:
		e.CallId = ""
		return wire.MarshalEnvelope(nil, e)
	case Cut:
		whole := wire.MarshalEnvelope(nil, e)
		return whole[:len(whole)-len(c.RequestBody())/2]
	default:
		return bytes.Repeat([]byte{0xff}, 20+int(c.noise%200)) //nolint:gosec // below 220
	}
}

// Gateway is the name that the emitters give of the gateway.
const Gateway = "chaos"

// Route is the route of the call.
func (c *Call) Route() string { return c.Provider() }

// Provider is the provider of the call's route.
func (c *Call) Provider() string {
	if c.Anthropic() {
		return "anthropic"
	}
	return "openai"
}

// Host and Path are where the call went.
func (c *Call) Host() string { return "api." + c.Provider() + ".com" }

// Path is the path of the call at its provider.
func (c *Call) Path() string {
	switch {
	case c.Anthropic():
		return "/v1/messages"
	case c.Kind == Embeddings:
		return "/v1/embeddings"
	}
	return "/v1/chat/completions"
}

// ClientAddress is where the caller called from.
func (c *Call) ClientAddress() string { return fmt.Sprintf("10.1.%d.%d", c.noise%200, c.noise>>8%200) }

// UserAgent is what the caller said it was.
const UserAgent = "chaos/1.0"

// TraceID is the caller's trace; half of the calls have one.
func (c *Call) TraceID() string {
	if c.noise%2 == 0 {
		return ""
	}
	return fmt.Sprintf("%032x", c.noise)
}

func (c *Call) envelopes() (request, response *event.Envelope) {
	request = c.envelope(event.Phase_PHASE_REQUEST, c.Source.Request, c.Asked)
	response = c.envelope(event.Phase_PHASE_RESPONSE, c.Source.Response, c.Ended)
	// As a tap does: the request's body travels once, and on the answer its outline stands for it.
	body := response.Request.Payload.Body
	response.Request.Payload.Body = nil
	response.Request.Payload.Outline = outline.Append(nil, "application/json", body)
	response.Response = c.response()
	return request, response
}

func (c *Call) envelope(phase event.Phase, sequence uint64, observed int64) *event.Envelope {
	e := &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: c.ID, Phase: phase,
		Source:          &event.Source{Kind: "tap", Instance: c.Source.Instance, BootEpoch: c.Source.Epoch, Sequence: sequence, Version: "chaos"},
		StartedUnixNano: uint64(c.Started), ObservedUnixNano: uint64(observed), //nolint:gosec // after 1970
		Gateway: Gateway, Route: c.Route(), Provider: c.Provider(), CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Credential: &event.Credential{Fingerprint: c.Caller.Fingerprint, Last4: c.Caller.Last4, Kind: c.Caller.Kind},
		Request: &event.Request{
			Method: "POST", Host: c.Host(), Path: c.Path(), HttpVersion: "HTTP/1.1", ClientAddress: c.ClientAddress(),
			UserAgent: UserAgent, RequestId: "req-" + c.ID,
			Headers: []*event.Attribute{{Key: "x-batch", Value: c.Batch()}},
			Payload: payload("application/json", c.RequestBody(), c.Digest(false)),
		},
	}
	if id := c.TraceID(); id != "" {
		e.Request.Traceparent = "00-" + id + "-00f067aa0ba902b7-01"
	}
	return e
}

func (c *Call) response() *event.Response {
	r := &event.Response{
		StatusCode: 200, HeadersUnixNano: uint64(c.Headed), FirstByteUnixNano: uint64(c.FirstByte), //nolint:gosec // after 1970
		EndedUnixNano: uint64(c.Ended), Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, //nolint:gosec // after 1970
	}
	switch c.Kind {
	case Limited:
		r.StatusCode = 429
	case Refused:
		r.StatusCode, r.Outcome, r.ErrorClass = 0, event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE, "refused"
		return r
	case Broken:
		r.Outcome = event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT
	}
	body := c.ResponseBody()
	r.Payload = payload(c.ContentType(), body, c.Digest(true))
	if c.Streamed() {
		for frame := range min(bytes.Count(body, []byte("\n\n")), 16) {
			r.Chunks = append(r.Chunks, &event.ChunkMark{Frames: uint32(frame + 1), AtUnixNano: uint64(c.Frame(frame + 1))}) //nolint:gosec // small, after 1970
		}
	}
	return r
}

// Frame is when the n-th frame of a streamed answer was relayed, n from 1.
func (c *Call) Frame(n int) int64 { return c.FirstByte + int64(n-1)*20_000_000 }

func payload(kind string, body, digest []byte) *event.Payload {
	return &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_FULL, Body: body, ContentType: kind,
		WireBytes: int64(len(body)), CapturedBytes: int64(len(body)), Digest: digest,
	}
}

// Batch is the value of the one request header that the emitters keep.
func (c *Call) Batch() string { return fmt.Sprintf("b%d", c.noise%50) }
