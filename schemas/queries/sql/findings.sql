/*
name: findings
title: Findings
question: What did the detectors conclude, how grave is it, and which call shows it?
parameters:
  - name: min_severity
    type: String
    default: informational
    values: [unknown, informational, low, medium, high, critical]
    description: Least severity.
  - name: detector
    type: String
    default: ""
    description: Detector, for example out_of_scope or cost_spike; empty means every detector.
  - name: team
    type: String
    default: ""
    description: Team id; empty means every team.
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
    detected_at,
    severity,
    detector,
    title,
    description,
    team_id,
    app_id,
    principal,
    credential_fingerprint,
    provider,
    model,
    policy_id,
    policy_rule,
    call_id,
    impact_usd,
    evidence,
    first_seen_at,
    last_seen_at,
    finding_key
FROM v_findings
WHERE severity >= CAST({min_severity:String}, 'Enum8(\'unknown\' = 0, \'informational\' = 1, \'low\' = 2, \'medium\' = 3, \'high\' = 4, \'critical\' = 5)')
  AND ({detector:String} = '' OR detector = {detector:String})
  AND ({team:String} = '' OR team_id = {team:String})
  AND detected_at >= {from:DateTime('UTC')} AND detected_at < {to:DateTime('UTC')}
ORDER BY detected_at DESC, finding_key
LIMIT {limit:UInt32}
