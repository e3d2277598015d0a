package decode

import (
	"github.com/modeltrail/modeltrail/schemas/dialect"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Reset empties an event for the next record and keeps the memory that only the event uses. Afterwards Position, Call,
// Usage and both payload facts are there and empty; identity and policy, whose steps write every record, are empty if
// they were there; cost, which requests do not have, and what the event shared with an envelope are let go.
func Reset(e *event.Event) {
	position, call, usage := e.Position, e.Call, e.Usage
	request, response := e.RequestPayload, e.ResponsePayload
	identity, policy := e.Identity, e.Policy
	redactions, attributes := e.Redactions, e.Attributes

	e.Reset()

	e.Position = kept(position)
	e.RequestPayload, e.ResponsePayload = kept(request), kept(response)
	if call == nil {
		call = new(event.Call)
	}
	if usage == nil {
		usage = new(event.Usage)
	}
	dialect.Reset(call, usage)
	e.Call, e.Usage = call, usage
	e.Identity, e.Policy = emptied(identity), emptied(policy)

	clear(redactions) // pointers into an envelope must not outlive it
	clear(attributes)
	e.Redactions, e.Attributes = redactions[:0], attributes[:0]
}

type message[T any] interface {
	*T
	Reset()
}

// kept returns m empty, or a new message when there is none.
func kept[T any, M message[T]](m M) M {
	if m == nil {
		return new(T)
	}
	m.Reset()
	return m
}

// emptied returns m empty, or nil when there is none.
func emptied[T any, M message[T]](m M) M {
	if m != nil {
		m.Reset()
	}
	return m
}
