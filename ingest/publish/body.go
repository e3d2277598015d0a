package publish

import (
	"fmt"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// leanRecord in bytes: what an envelope without a body has at most.
const leanRecord = 16 << 10

// withoutBody removes the bodies of a marshalled envelope and marks them truncated. False means that there was none.
func withoutBody(value []byte) ([]byte, bool, error) {
	env := &event.Envelope{}
	if err := env.UnmarshalVT(value); err != nil {
		return nil, false, fmt.Errorf("read own envelope: %w", err)
	}
	had := lighten(env)
	return wire.MarshalEnvelope(nil, env), had, nil
}

// lighten removes the bodies of env and marks them truncated. False means that there was none.
func lighten(env *event.Envelope) (had bool) {
	for _, payload := range []*event.Payload{env.GetRequest().GetPayload(), env.GetResponse().GetPayload()} {
		if len(payload.GetBody()) == 0 {
			continue
		}
		payload.Body, payload.KeyId, payload.Redactions = nil, "", nil
		payload.State, had = event.PayloadState_PAYLOAD_STATE_TRUNCATED, true
	}
	return had
}
