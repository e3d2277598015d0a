/*
name: outside-policy
title: Calls outside policy
question: Which calls were outside what their policy allows, and which rule said so?
parameters:
  - name: team
    type: String
    default: ""
    description: Team id; empty means every team.
  - name: ungoverned
    type: Bool
    default: "false"
    description: Also list calls that no policy governs.
  - name: from
    type: DateTime('UTC')
    default: now-7d
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
    provider,
    if(response_model != '', response_model, request_model) AS model,
    operation,
    policy_decision,
    policy_id,
    policy_version,
    policy_rule,
    policy_reason,
    cost_usd,
    directory_version
FROM v_calls AS calls
WHERE (policy_decision = 'deny' OR ({ungoverned:Bool} AND policy_decision = 'no_policy'))
  AND ({team:String} = '' OR team_id = {team:String})
  AND started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
  AND ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 DAY
ORDER BY started_at, call_id
LIMIT {limit:UInt32}
