package clickhouse

// callsBlock has one row for every finished call.
type callsBlock struct {
	block
	callID                                                                                                                                                                                     text
	startedAt, endedAt                                                                                                                                                                         fixed[int64]
	durationUs, timeToFirstByteUs, timeToFirstTokenUs                                                                                                                                          nullable[uint64]
	gateway, route, method, host, path                                                                                                                                                         dictionary
	httpStatus                                                                                                                                                                                 fixed[uint16]
	stream                                                                                                                                                                                     fixed[uint8]
	streamOutcome                                                                                                                                                                              fixed[int8]
	errorClass, errorType                                                                                                                                                                      dictionary
	clientAddress                                                                                                                                                                              text
	userAgent                                                                                                                                                                                  dictionary
	requestID, traceID, conversationID                                                                                                                                                         text
	credentialFingerprint, credentialLast4, credentialKind, credentialID, credentialStatus, principal, principalKind                                                                           dictionary
	endUser                                                                                                                                                                                    text
	teamID, appID, owner, purpose, costCenter, identitySource, directoryVersion, policyID, policyVersion                                                                                       dictionary
	policyDecision                                                                                                                                                                             fixed[int8]
	policyRule, policyReason, provider, operation, dialect, decoderVersion, decodeError, requestModel, responseModel                                                                           dictionary
	responseID                                                                                                                                                                                 text
	serviceTier                                                                                                                                                                                dictionary
	finishReasons, toolsOffered, toolNames                                                                                                                                                     list
	usageSource                                                                                                                                                                                fixed[int8]
	usageFlags                                                                                                                                                                                 list
	inTotal, inUncached, inCacheRead, inCacheWrite5m, inCacheWrite1h, inCacheWriteUnknown, inAudio, inImage, outTotal, outText, outReasoning, outAudio, webSearches, images, audioMilliseconds nullable[uint64]
	costStatus                                                                                                                                                                                 fixed[int8]
	costUSD, inputCostUSD, outputCostUSD                                                                                                                                                       nullable[int64]
	costDetail, priceID, priceVersion                                                                                                                                                          dictionary
	captureMode, requestPayloadState                                                                                                                                                           fixed[int8]
	requestBytes                                                                                                                                                                               fixed[uint64]
	requestDigest                                                                                                                                                                              text
	responsePayloadState                                                                                                                                                                       fixed[int8]
	responseBytes                                                                                                                                                                              fixed[uint64]
	responseDigest                                                                                                                                                                             text
	redacted                                                                                                                                                                                   fixed[uint32]
	attributes                                                                                                                                                                                 mapping[*text]
	sourceInstance, topic                                                                                                                                                                      dictionary
	partition                                                                                                                                                                                  fixed[int32]
	offset, ingestedAt                                                                                                                                                                         fixed[int64]
	schemaVersion                                                                                                                                                                              fixed[uint16]
	rowVersion                                                                                                                                                                                 fixed[uint32]
}

func newCallsBlock() *callsBlock {
	b := &callsBlock{block: block{name: "calls"}}
	b.attributes.values = &text{}
	b.addRequest()
	b.addConclusions()
	b.addFigures()
	return b
}

// addRequest registers the columns of what the tap saw of the call.
func (b *callsBlock) addRequest() {
	b.add("call_id", kindText, &b.callID)
	b.add("started_at", kindMicros, &b.startedAt)
	b.add("ended_at", kindMicros, &b.endedAt)
	b.add("duration_us", kindCount, &b.durationUs)
	b.add("time_to_first_byte_us", kindCount, &b.timeToFirstByteUs)
	b.add("time_to_first_token_us", kindCount, &b.timeToFirstTokenUs)
	b.add("gateway", kindDictionary, &b.gateway)
	b.add("route", kindDictionary, &b.route)
	b.add("method", kindDictionary, &b.method)
	b.add("host", kindDictionary, &b.host)
	b.add("path", kindDictionary, &b.path)
	b.add("http_status", kindUint16, &b.httpStatus)
	b.add("stream", kindBool, &b.stream)
	b.add("stream_outcome", enumOutcome, &b.streamOutcome)
	b.add("error_class", kindDictionary, &b.errorClass)
	b.add("error_type", kindDictionary, &b.errorType)
	b.add("client_address", kindText, &b.clientAddress)
	b.add("user_agent", kindDictionary, &b.userAgent)
	b.add("request_id", kindText, &b.requestID)
	b.add("trace_id", kindText, &b.traceID)
	b.add("conversation_id", kindText, &b.conversationID)
}

// addConclusions registers the columns of who called, under which policy, and which model.
func (b *callsBlock) addConclusions() {
	b.add("credential_fingerprint", kindDictionary, &b.credentialFingerprint)
	b.add("credential_last4", kindDictionary, &b.credentialLast4)
	b.add("credential_kind", kindDictionary, &b.credentialKind)
	b.add("credential_id", kindDictionary, &b.credentialID)
	b.add("credential_status", kindDictionary, &b.credentialStatus)
	b.add("principal", kindDictionary, &b.principal)
	b.add("principal_kind", kindDictionary, &b.principalKind)
	b.add("end_user", kindText, &b.endUser)
	b.add("team_id", kindDictionary, &b.teamID)
	b.add("app_id", kindDictionary, &b.appID)
	b.add("owner", kindDictionary, &b.owner)
	b.add("purpose", kindDictionary, &b.purpose)
	b.add("cost_center", kindDictionary, &b.costCenter)
	b.add("identity_source", kindDictionary, &b.identitySource)
	b.add("directory_version", kindDictionary, &b.directoryVersion)
	b.add("policy_id", kindDictionary, &b.policyID)
	b.add("policy_version", kindDictionary, &b.policyVersion)
	b.add("policy_decision", enumDecision, &b.policyDecision)
	b.add("policy_rule", kindDictionary, &b.policyRule)
	b.add("policy_reason", kindDictionary, &b.policyReason)
	b.add("provider", kindDictionary, &b.provider)
	b.add("operation", kindDictionary, &b.operation)
	b.add("dialect", kindDictionary, &b.dialect)
	b.add("decoder_version", kindDictionary, &b.decoderVersion)
	b.add("decode_error", kindDictionary, &b.decodeError)
	b.add("request_model", kindDictionary, &b.requestModel)
	b.add("response_model", kindDictionary, &b.responseModel)
	b.add("response_id", kindText, &b.responseID)
	b.add("service_tier", kindDictionary, &b.serviceTier)
	b.add("finish_reasons", kindList, &b.finishReasons)
	b.add("tools_offered", kindList, &b.toolsOffered)
	b.add("tool_names", kindList, &b.toolNames)
}

// addFigures registers the columns of usage, cost, payloads and the place in Kafka.
func (b *callsBlock) addFigures() {
	b.add("usage_source", enumUsage, &b.usageSource)
	b.add("usage_flags", kindList, &b.usageFlags)
	b.add("in_total", kindCount, &b.inTotal)
	b.add("in_uncached", kindCount, &b.inUncached)
	b.add("in_cache_read", kindCount, &b.inCacheRead)
	b.add("in_cache_write_5m", kindCount, &b.inCacheWrite5m)
	b.add("in_cache_write_1h", kindCount, &b.inCacheWrite1h)
	b.add("in_cache_write_unknown", kindCount, &b.inCacheWriteUnknown)
	b.add("in_audio", kindCount, &b.inAudio)
	b.add("in_image", kindCount, &b.inImage)
	b.add("out_total", kindCount, &b.outTotal)
	b.add("out_text", kindCount, &b.outText)
	b.add("out_reasoning", kindCount, &b.outReasoning)
	b.add("out_audio", kindCount, &b.outAudio)
	b.add("web_searches", kindCount, &b.webSearches)
	b.add("images", kindCount, &b.images)
	b.add("audio_milliseconds", kindCount, &b.audioMilliseconds)
	b.add("cost_status", enumCost, &b.costStatus)
	b.add("cost_usd", kindMoney, &b.costUSD)
	b.add("input_cost_usd", kindMoney, &b.inputCostUSD)
	b.add("output_cost_usd", kindMoney, &b.outputCostUSD)
	b.add("cost_detail", kindDictionary, &b.costDetail)
	b.add("price_id", kindDictionary, &b.priceID)
	b.add("price_version", kindDictionary, &b.priceVersion)
	b.add("capture_mode", enumCapture, &b.captureMode)
	b.add("request_payload_state", enumState, &b.requestPayloadState)
	b.add("request_bytes", kindUint64, &b.requestBytes)
	b.add("request_digest", kindText, &b.requestDigest)
	b.add("response_payload_state", enumState, &b.responsePayloadState)
	b.add("response_bytes", kindUint64, &b.responseBytes)
	b.add("response_digest", kindText, &b.responseDigest)
	b.add("redacted", kindUint32, &b.redacted)
	b.add("attributes", kindTexts, &b.attributes)
	b.add("source_instance", kindDictionary, &b.sourceInstance)
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	b.add("row_version", kindUint32, &b.rowVersion)
}
