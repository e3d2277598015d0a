package e2e

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestReplay_KilledAgainAndAgain_EndsInOneVersionOfEveryRow loads an archive, replays it with kill -9 at random moments,
// and looks at dead letters, all through the real binary.
func TestReplay_KilledAgainAndAgain_EndsInOneVersionOfEveryRow(t *testing.T) {
	t.Parallel()
	const calls = 12_000
	n := Start(t, Setup{Upstream: "http://127.0.0.1:1", Directory: goodDirectory})
	var archive strings.Builder
	for i := range calls {
		fmt.Fprintf(&archive, `{"call_id":"call-%d","started_at":"2026-01-02T03:%02d:%02dZ","provider":"openai","model":"gpt-4o","operation":"chat","status_code":200,"in_total":%d,"out_total":2}`+"\n", i, i/60%60, i%60, i)
	}
	file := filepath.Join(n.dir, "archive.jsonl")
	n.WriteFile(file, archive.String()+"no record\n")
	if r := n.Run("backfill", file); r.Code != 3 || !strings.Contains(r.Stdout, fmt.Sprint(calls, " records published")) || !strings.Contains(r.Stderr, fmt.Sprintf("line %d:", calls+1)) {
		t.Fatalf("backfill: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	junk := n.Produce(&kgo.Record{Topic: n.Topics().Envelopes, Value: []byte("junk with secret-prompt")})[0]
	n.WaitCount("envelopes", "1", calls+1)
	n.CheckComplete()
	sums := n.Query("SELECT sum(calls), sum(in_tokens), sum(cost_usd) FROM spend_hourly")

	arguments := []string{"replay", "--from", "2026-01-01", "--to", "2100-01-01", "--yes", "--reason", "test"}
	kills := 0
	for range 12 {
		cmd := n.command(arguments...)
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		ended := make(chan error, 1)
		go func() { ended <- cmd.Wait() }()
		select {
		case <-ended:
		case <-time.After(time.Duration(100+rand.IntN(1500)) * time.Millisecond):
			kills++
			_ = cmd.Process.Kill()
			<-ended
		}
		if got := n.Query("SELECT count() - uniqExact(call_id) FROM v_calls"); got != "0" {
			t.Errorf("after a kill %s calls stand twice", got)
		}
	}
	if r := n.Run(arguments...); r.Code != 0 || !strings.Contains(r.Stdout, "current now") {
		t.Fatalf("replay: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	n.CheckComplete()
	if got := n.Query("SELECT count(), min(row_version) > 0 FROM v_calls"); got != fmt.Sprintf("%d\t1", calls) {
		t.Errorf("calls after the replay: %q", got)
	}
	if got := n.Query("SELECT sum(calls), sum(in_tokens), sum(cost_usd) FROM spend_hourly"); got != sums {
		t.Errorf("sums are %q; want %q", got, sums)
	}
	t.Logf("%d kills", kills)
	checkDLQ(t, n, junk)
}

func checkDLQ(t *testing.T, n *Node, junk *kgo.Record) {
	t.Helper()
	position := fmt.Sprintf("%s/%d/%d", junk.Topic, junk.Partition, junk.Offset)
	if r := n.Run("dlq", "list", "--format", "json"); r.Code != 0 || !strings.Contains(r.Stdout, position) || strings.Contains(r.Stdout, "secret-prompt") {
		t.Errorf("dlq list: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "list", "--summary", "--format", "csv"); r.Code != 0 || !strings.Contains(r.Stdout, "wire,not_protobuf,1,") {
		t.Errorf("dlq list --summary: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "show", position); r.Code != 0 || !strings.Contains(r.Stdout, "not_protobuf") || strings.Contains(r.Stdout, "secret-prompt") {
		t.Errorf("dlq show: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "show", "--raw", position); r.Stdout != "junk with secret-prompt" {
		t.Errorf("dlq show --raw: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "replay", "--dry-run"); r.Code != 0 || !strings.Contains(r.Stdout, "1 wire/not_protobuf") {
		t.Errorf("dlq replay --dry-run: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "replay"); r.Code != 2 || !strings.Contains(r.Stderr, "--yes") {
		t.Errorf("dlq replay without --yes: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "replay", "--yes"); r.Code != 3 || !strings.Contains(r.Stdout, "0 stored, 1 refused") {
		t.Errorf("dlq replay: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if r := n.Run("dlq", "replay", "--reason", "panic", "--yes"); r.Code != 0 || !strings.Contains(r.Stdout, "nothing to replay") {
		t.Errorf("dlq replay of nothing: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	for _, wrong := range [][]string{{"dlq", "show", "here"}, {"dlq", "list", "--since", "then"}, {"replay"}, {"replay", "--from-offset", "1", "--to-offset", "2"}, {"replay", "--from", "2026-02-01", "--to", "2026-01-01"}} {
		if r := n.Run(wrong...); r.Code != 2 {
			t.Errorf("%v: code %d, %s%s", wrong, r.Code, r.Stdout, r.Stderr)
		}
	}
	n.CheckComplete()
}
