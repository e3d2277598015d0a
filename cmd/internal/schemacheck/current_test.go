package schemacheck

import (
	"fmt"
	"strings"
	"testing"
)

// Without a replay a view over current rows must read no column more than its table.
func TestViewsOfCurrentRowsCostNothingWithoutAReplay(t *testing.T) {
	conn := migrated(t)
	plan := func(view string) (out string) {
		for _, r := range ask(t, conn, "EXPLAIN actions = 1 SELECT call_id FROM "+view+" WHERE ingested_at > '2026-01-01 00:00:00'") {
			out += fmt.Sprintln(r["explain"])
		}
		return out
	}
	for _, view := range []string{"v_calls", "v_payloads", "v_tool_calls", "v_envelopes"} {
		if got := plan(view); strings.Contains(got, "row_version") || strings.Contains(got, "arrayExists") || !strings.Contains(got, "ingested_at") {
			t.Errorf("%s looks at versions:\n%s", view, got)
		}
	}
	exec(t, conn, "INSERT INTO replays (version, state, kind, topic, partition, first, last) SETTINGS async_insert = 0 VALUES (7, 'finished', 'span', 'x', 0, 1, 2)")
	if got := plan("v_calls"); !strings.Contains(got, "row_version") {
		t.Errorf("after a replay v_calls does not look at versions:\n%s", got)
	}
}
