package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// envelopesBlock is the completeness oracle: one row for every envelope, rejected ones too.
type envelopesBlock struct {
	block
	topic                                                                                              dictionary
	partition                                                                                          fixed[int32]
	offset, ingestedAt                                                                                 fixed[int64]
	status                                                                                             fixed[int8]
	rejectReason                                                                                       dictionary
	callID                                                                                             text
	phase                                                                                              fixed[int8]
	startedAt, observedAt                                                                              fixed[int64]
	sourceKind, sourceInstance                                                                         dictionary
	sourceEpoch, sourceSequence, sourceDropped                                                         fixed[uint64]
	gateway, route, credentialFingerprint, principal, teamID, appID, provider, operation, requestModel dictionary
	policyDecision                                                                                     fixed[int8]
	policyRule                                                                                         dictionary
	valueBytes                                                                                         fixed[uint32]
	schemaVersion                                                                                      fixed[uint16]
	rowVersion                                                                                         fixed[uint32]
}

func newEnvelopesBlock() *envelopesBlock {
	b := &envelopesBlock{block: block{name: "envelopes"}}
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("status", enumStatus, &b.status)
	b.add("reject_reason", kindDictionary, &b.rejectReason)
	b.add("call_id", kindText, &b.callID)
	b.add("phase", enumPhase, &b.phase)
	b.add("started_at", kindMicros, &b.startedAt)
	b.add("observed_at", kindMicros, &b.observedAt)
	b.add("source_kind", kindDictionary, &b.sourceKind)
	b.add("source_instance", kindDictionary, &b.sourceInstance)
	b.add("source_epoch", kindUint64, &b.sourceEpoch)
	b.add("source_sequence", kindUint64, &b.sourceSequence)
	b.add("source_dropped", kindUint64, &b.sourceDropped)
	b.add("gateway", kindDictionary, &b.gateway)
	b.add("route", kindDictionary, &b.route)
	b.add("credential_fingerprint", kindDictionary, &b.credentialFingerprint)
	b.add("principal", kindDictionary, &b.principal)
	b.add("team_id", kindDictionary, &b.teamID)
	b.add("app_id", kindDictionary, &b.appID)
	b.add("provider", kindDictionary, &b.provider)
	b.add("operation", kindDictionary, &b.operation)
	b.add("request_model", kindDictionary, &b.requestModel)
	b.add("policy_decision", enumDecision, &b.policyDecision)
	b.add("policy_rule", kindDictionary, &b.policyRule)
	b.add("value_bytes", kindUint32, &b.valueBytes)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	b.add("row_version", kindUint32, &b.rowVersion)
	return b
}

// Values of the column status.
const (
	statusStored   = 1
	statusRejected = 2
	statusRepeated = 3
)

// addEnvelope adds the row of one record; reason is of a rejected one. Envelope and Event may be nil.
func (t *Tables) addEnvelope(r *batch.Record, valueBytes int, status int8, reason string) {
	b, env, ev := t.envelopes, r.Envelope, r.Event
	b.topic.add(r.Position.Topic)
	b.partition.add(r.Position.Partition)
	b.offset.add(r.Position.Offset)
	b.ingestedAt.add(r.IngestedAt.UnixMilli())
	b.status.add(status)
	b.rejectReason.add(reason)
	b.callID.add(env.GetCallId())
	enum(&b.phase, env.GetPhase(), event.Phase_PHASE_RESPONSE)
	b.startedAt.add(micros(env.GetStartedUnixNano()))
	b.observedAt.add(micros(env.GetObservedUnixNano()))
	source := env.GetSource()
	b.sourceKind.add(source.GetKind())
	b.sourceInstance.add(source.GetInstance())
	b.sourceEpoch.add(source.GetBootEpoch())
	b.sourceSequence.add(source.GetSequence())
	b.sourceDropped.add(source.GetDroppedTotal())
	b.gateway.add(env.GetGateway())
	b.route.add(env.GetRoute())
	b.credentialFingerprint.add(env.GetCredential().GetFingerprint())
	id, call, policy := ev.GetIdentity(), ev.GetCall(), ev.GetPolicy()
	b.principal.add(id.GetPrincipal())
	b.teamID.add(id.GetTeamId())
	b.appID.add(id.GetAppId())
	b.provider.add(provider(env, call))
	b.operation.add(call.GetOperation())
	b.requestModel.add(call.GetRequestModel())
	enum(&b.policyDecision, policy.GetDecision(), event.PolicyDecision_POLICY_DECISION_NO_POLICY)
	b.policyRule.add(policy.GetRule())
	unsigned(t.adjusted, &b.valueBytes, "value_bytes", int64(valueBytes))
	unsigned(t.adjusted, &b.schemaVersion, "schema_version", int64(env.GetSchemaVersion()))
	b.rowVersion.add(t.version)
}

// provider is the decoder's finding, else what the route is configured for.
func provider(env *event.Envelope, call *event.Call) string {
	if p := call.GetProvider(); p != "" {
		return p
	}
	return env.GetProvider()
}
