/*
name: completeness
title: Completeness of the record
question: Is every Kafka record of the span stored exactly once, per partition?
parameters:
  - name: from
    type: DateTime('UTC')
    default: now-30d
    description: Count from the first offset of each partition that was ingested at or after this time; must lie within the retention of envelopes.
*/
WITH bounds AS
(
    SELECT topic, partition, min(offset) AS first
    FROM v_envelopes
    WHERE ingested_at >= {from:DateTime('UTC')}
    GROUP BY topic, partition
)
SELECT
    e.topic AS topic,
    e.partition AS partition,
    min(e.offset) AS first_offset,
    max(e.offset) AS last_offset,
    count() AS rows,
    uniqExact(e.offset) AS distinct_offsets,
    last_offset - first_offset + 1 - distinct_offsets AS missing,
    rows - distinct_offsets AS repeated,
    countIf(e.status = 'rejected') AS rejected,
    toBool(rows = distinct_offsets AND missing = 0) AS complete
FROM v_envelopes AS e
INNER JOIN bounds AS b ON b.topic = e.topic AND b.partition = e.partition
WHERE e.offset >= b.first
GROUP BY e.topic, e.partition
ORDER BY topic, partition
