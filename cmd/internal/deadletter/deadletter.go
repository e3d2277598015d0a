// Package deadletter reads the dead letters that are still open, for people who list, look at and replay them.
package deadletter

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/cmd/internal/replay"
	"github.com/modeltrail/modeltrail/schemas/batch"
)

// ErrNone reports that there is no such dead letter.
var ErrNone = errors.New("no such dead letter")

// MaxAtOnce bounds the dead letters of one replay.
const MaxAtOnce = 1_000_000

// Filter selects dead letters; empty fields select all.
type Filter struct {
	Reason, Stage, Topic string
	Since, Until         time.Time // broker time of the record; Until is not included
	Limit                int       // 0: no limit
}

// Book reads one database's dead letters. It is safe for concurrent use.
type Book struct {
	conn     driver.Conn
	database string
}

// Open returns the dead letters of a database. The connection stays the caller's.
func Open(conn driver.Conn, database string) *Book { return &Book{conn, database} }

// where is the filter as a condition on v_dead_letters. Times are text, because the driver binds them as whole seconds.
func (f Filter) where() (condition string, args []any) {
	terms := []string{"1"}
	for _, t := range []struct{ column, value string }{{"reason", f.Reason}, {"stage", f.Stage}, {"topic", f.Topic}} {
		if t.value != "" {
			terms = append(terms, t.column+" = {"+t.column+":String}")
			args = append(args, clickhouse.Named(t.column, t.value))
		}
	}
	if !f.Since.IsZero() {
		terms = append(terms, fmt.Sprintf("ingested_at >= fromUnixTimestamp64Milli(%d, 'UTC')", f.Since.UnixMilli()))
	}
	if !f.Until.IsZero() {
		terms = append(terms, fmt.Sprintf("ingested_at < fromUnixTimestamp64Milli(%d, 'UTC')", f.Until.UnixMilli()))
	}
	return strings.Join(terms, " AND "), args
}

func (f Filter) limit() string {
	if f.Limit <= 0 {
		return ""
	}
	return fmt.Sprintf(" LIMIT %d", f.Limit)
}

// List returns the open letters, oldest first, without their bytes. The caller closes the rows.
func (b *Book) List(ctx context.Context, f Filter) (driver.Rows, error) {
	condition, args := f.where()
	return b.query(ctx, `SELECT concat(topic, '/', toString(partition), '/', toString(offset)) AS position, ingested_at, age_seconds, stage, reason, attempts,
length(record_value) AS value_bytes, detail FROM `+b.database+`.v_dead_letters WHERE `+condition+`
ORDER BY ingested_at, topic, partition, offset`+f.limit(), args)
}

// Summary returns the open letters by topic, stage and reason. The caller closes the rows.
func (b *Book) Summary(ctx context.Context, f Filter) (driver.Rows, error) {
	condition, args := f.where()
	return b.query(ctx, `SELECT topic, stage, reason, count() AS letters, min(ingested_at) AS oldest, max(ingested_at) AS newest,
max(attempts) AS most_attempts, sum(length(record_value)) AS value_bytes FROM `+b.database+`.v_dead_letters WHERE `+condition+`
GROUP BY topic, stage, reason ORDER BY letters DESC, topic, stage, reason`+f.limit(), args)
}

func (b *Book) query(ctx context.Context, query string, args []any) (driver.Rows, error) {
	rows, err := b.conn.Query(ctx, query, args...)
	if err != nil {
		return nil, fmt.Errorf("read dead letters: %w", err)
	}
	return rows, nil
}

// Letter is one dead letter with its original bytes.
type Letter struct {
	Position              batch.Position
	IngestedAt            time.Time
	Stage, Reason, Detail string
	Attempts              uint64
	Open                  bool
	Key, Value            []byte
	Headers               map[string]string
}

// Get returns the letter of a position, open or resolved, or ErrNone.
func (b *Book) Get(ctx context.Context, at batch.Position) (l Letter, err error) {
	l.Position = at
	rows, err := b.query(ctx, `SELECT ingested_at, toString(stage), toString(reason), detail, toUInt64(attempts), toBool(1), record_key, record_value, headers
FROM `+b.database+`.v_dead_letters WHERE topic = {topic:String} AND partition = {partition:Int32} AND offset = {offset:Int64}
UNION ALL SELECT ingested_at, toString(stage), toString(reason), detail, toUInt64(1), toBool(0), record_key, record_value, headers
FROM `+b.database+`.dead_letters WHERE topic = {topic:String} AND partition = {partition:Int32} AND offset = {offset:Int64} AND row_version = 0`,
		[]any{clickhouse.Named("topic", at.Topic), clickhouse.Named("partition", fmt.Sprint(at.Partition)), clickhouse.Named("offset", fmt.Sprint(at.Offset))})
	if err != nil {
		return l, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	found := false
	for rows.Next() {
		next := Letter{Position: at}
		if err := rows.Scan(&next.IngestedAt, &next.Stage, &next.Reason, &next.Detail, &next.Attempts, &next.Open, &next.Key, &next.Value, &next.Headers); err != nil {
			return l, fmt.Errorf("read dead letter: %w", err)
		}
		if !found || next.Open {
			l, found = next, true
		}
	}
	if err := rows.Err(); err != nil {
		return l, fmt.Errorf("read dead letter: %w", err)
	}
	if !found {
		return l, fmt.Errorf("%w at %s/%d/%d", ErrNone, at.Topic, at.Partition, at.Offset)
	}
	return l, nil
}

// Spans returns the open letters of the filter as a replay takes them on: those of the given topics, at most MaxAtOnce.
func (b *Book) Spans(ctx context.Context, f Filter, topics ...string) ([]replay.Span, error) {
	condition, args := f.where()
	if f.Limit <= 0 || f.Limit > MaxAtOnce {
		f.Limit = MaxAtOnce
	}
	args = append(args, clickhouse.Named("topics", topics))
	rows, err := b.query(ctx, `SELECT topic, partition, arraySort(groupArray(offset)) FROM
(SELECT topic, partition, offset FROM `+b.database+`.v_dead_letters WHERE `+condition+` AND has({topics:Array(String)}, topic) ORDER BY ingested_at, topic, partition, offset`+f.limit()+`)
GROUP BY topic, partition ORDER BY topic, partition`, args)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var spans []replay.Span
	for rows.Next() {
		var s replay.Span
		if err := rows.Scan(&s.Topic, &s.Partition, &s.Offsets); err != nil {
			return nil, fmt.Errorf("read dead letters: %w", err)
		}
		s.First, s.Last = s.Offsets[0], s.Offsets[len(s.Offsets)-1]
		spans = append(spans, s)
	}
	return spans, rows.Err()
}
