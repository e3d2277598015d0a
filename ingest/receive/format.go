package receive

import (
	"context"
	"errors"
	"net/http"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Format turns the bodies of one kind of sender into envelopes. It is safe for concurrent use.
type Format interface {
	// Name is the format's name in metrics, dead letters and `receive.sources[].formats`. A short constant.
	Name() string
	// Paths are the URL paths whose POST requests have this format. Constant.
	Paths() []string
	// Decode divides a body into records and emits each, in the body's order. The body is decompressed and within
	// the receiver's bounds; envelopes may alias it. A record that is no envelope is emitted with its Err. Decode
	// returns an error only where the rest of the body cannot be divided, and the error of emit as it is: then
	// nothing of the request is taken. Errors MUST NOT quote the body.
	Decode(ctx context.Context, header http.Header, body []byte, emit func(Record) error) error
}

// Record is one element of a body as its sender sees it.
type Record struct {
	Original  []byte            // the element's own bytes; they may alias the body
	Envelopes []*event.Envelope // what it became, one or more, unless Err is set
	Err       error             // a *Refusal, or any error, whose reason is then "malformed"
}

// Refusal says why a record is not taken.
type Refusal struct {
	Reason string // snake_case, from a closed set
	Detail string // what to change; never quotes the record
}

// Error implements error.
func (r *Refusal) Error() string {
	if r.Detail == "" {
		return r.Reason
	}
	return r.Reason + ": " + r.Detail
}

// Reasons of a Refusal that the receiver itself gives; formats add those of their own.
const (
	ReasonMalformed     = "malformed"
	ReasonRawCredential = "raw_credential"
	ReasonInvalidField  = "invalid_field"
	ReasonTooLarge      = "too_large"
	ReasonForeignSource = "foreign_source"
)

// refusal makes a Refusal of any error.
func refusal(err error) *Refusal {
	var r *Refusal
	if errors.As(err, &r) {
		return r
	}
	return &Refusal{Reason: ReasonMalformed}
}

// ErrMediaType is returned by Decode for a Content-Type that the format does not have.
var ErrMediaType = errors.New("media type is not supported here")
