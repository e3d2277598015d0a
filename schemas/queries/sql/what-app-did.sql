/*
name: what-app-did
title: What an application did
question: Which calls did this application make, with which model and tools, and how did they end?
parameters:
  - name: app
    type: String
    required: true
    description: Application id as in the directory.
  - name: team
    type: String
    default: ""
    description: Team id; empty means every team.
  - name: from
    type: DateTime('UTC')
    default: now-24h
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
    duration_us / 1000 AS duration_ms
FROM v_calls AS calls
WHERE app_id = {app:String}
  AND ({team:String} = '' OR team_id = {team:String})
  AND started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
  AND ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 DAY
ORDER BY started_at, call_id
LIMIT {limit:UInt32}
