package receive

import (
	"strings"
	"sync"
	"time"

	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Ledger keeps the account of what this receiver numbers, for the proof of completeness: an ingest/ledger.Ledger. Its
// methods MUST NOT block and are called from many goroutines.
type Ledger interface {
	// Epoch is the boot epoch of the account.
	Epoch() uint64
	// Numbered tells that an envelope got a number.
	Numbered(observedUnixNano, sequence uint64)
	// Lost tells that a numbered envelope will not arrive.
	Lost(epoch, sequence, observedUnixNano uint64, reason string)
}

// maxUnsettled bounds the numbers that wait for their sender to come back.
const maxUnsettled = 100_000

// numbers gives numbers to envelopes that have none. An envelope that was refused after it had got its number gets the
// same one when its sender repeats it, so that an outage leaves no holes.
type numbers struct {
	instance, version string
	epoch             uint64
	account           Ledger // may be nil

	mu        sync.Mutex
	sequence  uint64
	dropped   uint64
	unsettled map[envelopeID]uint64
}

// envelopeID identifies an envelope over repeats.
type envelopeID struct {
	call  string
	phase event.Phase
}

// Kind is the receiver's kind as a source.
const Kind = "receive"

func newNumbers(instance, version string, account Ledger) *numbers {
	n := &numbers{
		instance: instance, version: version, epoch: uint64(time.Now().UnixNano()), //nolint:gosec // after 1970
		account: account, unsettled: map[envelopeID]uint64{},
	}
	if account != nil {
		n.epoch = account.Epoch()
	}
	return n
}

// assign numbers those of envs that have no numbers and returns them.
func (n *numbers) assign(envs []*event.Envelope) []*event.Envelope {
	var own []*event.Envelope
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, env := range envs {
		if numbered(env) {
			continue
		}
		id := envelopeID{env.CallId, env.Phase}
		sequence, again := n.unsettled[id]
		if again {
			delete(n.unsettled, id)
		} else {
			n.sequence++
			sequence = n.sequence
			if n.account != nil {
				n.account.Numbered(env.ObservedUnixNano, sequence)
			}
		}
		env.Source = &event.Source{
			Kind: Kind, Instance: n.instance, BootEpoch: n.epoch, Sequence: sequence, DroppedTotal: n.dropped, Version: n.version,
		}
		own = append(own, env)
	}
	return own
}

// settle tells whether what assign returned is durable.
func (n *numbers) settle(own []*event.Envelope, durable bool) {
	if durable {
		return
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, env := range own {
		if len(n.unsettled) >= maxUnsettled {
			n.dropped++
			if n.account != nil {
				n.account.Lost(n.epoch, env.Source.Sequence, env.ObservedUnixNano, ledger.ReasonUnacknowledged)
			}
			continue
		}
		n.unsettled[envelopeID{strings.Clone(env.CallId), env.Phase}] = env.Source.Sequence
	}
}

// abandoned counts the numbers whose senders have not come back.
func (n *numbers) abandoned() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	return len(n.unsettled)
}
