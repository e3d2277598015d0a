package tap

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

func TestUnderPressure_LongBodiesGiveWayToTheirOutlines_AndShortOnesStay(t *testing.T) {
	const usage = `"usage":{"prompt_tokens":7,"completion_tokens":11,"total_tokens":18}`
	long := fmt.Sprintf(`{"id":"c","object":"chat.completion","model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],%s}`,
		strings.Repeat("small stones ", 4<<10), usage)
	short := strings.Replace(long, strings.Repeat("small stones ", 4<<10), "small stones", 1)
	release := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		switch {
		case strings.HasSuffix(r.URL.Path, "/held"):
			_, _ = w.Write(bytes.Repeat([]byte("[0]"), 230<<10))
			_ = http.NewResponseController(w).Flush()
			<-release
		case strings.HasSuffix(r.URL.Path, "/long"):
			_, _ = io.WriteString(w, long)
		default:
			_, _ = io.WriteString(w, short)
		}
	})
	b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) { c.MaxInFlightBytes, c.MaxBodyBytes = 4<<20, 1<<20 }})
	var held sync.WaitGroup
	for range 2 {
		held.Go(func() { post(t, newClient(t), b.url+"/openai/v1/held", question) })
	}
	for b.metric("modeltrail_tap_in_flight_bytes") < 1300<<10 {
		time.Sleep(time.Millisecond)
	}
	for _, path := range []string{"long", "short"} {
		want := map[string]string{"long": long, "short": short}[path]
		if _, got := post(t, newClient(t), b.url+"/openai/v1/"+path, question); got != want {
			t.Errorf("%s: the caller got %d bytes, not %d", path, len(got), len(want))
		}
	}
	got := map[string]*event.Payload{}
	for _, e := range b.envelopes(6) { // two held requests, and both phases of two calls
		if e.Phase == event.Phase_PHASE_RESPONSE {
			got[map[bool]string{true: "long", false: "short"}[e.Response.Payload.WireBytes == int64(len(long))]] = e.Response.Payload
		}
	}
	close(release)
	held.Wait()
	if p := got["long"]; p.GetState() != event.PayloadState_PAYLOAD_STATE_TRUNCATED || p.CapturedBytes != 0 || len(p.Body) != 0 ||
		!bytes.Contains(p.Outline, []byte(usage)) || bytes.Contains(p.Outline, []byte("small stones")) {
		t.Errorf("long: %v", p)
	}
	if p := got["short"]; p.GetState() != event.PayloadState_PAYLOAD_STATE_FULL || string(p.Body) != short {
		t.Errorf("short: %v", p)
	}
	if n := b.metric("modeltrail_tap_shortened_bodies_total"); n < 1 {
		t.Errorf("%v shortened bodies are counted", n)
	}
}
