package schemacheck

import (
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/boardtest"
	"github.com/modeltrail/modeltrail/dashboards"
)

func TestEveryPanelOfEveryBoardShowsSomething(t *testing.T) {
	conn := migrated(t)
	fill(t, conn, 20000)
	boards, err := dashboards.Boards()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for name, opt := range map[string]boardtest.Options{
		"all":  {From: now.AddDate(0, 0, -7), To: now.Add(time.Second)},
		"hour": {From: now.Add(-24 * time.Hour), To: now.Add(time.Second)},
		"selected": {From: now.AddDate(0, 0, -7), To: now.Add(time.Second), Variables: map[string][]string{
			"team": {"payments", "research"}, "app": {"checkout-bot", "it's none"}, "provider": {"openai"}, "model": {"gpt-5.5-2026-04-01", "gpt-5.5", "unknown"}}},
	} {
		t.Run(name, func(t *testing.T) {
			results, err := boardtest.Run(t.Context(), conn, boards, opt)
			if err != nil {
				t.Fatal(err)
			}
			if len(results) < 50 {
				t.Errorf("only %d queries ran", len(results))
			}
			for _, r := range boardtest.Failures(results) {
				t.Errorf("%s, %s: %v\n%s", r.Board, r.Panel, r.Err, r.SQL)
			}
			t.Logf("%d queries of %s", len(results), name)
		})
	}
}

func TestAPanelWithoutRowsIsAFailure(t *testing.T) {
	conn := migrated(t)
	boards, err := dashboards.Boards()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	results, err := boardtest.Run(t.Context(), conn, boards, boardtest.Options{From: now.Add(-time.Hour), To: now})
	if err != nil {
		t.Fatal(err)
	}
	if failed := len(boardtest.Failures(results)); failed < len(results)/2 {
		t.Errorf("on an empty engine only %d of %d queries count as empty", failed, len(results))
	}
}
