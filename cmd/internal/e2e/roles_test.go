package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
)

// TestTap_WhileKafkaIsAway_ServesCalls_AndPublishesThemWhenItComes runs a tap as a process of its own.
func TestTap_WhileKafkaIsAway_ServesCalls_AndPublishesThemWhenItComes(t *testing.T) {
	t.Parallel()
	upstream := httptest.NewServer(provider.New())
	t.Cleanup(upstream.Close)
	rest := Prepare(t, Setup{Upstream: upstream.URL})
	tap := Prepare(t, Setup{Upstream: upstream.URL, Command: []string{"tap"}, Config: fmt.Sprintf("kafka: {brokers: [%q]}", rest.Config().Broker.Listen)})
	tap.Start()
	Eventually(t, 20*time.Second, "the tap listens", func() error {
		response, err := http.Get(tap.TapURL + "/none")
		if err == nil {
			err = response.Body.Close()
		}
		return err
	})
	for i := range 25 {
		newCaller(t, tap).good(fmt.Sprintf("away-%d", i))
	}
	if err := tap.Ready(); err != nil { // it serves and keeps envelopes; taking it out of service would only stop calls
		t.Errorf("the tap says that it is not ready while Kafka is away: %v", err)
	}
	rest.Start()
	rest.WaitReady()
	rest.WaitCount("calls", "request_id LIKE 'away-%'", 25)
	tap.WaitReady()
	// Kafka goes away again, without a word.
	rest.Kill()
	for i := range 10 {
		newCaller(t, tap).good(fmt.Sprintf("again-%d", i))
	}
	rest.Restart()
	rest.WaitCount("calls", "request_id LIKE 'again-%'", 10)
	rest.CheckComplete()
	if code := tap.Stop(); code != 0 {
		t.Errorf("the tap stopped with code %d; want 0", code)
	}
	if !strings.Contains(tap.Log(), `"dropped_envelopes":0`) {
		t.Errorf("the tap dropped envelopes:\n%s", tail(tap.Log(), 5))
	}
	if code := rest.Stop(); code != 0 {
		t.Errorf("stopped with code %d; want 0", code)
	}
}
