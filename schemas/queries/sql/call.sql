/*
name: call
title: One call in full
question: What is recorded of this call in its envelopes, decoded fields, tool calls, bodies and findings?
parameters:
  - name: id
    type: String
    required: true
    description: Call id.
  - name: bodies
    type: Bool
    default: "true"
    description: Include the recorded bodies; needs the right to read payloads.
*/
SELECT section, field.1 AS name, field.2 AS value
FROM
(
    SELECT place, section, JSONExtractKeysAndValues(record, 'String') AS fields
    FROM
    (
        SELECT toUInt32(phase) AS place, concat('envelope ', toString(phase)) AS section, formatRow('JSONEachRow', * ) AS record
        FROM v_envelopes
        WHERE call_id = {id:String}
        UNION ALL
        SELECT toUInt32(10) AS place, 'call' AS section, formatRow('JSONEachRow', * REPLACE (hex(request_digest) AS request_digest, hex(response_digest) AS response_digest)) AS record
        FROM v_calls AS calls
        WHERE call_id = {id:String}
        UNION ALL
        SELECT toUInt32(20) + position AS place, concat('tool call ', toString(position)) AS section, formatRow('JSONEachRow', * ) AS record
        FROM v_tool_calls
        WHERE call_id = {id:String}
        UNION ALL
        SELECT toUInt32(100000) + toUInt32(phase) AS place, concat('payload ', toString(phase)) AS section, formatRow('JSONEachRow', * REPLACE (hex(digest) AS digest, if(isValidUTF8(body), body, hex(body)) AS body)) AS record
        FROM v_payloads
        WHERE call_id = {id:String} AND {bodies:Bool}
        UNION ALL
        SELECT toUInt32(200000) AS place, concat('finding ', detector) AS section, formatRow('JSONEachRow', * ) AS record
        FROM findings
        WHERE call_id = {id:String}
    )
)
ARRAY JOIN fields AS field, arrayEnumerate(fields) AS position
WHERE field.2 NOT IN ('', '[]', '{}', 'null')
ORDER BY place, section, position
