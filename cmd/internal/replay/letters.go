package replay

import (
	"context"
	"errors"
	"fmt"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Letters reads dead letters from the table that keeps their original bytes. It is a Source for spans with Offsets.
type Letters struct {
	conn     driver.Conn
	database string
}

// NewLetters returns a Source over the dead letters of a database.
func NewLetters(conn driver.Conn, database string) *Letters { return &Letters{conn, database} }

// Read implements Source. A letter that has left the table by its age gives no record.
func (l *Letters) Read(ctx context.Context, span Span, first, last int64, limit Limit) ([]Record, int64, error) {
	var wanted []int64
	for _, offset := range span.Offsets {
		if offset >= first && offset <= last {
			wanted = append(wanted, offset)
		}
	}
	through := last
	if len(wanted) > limit.Records {
		wanted, through = wanted[:limit.Records], wanted[limit.Records-1]
	}
	sizes, err := l.sizes(ctx, span, wanted)
	if err != nil {
		return nil, 0, err
	}
	bytes := int64(0)
	for i, offset := range wanted {
		if bytes += sizes[offset]; i > 0 && bytes > limit.Bytes {
			wanted, through = wanted[:i], wanted[i-1]
			break
		}
	}
	records, err := l.values(ctx, span, wanted)
	return records, through, err
}

const letter = `topic = ? AND partition = ? AND offset BETWEEN ? AND ? AND has(?, offset)`

func (l *Letters) sizes(ctx context.Context, span Span, offsets []int64) (map[int64]int64, error) {
	out := make(map[int64]int64, len(offsets))
	if len(offsets) == 0 {
		return out, nil
	}
	rows, err := l.conn.Query(ctx, `SELECT offset, max(length(record_value)) FROM `+l.database+`.dead_letters WHERE `+letter+` GROUP BY offset`,
		span.Topic, span.Partition, offsets[0], offsets[len(offsets)-1], offsets)
	if err != nil {
		return nil, fmt.Errorf("read sizes of dead letters: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var offset int64
		var size uint64
		if err := rows.Scan(&offset, &size); err != nil {
			return nil, fmt.Errorf("read sizes of dead letters: %w", err)
		}
		out[offset] = int64(size) //nolint:gosec // a length
	}
	return out, rows.Err()
}

func (l *Letters) values(ctx context.Context, span Span, offsets []int64) (out []Record, err error) {
	if len(offsets) == 0 {
		return nil, nil
	}
	rows, err := l.conn.Query(ctx, `SELECT offset, ingested_at, record_key, record_value, headers FROM `+l.database+`.dead_letters
WHERE `+letter+` ORDER BY offset, row_version DESC LIMIT 1 BY offset`, span.Topic, span.Partition, offsets[0], offsets[len(offsets)-1], offsets)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var r Record
		var head map[string]string
		if err := rows.Scan(&r.Offset, &r.IngestedAt, &r.Key, &r.Value, &head); err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		for key, value := range head {
			r.Headers = append(r.Headers, batch.Header{Key: key, Value: []byte(value)})
		}
		out = append(out, r)
	}
	return out, rows.Err()
}
