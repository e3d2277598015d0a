/*
name: source-completeness
title: Completeness by source
question: Is every envelope that a source says it sent in the record, per source and hour?
parameters:
  - name: from
    type: DateTime('UTC')
    default: now-24h
    description: First hour by the envelopes' observed time.
  - name: to
    type: DateTime('UTC')
    default: now
    description: End of the span, not included.
  - name: source
    type: String
    default: ""
    description: Only this source instance; all when empty.
*/
WITH
    heads AS
    (
        SELECT
            source_kind,
            source_instance,
            source_epoch,
            argMax(s.epoch_last_sequence, s.statement) AS highest,
            argMax(if(s.tracked, s.delivered_through, s.epoch_last_sequence), s.statement) AS through,
            argMax(s.pending, s.statement) AS undelivered,
            toString(argMax(s.state, s.statement)) AS state
        FROM source_statements AS s
        WHERE s.verified AND s.ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 HOUR
        GROUP BY source_kind, source_instance, source_epoch
    ),
    told AS
    (
        SELECT
            source_kind,
            source_instance,
            source_epoch,
            hour,
            argMax(s.numbered, s.statement) AS numbered,
            argMax(s.last_sequence, s.statement) AS last_sequence,
            argMax(s.dropped, s.statement) AS unnumbered,
            argMax(s.lost, s.statement) AS given_up
        FROM source_statements AS s
        WHERE s.verified AND s.ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 HOUR
            AND s.hour >= toStartOfHour({from:DateTime('UTC')}) AND s.hour < {to:DateTime('UTC')}
            AND ({source:String} = '' OR s.source_instance = {source:String})
        GROUP BY source_kind, source_instance, source_epoch, hour
    ),
    found AS
    (
        SELECT
            e.source_kind AS source_kind,
            e.source_instance AS source_instance,
            e.source_epoch AS source_epoch,
            toStartOfHour(toDateTime(e.observed_at, 'UTC')) AS hour,
            uniqExactIf(e.source_sequence, e.status = 'stored') AS stored,
            uniqExactIf(e.source_sequence, e.status != 'repeated') AS distinct
        FROM v_envelopes AS e
        INNER JOIN heads AS h ON h.source_kind = e.source_kind AND h.source_instance = e.source_instance AND h.source_epoch = e.source_epoch
        WHERE e.ingested_at >= {from:DateTime('UTC')} - INTERVAL 1 HOUR AND e.source_sequence <= h.highest
        GROUP BY source_kind, source_instance, source_epoch, hour
    )
SELECT
    t.source_kind AS source_kind,
    t.source_instance AS source_instance,
    t.hour AS hour,
    sum(t.numbered) AS sent,
    sum(f.stored) AS stored,
    sum(f.distinct - f.stored) AS dead_lettered,
    sumMap(mapAdd(t.unnumbered, t.given_up)) AS dropped,
    sum(toInt64(t.numbered) - toInt64(arraySum(mapValues(t.given_up))) - toInt64(f.distinct) AS unaccounted) AS not_found,
    sum(if(t.last_sequence > h.through, greatest(least(unaccounted, toInt64(h.undelivered)), 0), 0) AS waiting) AS not_delivered,
    sum(greatest(unaccounted - waiting, 0)) AS missing,
    sum(greatest(-unaccounted, 0)) AS surplus,
    arraySort(groupUniqArray(h.state)) AS states
FROM told AS t
INNER JOIN heads AS h ON h.source_kind = t.source_kind AND h.source_instance = t.source_instance AND h.source_epoch = t.source_epoch
LEFT JOIN found AS f ON f.source_kind = t.source_kind AND f.source_instance = t.source_instance AND f.source_epoch = t.source_epoch AND f.hour = t.hour
GROUP BY source_kind, source_instance, hour
ORDER BY source_kind, source_instance, hour
