package wire

import (
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Decoder reads envelopes into messages that it owns. A Decoder serves one goroutine.
//
// The generated code allocates every nested and repeated message anew; a consumer that reads a hundred thousand
// envelopes a second pays for that twice, at the allocation and at the collection. Decoder reuses them, and no
// value survives from one record to the next.
type Decoder struct {
	envelope event.Envelope
	spares   spares
	elements int
}

// spares are nested messages that the last record did not need.
type spares struct {
	source          *event.Source
	credential      *event.Credential
	request         *event.Request
	response        *event.Response
	requestPayload  *event.Payload
	responsePayload *event.Payload
}

// Envelope reads one value. The result is valid until the next call and aliases b. The error is an *Error.
func (d *Decoder) Envelope(b []byte) (*event.Envelope, error) {
	if err := d.decode(b, &d.envelope); err != nil {
		return nil, err
	}
	return &d.envelope, nil
}

// UnmarshalEnvelope reads b into a reused message: what into held before is gone, its nested messages serve
// again where b has them too. Strings and bytes alias b. On error into is empty. The error is an *Error.
func UnmarshalEnvelope(b []byte, into *event.Envelope) error {
	var d Decoder
	return d.decode(b, into)
}

func (d *Decoder) decode(b []byte, into *event.Envelope) error {
	d.reclaim(into)
	err := checkSize(b, MaxEnvelopeBytes)
	if err == nil {
		d.elements = 0
		if ok := d.readEnvelope(b, into); d.elements > MaxElements {
			err = refuse(ReasonTooManyElements, "more than %d headers, claims, chunks and redactions", MaxElements)
		} else if !ok {
			err = &Error{Reason: ReasonNotProtobuf}
		} else {
			err = checkEnvelope(into)
		}
	}
	if err != nil {
		d.reclaim(into)
	}
	return err
}

// reclaim empties e and keeps its nested messages, themselves emptied, as spares.
func (d *Decoder) reclaim(e *event.Envelope) {
	s := &d.spares
	if e.Source != nil {
		e.Source.Reset()
		s.source = e.Source
	}
	if c := e.Credential; c != nil {
		claims := clearAttributes(c.Claims)
		c.Reset()
		c.Claims, s.credential = claims, c
	}
	if r := e.Request; r != nil {
		reclaimPayload(r.Payload, &s.requestPayload)
		headers := clearAttributes(r.Headers)
		r.Reset()
		r.Headers, s.request = headers, r
	}
	if r := e.Response; r != nil {
		reclaimPayload(r.Payload, &s.responsePayload)
		headers, trailers, chunks := clearAttributes(r.Headers), clearAttributes(r.Trailers), r.Chunks[:0]
		r.Reset()
		r.Headers, r.Trailers, r.Chunks, s.response = headers, trailers, chunks, r
	}
	e.Reset()
}

func reclaimPayload(p *event.Payload, spare **event.Payload) {
	if p == nil {
		return
	}
	for _, r := range p.Redactions {
		r.Rule, r.Count = "", 0
	}
	redactions := p.Redactions[:0]
	p.Reset()
	p.Redactions, *spare = redactions, p
}

// clearAttributes drops the texts, so that idle messages hold no Kafka buffer, and keeps the messages.
func clearAttributes(as []*event.Attribute) []*event.Attribute {
	for _, a := range as {
		a.Key, a.Value = "", ""
	}
	return as[:0]
}

// use hands out the spare or a new message.
func use[T any](spare **T) *T {
	if m := *spare; m != nil {
		*spare = nil
		return m
	}
	return new(T)
}

// grow returns the slice with one more message, an old one where the slice's capacity holds one.
func grow[T any](s []*T) ([]*T, *T) {
	if n := len(s); n < cap(s) {
		s = s[:n+1]
		if s[n] == nil {
			s[n] = new(T)
		}
		return s, s[n]
	}
	m := new(T)
	return append(s, m), m
}

func (d *Decoder) readEnvelope(b []byte, e *event.Envelope) bool {
	c := cursor{rest: b}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = number32(f, &e.SchemaVersion)
		case 2:
			ok = f.text(&e.CallId)
		case 3:
			ok = number32(f, &e.Phase)
		case 4:
			if e.Source == nil {
				e.Source = use(&d.spares.source)
			}
			ok = f.isBytes() && readSource(f.data, e.Source)
		case 5:
			ok = f.fixed(&e.StartedUnixNano)
		case 6:
			ok = f.fixed(&e.ObservedUnixNano)
		case 7:
			ok = f.text(&e.Gateway)
		case 8:
			ok = f.text(&e.Route)
		case 9:
			ok = f.text(&e.Provider)
		case 10:
			ok = f.text(&e.Dialect)
		case 11:
			ok = number32(f, &e.CaptureMode)
		case 12, 13, 14:
			ok = f.isBytes() && d.readNested(f, e)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

func (d *Decoder) readNested(f *field, e *event.Envelope) bool {
	switch f.number {
	case 12:
		if e.Credential == nil {
			e.Credential = use(&d.spares.credential)
		}
		return d.readCredential(f.data, e.Credential)
	case 13:
		if e.Request == nil {
			e.Request = use(&d.spares.request)
		}
		return d.readRequest(f.data, e.Request)
	default:
		if e.Response == nil {
			e.Response = use(&d.spares.response)
		}
		return d.readResponse(f.data, e.Response)
	}
}

func readSource(b []byte, s *event.Source) bool {
	c := cursor{rest: b}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = f.text(&s.Kind)
		case 2:
			ok = f.text(&s.Instance)
		case 3:
			ok = f.fixed(&s.BootEpoch)
		case 4:
			ok = number64(f, &s.Sequence)
		case 5:
			ok = number64(f, &s.DroppedTotal)
		case 6:
			ok = f.text(&s.Version)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

func (d *Decoder) readCredential(b []byte, credential *event.Credential) bool {
	c := cursor{rest: b}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = f.text(&credential.Fingerprint)
		case 2:
			ok = f.text(&credential.Last4)
		case 3:
			ok = f.text(&credential.Kind)
		case 4:
			ok = d.readAttribute(f, &credential.Claims)
		case 5:
			ok = f.isVarint()
			credential.ClaimsVerified = f.value != 0
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

func (d *Decoder) readRequest(b []byte, r *event.Request) bool {
	c := cursor{rest: b}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = f.text(&r.Method)
		case 2:
			ok = f.text(&r.Host)
		case 3:
			ok = f.text(&r.Path)
		case 4:
			ok = f.text(&r.Query)
		case 5:
			ok = f.text(&r.HttpVersion)
		case 6:
			ok = d.readAttribute(f, &r.Headers)
		case 7:
			if r.Payload == nil {
				r.Payload = use(&d.spares.requestPayload)
			}
			ok = f.isBytes() && d.readPayload(f.data, r.Payload)
		case 8:
			ok = f.text(&r.ClientAddress)
		case 9:
			ok = f.text(&r.UserAgent)
		case 10:
			ok = f.text(&r.RequestId)
		case 11:
			ok = f.text(&r.Traceparent)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}

func (d *Decoder) readResponse(b []byte, r *event.Response) bool {
	c := cursor{rest: b}
	for c.next() {
		f, ok := &c.field, true
		switch f.number {
		case 1:
			ok = number32(f, &r.StatusCode)
		case 2:
			ok = d.readAttribute(f, &r.Headers)
		case 3:
			if r.Payload == nil {
				r.Payload = use(&d.spares.responsePayload)
			}
			ok = f.isBytes() && d.readPayload(f.data, r.Payload)
		case 4:
			ok = f.fixed(&r.HeadersUnixNano)
		case 5:
			ok = f.fixed(&r.FirstByteUnixNano)
		case 6:
			ok = f.fixed(&r.EndedUnixNano)
		case 7:
			ok = number32(f, &r.Outcome)
		case 8:
			ok = f.text(&r.ErrorClass)
		case 9:
			ok = d.readChunk(f, r)
		case 10:
			ok = d.readAttribute(f, &r.Trailers)
		}
		if !ok {
			return false
		}
	}
	return !c.bad
}
