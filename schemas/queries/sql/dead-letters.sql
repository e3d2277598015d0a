/*
name: dead-letters
title: Dead letters
question: Which records could not become rows yet, at which step, and why?
parameters:
  - name: stage
    type: String
    default: ""
    description: Step that refused, for example wire or decode; empty means every step.
  - name: reason
    type: String
    default: ""
    description: Reason code; empty means every reason.
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
    ingested_at,
    topic,
    partition,
    offset,
    stage,
    reason,
    detail,
    attempts,
    age_seconds,
    if(isValidUTF8(record_key), record_key, hex(record_key)) AS record_key,
    length(record_value) AS value_bytes,
    headers
FROM v_dead_letters
WHERE ({stage:String} = '' OR stage = {stage:String})
  AND ({reason:String} = '' OR reason = {reason:String})
  AND ingested_at >= {from:DateTime('UTC')} AND ingested_at < {to:DateTime('UTC')}
ORDER BY ingested_at, topic, partition, offset
LIMIT {limit:UInt32}
