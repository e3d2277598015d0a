package replay

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

func millis(ms int64) time.Time { return time.UnixMilli(ms).UTC() }

// count reads what the replay has written.
func (e *Engine) count(ctx context.Context, s *state) error {
	query := `SELECT count(), countIf(status != 'rejected') FROM ` + e.table("envelopes") + ` WHERE row_version = ?`
	if s.kind == KindLetters {
		query = `SELECT count(), countIf(outcome = 'resolved') FROM ` + e.table("dead_letter_resolutions") + ` WHERE row_version = ?`
	}
	if err := e.set.Conn.QueryRow(ctx, query, s.version).Scan(&s.records, &s.stored); err != nil {
		return fmt.Errorf("count rows of replay %d: %w", s.version, err)
	}
	s.refused = s.records - s.stored
	return nil
}

// finish makes the rows current.
func (e *Engine) finish(ctx context.Context, s *state) error {
	if s.kind == KindSpan {
		for _, span := range s.spans {
			if err := e.whole(ctx, s, span); err != nil {
				return err
			}
		}
	}
	if err := e.count(ctx, s); err != nil {
		return err
	}
	if err := e.reach("counted"); err != nil {
		return err
	}
	if err := e.mark(ctx, s, stateFinished); err != nil {
		return err
	}
	s.finished = true
	return e.reach("finished")
}

// window is how many offsets are compared at once.
const window = 500_000

// whole refuses to supersede a row that the replay has not written again: a span is replaced as a whole or not at all.
func (e *Engine) whole(ctx context.Context, s *state, span Span) error {
	for first := span.First; first <= span.Last; first += window {
		last := min(first+window-1, span.Last)
		var lacking uint64
		err := e.set.Conn.QueryRow(ctx, `SELECT count() FROM `+e.table("v_envelopes")+`
WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ? AND status != 'repeated' AND offset NOT IN
(SELECT offset FROM `+e.table("envelopes")+` WHERE topic = ? AND partition = ? AND offset BETWEEN ? AND ? AND row_version = ?)`,
			span.Topic, span.Partition, first, last, span.Topic, span.Partition, first, last, s.version).Scan(&lacking)
		if err != nil {
			return fmt.Errorf("compare replay %d with what it replaces: %w", s.version, err)
		}
		if lacking > 0 {
			return fmt.Errorf("finish replay %d: %d records of %s/%d between offsets %d and %d have a row and were not written again, perhaps because they are older than the retention; give it up with `modeltrail replay --abandon %d` and choose a shorter span",
				s.version, lacking, span.Topic, span.Partition, first, last, s.version)
		}
	}
	return nil
}

// sumsAtOnce bounds the groups of one insert, so that it stays one block: a record gives at most two.
const sumsAtOnce = 250_000

// settle adds to the sums what the replay changed and closes it. Repeated, it adds nothing.
func (e *Engine) settle(ctx context.Context, s *state) error {
	parts := s.stored/sumsAtOnce + 1
	for _, sum := range sums() {
		for part := range parts {
			if err := e.adjust(ctx, s, sum, part, parts); err != nil {
				return err
			}
			if err := e.reach("adjusted"); err != nil {
				return err
			}
		}
	}
	return e.mark(ctx, s, stateSettled)
}

// sum is a table of sums over calls.
type sum struct {
	table   string
	keys    []column
	figures []column // signed: sign is 1 for new rows and -1 for those they replace
	extras  []column // bounds, which only widen
}

type column struct{ name, expression string }

// model is the model of a call, as in the materialized views.
const model = "CAST(multiIf(response_model != '', response_model, request_model != '', request_model, 'unknown'), 'LowCardinality(String)')"

func same(names ...string) (out []column) {
	for _, name := range names {
		out = append(out, column{name, name})
	}
	return out
}

// sums are the tables that materialized views fill from calls; the expressions are theirs.
func sums() []sum {
	cost := column{"cost_usd", "sum(sign * toDecimal128(ifNull(c.cost_usd, 0), 12))"}
	return []sum{
		{
			table: "spend_hourly",
			keys: append(append([]column{{"hour", "toStartOfHour(toDateTime(started_at, 'UTC'))"}},
				same("team_id", "app_id", "cost_center", "credential_fingerprint", "provider")...), column{"model", model}, column{"policy_decision", "policy_decision"}),
			figures: []column{
				{"calls", "sum(sign)"},
				{"errors", "sumIf(sign, http_status = 0 OR http_status >= 400 OR stream_outcome IN ('upstream_abort', 'no_response'))"},
				{"unpriced_calls", "sumIf(sign, cost_status NOT IN ('priced', 'not_billed'))"},
				{"calls_without_usage", "sumIf(sign, usage_source IN ('unknown', 'none') AND cost_status != 'not_billed')"},
				{"in_tokens", "sum(sign * toInt64(ifNull(in_total, 0)))"},
				{"in_cache_read_tokens", "sum(sign * toInt64(ifNull(in_cache_read, 0)))"},
				{"out_tokens", "sum(sign * toInt64(ifNull(out_total, 0)))"},
				cost,
			},
		},
		{
			table:   "credential_inventory",
			keys:    same("credential_fingerprint", "credential_id", "credential_status", "provider", "team_id", "app_id"),
			figures: []column{{"calls", "sum(sign)"}, {"denied_calls", "sumIf(sign, policy_decision = 'deny')"}, cost},
			extras: []column{
				{"credential_last4", "max(toString(c.credential_last4))"}, {"credential_kind", "max(toString(c.credential_kind))"},
				{"first_seen", "min(started_at)"}, {"last_seen", "max(started_at)"},
				{"models", "groupUniqArrayArray(100)([toString(" + model + ")])"},
			},
		},
	}
}

// adjust inserts one part of the difference. Whether it is in already is read from the table itself: the server forgets
// tokens sooner than an operator forgets an interrupted replay.
func (e *Engine) adjust(ctx context.Context, s *state, sum sum, part, parts uint64) error {
	share := fmt.Sprintf("cityHash64(%s) %% %d = %d", names(sum.keys), parts, part)
	var done uint64
	err := e.set.Conn.QueryRow(ctx, fmt.Sprintf("SELECT count() FROM %s WHERE has(replays, %d) AND %s", e.table(sum.table), s.version, share)).Scan(&done)
	if err != nil {
		return fmt.Errorf("read sums of %s: %w", sum.table, err)
	}
	if done > 0 {
		return nil
	}
	var selected, changed []string
	for _, c := range append(append(append([]column{}, sum.keys...), sum.figures...), sum.extras...) {
		selected = append(selected, c.expression+" AS n_"+c.name)
	}
	for _, c := range sum.figures {
		changed = append(changed, "n_"+c.name+" != 0")
	}
	keyed := make([]string, len(sum.keys))
	for i, c := range sum.keys {
		keyed[i] = "n_" + c.name
	}
	statement := fmt.Sprintf(`INSERT INTO %s (%s, replays)
SELECT %s, [toUInt32(%d)] FROM (SELECT *, toInt64(if(row_version = %d, 1, -1)) AS sign FROM %s WHERE %s) AS c
GROUP BY %s HAVING (%s) AND cityHash64(%s) %% %d = %d`,
		e.table(sum.table), names(append(append(append([]column{}, sum.keys...), sum.figures...), sum.extras...)),
		strings.Join(selected, ", "), s.version, s.version, e.table("calls"), e.touched(s),
		strings.Join(keyed, ", "), strings.Join(changed, " OR "), strings.Join(keyed, ", "), parts, part)
	token := fmt.Sprintf("%s/replay/%d/%s/%d-%d", e.set.Cluster, s.version, sum.table, part, parts)
	if err := e.set.Conn.Exec(clickhouse.WithToken(ctx, token), statement); err != nil {
		return fmt.Errorf("adjust sums of %s: %w", sum.table, err)
	}
	return nil
}

func names(columns []column) string {
	var out []string
	for _, c := range columns {
		out = append(out, c.name)
	}
	return strings.Join(out, ", ")
}

// touched selects the calls that the replay wrote and those that it replaced: what was current before it, whether it
// is finished by now or not.
func (e *Engine) touched(s *state) string {
	since, until := s.spans[0].since, s.spans[0].until
	var where []string
	for _, span := range s.spans {
		if span.since.Before(since) {
			since = span.since
		}
		if span.until.After(until) {
			until = span.until
		}
		where = append(where, fmt.Sprintf("topic = '%s' AND partition = %d AND offset BETWEEN %d AND %d", escape(span.Topic), span.Partition, span.First, span.Last))
	}
	replaced := "0"
	if s.kind == KindSpan { // a dead letter had no call
		earlier := fmt.Sprintf("FROM %s WHERE state = 'finished' AND version < %d", e.table("replays"), s.version)
		replaced = fmt.Sprintf(`(row_version < %d AND (row_version = 0 OR has((SELECT groupUniqArray(version) %s), row_version))
AND NOT arrayExists(r -> r.1 = topic AND r.2 = partition AND r.3 <= offset AND offset <= r.4 AND r.5 > row_version,
(SELECT groupArray((topic, partition, first, last, version)) %s AND kind = 'span')))`, s.version, earlier, earlier)
	}
	return fmt.Sprintf("%s AND (%s) AND (row_version = %d OR %s)", during(since, until), strings.Join(where, " OR "), s.version, replaced)
}

// during bounds the ingest time. It is text, because the driver binds times as whole seconds.
func during(since, until time.Time) string {
	return fmt.Sprintf("ingested_at BETWEEN fromUnixTimestamp64Milli(%d, 'UTC') AND fromUnixTimestamp64Milli(%d, 'UTC')", since.UnixMilli(), until.UnixMilli())
}

// escape writes text into a SQL string.
func escape(s string) string { return strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(s) }
