package backfill

import (
	"encoding/json"
	"errors"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
)

// secrets are names under which archives keep keys.
var secrets = []string{"api_key", "apikey", "key", "authorization", "credential", "token", "secret", "password", "x-api-key"}

// derived are columns of calls that the chain finds anew; they are read over.
var derived = []string{
	"credential_id", "credential_status", "principal", "principal_kind", "team_id", "app_id", "owner", "purpose", "cost_center", "identity_source",
	"directory_version", "policy_id", "policy_version", "policy_decision", "policy_rule", "policy_reason", "dialect", "decoder_version", "decode_error",
	"usage_flags", "cost_status", "input_cost_usd", "output_cost_usd", "cost_detail", "price_id", "price_version", "capture_mode",
	"request_payload_state", "request_digest", "response_payload_state", "response_digest", "redacted", "source_instance", "topic", "partition", "offset",
	"ingested_at", "schema_version", "row_version",
}

// fields are the names of the format and how each is read.
func fields() map[string]field {
	f := map[string]field{
		"call_id": text(func(r *record) *string { return &r.callID }), "gateway": text(func(r *record) *string { return &r.gateway }),
		"route": text(func(r *record) *string { return &r.route }), "method": text(func(r *record) *string { return &r.method }),
		"host": text(func(r *record) *string { return &r.host }), "path": text(func(r *record) *string { return &r.path }),
		"stream_outcome": text(func(r *record) *string { return &r.outcome }), "error_class": text(func(r *record) *string { return &r.errorClass }),
		"client_address": text(func(r *record) *string { return &r.clientAddress }), "user_agent": text(func(r *record) *string { return &r.userAgent }),
		"request_id": text(func(r *record) *string { return &r.requestID }), "trace_id": text(func(r *record) *string { return &r.traceID }),
		"credential_last4": text(func(r *record) *string { return &r.last4 }), "credential_kind": text(func(r *record) *string { return &r.kind }),
		"request_content_type": text(func(r *record) *string { return &r.requestType }), "response_content_type": text(func(r *record) *string { return &r.responseType }),
		"request_body": body(func(r *record) *string { return &r.requestBody }), "response_body": body(func(r *record) *string { return &r.responseBody }),
		"request_bytes": size(func(r *record) *int64 { return &r.requestBytes }), "response_bytes": size(func(r *record) *int64 { return &r.responseBytes }),
		"credential_fingerprint": readFingerprint, "cost_usd": readCost, "http_status": readStatus, "status_code": readStatus, "stream": readStream,
		"duration_us":           count(func(r *record) **int64 { return &r.durationUS }),
		"time_to_first_byte_us": count(func(r *record) **int64 { return &r.firstByteUS }),
		"started_at":            func(r *record, v value) (err error) { r.started, err = v.time(); return err },
		"ended_at":              func(r *record, v value) (err error) { r.ended, err = v.time(); return err },
		"headers":               func(r *record, v value) (err error) { r.headers, err = v.pairs(); return err },
		"attributes":            func(r *record, v value) (err error) { r.headers, err = v.pairs(); return err },
		"claims":                func(r *record, v value) (err error) { r.claims, err = v.pairs(); return err },
		"usage":                 readUsage,
	}
	for name, read := range factFields() {
		f[name] = read
	}
	for name, read := range tokenFields() {
		f[name] = read
	}
	return f
}

func factFields() map[string]field {
	return map[string]field{
		"operation": text(func(r *record) *string { return &r.facts.Operation }), "provider": text(func(r *record) *string { return &r.facts.Provider }),
		"request_model": text(func(r *record) *string { return &r.facts.RequestModel }), "model": text(func(r *record) *string { return &r.facts.RequestModel }),
		"response_model": text(func(r *record) *string { return &r.facts.ResponseModel }), "response_id": text(func(r *record) *string { return &r.facts.ResponseID }),
		"service_tier": text(func(r *record) *string { return &r.facts.ServiceTier }), "end_user": text(func(r *record) *string { return &r.facts.EndUser }),
		"conversation_id": text(func(r *record) *string { return &r.facts.ConversationID }), "error_type": text(func(r *record) *string { return &r.facts.ErrorType }),
		"usage_source":           text(func(r *record) *string { return &r.facts.UsageSource }),
		"finish_reasons":         list(func(r *record) *[]string { return &r.facts.FinishReasons }),
		"tools_offered":          list(func(r *record) *[]string { return &r.facts.ToolsOffered }),
		"tool_names":             list(func(r *record) *[]string { return &r.facts.ToolNames }),
		"time_to_first_token_us": count(func(r *record) **int64 { return &r.facts.TimeToFirstTokenUS }),
	}
}

// tokenFields stand in a record itself, as in calls, or in its object usage.
func tokenFields() map[string]field {
	unit := func(at func(u *generic.TokenUnits) **int64) field {
		return count(func(r *record) **int64 { return at(&r.facts.Usage) })
	}
	return map[string]field{
		"in_total":               unit(func(u *generic.TokenUnits) **int64 { return &u.InTotal }),
		"in_uncached":            unit(func(u *generic.TokenUnits) **int64 { return &u.InUncached }),
		"in_cache_read":          unit(func(u *generic.TokenUnits) **int64 { return &u.InCacheRead }),
		"in_cache_write_5m":      unit(func(u *generic.TokenUnits) **int64 { return &u.InCacheWrite5m }),
		"in_cache_write_1h":      unit(func(u *generic.TokenUnits) **int64 { return &u.InCacheWrite1h }),
		"in_cache_write_unknown": unit(func(u *generic.TokenUnits) **int64 { return &u.InCacheWriteUnknown }),
		"in_audio":               unit(func(u *generic.TokenUnits) **int64 { return &u.InAudio }),
		"in_image":               unit(func(u *generic.TokenUnits) **int64 { return &u.InImage }),
		"out_total":              unit(func(u *generic.TokenUnits) **int64 { return &u.OutTotal }),
		"out_text":               unit(func(u *generic.TokenUnits) **int64 { return &u.OutText }),
		"out_reasoning":          unit(func(u *generic.TokenUnits) **int64 { return &u.OutReasoning }),
		"out_audio":              unit(func(u *generic.TokenUnits) **int64 { return &u.OutAudio }),
		"web_searches":           unit(func(u *generic.TokenUnits) **int64 { return &u.WebSearches }),
		"images":                 unit(func(u *generic.TokenUnits) **int64 { return &u.Images }),
		"audio_milliseconds":     unit(func(u *generic.TokenUnits) **int64 { return &u.AudioMilliseconds }),
	}
}

func readUsage(r *record, v value) error {
	if v.null() {
		return nil
	}
	var object map[string]json.RawMessage
	if json.Unmarshal(v, &object) != nil {
		return errors.New("is not an object of token counts")
	}
	return errors.Join(r.take(object, tokenFields())...)
}

// outcomes names the values of stream_outcome; none means that the answer came.
func outcomes() map[string]event.StreamOutcome {
	return map[string]event.StreamOutcome{
		"": event.StreamOutcome_STREAM_OUTCOME_COMPLETE, "unknown": event.StreamOutcome_STREAM_OUTCOME_UNSPECIFIED,
		"complete": event.StreamOutcome_STREAM_OUTCOME_COMPLETE, "client_abort": event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT,
		"upstream_abort": event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT, "no_response": event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE,
	}
}
