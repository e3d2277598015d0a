package e2e

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
)

const fastProof = `
ledger: {interval: 500ms}
completeness: {interval: 1s, silence_after: 5s}
store: {sources: {flush_interval: 100ms}}
`

// proven waits until `modeltrail completeness` ends with a code and returns what it printed.
func proven(n *Node, code int, args ...string) string {
	n.t.Helper()
	var out string
	n.Eventually(40*time.Second, fmt.Sprintf("completeness ends with %d", code), func() error {
		r := n.Run(append([]string{"completeness"}, args...)...)
		if out = r.Stdout; r.Code != code {
			return fmt.Errorf("code %d: %s%s", r.Code, r.Stdout, r.Stderr)
		}
		return nil
	})
	return out
}

func TestCompleteness_OfARecordThatLosesRows_TellsTheRangeWithinAMinute(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(provider.New())
	t.Cleanup(upstream.Close)
	n := Start(t, Setup{Upstream: upstream.URL, Directory: goodDirectory, Config: fastProof})
	for i := range 25 {
		newCaller(t, n).good(fmt.Sprintf("call-%d", i))
	}
	n.WaitCount("calls", "", 25)
	if out := proven(n, 0, "--strict"); !strings.Contains(out, "complete: 50 sent, 50 stored") {
		t.Errorf("a whole record: %s", out)
	}
	if err := n.AdminClickHouse().Exec(t.Context(), "ALTER TABLE envelopes DELETE WHERE source_sequence BETWEEN 11 AND 14 SETTINGS mutations_sync = 2"); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	n.Eventually(time.Minute, "a finding of the missing range", func() error {
		answer, err := n.query("SELECT evidence['ranges'], evidence['missing'] FROM v_findings WHERE detector = 'missing_range'")
		if err == nil && answer != "11-14\t4" {
			err = fmt.Errorf("findings are %q", answer)
		}
		return err
	})
	t.Logf("found after %s", time.Since(began).Round(100*time.Millisecond))
	if out := proven(n, 3); !strings.Contains(out, "NOT COMPLETE") {
		t.Errorf("a record with a hole: %s", out)
	}
}

// TestCompleteness_KilledUnderLoad_CountsTheLossExactly kills the process, with all it holds in memory, again and again.
// What clients began is then stored or counted, to the last envelope.
func TestCompleteness_KilledUnderLoad_CountsTheLossExactly(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(provider.New())
	t.Cleanup(upstream.Close)
	n := Prepare(t, Setup{Upstream: upstream.URL, Directory: goodDirectory, Config: fastProof})
	load := &callers{n: n}
	n.Start()
	n.WaitReady()
	for range 6 {
		stop := load.run(8)
		time.Sleep(1200*time.Millisecond + time.Duration(rand.IntN(500))*time.Millisecond)
		n.Kill()
		stop()
		n.Restart()
	}
	n.Stable()
	out := proven(n, 0)
	n.CheckComplete()
	answer := n.Query(`SELECT sum(expected), sum(crashed), count() FROM (
		SELECT source_epoch, argMax(epoch_expected, statement) AS expected, argMax(state, statement) = 'crashed' AS crashed FROM source_statements GROUP BY source_epoch)`)
	var expected, crashed, epochs uint64
	if _, err := fmt.Sscan(answer, &expected, &crashed, &epochs); err != nil {
		t.Fatal(err)
	}
	var stored, dropped uint64
	stored64, err := n.Count("envelopes", "")
	if err != nil {
		t.Fatal(err)
	}
	stored = uint64(stored64)
	last := ""
	for line := range strings.Lines(out) {
		last = strings.TrimSpace(line)
	}
	var sent, table uint64
	if _, err := fmt.Sscanf(last, "complete: %d sent, %d stored, 0 dead-lettered, %d dropped, 0 pending", &sent, &table, &dropped); err != nil {
		t.Fatalf("%q: %v", last, err)
	}
	t.Logf("%d kills: clients had %d answers and %d failures; expected %d envelopes, stored %d, counted as lost %d", crashed, load.answered.Load(), load.failed.Load(), expected, stored, dropped)
	if crashed != 6 || epochs != 7 || table != stored {
		t.Errorf("%d crashed epochs of %d; the command tells %d stored", crashed, epochs, table)
	}
	if stored+dropped != expected {
		t.Errorf("%d stored and %d counted as lost are not the %d that were owed", stored, dropped, expected)
	}
	if least, most := 2*uint64(load.answered.Load()), 2*uint64(load.answered.Load()+load.failed.Load()); expected < least || expected > most {
		t.Errorf("%d envelopes owed; clients saw %d to %d", expected, least, most)
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d; want 0", code)
	}
}

// callers count what clients see: answers, and calls that may or may not have reached the tap.
type callers struct {
	n                *Node
	answered, failed atomic.Int64
}

func (c *callers) run(parallel int) (stop func()) {
	var wait sync.WaitGroup
	done := make(chan struct{})
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: parallel, DisableKeepAlives: false}}
	for range parallel {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				request, err := http.NewRequest(http.MethodPost, c.n.TapURL+"/openai/v1/chat/completions", strings.NewReader(goodBody))
				if err != nil {
					return
				}
				request.GetBody = nil // no silent repeat
				request.Header.Set("Authorization", "Bearer sk-e2e-0123456789abcdef")
				request.Header.Set("Content-Type", "application/json")
				response, err := client.Do(request)
				if err != nil {
					if !strings.Contains(err.Error(), "connection refused") {
						c.failed.Add(1)
					}
					time.Sleep(10 * time.Millisecond)
					continue
				}
				_ = response.Body.Close()
				c.answered.Add(1)
			}
		})
	}
	return func() { close(done); wait.Wait(); client.CloseIdleConnections() }
}
