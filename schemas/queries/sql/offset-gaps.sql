/*
name: offset-gaps
title: Missing offsets
question: Which ranges of offsets are missing in the record?
parameters:
  - name: from
    type: DateTime('UTC')
    default: now-30d
    description: Earliest ingest time looked at.
  - name: limit
    type: UInt32
    default: "1000"
    description: Largest number of rows.
*/
SELECT
    topic,
    partition,
    previous + 1 AS first_missing,
    offset - 1 AS last_missing,
    offset - previous - 1 AS missing,
    previous_ingested_at AS after,
    ingested_at AS before
FROM
(
    SELECT
        topic,
        partition,
        offset,
        ingested_at,
        lagInFrame(offset, 1, offset - 1) OVER same AS previous,
        lagInFrame(ingested_at, 1, ingested_at) OVER same AS previous_ingested_at
    FROM v_envelopes
    WHERE ingested_at >= {from:DateTime('UTC')}
    WINDOW same AS (PARTITION BY topic, partition ORDER BY offset ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW)
)
WHERE offset > previous + 1
ORDER BY topic, partition, first_missing
LIMIT {limit:UInt32}
