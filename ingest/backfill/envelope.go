package backfill

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
)

// Kind is the source kind of backfilled envelopes.
const Kind = "backfill"

// BootEpoch is the boot epoch of every file: a file is loaded anew, never restarted.
const BootEpoch = 1

// MaxRecordBytes is about the largest envelope that a broker takes; above it bodies are left out.
const MaxRecordBytes = 768 << 10

// Reader turns the lines of one file into envelopes. It is safe for concurrent use.
type Reader struct {
	file     string // hash of the file: its identity
	source   string // gateway of records that name none
	version  string
	redactor *redact.Redactor
}

// NewReader returns the reader of a file. hash identifies its content, in hex; source is the gateway of records that
// name none; version is this software's.
func NewReader(hash, source, version string, redactor *redact.Redactor) (*Reader, error) {
	if len(hash) < 16 || redactor == nil {
		return nil, errors.New("create backfill reader: a hash of the file and a redactor are required")
	}
	return &Reader{file: hash[:16], source: source, version: version, redactor: redactor}, nil
}

// Instance is the source instance of the file's envelopes.
func (r *Reader) Instance() string { return Kind + "-" + r.file }

// Envelopes returns the envelopes of one line, numbered from 1: the response, which has all facts, and before it the
// request where the record has the request's body. Requests are numbered apart, under the instance with "-requests", so
// that a line is one sequence in each. The error says what is wrong with the line and quotes no content.
func (r *Reader) Envelopes(line []byte, number uint64) ([]*event.Envelope, error) {
	rec, err := parse(line)
	if err != nil {
		return nil, err
	}
	facts, err := r.facts(rec)
	if err != nil {
		return nil, err
	}
	response := r.envelope(rec, number, facts)
	response.Phase = event.Phase_PHASE_RESPONSE
	response.Response = r.response(rec)
	out := []*event.Envelope{response}
	if rec.requestBody != "" {
		request := r.envelope(rec, number, facts)
		request.Phase = event.Phase_PHASE_REQUEST
		request.Source.Instance += "-requests"
		request.ObservedUnixNano = request.StartedUnixNano
		r.payload(request.Request.Payload, rec.requestType, rec.requestBody)
		out = []*event.Envelope{request, response}
	}
	for _, env := range out {
		lighten(env)
		if env.SizeVT() > MaxRecordBytes {
			return nil, fmt.Errorf("the record is larger than %d bytes also without its bodies", MaxRecordBytes)
		}
	}
	return out, nil
}

// facts returns the redacted facts: names and identifiers come from callers.
func (r *Reader) facts(rec *record) ([]byte, error) {
	text, err := rec.facts.Marshal()
	if err != nil {
		return nil, err
	}
	out, _, err := r.redactor.Body("application/json", text)
	if err != nil {
		return nil, fmt.Errorf("the facts cannot be cleaned: %w", err)
	}
	return append([]byte(nil), out...), nil
}

func (r *Reader) envelope(rec *record, number uint64, facts []byte) *event.Envelope {
	id := rec.callID
	if id == "" || r.clean(id, 128) != id { // an id that holds a secret is no id
		id = fmt.Sprintf("%s-%d", r.Instance(), number)
	}
	gateway := rec.gateway
	if gateway == "" {
		gateway = r.source
	}
	started := uint64(rec.started.UnixNano()) //nolint:gosec // after 1971
	observed := started
	if !rec.ended.IsZero() {
		observed = uint64(rec.ended.UnixNano()) //nolint:gosec // after 1971
	}
	mode := event.CaptureMode_CAPTURE_MODE_METADATA
	if rec.requestBody != "" || rec.responseBody != "" {
		mode = event.CaptureMode_CAPTURE_MODE_REDACTED
	}
	return &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: id,
		Source:          &event.Source{Kind: Kind, Instance: r.Instance(), BootEpoch: BootEpoch, Sequence: number, Version: r.version},
		StartedUnixNano: started, ObservedUnixNano: observed, Gateway: r.clean(gateway, 128), Route: r.clean(rec.route, 128),
		Provider: r.clean(rec.facts.Provider, 128), Dialect: generic.Dialect, CaptureMode: mode,
		Credential: r.credential(rec), Request: r.request(rec, facts),
	}
}

func (r *Reader) credential(rec *record) *event.Credential {
	c := &event.Credential{Fingerprint: rec.fingerprint, Last4: r.clean(rec.last4, 4), Kind: r.clean(rec.kind, 32)}
	if c.Kind == "" {
		c.Kind = "none"
	}
	for _, claim := range rec.claims { // unverified: an archive cannot vouch for them
		c.Claims = append(c.Claims, &event.Attribute{Key: r.clean(claim.key, 128), Value: r.clean(claim.value, 1024)})
	}
	return c
}

func (r *Reader) request(rec *record, facts []byte) *event.Request {
	q := &event.Request{
		Method: r.clean(rec.method, 16), Host: r.clean(rec.host, 256), Path: r.clean(rec.path, 2048),
		ClientAddress: r.clean(rec.clientAddress, 64), UserAgent: r.clean(rec.userAgent, 512), RequestId: r.clean(rec.requestID, 256),
		Payload: &event.Payload{State: event.PayloadState_PAYLOAD_STATE_ABSENT, Outline: facts, WireBytes: rec.requestBytes},
	}
	if len(rec.traceID) == 32 && strings.Trim(rec.traceID, "0123456789abcdef") == "" && strings.Trim(rec.traceID, "0") != "" {
		q.Traceparent = "00-" + rec.traceID + "-0000000000000001-00"
	}
	for _, header := range rec.headers {
		q.Headers = append(q.Headers, &event.Attribute{Key: r.clean(strings.ToLower(header.key), 128), Value: r.clean(header.value, 1024)})
	}
	return q
}

func (r *Reader) response(rec *record) *event.Response {
	a := &event.Response{
		StatusCode: rec.status, Outcome: outcomes()[rec.outcome], ErrorClass: r.clean(rec.errorClass, 32),
		Payload: &event.Payload{State: event.PayloadState_PAYLOAD_STATE_ABSENT, WireBytes: rec.responseBytes},
	}
	if !rec.ended.IsZero() {
		a.EndedUnixNano = uint64(rec.ended.UnixNano()) //nolint:gosec // after 1971
	}
	if rec.firstByteUS != nil {
		a.FirstByteUnixNano = uint64(rec.started.UnixNano() + *rec.firstByteUS*1000) //nolint:gosec // after 1971
	}
	if rec.responseBody != "" {
		r.payload(a.Payload, rec.responseType, rec.responseBody)
	}
	return a
}

// payload keeps a body redacted, or what is known of it where that fails.
func (r *Reader) payload(p *event.Payload, contentType, body string) {
	p.ContentType = r.clean(contentType, 256)
	if p.WireBytes == 0 {
		p.WireBytes = int64(len(body))
	}
	p.CapturedBytes = int64(len(body))
	out, counts, err := r.redactor.Body(contentType, []byte(body))
	switch {
	case errors.Is(err, redact.ErrNotText):
		p.State = event.PayloadState_PAYLOAD_STATE_BINARY
	case err != nil:
		p.State = event.PayloadState_PAYLOAD_STATE_UNDECODABLE
	default:
		p.State, p.Body, p.Redactions = event.PayloadState_PAYLOAD_STATE_FULL, out, counts
	}
}

// lighten leaves the bodies out of an envelope that no broker would take.
func lighten(env *event.Envelope) {
	if env.SizeVT() <= MaxRecordBytes {
		return
	}
	for _, p := range []*event.Payload{env.Request.GetPayload(), env.Response.GetPayload()} {
		if len(p.GetBody()) > 0 {
			p.Body, p.Redactions, p.State = nil, nil, event.PayloadState_PAYLOAD_STATE_TRUNCATED
		}
	}
}

// clean redacts and shortens one text.
func (r *Reader) clean(s string, limit int) string {
	if s == "" {
		return ""
	}
	s, _ = r.redactor.String(s)
	if len(s) > limit {
		for limit > 0 && !utf8.RuneStart(s[limit]) {
			limit--
		}
		s = s[:limit]
	}
	return s
}
