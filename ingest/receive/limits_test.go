package receive

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

func TestOversize_IsRefusedByTheNamedLimit(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.MaxBodyBytes, cfg.MaxDecodedBytes, cfg.MaxRecords = 20<<10, 200<<10, 5
	r := start(t, cfg)
	lines := func(n int) []byte { return bytes.Repeat(append(one(t, "call"), '\n'), n) }
	bomb := compress(t, "gzip", make([]byte, 10<<20))
	for name, c := range map[string]struct {
		h    header
		body io.Reader
		want int
		name string
	}{
		"known length":                  {token(tokenA), bytes.NewReader(make([]byte, 20<<10+1)), 413, "receive.max_body_bytes"},
		"unknown length":                {token(tokenA), io.MultiReader(bytes.NewReader(make([]byte, 30<<10))), 413, "receive.max_body_bytes"},
		"gzip bomb":                     {token(tokenA).with("Content-Encoding", "gzip"), bytes.NewReader(bomb), 413, "receive.max_decoded_bytes"},
		"zstd bomb":                     {token(tokenA).with("Content-Encoding", "zstd"), bytes.NewReader(compress(t, "zstd", make([]byte, 10<<20))), 413, "receive.max_decoded_bytes"},
		"bomb in a bomb":                {token(tokenA).with("Content-Encoding", "gzip, zstd"), bytes.NewReader(compress(t, "zstd", bomb)), 413, "receive.max_decoded_bytes"},
		"too many records":              {token(tokenA), bytes.NewReader(lines(6)), 413, "receive.max_records"},
		"as many as allowed, in chunks": {token(tokenA), io.MultiReader(bytes.NewReader(lines(5))), 200, ""},
		"not gzip":                      {token(tokenA).with("Content-Encoding", "gzip"), strings.NewReader("hello"), 400, ""},
		"gzip cut off":                  {token(tokenA).with("Content-Encoding", "gzip"), bytes.NewReader(compress(t, "gzip", lines(3))[:200]), 400, ""},
		"unknown coding":                {token(tokenA).with("Content-Encoding", "snappy"), strings.NewReader("hello"), 415, ""},
	} {
		got := postTo(t, http.DefaultClient, r.url, c.h, c.body)
		if got.status != c.want || got.Error.Limit != c.name || (c.name != "" && got.Error.Value == 0) {
			t.Errorf("%s: %+v", name, got)
		}
	}
	if len(r.envelopes) != 5 {
		t.Errorf("%d envelopes", len(r.envelopes))
	}
	if n := r.receiver.budget.used.Load(); n != 0 {
		t.Errorf("%d bytes are still reserved", n)
	}
}

func TestOverload_Gives429_AndWhoComesBackIsServed(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Config)
		limit  string
	}{
		"requests": {func(c *Config) { c.MaxConcurrent = 2 }, "receive.max_concurrent"},
		"bytes": {func(c *Config) {
			c.MaxBodyBytes, c.MaxDecodedBytes = 4<<10, 4<<10
			c.MaxInFlightBytes = c.MaxBodyBytes + (1+messageFactor)*c.MaxDecodedBytes
		}, "receive.max_in_flight_bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(bearer("a", tokenA))
			cfg.DurableTimeout = time.Minute
			c.change(&cfg)
			r := start(t, cfg)
			r.hold = make(chan struct{})
			const senders = 8
			var wait sync.WaitGroup
			var mu sync.Mutex
			refused := 0
			for i := range senders {
				wait.Go(func() {
					for {
						got := r.post(token(tokenA), asJSON(t, envelope(fmt.Sprintf("call-%d", i), event.Phase_PHASE_REQUEST)))
						if got.status == 200 {
							return
						}
						if got.status != 429 || got.retryAfter != "1" || got.Error.Limit != c.limit {
							t.Errorf("answer %+v", got)
							return
						}
						mu.Lock()
						if refused++; refused == 20 {
							close(r.hold) // the durable step answers from now on
						}
						mu.Unlock()
						time.Sleep(5 * time.Millisecond)
					}
				})
			}
			wait.Wait()
			if len(r.envelopes) != senders {
				t.Errorf("%d envelopes of %d senders", len(r.envelopes), senders)
			}
			if n := r.receiver.budget.used.Load(); n != 0 {
				t.Errorf("%d bytes are still reserved", n)
			}
		})
	}
}

func TestRate_IsExact(t *testing.T) {
	s := bearer("a", tokenA)
	s.RecordsPerSecond, s.BurstRecords = 10, 25
	other := bearer("b", tokenB)
	r := start(t, config(s, other))
	batch := func(n int) []byte { return bytes.Repeat(append(one(t, "call"), '\n'), n) }
	accepted := 0
	send := func(n, want int, after string) {
		t.Helper()
		got := r.post(token(tokenA), batch(n))
		if got.status != want || got.retryAfter != after {
			t.Errorf("%d records: %d, retry after %q (%+v); want %d, %q", n, got.status, got.retryAfter, got.Error, want, after)
		}
		accepted += got.Accepted
	}
	send(20, 200, "")
	send(6, 429, "1") // 5 are left, the sixth comes in 0.1 s
	send(5, 200, "")  // what was refused took nothing
	send(1, 429, "1")
	r.advance(100 * time.Millisecond)
	send(1, 200, "")
	send(25, 429, "3") // 2.5 s
	send(26, 413, "")
	for range 50 { // 5 s in steps: 50 records
		r.advance(100 * time.Millisecond)
		send(1, 200, "")
	}
	send(1, 429, "1")
	r.advance(time.Hour)
	send(25, 200, "")
	send(1, 429, "1")
	if want := 20 + 5 + 1 + 50 + 25; accepted != want || len(r.envelopes) != want {
		t.Errorf("%d accepted, %d kept; want %d", accepted, len(r.envelopes), want)
	}
	if got := r.post(token(tokenB), batch(100)); got.status != 200 {
		t.Errorf("another source: %+v", got)
	}
}

func TestRate_OfBytes_TakesNothingForWhatItRefuses(t *testing.T) {
	size := len(one(t, "call"))
	s := bearer("a", tokenA)
	s.BytesPerSecond, s.BurstBytes = float64(size), 3*size
	s.RecordsPerSecond, s.BurstRecords = 1, 3
	r := start(t, config(s))
	for i, want := range []int{200, 200, 200, 429, 429} {
		if got := r.post(token(tokenA), one(t, "call")); got.status != want {
			t.Errorf("%d: %+v", i, got)
		}
	}
	r.advance(3 * time.Second)
	if got := r.post(token(tokenA), bytes.Repeat([]byte(" "), 3*size+1)); got.status == 200 {
		t.Errorf("more than the burst: %+v", got)
	}
	for i, want := range []int{200, 200, 200, 429} {
		if got := r.post(token(tokenA), one(t, "call")); got.status != want {
			t.Errorf("after 3 s, %d: %+v", i, got)
		}
	}
}

func TestRate_UnderConcurrency_LetsExactlyTheBurstPass(t *testing.T) {
	s := bearer("a", tokenA)
	s.RecordsPerSecond, s.BurstRecords = 0.001, 40
	r := start(t, config(s))
	var wait sync.WaitGroup
	for range 8 {
		wait.Go(func() {
			for range 10 {
				r.post(token(tokenA), one(t, "call"))
			}
		})
	}
	wait.Wait()
	if len(r.envelopes) != 40 {
		t.Errorf("%d records passed; want 40", len(r.envelopes))
	}
}
