package judge

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/oracle"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// chunk is how many calls are compared at a time.
const chunk = 20000

// compareRows compares every row of every call, chunk by chunk.
func (j *judge) compareRows(ctx context.Context, expected *oracle.Reader) error {
	calls := j.work.Config().Calls
	for from := 0; from < calls; from += chunk {
		to := min(from+chunk, calls)
		lines, err := expected.Until(to)
		if err != nil {
			return err
		}
		if len(lines) == 0 || lines[len(lines)-1].Index != to-1 {
			return errShort
		}
		byTable := map[string][]oracle.Line{}
		for _, l := range lines {
			byTable[l.Table] = append(byTable[l.Table], l)
		}
		for _, l := range byTable[oracle.FindingLine] {
			if j.topic.at(l.Index, l.Phase).found {
				j.found[l.Cells[1]] = l.Cells[0]
			}
		}
		for _, t := range oracle.Tables() {
			if err := j.compareTable(ctx, t, byTable[t.Name], from, to); err != nil {
				return err
			}
		}
	}
	j.report.Calls = calls
	return nil
}

// expectedRow is one row that must be there.
type expectedRow struct {
	line oracle.Line
	at   place
	met  int
}

func (j *judge) compareTable(ctx context.Context, t oracle.Table, lines []oracle.Line, from, to int) error {
	want := map[string]*expectedRow{}
	for _, l := range lines {
		for _, at := range j.wanted(l.Index, l.Phase) {
			if t.Name == oracle.Calls.Name {
				j.sums.add(l.Cells)
			}
			want[rowKey(l.Cells, t, at.partition, at.offset)] = &expectedRow{line: l, at: at}
		}
	}
	rows, err := j.db.rows(ctx, j.query(t, from, to))
	if err != nil {
		return err
	}
	for _, cells := range rows {
		j.compareRow(t, want, cells)
	}
	for key, w := range want {
		if w.met == 0 {
			j.report.add(Lost, t.Name, w.line.Cells[0], "no row at %s", key)
		}
	}
	return nil
}

func (j *judge) query(t oracle.Table, from, to int) string {
	var exprs []string
	for _, c := range slices.Concat(t.Columns, oracle.Place) {
		exprs = append(exprs, c.Expr)
	}
	last := j.work.ID(to - 1)
	where := fmt.Sprintf("%s >= '%s' AND %s <= '%s'", t.Key, j.work.ID(from), t.Key, last)
	switch t.Name {
	case oracle.Envelopes.Name:
		where += " AND status = 'stored'"
	case oracle.DeadLetters.Name:
		where += " AND topic = 'modeltrail.envelopes'"
	}
	return "SELECT " + strings.Join(exprs, ", ") + " FROM " + t.Name + " WHERE " + where
}

// rowKey names a row by its record and, in tool_calls, by its place among the record's rows.
func rowKey(cells []string, t oracle.Table, partition int32, offset int64) string {
	key := position(partition, offset)
	if t.Name == oracle.ToolCalls.Name {
		key += "#" + cells[1]
	}
	return key
}

func (j *judge) compareRow(t oracle.Table, want map[string]*expectedRow, cells []string) {
	n := len(t.Columns)
	if len(cells) != n+len(oracle.Place) {
		j.report.add(Differs, t.Name, cells[0], "a row with %d columns", len(cells))
		return
	}
	partition, _ := strconv.ParseInt(cells[n], 10, 32)
	offset, _ := strconv.ParseInt(cells[n+1], 10, 64)
	key := rowKey(cells, t, int32(partition), offset)
	w := want[key]
	if w == nil {
		j.report.add(Unexpected, t.Name, cells[0], "a row at %s", key)
		return
	}
	w.met++
	if w.met > 1 {
		j.report.add(Doubled, t.Name, cells[0], "row %d at %s", w.met, key)
		return
	}
	var diffs []string
	for i, c := range t.Columns {
		if cells[i] != w.line.Cells[i] {
			diffs = append(diffs, fmt.Sprintf("%s is %.80q, want %.80q", c.Name, cells[i], w.line.Cells[i]))
		}
	}
	if stored := cells[n+2]; stored != strconv.FormatInt(w.at.millis, 10) {
		diffs = append(diffs, fmt.Sprintf("ingested_at is %s, the broker's time is %d", stored, w.at.millis))
	}
	if len(diffs) > 0 {
		j.report.add(Differs, t.Name, cells[0], "%s", strings.Join(diffs, "; "))
		return
	}
	j.report.Rows[t.Name]++
}

// refusedAndRepeated compares the rows of envelopes that are not stored calls: poisoned records, and further copies of
// a source sequence.
func (j *judge) refusedAndRepeated(ctx context.Context) error {
	rejected, repeated := map[string]bool{}, map[string]bool{}
	for i := range j.work.Config().Calls {
		for phase := range 3 {
			if j.isLetter(i, phase) {
				for _, at := range j.wanted(i, phase) {
					rejected[position(at.partition, at.offset)] = true
				}
			}
			if s := j.topic.at(i, phase); phase != workload.PhasePoison && j.m.RepeatsRecognised {
				for _, at := range s.more {
					repeated[position(at.partition, at.offset)] = true
				}
			}
		}
	}
	for status, want := range map[string]map[string]bool{"rejected": rejected, "repeated": repeated} {
		rows, err := j.db.rows(ctx, "SELECT partition, offset FROM envelopes WHERE toString(status) = '"+status+"' AND topic = 'modeltrail.envelopes'")
		if err != nil {
			return err
		}
		for _, r := range rows {
			key := r[0] + "/" + r[1]
			left, ok := want[key]
			switch {
			case !ok:
				j.report.add(Unexpected, "envelopes", key, "status %s", status)
			case !left:
				j.report.add(Doubled, "envelopes", key, "status %s", status)
			}
			want[key] = false
		}
		for key, left := range want {
			if left {
				j.report.add(Lost, "envelopes", key, "no row with status %s", status)
			}
		}
		j.report.checked("%d envelopes with status %s, each once", len(want), status)
	}
	return nil
}

// isLetter reports whether a record must be a dead letter.
func (j *judge) isLetter(index, phase int) bool {
	return phase == workload.PhasePoison || phase == 2 && j.m.MarkedRefused && j.work.Call(index).Marked
}

// strangers looks for rows of no call of the workload.
func (j *judge) strangers(ctx context.Context) error {
	for _, t := range oracle.Tables() {
		where := fmt.Sprintf("NOT (%s >= '%s' AND %s <= '%s')", t.Key, j.work.ID(0), t.Key, j.work.ID(j.work.Config().Calls-1))
		if t.Name == oracle.Envelopes.Name {
			where += " AND toString(status) != 'rejected'"
		}
		if t.Name == oracle.DeadLetters.Name {
			where += " AND topic = 'modeltrail.envelopes'"
		}
		rows, err := j.db.rows(ctx, "SELECT "+t.Key+", partition, offset FROM "+t.Name+" WHERE "+where+" LIMIT 100")
		if err != nil {
			return err
		}
		for _, r := range rows {
			j.report.add(Unexpected, t.Name, r[0], "a row at %s/%s that belongs to no call", r[1], r[2])
		}
	}
	return nil
}

// versions checks what the oracle cannot know: every call was judged by the same directory and price table.
func (j *judge) versions(ctx context.Context) error {
	rows, err := j.db.rows(ctx, "SELECT uniqExact(directory_version), any(directory_version), uniqExact(price_version), any(price_version), uniqExact(decoder_version) FROM calls")
	if err != nil {
		return err
	}
	if r := rows[0]; r[0] != "1" || r[1] == "none" || r[1] == "" || r[2] != "1" || r[3] == "" || r[4] != "1" {
		j.report.add(Differs, "calls", "versions", "directories, one of them, price tables, one of them, decoders: %v; want one of each", r)
	}
	j.report.checked("one version of directory, prices and decoder")
	return nil
}
