// Package wire turns envelopes, events and findings into Kafka records and back: protobuf values with the
// CloudEvents 1.0 attributes as headers (Kafka protocol binding, binary content mode).
//
// Decoding copies nothing: strings and byte slices of a decoded message alias the given buffer and live as long
// as it does. Every refusal is an *Error with a reason from a closed set, so that a record which cannot be read
// becomes a dead letter and never stops its partition.
package wire

import (
	"errors"
	"fmt"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Limits of one value. They bound what a hostile record can make a reader allocate.
const (
	MaxEnvelopeBytes = 64 << 20 // bytes of one envelope
	MaxEventBytes    = 4 << 20  // bytes of one event or finding; they carry no payload
	MaxElements      = 16384    // headers, claims, chunk marks and redactions of one envelope together
)

// Reason codes of an Error.
const (
	ReasonEmpty                = "empty_value"
	ReasonTooLarge             = "too_large"
	ReasonTooManyElements      = "too_many_elements"
	ReasonNotProtobuf          = "not_protobuf"
	ReasonUnknownSchemaVersion = "unknown_schema_version"
	ReasonMissingCallID        = "missing_call_id"
	ReasonUnknownPhase         = "unknown_phase"
	ReasonMissingRequest       = "missing_request"
	ReasonMissingResponse      = "missing_response"
	ReasonMissingKey           = "missing_finding_key"
)

// Stage is the stage under which a refusal of this package is recorded.
const Stage = "wire"

// Error is a refused value.
type Error struct {
	Reason string // one of the Reason constants
	Err    error  // never quotes the value
}

// Error implements error.
func (e *Error) Error() string {
	if e.Err == nil {
		return e.Reason
	}
	return e.Reason + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// Reason returns the reason code of an error of this package, or ReasonNotProtobuf for any other error.
func Reason(err error) string {
	var e *Error
	if errors.As(err, &e) {
		return e.Reason
	}
	return ReasonNotProtobuf
}

func refuse(reason, format string, args ...any) error {
	return &Error{Reason: reason, Err: fmt.Errorf(format, args...)}
}

// message is what the generated code offers for every type.
type message interface {
	SizeVT() int
	MarshalToSizedBufferVT([]byte) (int, error)
}

// appendMessage grows dst once and marshals behind its end. Generated marshalling into a buffer of SizeVT bytes
// cannot fail; if it ever does the value is left out and the reader refuses it as empty.
func appendMessage(dst []byte, m message) []byte {
	size, start := m.SizeVT(), len(dst)
	if need := start + size; cap(dst) < need {
		grown := make([]byte, start, need)
		copy(grown, dst)
		dst = grown
	}
	full := dst[:start+size]
	if _, err := m.MarshalToSizedBufferVT(full[start:]); err != nil {
		return dst[:start]
	}
	return full
}

// MarshalEnvelope appends the value of e to dst. dst may be nil.
func MarshalEnvelope(dst []byte, e *event.Envelope) []byte { return appendMessage(dst, e) }

// MarshalEvent appends the value of e to dst. dst may be nil.
func MarshalEvent(dst []byte, e *event.Event) []byte { return appendMessage(dst, e) }

// MarshalFinding appends the value of f to dst. dst may be nil.
func MarshalFinding(dst []byte, f *event.Finding) []byte { return appendMessage(dst, f) }

// checkSize refuses values before any allocation.
func checkSize(b []byte, limit int) error {
	switch {
	case len(b) == 0:
		return &Error{Reason: ReasonEmpty}
	case len(b) > limit:
		return refuse(ReasonTooLarge, "value of %d bytes exceeds %d", len(b), limit)
	}
	return nil
}

func checkVersion(v uint32) error {
	if v == 0 || v > event.SchemaVersion {
		return refuse(ReasonUnknownSchemaVersion, "schema version %d, this reader knows up to %d", v, event.SchemaVersion)
	}
	return nil
}

func checkEnvelope(e *event.Envelope) error {
	if err := checkVersion(e.SchemaVersion); err != nil {
		return err
	}
	switch {
	case e.CallId == "":
		return &Error{Reason: ReasonMissingCallID}
	case e.Phase != event.Phase_PHASE_REQUEST && e.Phase != event.Phase_PHASE_RESPONSE:
		return refuse(ReasonUnknownPhase, "phase %d", int32(e.Phase))
	case e.Request == nil:
		return &Error{Reason: ReasonMissingRequest}
	case e.Phase == event.Phase_PHASE_RESPONSE && e.Response == nil:
		return &Error{Reason: ReasonMissingResponse}
	}
	return nil
}

// UnmarshalEvent reads b into a reused message. Strings and bytes alias b. On error into is empty.
func UnmarshalEvent(b []byte, into *event.Event) error {
	err := unmarshalEvent(b, into)
	if err != nil {
		into.Reset()
	}
	return err
}

func unmarshalEvent(b []byte, into *event.Event) error {
	if err := checkSize(b, MaxEventBytes); err != nil {
		return err
	}
	into.Reset()
	if err := into.UnmarshalVTUnsafe(b); err != nil {
		return &Error{Reason: ReasonNotProtobuf, Err: err}
	}
	if err := checkVersion(into.SchemaVersion); err != nil {
		return err
	}
	switch {
	case into.CallId == "":
		return &Error{Reason: ReasonMissingCallID}
	case into.Phase != event.Phase_PHASE_REQUEST && into.Phase != event.Phase_PHASE_RESPONSE:
		return refuse(ReasonUnknownPhase, "phase %d", int32(into.Phase))
	}
	return nil
}

// UnmarshalFinding reads b into a reused message. Strings and bytes alias b. On error into is empty.
func UnmarshalFinding(b []byte, into *event.Finding) error {
	err := unmarshalFinding(b, into)
	if err != nil {
		into.Reset()
	}
	return err
}

func unmarshalFinding(b []byte, into *event.Finding) error {
	if err := checkSize(b, MaxEventBytes); err != nil {
		return err
	}
	into.Reset()
	if err := into.UnmarshalVTUnsafe(b); err != nil {
		return &Error{Reason: ReasonNotProtobuf, Err: err}
	}
	if err := checkVersion(into.SchemaVersion); err != nil {
		return err
	}
	if into.Key == "" {
		return &Error{Reason: ReasonMissingKey}
	}
	return nil
}
