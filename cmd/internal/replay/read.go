package replay

import (
	"context"
	"errors"
	"fmt"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// facts reads what the store says of a chunk's offsets.
func (e *Engine) facts(ctx context.Context, span Span, c interval) (*facts, error) {
	f := &facts{rejected: map[int64]uint32{}, repeated: map[int64]bool{}, present: map[int64]bool{}}
	query := `SELECT offset, toString(status), row_version FROM ` + e.table("v_envelopes") + `
WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ? AND status != 'stored'`
	if span.Topic == e.set.Findings {
		query = `SELECT offset, 'present', toUInt32(0) FROM ` + e.table("findings") + ` WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ?`
	}
	rows, err := e.set.Conn.Query(ctx, query, span.Topic, span.Partition, c.first, c.last)
	if err != nil {
		return nil, fmt.Errorf("read state of chunk: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var offset int64
		var status string
		var version uint32
		if err := rows.Scan(&offset, &status, &version); err != nil {
			return nil, fmt.Errorf("read state of chunk: %w", err)
		}
		switch status {
		case "rejected":
			f.rejected[offset] = version
		case "repeated":
			f.repeated[offset] = true
		default:
			f.present[offset] = true
		}
	}
	return f, rows.Err()
}

// copiesAtOnce bounds one question after sequences, so that its text stays below the server's limit.
const copiesAtOnce = 1000

// copies returns which of the sequences stand as a stored row elsewhere: in the current rows, or in what this replay has
// written in other chunks.
func (e *Engine) copies(ctx context.Context, s *state, span Span, c interval, of []origin) (map[origin]bool, error) {
	found := map[origin]bool{}
	for len(of) > 0 {
		some := of[:min(len(of), copiesAtOnce)]
		of = of[len(some):]
		sets := make([]clickhousego.GroupSet, len(some))
		least, most := some[0].epoch, some[0].epoch
		for i, o := range some {
			sets[i] = clickhousego.GroupSet{Value: []any{o.instance, o.epoch, o.sequence}}
			least, most = min(least, o.epoch), max(most, o.epoch)
		}
		columns, condition := "SELECT source_instance, source_epoch, source_sequence FROM ", `
WHERE status = 'stored' AND source_epoch BETWEEN ? AND ? AND (source_instance, source_epoch, source_sequence) IN (?)`
		rows, err := e.set.Conn.Query(ctx, columns+e.table("v_envelopes")+condition+`
UNION ALL `+columns+e.table("envelopes")+condition+` AND row_version = ? AND NOT (topic = ? AND partition = ? AND offset BETWEEN ? AND ?)`,
			least, most, sets, least, most, sets, s.version, span.Topic, span.Partition, c.first, c.last)
		if err != nil {
			return nil, fmt.Errorf("look for second deliveries: %w", err)
		}
		for rows.Next() {
			var o origin
			if err := rows.Scan(&o.instance, &o.epoch, &o.sequence); err != nil {
				return nil, errors.Join(fmt.Errorf("look for second deliveries: %w", err), rows.Close())
			}
			found[o] = true
		}
		if err := errors.Join(rows.Err(), rows.Close()); err != nil {
			return nil, fmt.Errorf("look for second deliveries: %w", err)
		}
	}
	return found, nil
}

// versioned are the tables whose rows carry the number of the replay.
func versioned() []string {
	return []string{"dead_letters", "envelopes", "payloads", "tool_calls", "calls", "dead_letter_resolutions"}
}

// stored returns, by table, the highest offset of the span that this replay has written; tables without one are absent.
func (e *Engine) stored(ctx context.Context, s *state, span Span) (map[string]int64, error) {
	out := map[string]int64{}
	for _, table := range versioned() {
		var n uint64
		var highest int64
		err := e.set.Conn.QueryRow(ctx, `SELECT count(), max(offset) FROM `+e.table(table)+`
WHERE row_version = ? AND topic = ? AND partition = ? AND `+during(span.since, span.until), s.version, span.Topic, span.Partition).Scan(&n, &highest)
		if err != nil {
			return nil, fmt.Errorf("read how far replay %d came: %w", s.version, err)
		}
		if n > 0 {
			out[table] = highest
		}
	}
	return out, nil
}

// resolve records what became of a chunk's dead letters.
func (e *Engine) resolve(ctx context.Context, s *state, span Span, c interval, of []resolution, stored map[string]int64) error {
	if len(of) == 0 {
		return nil
	}
	if through, ok := stored["dead_letter_resolutions"]; ok && of[len(of)-1].offset <= through {
		return nil
	}
	token := fmt.Sprintf("%s/replay/%d/resolutions/%s/%d/%d-%d", e.set.Cluster, s.version, span.Topic, span.Partition, c.first, c.last)
	b, err := e.set.Conn.PrepareBatch(clickhouse.WithToken(ctx, token), `INSERT INTO `+e.table("dead_letter_resolutions")+`
(topic, partition, offset, ingested_at, row_version, replaced_version, outcome, stage, reason, detail)`)
	if err != nil {
		return fmt.Errorf("record resolutions: %w", err)
	}
	for _, r := range of {
		outcome := "resolved"
		if r.refused {
			outcome = "refused"
		}
		if err := b.Append(span.Topic, span.Partition, r.offset, millis(r.ingestedMillis), s.version, r.replaced, outcome, r.stage, r.reason, r.detail); err != nil {
			return errors.Join(fmt.Errorf("record resolutions: %w", err), b.Abort())
		}
	}
	if err := b.Send(); err != nil {
		return fmt.Errorf("record resolutions: %w", err)
	}
	return nil
}
