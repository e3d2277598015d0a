package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// History reads back which numbers of which sources a partition has brought before an offset. It is safe for
// concurrent use.
type History struct {
	conn     driver.Conn
	database string
}

// NewHistory returns a History over a connection from Open.
func NewHistory(conn driver.Conn, cfg Config) *History {
	return &History{conn: conn, database: cfg.Database}
}

// Place is a stretch of one partition: everything below an offset.
type Place struct {
	Topic     string
	Partition int32
	Below     int64
}

// Numbers is a range of sequence numbers of one source, both ends included.
type Numbers struct {
	Instance    string
	Epoch       uint64
	First, Last uint64
}

// Number is one envelope that is there.
type Number struct {
	Instance string
	Epoch    uint64
	Sequence uint64
	Rejected bool // no row of it was stored, only its dead letter
}

const fromEnvelopes = ` FROM %s.envelopes WHERE topic = ? AND partition = ? AND offset < ?`

// Last returns the highest stored offset below the place's; ok is false when there is none.
func (h *History) Last(ctx context.Context, at Place) (offset int64, ok bool, err error) {
	query := fmt.Sprintf("SELECT max(offset), count() > 0 FROM (SELECT offset"+fromEnvelopes+" ORDER BY topic, partition, offset DESC LIMIT 1)", quote(h.database))
	if err := h.conn.QueryRow(ctx, query, at.Topic, at.Partition, at.Below).Scan(&offset, &ok); err != nil {
		return 0, false, fmt.Errorf("look for the last stored envelope: %w", err)
	}
	return offset, ok, nil
}

// Highest calls each with the highest number of every source that has any below the place; of sources only Instance
// and Epoch are read.
func (h *History) Highest(ctx context.Context, at Place, sources []Numbers, each func(Number)) error {
	conditions := make([]string, 0, len(sources))
	args := []any{at.Topic, at.Partition, at.Below}
	for _, s := range sources {
		conditions = append(conditions, "source_instance = ? AND source_epoch = ?")
		args = append(args, s.Instance, s.Epoch)
	}
	query := "SELECT source_instance, source_epoch, max(source_sequence), toUInt8(0)" + fromEnvelopes + " AND status != 'repeated' AND (" +
		strings.Join(conditions, " OR ") + ") GROUP BY source_instance, source_epoch"
	return h.read(ctx, query, args, each)
}

// Within calls each with every number of the ranges that is there below the place.
func (h *History) Within(ctx context.Context, at Place, ranges []Numbers, each func(Number)) error {
	conditions := make([]string, 0, len(ranges))
	args := []any{ReasonPartly, at.Topic, at.Partition, at.Below}
	for _, r := range ranges {
		conditions = append(conditions, "source_instance = ? AND source_epoch = ? AND source_sequence BETWEEN ? AND ?")
		args = append(args, r.Instance, r.Epoch, r.First, r.Last)
	}
	query := "SELECT source_instance, source_epoch, source_sequence, min(status = 'rejected' AND reject_reason != ?)" + fromEnvelopes +
		" AND status != 'repeated' AND (" + strings.Join(conditions, " OR ") + ") GROUP BY source_instance, source_epoch, source_sequence"
	return h.read(ctx, query, args, each)
}

func (h *History) read(ctx context.Context, query string, args []any, each func(Number)) (err error) {
	rows, err := h.conn.Query(ctx, fmt.Sprintf(query, quote(h.database)), args...)
	if err != nil {
		return fmt.Errorf("read numbers of sources: %w", err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		var n Number
		var rejected uint8
		if err := rows.Scan(&n.Instance, &n.Epoch, &n.Sequence, &rejected); err != nil {
			return fmt.Errorf("read numbers of sources: %w", err)
		}
		n.Rejected = rejected == 1
		each(n)
	}
	return rows.Err()
}
