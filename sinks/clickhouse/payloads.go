package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// payloadsBlock has the bodies.
type payloadsBlock struct {
	block
	callID                       text
	phase                        fixed[int8]
	teamID                       dictionary
	startedAt                    fixed[int64]
	captureMode, state           fixed[int8]
	contentType, contentEncoding dictionary
	wireBytes, capturedBytes     fixed[uint64]
	digest                       text
	keyID                        dictionary
	body                         bulk
	redactions                   mapping[*fixed[uint32]]
	topic                        dictionary
	partition                    fixed[int32]
	offset, ingestedAt           fixed[int64]
	schemaVersion                fixed[uint16]
	rowVersion                   fixed[uint32]
}

func newPayloadsBlock(shared *Buffers) *payloadsBlock {
	b := &payloadsBlock{block: block{name: "payloads"}, body: bulk{shared: shared}}
	b.redactions.values = &fixed[uint32]{}
	b.add("call_id", kindText, &b.callID)
	b.add("phase", enumPhase, &b.phase)
	b.add("team_id", kindDictionary, &b.teamID)
	b.add("started_at", kindMicros, &b.startedAt)
	b.add("capture_mode", enumCapture, &b.captureMode)
	b.add("state", enumState, &b.state)
	b.add("content_type", kindDictionary, &b.contentType)
	b.add("content_encoding", kindDictionary, &b.contentEncoding)
	b.add("wire_bytes", kindUint64, &b.wireBytes)
	b.add("captured_bytes", kindUint64, &b.capturedBytes)
	b.add("digest", kindText, &b.digest)
	b.add("key_id", kindDictionary, &b.keyID)
	b.add("body", kindText, &b.body)
	b.add("redactions", kindCounts, &b.redactions)
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	b.add("row_version", kindUint32, &b.rowVersion)
	return b
}

// addPayload adds the body that the envelope's own phase carries. A row is written when there is a body, and also
// without one when a body was seen and not kept (binary, undecodable, truncated to nothing): its size and digest
// are evidence. A call without a body, or under a capture mode that keeps none, leaves no row.
func (t *Tables) addPayload(r *batch.Record) {
	env := r.Envelope
	p := env.Request.GetPayload()
	if env.Phase == event.Phase_PHASE_RESPONSE {
		p = env.Response.GetPayload()
	}
	if p == nil || len(p.Body) == 0 && !lostBody(p.State) {
		return
	}
	b := t.payloads
	b.callID.add(env.CallId)
	enum(&b.phase, env.Phase, event.Phase_PHASE_RESPONSE)
	b.teamID.add(r.Event.GetIdentity().GetTeamId())
	b.startedAt.add(micros(env.StartedUnixNano))
	enum(&b.captureMode, env.CaptureMode, event.CaptureMode_CAPTURE_MODE_FULL)
	enum(&b.state, p.State, event.PayloadState_PAYLOAD_STATE_UNDECODABLE)
	b.contentType.add(p.ContentType)
	b.contentEncoding.add(p.ContentEncoding)
	unsigned(t.adjusted, &b.wireBytes, "wire_bytes", p.WireBytes)
	unsigned(t.adjusted, &b.capturedBytes, "captured_bytes", p.CapturedBytes)
	b.digest.addBytes(p.Digest)
	b.keyID.add(p.KeyId)
	b.body.addBytes(p.Body)
	for _, redaction := range p.Redactions {
		b.redactions.keys.add(redaction.Rule)
		b.redactions.values.add(redaction.Count)
	}
	b.redactions.endRow()
	b.topic.add(r.Position.Topic)
	b.partition.add(r.Position.Partition)
	b.offset.add(r.Position.Offset)
	b.ingestedAt.add(r.IngestedAt.UnixMilli())
	unsigned(t.adjusted, &b.schemaVersion, "schema_version", int64(env.SchemaVersion))
	b.rowVersion.add(t.version)
}

func lostBody(s event.PayloadState) bool {
	switch s {
	case event.PayloadState_PAYLOAD_STATE_TRUNCATED, event.PayloadState_PAYLOAD_STATE_BINARY, event.PayloadState_PAYLOAD_STATE_UNDECODABLE:
		return true
	}
	return false
}
