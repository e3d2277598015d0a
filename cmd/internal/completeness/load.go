package completeness

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// slack is how far the clocks of a source and of the broker may differ where time only bounds what is read.
const slack = time.Hour

// Record reads statements and rows. It is safe for concurrent use.
type Record struct {
	Conn     driver.Conn
	Database string
	Topic    string // of envelopes
	// Trusted are the key ids that may sign; empty trusts the first key of each source.
	Trusted []string
}

// Snapshot is what sources had said at one moment.
type Snapshot struct {
	Bound   time.Time // hours from here on are loaded whole
	Heads   []Head
	Told    []Told
	Keys    []Key     // every key that signed, also those not trusted
	Invalid []Invalid // statements whose signature does not hold
}

// Key is one key that a source used.
type Key struct {
	Source
	ID      string
	Trusted bool
	First   time.Time
	Last    time.Time
	Since   string // the key that is trusted instead
}

// Invalid counts statements whose signature does not hold.
type Invalid struct {
	Source
	KeyID string
	Hour  time.Time
	Count uint64
	Last  uint64 // number of the newest
}

func (r Record) query(ctx context.Context, text string, args ...any) (driver.Rows, error) {
	ctx = clickhouse.Context(ctx, clickhouse.WithSettings(clickhouse.Settings{"readonly": 2}))
	return r.Conn.Query(ctx, strings.ReplaceAll(text, "DATABASE.", r.Database+"."), args...)
}

// scan runs a query and calls each for every row.
func (r Record) scan(ctx context.Context, what, text string, each func(driver.Rows) error, args ...any) error {
	rows, err := r.query(ctx, text, args...)
	if err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := each(rows); err != nil {
			return fmt.Errorf("read %s: %w", what, err)
		}
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read %s: %w", what, err)
	}
	return nil
}

// Load reads what sources said of the hours since a time, and of earlier ones that statements since then still tell. only
// limits it to one instance; empty means all. The keys are those of all time.
func (r Record) Load(ctx context.Context, since time.Time, only string) (Snapshot, error) {
	var s Snapshot
	keys, err := r.keys(ctx)
	if err != nil {
		return s, err
	}
	s.Keys = keys
	trusted := map[Source]map[string]bool{}
	for _, k := range keys {
		if trusted[k.Source] == nil {
			trusted[k.Source] = map[string]bool{}
		}
		trusted[k.Source][k.ID] = k.Trusted
	}
	if err := r.invalid(ctx, &s, since); err != nil {
		return s, err
	}
	s.Bound, err = r.reach(ctx, since.UTC().Truncate(time.Hour), only)
	if err != nil {
		return s, err
	}
	from := s.Bound.Add(-slack)
	if err := r.heads(ctx, &s, from, only, trusted); err != nil {
		return s, err
	}
	return s, r.told(ctx, &s, from, only)
}

// keys finds who signed and whom to trust.
func (r Record) keys(ctx context.Context) ([]Key, error) {
	var all []Key
	pinned := map[string]bool{}
	for _, id := range r.Trusted {
		pinned[id] = true
	}
	first := map[Source]string{}
	err := r.scan(ctx, "keys of sources", `SELECT source_kind, source_instance, key_id, min(ingested_at) AS since, max(ingested_at), min(offset) AS place
FROM DATABASE.source_statements WHERE verified GROUP BY source_kind, source_instance, key_id ORDER BY since, place`, func(rows driver.Rows) error {
		var k Key
		var place int64
		if err := rows.Scan(&k.Kind, &k.Instance, &k.ID, &k.First, &k.Last, &place); err != nil {
			return err
		}
		switch {
		case len(pinned) > 0:
			k.Trusted = pinned[k.ID]
		case first[k.Source] == "":
			first[k.Source], k.Trusted = k.ID, true
		}
		k.Since = first[k.Source]
		all = append(all, k)
		return nil
	})
	return all, err
}

func (r Record) invalid(ctx context.Context, s *Snapshot, from time.Time) error {
	return r.scan(ctx, "invalid statements", `SELECT source_kind, source_instance, key_id, toStartOfHour(toDateTime(ingested_at, 'UTC')) AS seen,
    uniqExact(topic, partition, offset), max(statement)
FROM DATABASE.source_statements WHERE NOT verified AND ingested_at >= ? GROUP BY source_kind, source_instance, key_id, seen`, func(rows driver.Rows) error {
		var i Invalid
		if err := rows.Scan(&i.Kind, &i.Instance, &i.KeyID, &i.Hour, &i.Count, &i.Last); err != nil {
			return err
		}
		s.Invalid = append(s.Invalid, i)
		return nil
	}, from.UTC())
}

// reach goes back to the first hour that statements since a time tell, and to the start of the epochs that count something
// under no hour, which can only be compared as a whole.
func (r Record) reach(ctx context.Context, since time.Time, only string) (time.Time, error) {
	bound := since
	err := r.scan(ctx, "first hour", `SELECT minIf(hour, hour > toDateTime(0, 'UTC')), countIf(hour > toDateTime(0, 'UTC')),
    minIf(source_epoch, hour = toDateTime(0, 'UTC') AND numbered > 0), countIf(hour = toDateTime(0, 'UTC') AND numbered > 0)
FROM DATABASE.source_statements WHERE verified AND ingested_at >= ? AND (? = '' OR source_instance = ?)`, func(rows driver.Rows) error {
		var first time.Time
		var told, boot, late uint64
		if err := rows.Scan(&first, &told, &boot, &late); err != nil {
			return err
		}
		if told > 0 && first.Before(bound) {
			bound = first.UTC()
		}
		if began := time.Unix(0, int64(boot)).UTC().Truncate(time.Hour); late > 0 && began.Before(bound) { //nolint:gosec // unix nanoseconds
			bound = began
		}
		return nil
	}, since, only, only)
	return bound, err
}

// heads reads the newest statement of each epoch. Where an epoch has statements that can be trusted the others do not
// count; an epoch that has none is judged by what it says and marked.
func (r Record) heads(ctx context.Context, s *Snapshot, from time.Time, only string, trusted map[Source]map[string]bool) error {
	best := map[Epoch]Head{}
	err := r.scan(ctx, "statements", `SELECT source_kind, source_instance, source_epoch, key_id, verified, max(s.statement) AS newest,
    toString(argMax(s.state, s.statement)), argMax(s.epoch_last_sequence, s.statement), argMax(s.tracked, s.statement),
    argMax(s.delivered_through, s.statement), argMax(s.pending, s.statement), argMax(s.spooled, s.statement),
    argMax(s.epoch_expected, s.statement), argMax(s.issued_at, s.statement), max(s.ingested_at), argMax(s.interval_ms, s.statement)
FROM DATABASE.source_statements AS s
WHERE s.ingested_at >= ? AND (? = '' OR s.source_instance = ?)
GROUP BY source_kind, source_instance, source_epoch, key_id, verified`, func(rows driver.Rows) error {
		var h Head
		var verified bool
		var millis uint64
		if err := rows.Scan(&h.Kind, &h.Instance, &h.Boot, &h.KeyID, &verified, &h.Statement, &h.State, &h.LastSequence, &h.Tracked,
			&h.Through, &h.Pending, &h.Spooled, &h.Expected, &h.Issued, &h.Heard, &millis); err != nil {
			return err
		}
		h.Interval = time.Duration(min(millis, 1<<40)) * time.Millisecond //nolint:gosec // bounded
		h.Trusted = verified && trusted[h.Source][h.KeyID]
		if old, ok := best[h.Epoch]; !ok || h.Trusted && !old.Trusted || h.Trusted == old.Trusted && verified && h.Statement > old.Statement {
			best[h.Epoch] = h
		}
		return nil
	}, from.UTC(), only, only)
	for _, h := range best {
		s.Heads = append(s.Heads, h)
	}
	return err
}

// told reads the newest figures of every hour, by the key that heads chose.
func (r Record) told(ctx context.Context, s *Snapshot, from time.Time, only string) error {
	chosen := map[Epoch]Head{}
	for _, h := range s.Heads {
		chosen[h.Epoch] = h
	}
	return r.scan(ctx, "statements", `SELECT source_kind, source_instance, source_epoch, hour, key_id, verified, argMax(s.numbered, s.statement),
    argMax(s.first_sequence, s.statement), argMax(s.last_sequence, s.statement), argMax(s.dropped, s.statement), argMax(s.lost, s.statement)
FROM DATABASE.source_statements AS s
WHERE s.ingested_at >= ? AND (? = '' OR s.source_instance = ?)
GROUP BY source_kind, source_instance, source_epoch, hour, key_id, verified`, func(rows driver.Rows) error {
		var t Told
		var key string
		var verified bool
		if err := rows.Scan(&t.Kind, &t.Instance, &t.Boot, &t.Hour, &key, &verified, &t.Numbered, &t.First, &t.Last, &t.Dropped, &t.Lost); err != nil {
			return err
		}
		head := chosen[t.Epoch]
		if key != head.KeyID || head.Trusted && !verified {
			return nil
		}
		if t.Hour = t.Hour.UTC(); t.Hour.Unix() == 0 {
			t.Hour = time.Time{}
		}
		if t.Hour.IsZero() || !t.Hour.Before(s.Bound) {
			s.Told = append(s.Told, t)
		}
		return nil
	}, from.UTC(), only, only)
}

// Find counts what the table envelopes holds of the snapshot's epochs, and of epochs that make no statements.
func (r Record) Find(ctx context.Context, s Snapshot, only string) ([]Found, error) {
	var boots, lasts, throughs, late []string
	for _, h := range s.Heads {
		boots = append(boots, fmt.Sprint(h.Boot))
		lasts = append(lasts, fmt.Sprint(h.LastSequence))
		throughs = append(throughs, fmt.Sprint(h.Through))
	}
	for _, t := range s.Told {
		if t.Hour.IsZero() {
			late = append(late, fmt.Sprint(t.Boot))
		}
	}
	// Only numbers are put into the text.
	list := func(numbers []string) string {
		return "[toUInt64(0), " + strings.Join(append(numbers, "0"), ", ") + "]"
	}
	text := `WITH transform(source_epoch, ` + list(boots) + `, ` + list(lasts) + `, toUInt64(0)) AS highest,
    transform(source_epoch, ` + list(boots) + `, ` + list(throughs) + `, toUInt64(0)) AS through
SELECT source_kind, source_instance, source_epoch, toStartOfHour(toDateTime(observed_at, 'UTC')) AS hour,
    uniqExactIf(source_sequence, status = 'stored') AS stored,
    uniqExactIf(source_sequence, status != 'repeated'), countIf(row_version = 0), uniqExactIf(source_sequence, row_version = 0 AND status != 'repeated'),
    uniqExactIf(source_sequence, status != 'repeated' AND source_sequence > through)
FROM DATABASE.v_envelopes
WHERE topic = ? AND ingested_at >= ? AND source_epoch > 0
  AND (observed_at >= ? OR source_epoch IN ` + list(late) + `) AND (highest = 0 OR source_sequence <= highest) AND (? = '' OR source_instance = ?)
GROUP BY source_kind, source_instance, source_epoch, hour`
	var out []Found
	err := r.scan(ctx, "envelopes", text, func(rows driver.Rows) error {
		var f Found
		var distinct, first, written uint64
		if err := rows.Scan(&f.Kind, &f.Instance, &f.Boot, &f.Hour, &f.Stored, &distinct, &written, &first, &f.BeyondThrough); err != nil {
			return err
		}
		f.Dead, f.Repeated = distinct-f.Stored, written-first
		f.Hour = f.Hour.UTC()
		out = append(out, f)
		return nil
	}, r.Topic, s.Bound.Add(-slack), s.Bound, only, only)
	return out, err
}

// Range is a closed interval of sequences.
type Range struct{ First, Last uint64 }

// Ranges finds the first sequences from a gap's first to last that no row has, at most limit ranges.
func (r Record) Ranges(ctx context.Context, g Gap, last uint64, limit int) ([]Range, error) {
	var out []Range
	began := g.Hour
	if began.IsZero() {
		began = time.Unix(0, int64(g.Boot)) //nolint:gosec // unix nanoseconds
	}
	err := r.scan(ctx, "missing sequences", `SELECT toUInt64(previous + 1), toUInt64(sequence - 1) FROM
(
    SELECT sequence, lagInFrame(sequence, 1, toUInt64(?)) OVER (ORDER BY sequence ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS previous FROM
    (
        SELECT DISTINCT source_sequence AS sequence FROM DATABASE.v_envelopes
        WHERE topic = ? AND ingested_at >= ? AND source_kind = ? AND source_instance = ? AND source_epoch = ?
          AND source_sequence BETWEEN ? AND ? AND status != 'repeated'
        UNION ALL SELECT toUInt64(?)
    )
)
WHERE sequence > previous + 1 ORDER BY sequence LIMIT ?`, func(rows driver.Rows) error {
		var x Range
		if err := rows.Scan(&x.First, &x.Last); err != nil {
			return err
		}
		out = append(out, x)
		return nil
	}, g.First-1, r.Topic, began.Add(-slack).UTC(), g.Kind, g.Instance, g.Boot, g.First, last, last+1, limit)
	return out, err
}

// Partition is the second proof: of one partition, every offset from the first to the last is one row.
type Partition struct {
	Topic                       string
	Partition                   int32
	First, Last                 int64
	Rows, Distinct              uint64
	Missing, Doubled, Anonymous uint64
}

// Partitions counts offsets that were ingested since a time, without what replays wrote again. Anonymous are rejected
// records that name no source.
func (r Record) Partitions(ctx context.Context, since time.Time) ([]Partition, error) {
	var out []Partition
	err := r.scan(ctx, "offsets", `WITH bounds AS (SELECT topic, partition, min(offset) AS first FROM DATABASE.v_envelopes WHERE ingested_at >= ? GROUP BY topic, partition)
SELECT e.topic, e.partition, min(e.offset), max(e.offset), count(), uniqExact(e.offset), countIf(e.source_epoch = 0)
FROM DATABASE.v_envelopes AS e INNER JOIN bounds AS b ON b.topic = e.topic AND b.partition = e.partition
WHERE e.offset >= b.first AND e.row_version = 0
GROUP BY e.topic, e.partition ORDER BY e.topic, e.partition`, func(rows driver.Rows) error {
		var p Partition
		if err := rows.Scan(&p.Topic, &p.Partition, &p.First, &p.Last, &p.Rows, &p.Distinct, &p.Anonymous); err != nil {
			return err
		}
		p.Missing = uint64(p.Last-p.First+1) - p.Distinct //nolint:gosec // offsets
		p.Doubled = p.Rows - p.Distinct
		out = append(out, p)
		return nil
	}, since.UTC())
	return out, err
}
