// Package decode is the first step of the chain: it turns an envelope into an event.
//
// It copies what the emitter observed, and has schemas/dialect read the bodies or their outlines. It writes every
// field of the event but the groups of the later steps (identity, policy, cost), which it empties, for an event comes
// with the contents of an earlier record. A body that cannot be read never costs the row: Call.DecodeError says so.
// Only an envelope that is structurally no envelope is rejected.
package decode

import (
	"math"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/dialect"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
)

// Reasons of a reject.
const (
	ReasonNoEnvelope           = "no_envelope"
	ReasonNoCallID             = "no_call_id"
	ReasonNoPhase              = "no_phase"
	ReasonNoSource             = "no_source"
	ReasonNoStart              = "no_start_time"
	ReasonNoRequest            = "no_request"
	ReasonNoResponse           = "no_response"
	ReasonUnknownSchemaVersion = "unknown_schema_version"
)

// Step implements processors.Step. It has no state and is safe for concurrent use.
type Step struct{}

// New returns the step.
func New() *Step { return &Step{} }

// Name returns "decode".
func (*Step) Name() string { return "decode" }

// Process fills r.Event, which it creates if it is nil. The event's strings, byte slices and some of its messages
// alias r.Envelope, as batch.Record allows.
func (*Step) Process(r *batch.Record) processors.Verdict {
	if r.Event == nil {
		r.Event = new(event.Event)
	}
	Reset(r.Event)
	env := r.Envelope
	if reason := fault(env); reason != "" {
		return processors.Verdict{Action: processors.ActionReject, Reason: reason}
	}
	e := r.Event
	observed(e, env)
	e.Position.Topic = r.Position.Topic
	e.Position.Partition = r.Position.Partition
	e.Position.Offset = r.Position.Offset
	if at := r.IngestedAt.UnixNano(); !r.IngestedAt.IsZero() && at > 0 {
		e.IngestedUnixNano = uint64(at)
	}
	requested(e, env.Request)
	if env.Phase == event.Phase_PHASE_RESPONSE {
		responded(e, env)
	}
	content(e, env)
	return processors.Verdict{}
}

// fault returns why an envelope cannot become an event, or "".
func fault(env *event.Envelope) string {
	switch {
	case env == nil:
		return ReasonNoEnvelope
	case env.SchemaVersion == 0 || env.SchemaVersion > event.SchemaVersion:
		return ReasonUnknownSchemaVersion
	case env.CallId == "":
		return ReasonNoCallID
	case env.Phase != event.Phase_PHASE_REQUEST && env.Phase != event.Phase_PHASE_RESPONSE:
		return ReasonNoPhase
	case env.Source.GetInstance() == "" || env.Source.GetKind() == "" || env.Source.GetSequence() == 0:
		return ReasonNoSource
	case env.StartedUnixNano == 0:
		return ReasonNoStart
	case env.Request == nil:
		return ReasonNoRequest
	case env.Phase == event.Phase_PHASE_RESPONSE && env.Response == nil:
		return ReasonNoResponse
	}
	return ""
}

func observed(e *event.Event, env *event.Envelope) {
	e.SchemaVersion = env.SchemaVersion
	e.CallId = env.CallId
	e.Phase = env.Phase
	e.Source = env.Source
	e.StartedUnixNano = env.StartedUnixNano
	e.ObservedUnixNano = env.ObservedUnixNano
	e.Gateway = env.Gateway
	e.Route = env.Route
	e.Credential = env.Credential
	e.CaptureMode = env.CaptureMode
}

func requested(e *event.Event, req *event.Request) {
	e.Method = req.Method
	e.Host = req.Host
	e.Path = req.Path
	e.ClientAddress = req.ClientAddress
	e.UserAgent = req.UserAgent
	e.RequestId = req.RequestId
	e.TraceId = traceID(req.Traceparent)
	e.Attributes = append(e.Attributes, req.Headers...)
	facts(e.RequestPayload, req.Payload)
	e.Redactions = append(e.Redactions, req.Payload.GetRedactions()...)
}

func responded(e *event.Event, env *event.Envelope) {
	resp := env.Response
	e.HttpStatus = resp.StatusCode
	e.ErrorClass = resp.ErrorClass
	e.DurationNs = since(env.StartedUnixNano, resp.EndedUnixNano)
	e.TimeToFirstByteNs = since(env.StartedUnixNano, resp.FirstByteUnixNano)
	facts(e.ResponsePayload, resp.Payload)
	mergeRedactions(e, resp.Payload.GetRedactions())
}

// since returns the nanoseconds between two moments, nil when the later one is unknown or the clock went back.
func since(start, end uint64) *int64 {
	if end == 0 || end < start || end-start > math.MaxInt64 {
		return nil
	}
	d := int64(end - start)
	return &d
}

func facts(f *event.PayloadFacts, p *event.Payload) {
	if p == nil {
		return
	}
	f.State = p.State
	f.WireBytes = p.WireBytes
	f.Digest = p.Digest
	f.ContentType = p.ContentType
}

// mergeRedactions adds the counts of the response's rules to those of the request. Messages of the envelope are shared
// until a sum differs, then replaced: the envelope is not ours to write.
func mergeRedactions(e *event.Event, more []*event.Redaction) {
	for _, add := range more {
		merged := false
		for i, have := range e.Redactions {
			if have.GetRule() == add.GetRule() {
				sum := uint64(have.GetCount()) + uint64(add.GetCount())
				e.Redactions[i] = &event.Redaction{Rule: have.GetRule(), Count: uint32(min(sum, math.MaxUint32))}
				merged = true
				break
			}
		}
		if !merged {
			e.Redactions = append(e.Redactions, add)
		}
	}
}

// content has the bodies read.
func content(e *event.Event, env *event.Envelope) {
	req := env.Request
	in := dialect.Input{
		Dialect: env.Dialect, Provider: env.Provider, Method: req.Method, Path: req.Path,
	}
	if env.Phase == event.Phase_PHASE_REQUEST {
		in.RequestBody = body(req.Payload, env.CaptureMode)
	} else {
		in.RequestBody = req.Payload.GetOutline()
	}
	if env.Dialect == generic.Dialect {
		in.RequestBody = req.Payload.GetOutline() // the facts; the bodies are some provider's
	}
	in.RequestTruncated = cut(req.Payload)
	if env.Phase == event.Phase_PHASE_RESPONSE {
		resp := env.Response
		in.HasResponse = true
		in.ResponseBody = body(resp.Payload, env.CaptureMode)
		in.ResponseTruncated = cut(resp.Payload)
		in.ResponseContentType = resp.Payload.GetContentType()
		in.ResponseHeaders = resp.Headers
		in.Status = resp.StatusCode
		in.Outcome = resp.Outcome
	}
	found := dialect.Decode(&in, e.Call, e.Usage)
	if found.FirstContentFrame > 0 {
		e.Call.TimeToFirstTokenNs = since(env.StartedUnixNano, arrival(env.Response.GetChunks(), found.FirstContentFrame))
	}
}

// body chooses what to decode: the body when it is readable, else the outline.
func body(p *event.Payload, mode event.CaptureMode) []byte {
	readable := p.GetState() == event.PayloadState_PAYLOAD_STATE_FULL || p.GetState() == event.PayloadState_PAYLOAD_STATE_TRUNCATED
	if readable && mode == event.CaptureMode_CAPTURE_MODE_REDACTED && len(p.GetBody()) > 0 {
		return p.GetBody()
	}
	return p.GetOutline()
}

// cut reports whether the emitter kept only the beginning of a body.
func cut(p *event.Payload) bool {
	return p.GetState() == event.PayloadState_PAYLOAD_STATE_TRUNCATED ||
		(p.GetCapturedBytes() > 0 && p.GetCapturedBytes() < p.GetWireBytes())
}

// arrival returns when a frame had been relayed, 0 when the marks do not reach it.
func arrival(marks []*event.ChunkMark, frame int) uint64 {
	for _, m := range marks {
		if uint64(m.GetFrames()) >= uint64(frame) {
			return m.GetAtUnixNano()
		}
	}
	return 0
}
