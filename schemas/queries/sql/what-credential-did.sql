/*
name: what-credential-did
title: What a credential did
question: Which calls were made with this credential, by whom, from where, and to which models?
parameters:
  - name: credential
    type: String
    required: true
    description: Fingerprint (mt1:...) or the credential's id in the directory.
  - name: from
    type: DateTime('UTC')
    default: now-30d
    description: Start of the span, included; a date, an RFC 3339 time, or now-24h.
  - name: to
    type: DateTime('UTC')
    default: now
    description: End of the span, not included.
  - name: limit
    type: UInt32
    default: "1000"
    description: Largest number of rows.
*/
SELECT
    started_at,
    call_id,
    team_id,
    app_id,
    principal,
    credential_fingerprint,
    credential_id,
    provider,
    operation,
    if(response_model != '', response_model, request_model) AS model,
    tool_names,
    policy_decision,
    policy_rule,
    http_status,
    stream_outcome,
    in_total AS in_tokens,
    out_total AS out_tokens,
    cost_usd,
    duration_us / 1000 AS duration_ms,
    credential_status,
    client_address,
    user_agent
FROM v_calls AS calls
WHERE (credential_fingerprint = {credential:String} OR (credential_id = {credential:String} AND credential_id != ''))
  AND started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
  AND ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 DAY
ORDER BY started_at, call_id
LIMIT {limit:UInt32}
