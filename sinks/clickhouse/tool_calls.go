package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// toolCallsBlock has one row for every tool the model asked for.
type toolCallsBlock struct {
	block
	callID                                                        text
	position                                                      fixed[uint16]
	toolName, toolType, toolServer                                dictionary
	toolCallID                                                    text
	argumentsBytes                                                nullable[uint64]
	teamID, appID, credentialFingerprint, provider, responseModel dictionary
	policyDecision                                                fixed[int8]
	startedAt                                                     fixed[int64]
	topic                                                         dictionary
	partition                                                     fixed[int32]
	offset, ingestedAt                                            fixed[int64]
	schemaVersion                                                 fixed[uint16]
	rowVersion                                                    fixed[uint32]
}

func newToolCallsBlock() *toolCallsBlock {
	b := &toolCallsBlock{block: block{name: "tool_calls"}}
	b.add("call_id", kindText, &b.callID)
	b.add("position", kindUint16, &b.position)
	b.add("tool_name", kindDictionary, &b.toolName)
	b.add("tool_type", kindDictionary, &b.toolType)
	b.add("tool_server", kindDictionary, &b.toolServer)
	b.add("tool_call_id", kindText, &b.toolCallID)
	b.add("arguments_bytes", kindCount, &b.argumentsBytes)
	b.add("team_id", kindDictionary, &b.teamID)
	b.add("app_id", kindDictionary, &b.appID)
	b.add("credential_fingerprint", kindDictionary, &b.credentialFingerprint)
	b.add("provider", kindDictionary, &b.provider)
	b.add("response_model", kindDictionary, &b.responseModel)
	b.add("policy_decision", enumDecision, &b.policyDecision)
	b.add("started_at", kindMicros, &b.startedAt)
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	b.add("row_version", kindUint32, &b.rowVersion)
	return b
}

func (t *Tables) addToolCalls(r *batch.Record) {
	b, env, call := t.toolCalls, r.Envelope, r.Event.GetCall()
	id := r.Event.GetIdentity()
	for i, tool := range call.GetToolCalls() {
		b.callID.add(env.CallId)
		unsigned(t.adjusted, &b.position, "position", int64(i))
		b.toolName.add(tool.Name)
		b.toolType.add(tool.Type)
		b.toolServer.add(tool.Server)
		b.toolCallID.add(tool.Id)
		t.adjusted.count(&b.argumentsBytes, "arguments_bytes", tool.ArgumentsBytes)
		b.teamID.add(id.GetTeamId())
		b.appID.add(id.GetAppId())
		b.credentialFingerprint.add(env.Credential.GetFingerprint())
		b.provider.add(provider(env, call))
		b.responseModel.add(call.GetResponseModel())
		enum(&b.policyDecision, r.Event.GetPolicy().GetDecision(), event.PolicyDecision_POLICY_DECISION_NO_POLICY)
		b.startedAt.add(micros(env.StartedUnixNano))
		b.topic.add(r.Position.Topic)
		b.partition.add(r.Position.Partition)
		b.offset.add(r.Position.Offset)
		b.ingestedAt.add(r.IngestedAt.UnixMilli())
		unsigned(t.adjusted, &b.schemaVersion, "schema_version", int64(env.SchemaVersion))
		b.rowVersion.add(t.version)
	}
}
