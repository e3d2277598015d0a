package oracle

// Column is one compared column: Name in reports, Expr in SQL over the table.
type Column struct{ Name, Expr string }

// Table is one compared table. Key is the expression that holds the call's id. Placed tables end with the position of
// the record that the row was made from.
type Table struct {
	Name    string
	Key     string
	Columns []Column
	Placed  bool
}

// Place are the columns that only the broker could know; they follow the columns of every placed table.
var Place = []Column{{"partition", "partition"}, {"offset", "offset"}, {"ingested_ms", "toUnixTimestamp64Milli(ingested_at)"}}

func plain(names ...string) []Column {
	out := make([]Column, len(names))
	for i, n := range names {
		out[i] = Column{n, n}
	}
	return out
}

func join(lists ...[]Column) []Column {
	var out []Column
	for _, l := range lists {
		out = append(out, l...)
	}
	return out
}

func micros(names ...string) []Column {
	out := make([]Column, len(names))
	for i, n := range names {
		out[i] = Column{n, "toUnixTimestamp64Micro(" + n + ")"}
	}
	return out
}

// Calls, Envelopes, Payloads, ToolCalls and DeadLetters are the tables of the role store.
var (
	Calls = Table{"calls", "call_id", join(
		plain("call_id"), micros("started_at", "ended_at"),
		plain("duration_us", "time_to_first_byte_us", "time_to_first_token_us", "gateway", "route", "method", "host", "path", "http_status", "stream",
			"stream_outcome", "error_class", "error_type", "client_address", "user_agent", "request_id", "trace_id", "conversation_id",
			"credential_fingerprint", "credential_last4", "credential_kind", "credential_id", "credential_status", "principal", "principal_kind", "end_user",
			"team_id", "app_id", "owner", "purpose", "cost_center", "identity_source", "policy_id", "policy_version", "policy_decision", "policy_rule",
			"policy_reason", "provider", "operation", "dialect", "decode_error", "request_model", "response_model", "response_id", "service_tier",
			"finish_reasons", "tools_offered", "tool_names", "usage_source", "usage_flags", "in_total", "in_uncached", "in_cache_read", "in_cache_write_5m",
			"in_cache_write_1h", "in_cache_write_unknown", "in_audio", "in_image", "out_total", "out_text", "out_reasoning", "out_audio", "web_searches",
			"images", "audio_milliseconds", "cost_status", "cost_usd", "input_cost_usd", "output_cost_usd", "cost_detail", "price_id", "capture_mode",
			"request_payload_state", "request_bytes"),
		[]Column{{"request_digest", "lower(hex(request_digest))"}},
		plain("response_payload_state", "response_bytes"),
		[]Column{{"response_digest", "lower(hex(response_digest))"}},
		plain("redacted"),
		[]Column{{"attributes", "attributes"}},
		plain("source_instance", "schema_version", "row_version"),
	), true}
	Envelopes = Table{"envelopes", "call_id", join(
		plain("call_id", "phase"), micros("started_at", "observed_at"),
		plain("source_kind", "source_instance", "source_epoch", "source_sequence", "source_dropped", "gateway", "route", "credential_fingerprint",
			"principal", "team_id", "app_id", "provider", "operation", "request_model", "policy_decision", "policy_rule", "value_bytes",
			"schema_version", "row_version"),
	), true}
	Payloads = Table{"payloads", "call_id", join(
		plain("call_id", "phase", "team_id"), micros("started_at"),
		plain("capture_mode", "state", "content_type", "content_encoding", "wire_bytes", "captured_bytes"),
		[]Column{{"digest", "lower(hex(digest))"}, {"key_id", "key_id"}, {"body_sha256", "lower(hex(SHA256(body)))"}, {"redactions", "redactions"}},
		plain("schema_version", "row_version"),
	), true}
	ToolCalls = Table{"tool_calls", "call_id", join(
		plain("call_id", "position", "tool_name", "tool_type", "tool_server", "tool_call_id", "arguments_bytes", "team_id", "app_id",
			"credential_fingerprint", "provider", "response_model", "policy_decision"),
		micros("started_at"), plain("schema_version", "row_version"),
	), true}
	DeadLetters = Table{"dead_letters", "record_key", []Column{
		{"record_key", "record_key"}, {"stage", "stage"}, {"reason", "reason"}, {"value_bytes", "length(record_value)"}, {"value_sha256", "lower(hex(SHA256(record_value)))"},
	}, true}
)

// Tables are the compared tables.
func Tables() []Table { return []Table{Calls, Envelopes, Payloads, ToolCalls, DeadLetters} }
