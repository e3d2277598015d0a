package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Values of the column state.
const (
	stateStarted   = "started"
	statePlanned   = "planned"
	stateFinished  = "finished"
	stateSettled   = "settled"
	stateAbandoned = "abandoned"
)

// partition names one partition.
type partition struct {
	topic string
	id    int32
}

// interval is a closed range of offsets.
type interval struct{ first, last int64 }

// state is a replay as the ledger has it.
type state struct {
	version   uint32
	kind      Kind
	request   string
	reason    string
	software  string
	at        time.Time
	spans     []Span
	finished  bool
	abandoned bool
	planned   map[partition]interval // the latest planned chunk
	records   uint64
	stored    uint64
	refused   uint64
}

func (e *Engine) table(name string) string { return e.set.Database + "." + name }

// open returns the replay that is started and neither settled nor abandoned, nil when there is none.
func (e *Engine) open(ctx context.Context) (*state, error) {
	var found []struct {
		Version  uint32 `ch:"number"`
		Finished uint8  `ch:"has_finished"`
	}
	err := e.set.Conn.Select(ctx, &found, `SELECT version AS number, max(state = 'finished') AS has_finished FROM `+e.table("replays")+`
GROUP BY version HAVING countIf(state = 'started') > 0 AND countIf(state IN ('settled', 'abandoned')) = 0 ORDER BY version LIMIT 1`)
	if err != nil {
		return nil, fmt.Errorf("look for an open replay: %w", err)
	}
	if len(found) == 0 {
		return nil, nil //nolint:nilnil // none is open
	}
	s, err := e.load(ctx, found[0].Version)
	if err != nil {
		return nil, err
	}
	s.finished = found[0].Finished != 0
	if s.finished {
		return s, e.count(ctx, s)
	}
	return s, nil
}

// load reads a started replay and its plan.
func (e *Engine) load(ctx context.Context, version uint32) (*state, error) {
	s := &state{version: version, planned: map[partition]interval{}}
	rows, err := e.set.Conn.Query(ctx, `SELECT toString(kind), topic, partition, first, last, offsets, excluded, since, until, request, reason, software, at
FROM `+e.table("replays")+` WHERE version = ? AND state = 'started' ORDER BY topic, partition LIMIT 1 BY topic, partition`, version)
	if err != nil {
		return nil, fmt.Errorf("read replay %d: %w", version, err)
	}
	defer rows.Close()
	for rows.Next() {
		var span Span
		var kind string
		if err := rows.Scan(&kind, &span.Topic, &span.Partition, &span.First, &span.Last, &span.Offsets, &span.excluded, &span.since, &span.until,
			&s.request, &s.reason, &s.software, &s.at); err != nil {
			return nil, fmt.Errorf("read replay %d: %w", version, err)
		}
		s.kind = Kind(kind)
		s.spans = append(s.spans, span)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read replay %d: %w", version, err)
	}
	var planned []struct {
		Topic     string `ch:"topic"`
		Partition int32  `ch:"partition"`
		First     int64  `ch:"latest_first"`
		Last      int64  `ch:"latest_last"`
	}
	err = e.set.Conn.Select(ctx, &planned, `SELECT topic, partition, argMax(first, last) AS latest_first, max(last) AS latest_last FROM `+e.table("replays")+`
WHERE version = ? AND state = 'planned' GROUP BY topic, partition`, version)
	if err != nil {
		return nil, fmt.Errorf("read plan of replay %d: %w", version, err)
	}
	for _, p := range planned {
		s.planned[partition{p.Topic, p.Partition}] = interval{p.First, p.Last}
	}
	return s, nil
}

// start records a new replay and makes sure that no other process began one at the same moment.
func (e *Engine) start(ctx context.Context, job Job, spans []Span) (*state, error) {
	for i := range spans {
		if err := e.period(ctx, &spans[i]); err != nil {
			return nil, err
		}
	}
	var highest uint32
	if err := e.set.Conn.QueryRow(ctx, "SELECT max(version) FROM "+e.table("replays")).Scan(&highest); err != nil {
		return nil, fmt.Errorf("number a replay: %w", err)
	}
	s := &state{
		version: max(uint32(e.now().Unix()), highest+1), //nolint:gosec // until the year 2106
		kind:    job.Kind, request: job.Request, reason: job.Reason, software: e.set.Software, spans: spans, planned: map[partition]interval{},
	}
	if err := e.record(ctx, s, stateStarted, spans); err != nil {
		return nil, err
	}
	first, err := e.open(ctx)
	if err != nil {
		return nil, err
	}
	if first == nil || first.version != s.version || first.request != s.request {
		// Ours came second. Where both took one number the other's rows stand, and ours were dropped by their token.
		if first != nil && first.version != s.version {
			err = e.mark(ctx, s, stateAbandoned)
		}
		return nil, errors.Join(fmt.Errorf("%w: it was begun at the same moment", ErrOther), err)
	}
	return first, nil
}

// period finds the ingest times of a span, by which its rows are found in monthly partitions.
func (e *Engine) period(ctx context.Context, span *Span) error {
	table := "envelopes"
	if len(span.Offsets) > 0 {
		table = "dead_letters"
	}
	var n uint64
	err := e.set.Conn.QueryRow(ctx, `SELECT count(), min(ingested_at), max(ingested_at) FROM `+e.table(table)+`
WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ?`, span.Topic, span.Partition, span.First, span.Last).Scan(&n, &span.since, &span.until)
	if err != nil {
		return fmt.Errorf("read ingest times of %s/%d: %w", span.Topic, span.Partition, err)
	}
	if n == 0 {
		return fmt.Errorf("%w: the store has no row of %s/%d from offset %d to %d", ErrNothing, span.Topic, span.Partition, span.First, span.Last)
	}
	return nil
}

// mark records a step of the whole replay.
func (e *Engine) mark(ctx context.Context, s *state, step string) error {
	spans := make([]Span, len(s.spans))
	for i, span := range s.spans {
		spans[i] = Span{Topic: span.Topic, Partition: span.Partition, First: span.First, Last: span.Last, since: span.since, until: span.until}
	}
	return e.record(ctx, s, step, spans)
}

// plan records the chunk that is about to be written.
func (e *Engine) plan(ctx context.Context, s *state, span Span, c interval) error {
	return e.record(ctx, s, statePlanned, []Span{{Topic: span.Topic, Partition: span.Partition, First: c.first, Last: c.last, since: span.since, until: span.until}})
}

// record appends one row for each span, in one insert: all of them or none.
func (e *Engine) record(ctx context.Context, s *state, step string, spans []Span) error {
	token := fmt.Sprintf("%s/replay/%d/%s", e.set.Cluster, s.version, step)
	if step == statePlanned {
		token += fmt.Sprintf("/%s/%d/%d-%d", spans[0].Topic, spans[0].Partition, spans[0].First, spans[0].Last)
	}
	b, err := e.set.Conn.PrepareBatch(clickhouse.WithToken(ctx, token), `INSERT INTO `+e.table("replays")+`
(version, state, kind, topic, partition, first, last, offsets, excluded, since, until, request, reason, software, records, stored, refused, at)`)
	if err != nil {
		return fmt.Errorf("record replay %d %s: %w", s.version, step, err)
	}
	for _, span := range spans {
		err := b.Append(s.version, step, string(s.kind), span.Topic, span.Partition, span.First, span.Last, span.Offsets, span.excluded, span.since, span.until,
			s.request, s.reason, s.software, s.records, s.stored, s.refused, e.now().UTC())
		if err != nil {
			return errors.Join(fmt.Errorf("record replay %d %s: %w", s.version, step, err), b.Abort())
		}
	}
	if err := b.Send(); err != nil {
		return fmt.Errorf("record replay %d %s: %w", s.version, step, err)
	}
	return nil
}
