package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
)

func TestUp_StoppedAndStartedAgain_FindsWhatItStored(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(provider.New())
	t.Cleanup(upstream.Close)
	n := Start(t, Setup{Upstream: upstream.URL, Directory: goodDirectory})
	for i := range 20 {
		newCaller(t, n).good(fmt.Sprintf("first-%d", i))
	}
	// Stopped at once: what the tap took must be published and stored before the process ends, or after the next start.
	started := time.Now()
	if code := n.Stop(); code != 0 {
		t.Fatalf("stopped with code %d; want 0", code)
	}
	if took := time.Since(started); took > 20*time.Second {
		t.Errorf("an idle process took %s to stop", took)
	}
	if exists(n.DataDir + "/endpoints.yaml") {
		t.Error("a stopped process leaves its endpoints behind")
	}
	if r := n.Run("query", "completeness"); r.Code != 1 || !strings.Contains(r.Stderr, "nothing runs") {
		t.Errorf("query without a process: code %d, %s", r.Code, r.Stderr)
	}
	n.Restart()
	for i := range 5 {
		newCaller(t, n).good(fmt.Sprintf("second-%d", i))
	}
	n.WaitCount("calls", "request_id LIKE 'first-%'", 20)
	n.WaitCount("calls", "request_id LIKE 'second-%'", 5)
	n.CheckComplete()
	if got := n.Query("SELECT uniqExact(credential_fingerprint), uniqExact(directory_version) FROM calls"); got != "1\t1" {
		t.Errorf("fingerprints and directory versions are %q; want one of each across a restart", got)
	}
	if r := n.Run("query", "completeness"); r.Code != 0 || !strings.Contains(r.Stdout, "modeltrail.envelopes") {
		t.Errorf("query: code %d, %s%s", r.Code, r.Stdout, r.Stderr)
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d; want 0", code)
	}
}

// TestUp_KilledDuringTraffic_StoresEveryAcknowledgedEnvelopeOnce kills the process, with its broker and its engine,
// while calls run. What the broker had acknowledged is still there after the next start and becomes exactly one row.
func TestUp_KilledDuringTraffic_StoresEveryAcknowledgedEnvelopeOnce(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(provider.New())
	t.Cleanup(upstream.Close)
	n := Prepare(t, Setup{Upstream: upstream.URL, Directory: goodDirectory, Config: "store: {envelopes: {flush_interval: 50ms, max_batch_rows: 40}}"})
	var held, answered int64
	n.Start()
	n.WaitReady()
	for round := range 3 {
		stop := traffic(n)
		time.Sleep(1500*time.Millisecond + time.Duration(round)*130*time.Millisecond)
		acknowledged := int64(n.Metric("modeltrail_publish_published_envelopes_total"))
		n.Kill()
		answered += stop()
		n.Restart()
		before := held
		held = 0
		for _, partition := range n.Ends(n.Topics().Envelopes) {
			held += partition.End
		}
		if acknowledged == 0 || held < before+acknowledged {
			t.Errorf("round %d: the topic holds %d envelopes; %d were acknowledged", round, held, before+acknowledged)
		}
	}
	n.CheckComplete()
	rows, err := n.Count("calls", "")
	if err != nil || rows < 100 {
		t.Errorf("%d calls, %v; the test means nothing with so few", rows, err)
	}
	t.Logf("three kills: %d calls answered, %d recorded; the rest was not published when the process died", answered, rows)
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d; want 0", code)
	}
}

// traffic makes calls from four callers until the returned function is called, which tells how many were answered.
func traffic(n *Node) (stop func() int64) {
	var wait sync.WaitGroup
	var answered atomic.Int64
	done := make(chan struct{})
	client := &http.Client{Timeout: 5 * time.Second}
	for range 4 {
		wait.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				request, err := http.NewRequest(http.MethodPost, n.TapURL+"/openai/v1/chat/completions", strings.NewReader(goodBody))
				if err != nil {
					return
				}
				request.Header.Set("Authorization", "Bearer sk-e2e-0123456789abcdef")
				request.Header.Set("Content-Type", "application/json")
				response, err := client.Do(request)
				if err != nil {
					time.Sleep(10 * time.Millisecond)
					continue
				}
				_ = response.Body.Close()
				answered.Add(1)
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	return func() int64 {
		close(done)
		wait.Wait()
		client.CloseIdleConnections()
		return answered.Load()
	}
}
