/*
name: unfinished-calls
title: Calls without an answer
question: Which calls were asked but have no recorded end?
parameters:
  - name: from
    type: DateTime('UTC')
    default: now-7d
    description: Earliest ingest time looked at.
  - name: older_than_seconds
    type: UInt32
    default: "600"
    description: Seconds since ingest after which a call without an end counts as unfinished.
  - name: limit
    type: UInt32
    default: "1000"
    description: Largest number of rows.
*/
SELECT *
FROM unfinished_calls(since = {from:DateTime('UTC')}, older_than_seconds = {older_than_seconds:UInt32})
ORDER BY started_at, call_id
LIMIT {limit:UInt32}
