package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/boardtest"
	"github.com/modeltrail/modeltrail/dashboards"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// TestDemo_ShowsItsScenarioWithinAMinute_AndEveryBoardHasData starts what `make run` starts.
func TestDemo_ShowsItsScenarioWithinAMinute_AndEveryBoardHasData(t *testing.T) {
	n := Start(t, Setup{Command: []string{"up", "--demo"}})
	Eventually(t, time.Minute, "rows, spend per team, an out-of-scope and a cost-spike alert", func() error {
		got := n.Query(`SELECT (SELECT count() > 50 FROM calls), (SELECT uniqExact(team_id) >= 4 FROM spend_hourly WHERE cost_usd > 0),
			(SELECT count() > 0 FROM findings WHERE detector = 'out_of_scope'), (SELECT count() > 0 FROM findings WHERE detector = 'cost_spike')`)
		if strings.TrimSpace(got) != "1\t1\t1\t1" {
			return fmt.Errorf("rows, spend, out of scope, spike: %q", got)
		}
		return nil
	})
	checkMessage(t, n.Output(), []string{"ModelTrail is up", "SQL", "modeltrail query --list", "modeltrail tail", "out_of_scope", "cost_spike"})
	// The one thing that a minute of traffic cannot hold: a call that was asked long ago and has no answer.
	n.Produce(&kgo.Record{
		Topic: n.Topics().Envelopes, Timestamp: time.Now().Add(-time.Hour),
		Value: wire.MarshalEnvelope(nil, goodEnvelope("never-answered")),
	})
	n.WaitCount("envelopes", "call_id = 'never-answered'", 1)
	files, err := dashboards.Boards()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	now := time.Now()
	results, err := boardtest.Run(ctx, n.ClickHouse(), files, boardtest.Options{From: now.Add(-24 * time.Hour), To: now.Add(time.Minute)})
	if err != nil {
		t.Fatal(err)
	}
	if len(results) < 40 {
		t.Fatalf("only %d queries were run", len(results))
	}
	for _, r := range boardtest.Failures(results) {
		t.Errorf("%s, %s: %v\n%s", r.Board, r.Panel, r.Err, r.SQL)
	}
}
