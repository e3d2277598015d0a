package schemacheck

import (
	"fmt"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// fill inserts a week of generated traffic that ends now, with every kind of thing a board shows: several teams,
// models and providers, errors, broken streams, denied and unpriced calls, unknown credentials, unfinished calls,
// findings and budgets. Values depend on the row number alone, so every run sees the same picture.
func fill(t testing.TB, conn driver.Conn, calls int) {
	t.Helper()
	exec(t, conn,
		fmt.Sprintf(fillCalls, calls, calls),
		`INSERT INTO envelopes (topic, partition, offset, ingested_at, status, call_id, phase, started_at, source_instance, team_id, app_id, provider, request_model, principal)
SELECT 'modeltrail.envelopes', 0, row_number() OVER (ORDER BY started_at, call_id) - 1, ingested_at, 'stored', call_id, 'response', started_at, 'tap-1', team_id, app_id, provider, request_model, principal FROM calls`,
		`INSERT INTO envelopes (topic, partition, offset, ingested_at, status, call_id, phase, started_at, source_instance, team_id, app_id, provider, request_model, principal)
SELECT 'modeltrail.envelopes', 1, number, now64(3) - INTERVAL 3 HOUR + number, 'stored', concat('open-', toString(number)), 'request', now64(6) - INTERVAL 3 HOUR + number, 'tap-1', 'payments', 'checkout-bot', 'openai', 'gpt-5.5', 'svc-checkout' FROM numbers(5)`,
		`INSERT INTO tool_calls (call_id, position, tool_name, tool_type, team_id, app_id, provider, response_model, started_at, ingested_at)
SELECT call_id, 0, arrayJoin(tool_names), 'function', team_id, app_id, provider, response_model, started_at, ingested_at FROM calls WHERE notEmpty(tool_names)`,
		`INSERT INTO findings (finding_key, detector, severity, title, description, team_id, app_id, model, policy_id, policy_rule, call_id, first_seen_at, last_seen_at, detected_at, impact_usd, evidence, ingested_at)
SELECT concat('k', toString(number % 30)), if(number % 3 = 0, 'cost_spike', 'out_of_scope'), 1 + number % 5, 'Unusual use', 'What happened.', if(number % 2 = 0, 'payments', 'research'), 'checkout-bot', 'gpt-5.5', 'default', 'models.allow', toString(number),
now64(6) - INTERVAL number HOUR, now64(6) - INTERVAL number HOUR, now64(6) - INTERVAL number HOUR, if(number % 3 = 0, 12.5, NULL), map('factor', '7.5'), now64(3) - INTERVAL number HOUR FROM numbers(40)`,
		`INSERT INTO source_completeness SELECT 'tap', 'tap-1', toStartOfHour(now()) - INTERVAL number HOUR, 1, now64(3), 1, 1000, 1000 - number % 2, 0, 0, map('memory', number % 3), 0, number % 2, 0, true FROM numbers(168)`,
		`INSERT INTO team_budgets SELECT team, toDate('2020-01-01'), 1000, 'd1', now64(3) FROM (SELECT arrayJoin(['payments', 'research']) AS team)`,
	)
}

const fillCalls = `INSERT INTO calls (call_id, started_at, ended_at, ingested_at, duration_us, time_to_first_byte_us, time_to_first_token_us, gateway, route, method, host, path, http_status, stream, stream_outcome, error_class,
client_address, user_agent, request_id, trace_id, credential_fingerprint, credential_last4, credential_kind, credential_id, credential_status, principal, principal_kind, team_id, app_id, owner, purpose, cost_center, identity_source, directory_version,
policy_id, policy_version, policy_decision, policy_rule, policy_reason, provider, operation, dialect, decoder_version, request_model, response_model, response_id, finish_reasons, tools_offered, tool_names, usage_source,
in_total, in_uncached, in_cache_read, out_total, out_text, cost_status, cost_usd, input_cost_usd, output_cost_usd, cost_detail, price_id, price_version, capture_mode, request_payload_state, request_bytes, request_digest, response_payload_state, response_bytes, response_digest, attributes, source_instance, topic, partition, offset, schema_version)
WITH
    sipHash64(number) AS h,
    now64(6) - toIntervalSecond(intDiv((%d - number) * 604800, %d)) AS at,
    h %% 29 = 0 AS bad,
    h %% 37 = 0 AS unpriced,
    h %% 41 = 0 AS denied,
    1 + h %% 3 AS who
SELECT
    lower(hex(MD5(toString(number)))), at, at + toIntervalMillisecond(300 + h %% 9000), at + toIntervalMillisecond(800 + h %% 9000),
    1000 * (300 + h %% 9000), 1000 * (100 + h %% 400), if(h %% 2 = 0, 1000 * (150 + h %% 900), NULL), 'edge', 'llm', 'POST',
    ['api.openai.com', 'api.anthropic.com', 'generativelanguage.googleapis.com'][who], ['/v1/chat/completions', '/v1/messages', '/v1beta/models'][who],
    if(bad, 429, 200), h %% 2 = 0, multiIf(bad, 'complete', h %% 53 = 0, 'client_abort', h %% 59 = 0, 'upstream_abort', 'complete'), '',
    concat('10.0.', toString(h %% 8), '.', toString(h %% 250)), ['openai-python/2.1', 'anthropic-sdk-typescript/0.60', 'google-genai/1.4'][who], generateUUIDv4(number), lower(hex(sipHash128(number))),
    concat('mt1:', lower(hex(sipHash128(h %% 12)))), substring(hex(h %% 12), 1, 4), 'bearer', if(h %% 12 = 0, '', concat('cred-', toString(h %% 12))), if(h %% 12 = 0, 'unknown', 'active'), concat('svc-', toString(h %% 12)), 'service',
    ['payments', 'research', 'support'][who], ['checkout-bot', 'notebook', 'helpdesk'][who], 'owner@example.org', 'assist customers', concat('cc-', toString(who)), 'credential', 'd1',
    'default', '1', if(denied, 'deny', 'allow'), if(denied, 'models.allow', ''), if(denied, 'The model is not on the list of the team.', ''),
    ['openai', 'anthropic', 'gcp.gemini'][who], 'chat', ['openai', 'anthropic', 'gemini'][who], '1', ['gpt-5.5', 'claude-sonnet-5', 'gemini-3-pro'][who], if(bad, '', ['gpt-5.5-2026-04-01', 'claude-sonnet-5', 'gemini-3-pro'][who]), concat('resp_', lower(hex(h))),
    ['stop'], if(h %% 4 = 0, ['search', 'lookup_order'], []), if(h %% 8 = 0, ['search'], []), if(bad OR unpriced, 'none', 'provider'),
    if(bad OR unpriced, NULL, 200 + h %% 4000), if(bad OR unpriced, NULL, 100 + h %% 3000), if(bad OR unpriced, NULL, h %% 1000), if(bad OR unpriced, NULL, 20 + h %% 900), if(bad OR unpriced, NULL, 20 + h %% 900),
    multiIf(bad, 'not_billed', unpriced, 'no_usage', 'priced'), if(bad OR unpriced, NULL, toDecimal64((h %% 90000) / 1000000, 12)), if(bad OR unpriced, NULL, toDecimal64((h %% 40000) / 1000000, 12)), if(bad OR unpriced, NULL, toDecimal64((h %% 50000) / 1000000, 12)), if(unpriced, 'no_usage', ''),
    ['openai/gpt-5.5@2026-04-01', 'anthropic/claude-sonnet-5@2026-03-01', 'google/gemini-3-pro@2026-02-01'][who], 'p1', 'redacted', 'full', 400 + h %% 16000, unhex(hex(SHA256(toString(number)))), 'full', 300 + h %% 8000, unhex(hex(SHA256(toString(h)))),
    map('x-request-id', toString(number)), 'tap-1', 'modeltrail.envelopes', h %% 2, number, 1
FROM numbers(%[1]d)`
