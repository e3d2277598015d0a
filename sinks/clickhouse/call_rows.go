package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// addCall adds the row of one finished call. What the tap observed is read from the envelope, what the chain
// concluded from the event.
func (t *Tables) addCall(r *batch.Record) {
	t.callTimes(r)
	t.callRequest(r.Envelope, r.Event.GetCall())
	t.callIdentity(r.Envelope.Credential, r.Event.GetIdentity())
	t.callPolicy(r.Event.GetPolicy())
	t.callModel(r.Envelope, r.Event.GetCall())
	t.callUsage(r.Event.GetUsage())
	t.callCost(r.Event.GetCost())
	t.callPayloads(r.Envelope)
	b := t.calls
	b.sourceInstance.add(r.Envelope.Source.GetInstance())
	b.topic.add(r.Position.Topic)
	b.partition.add(r.Position.Partition)
	b.offset.add(r.Position.Offset)
	b.ingestedAt.add(r.IngestedAt.UnixMilli())
	unsigned(t.adjusted, &b.schemaVersion, "schema_version", int64(r.Envelope.SchemaVersion))
	b.rowVersion.add(t.version)
}

func (t *Tables) callTimes(r *batch.Record) {
	b, env, response := t.calls, r.Envelope, r.Envelope.Response
	b.callID.add(env.CallId)
	b.startedAt.add(micros(env.StartedUnixNano))
	ended := response.GetEndedUnixNano()
	if ended == 0 {
		ended = env.ObservedUnixNano
	}
	b.endedAt.add(micros(ended))
	t.adjusted.elapsed(&b.durationUs, "duration_us", env.StartedUnixNano, ended)
	t.adjusted.elapsed(&b.timeToFirstByteUs, "time_to_first_byte_us", env.StartedUnixNano, response.GetFirstByteUnixNano())
	switch ns := r.Event.GetCall().GetTimeToFirstTokenNs(); {
	case r.Event.GetCall() == nil || r.Event.Call.TimeToFirstTokenNs == nil:
		b.timeToFirstTokenUs.addNull()
	case ns < 0:
		t.adjusted["time_to_first_token_us"]++
		b.timeToFirstTokenUs.addNull()
	default:
		b.timeToFirstTokenUs.add(uint64(ns) / 1000)
	}
}

func (t *Tables) callRequest(env *event.Envelope, call *event.Call) {
	b, request, response := t.calls, env.Request, env.Response
	b.gateway.add(env.Gateway)
	b.route.add(env.Route)
	b.method.add(request.GetMethod())
	b.host.add(request.GetHost())
	b.path.add(request.GetPath())
	unsigned(t.adjusted, &b.httpStatus, "http_status", int64(response.GetStatusCode()))
	stream := uint8(0)
	if call.GetStream() {
		stream = 1
	}
	b.stream.add(stream)
	outcome := call.GetOutcome()
	if outcome == event.StreamOutcome_STREAM_OUTCOME_UNSPECIFIED {
		outcome = response.GetOutcome()
	}
	enum(&b.streamOutcome, outcome, event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE)
	b.errorClass.add(response.GetErrorClass())
	b.errorType.add(call.GetErrorType())
	b.clientAddress.add(request.GetClientAddress())
	b.userAgent.add(request.GetUserAgent())
	b.requestID.add(request.GetRequestId())
	b.traceID.add(traceID(request.GetTraceparent()))
	b.conversationID.add(call.GetConversationId())
	for _, header := range request.GetHeaders() {
		b.attributes.keys.add(header.Key)
		b.attributes.values.add(header.Value)
	}
	b.attributes.endRow()
}

// traceID is the second field of a W3C traceparent: "00-<32 hex digits>-<16 hex digits>-<flags>".
func traceID(traceparent string) string {
	if len(traceparent) < 55 || traceparent[2] != '-' || traceparent[35] != '-' {
		return ""
	}
	return traceparent[3:35]
}

func (t *Tables) callIdentity(credential *event.Credential, id *event.Identity) {
	b := t.calls
	b.credentialFingerprint.add(credential.GetFingerprint())
	b.credentialLast4.add(credential.GetLast4())
	b.credentialKind.add(credential.GetKind())
	b.credentialID.add(id.GetCredentialId())
	b.credentialStatus.add(id.GetCredentialStatus())
	b.principal.add(id.GetPrincipal())
	b.principalKind.add(id.GetPrincipalKind())
	b.teamID.add(id.GetTeamId())
	b.appID.add(id.GetAppId())
	b.owner.add(id.GetOwner())
	b.purpose.add(id.GetPurpose())
	b.costCenter.add(id.GetCostCenter())
	b.identitySource.add(id.GetSource())
	b.directoryVersion.add(id.GetDirectoryVersion())
}

func (t *Tables) callPolicy(policy *event.Policy) {
	b := t.calls
	b.policyID.add(policy.GetPolicyId())
	b.policyVersion.add(policy.GetPolicyVersion())
	enum(&b.policyDecision, policy.GetDecision(), event.PolicyDecision_POLICY_DECISION_NO_POLICY)
	b.policyRule.add(policy.GetRule())
	b.policyReason.add(policy.GetReason())
}

func (t *Tables) callModel(env *event.Envelope, call *event.Call) {
	b := t.calls
	b.endUser.add(call.GetEndUser())
	b.provider.add(provider(env, call))
	b.operation.add(call.GetOperation())
	dialect := call.GetDialect()
	if dialect == "" {
		dialect = env.Dialect
	}
	b.dialect.add(dialect)
	b.decoderVersion.add(call.GetDecoderVersion())
	b.decodeError.add(call.GetDecodeError())
	b.requestModel.add(call.GetRequestModel())
	b.responseModel.add(call.GetResponseModel())
	b.responseID.add(call.GetResponseId())
	b.serviceTier.add(call.GetServiceTier())
	b.finishReasons.add(call.GetFinishReasons())
	b.toolsOffered.add(call.GetToolsOffered())
	for _, tool := range call.GetToolCalls() {
		b.toolNames.items.add(tool.Name)
	}
	b.toolNames.endRow()
}

func (t *Tables) callUsage(u *event.Usage) {
	b, a := t.calls, t.adjusted
	enum(&b.usageSource, u.GetSource(), event.UsageSource_USAGE_SOURCE_NONE)
	b.usageFlags.add(u.GetFlags())
	if u == nil {
		u = &event.Usage{}
	}
	a.count(&b.inTotal, "in_total", u.InTotal)
	a.count(&b.inUncached, "in_uncached", u.InUncached)
	a.count(&b.inCacheRead, "in_cache_read", u.InCacheRead)
	a.count(&b.inCacheWrite5m, "in_cache_write_5m", u.InCacheWrite_5M)
	a.count(&b.inCacheWrite1h, "in_cache_write_1h", u.InCacheWrite_1H)
	a.count(&b.inCacheWriteUnknown, "in_cache_write_unknown", u.InCacheWriteUnknown)
	a.count(&b.inAudio, "in_audio", u.InAudio)
	a.count(&b.inImage, "in_image", u.InImage)
	a.count(&b.outTotal, "out_total", u.OutTotal)
	a.count(&b.outText, "out_text", u.OutText)
	a.count(&b.outReasoning, "out_reasoning", u.OutReasoning)
	a.count(&b.outAudio, "out_audio", u.OutAudio)
	a.count(&b.webSearches, "web_searches", u.WebSearches)
	a.count(&b.images, "images", u.Images)
	a.count(&b.audioMilliseconds, "audio_milliseconds", u.AudioMilliseconds)
}

func (t *Tables) callCost(c *event.Cost) {
	b, a := t.calls, t.adjusted
	enum(&b.costStatus, c.GetStatus(), event.CostStatus_COST_STATUS_NOT_BILLED)
	if c == nil {
		c = &event.Cost{}
	}
	a.money(&b.costUSD, "cost_usd", c.TotalPicoUsd)
	a.money(&b.inputCostUSD, "input_cost_usd", c.InputPicoUsd)
	a.money(&b.outputCostUSD, "output_cost_usd", c.OutputPicoUsd)
	b.costDetail.add(c.Detail)
	b.priceID.add(c.PriceId)
	b.priceVersion.add(c.PriceVersion)
}

func (t *Tables) callPayloads(env *event.Envelope) {
	b := t.calls
	request, response := env.Request.GetPayload(), env.Response.GetPayload()
	enum(&b.captureMode, env.CaptureMode, event.CaptureMode_CAPTURE_MODE_FULL)
	enum(&b.requestPayloadState, request.GetState(), event.PayloadState_PAYLOAD_STATE_UNDECODABLE)
	unsigned(t.adjusted, &b.requestBytes, "request_bytes", request.GetWireBytes())
	b.requestDigest.addBytes(request.GetDigest())
	enum(&b.responsePayloadState, response.GetState(), event.PayloadState_PAYLOAD_STATE_UNDECODABLE)
	unsigned(t.adjusted, &b.responseBytes, "response_bytes", response.GetWireBytes())
	b.responseDigest.addBytes(response.GetDigest())
	redacted := int64(0)
	for _, redaction := range request.GetRedactions() {
		redacted += int64(redaction.Count)
	}
	for _, redaction := range response.GetRedactions() {
		redacted += int64(redaction.Count)
	}
	unsigned(t.adjusted, &b.redacted, "redacted", redacted)
}
