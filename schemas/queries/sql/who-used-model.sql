/*
name: who-used-model
title: Who used a model
question: Which teams, applications, people and credentials called this model, how often, and for how much?
parameters:
  - name: model
    type: String
    required: true
    description: Model as asked or as answered; a trailing * matches every ending, as in gpt-5*.
  - name: from
    type: DateTime('UTC')
    default: now-30d
    description: Start of the span, included; a date, an RFC 3339 time, or now-24h.
  - name: to
    type: DateTime('UTC')
    default: now
    description: End of the span, not included.
*/
SELECT
    team_id,
    app_id,
    principal,
    credential_fingerprint,
    any(credential_id) AS credential_id,
    arraySort(groupUniqArray(20)(toString(if(response_model != '', response_model, request_model)))) AS models,
    count() AS calls,
    countIf(policy_decision = 'deny') AS denied_calls,
    min(started_at) AS first_call,
    max(started_at) AS last_call,
    sum(in_total) AS in_tokens,
    sum(out_total) AS out_tokens,
    sum(toDecimal128(calls.cost_usd, 12)) AS cost_usd,
    countIf(isNull(calls.cost_usd)) AS calls_without_cost
FROM v_calls AS calls
WHERE if(endsWith({model:String}, '*'),
         startsWith(request_model, substring({model:String}, 1, length({model:String}) - 1))
             OR startsWith(response_model, substring({model:String}, 1, length({model:String}) - 1)),
         request_model = {model:String} OR response_model = {model:String})
  AND started_at >= {from:DateTime('UTC')} AND started_at < {to:DateTime('UTC')}
  AND ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 DAY
GROUP BY team_id, app_id, principal, credential_fingerprint
ORDER BY calls DESC, team_id, app_id, principal, credential_fingerprint
