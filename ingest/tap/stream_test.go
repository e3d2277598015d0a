package tap

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/andybalholm/brotli"

	"github.com/modeltrail/modeltrail/schemas/event"
)

func sse(i int) string { return fmt.Sprintf("data: {\"i\":%d}\n\n", i) }

func TestStreamIsRelayedFrameByFrameAndMarked(t *testing.T) {
	next := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		for i := range 24 {
			for _, b := range []byte(sse(i)) { // frames in pieces of one byte
				_, _ = w.Write([]byte{b})
				_ = http.NewResponseController(w).Flush()
			}
			<-next // the next frame comes only after the client has read this one
		}
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	response, err := newClient(t).Post(b.url+"/openai/v1/x", "application/json", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	var want strings.Builder
	for i := range 24 {
		frame := make([]byte, len(sse(i)))
		if _, err := io.ReadFull(response.Body, frame); err != nil || string(frame) != sse(i) {
			t.Fatalf("frame %d: %q %v", i, frame, err)
		}
		want.WriteString(sse(i))
		next <- struct{}{}
	}
	if rest, err := io.ReadAll(response.Body); err != nil || len(rest) != 0 {
		t.Fatalf("rest %q %v", rest, err)
	}
	_, end := b.pair()
	r := end.Response
	if string(r.Payload.Body) != want.String() || r.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("%v", r)
	}
	if len(r.Chunks) != maxMarks {
		t.Fatalf("%d marks", len(r.Chunks))
	}
	for i, m := range r.Chunks {
		if m.Frames != uint32(i+1) || m.AtUnixNano < r.FirstByteUnixNano || m.AtUnixNano > r.EndedUnixNano {
			t.Errorf("mark %d: %v", i, m)
		}
	}
}

func TestClientThatLeavesMidStreamIsTheOneWhoAborted(t *testing.T) {
	left := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, sse(0))
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		close(left)
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/openai/v1/x", strings.NewReader(question))
	response, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.ReadFull(response.Body, make([]byte, len(sse(0))))
	cancel()
	response.Body.Close()
	_, end := b.pair()
	if end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT || string(end.Response.Payload.Body) != sse(0) || end.Response.StatusCode != 200 {
		t.Errorf("%v", end.Response)
	}
	<-left // the provider was told
}

func TestClientThatLeavesBeforeTheHeadLeavesBothEnvelopes(t *testing.T) {
	arrived := make(chan struct{})
	up := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		close(arrived)
		<-r.Context().Done()
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-arrived; cancel() }()
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, b.url+"/openai/v1/x", strings.NewReader(question))
	if _, err := newClient(t).Do(r); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	request, end := b.pair()
	if string(request.Request.Payload.Body) != question || end.Response.StatusCode != 0 ||
		end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT {
		t.Errorf("%v", end.Response)
	}
}

func TestUpstreamThatBreaksOffIsTheOneWhoAborted(t *testing.T) {
	for name, reset := range map[string]bool{"reset": true, "closed": false} {
		t.Run(name, func(t *testing.T) {
			up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "text/event-stream")
				_, _ = io.WriteString(w, sse(0))
				_ = http.NewResponseController(w).Flush()
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				time.Sleep(20 * time.Millisecond)
				if tcp, ok := conn.(*net.TCPConn); ok && reset {
					_ = tcp.SetLinger(0)
				}
				_ = conn.Close()
			})
			b := newBench(t, benchOptions{upstream: up.URL})
			response, err := newClient(t).Post(b.url+"/openai/v1/x", "application/json", strings.NewReader(question))
			if err != nil {
				t.Fatal(err)
			}
			got, err := io.ReadAll(response.Body)
			response.Body.Close()
			if string(got) != sse(0) || err == nil {
				t.Errorf("the client read %q, %v: it must see that the answer broke off", got, err)
			}
			_, end := b.pair()
			if r := end.Response; r.Outcome != event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT || r.ErrorClass != "reset" || string(r.Payload.Body) != sse(0) {
				t.Errorf("%v", r)
			}
		})
	}
}

func TestCompressedBodiesPassUnchangedAndAreKeptDecoded(t *testing.T) {
	encode := map[string]func(string) []byte{
		"gzip": func(s string) []byte {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			_, _ = io.WriteString(w, s)
			_ = w.Close()
			return b.Bytes()
		},
		"br": func(s string) []byte {
			var b bytes.Buffer
			w := brotli.NewWriter(&b)
			_, _ = io.WriteString(w, s)
			_ = w.Close()
			return b.Bytes()
		},
		"made-up": func(s string) []byte { return []byte(s) },
	}
	for name, f := range encode {
		t.Run(name, func(t *testing.T) {
			sent := f(answer)
			up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
				_, _ = io.Copy(io.Discard, r.Body)
				w.Header().Set("Content-Type", "application/json")
				w.Header().Set("Content-Encoding", name)
				_, _ = w.Write(sent)
			})
			b := newBench(t, benchOptions{upstream: up.URL})
			_, got := post(t, newClient(t), b.url+"/openai/v1/x", string(f(question)), "Content-Encoding", name)
			if got != string(sent) {
				t.Error("bytes differ")
			}
			request, end := b.pair()
			p := end.Response.Payload
			if p.ContentEncoding != name || p.WireBytes != int64(len(sent)) || len(p.Digest) != 32 {
				t.Errorf("%v", p)
			}
			if name == "made-up" {
				if p.State != event.PayloadState_PAYLOAD_STATE_UNDECODABLE || len(p.Body)+len(p.Outline) != 0 {
					t.Errorf("%v", p)
				}
				return
			}
			if string(p.Body) != answer || string(request.Request.Payload.Body) != question || p.State != event.PayloadState_PAYLOAD_STATE_FULL {
				t.Errorf("%v", p)
			}
		})
	}
}

// streamScript is a random answer in random pieces.
func streamScript(seed uint64) (header http.Header, pieces [][]byte, pauses []bool) {
	random := rand.New(rand.NewPCG(seed, 7))
	header = http.Header{"Content-Type": {[]string{"text/event-stream", "application/json", "application/octet-stream", ""}[random.IntN(4)]}}
	total := 0
	for range random.IntN(30) {
		piece := make([]byte, 1+random.IntN(1<<random.IntN(14)))
		for i := range piece {
			piece[i] = "\n\r :{}\"adt\x00\xff"[random.IntN(12)]
		}
		total += len(piece)
		pieces, pauses = append(pieces, piece), append(pauses, random.IntN(3) == 0)
	}
	if random.IntN(2) == 0 {
		header.Set("Content-Length", strconv.Itoa(total))
	}
	return header, pieces, pauses
}

func TestRandomStreamsAreIdenticalWithAndWithoutTheTap(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		seed, _ := strconv.ParseUint(r.URL.Query().Get("seed"), 10, 64)
		header, pieces, pauses := streamScript(seed)
		for k, v := range header {
			w.Header()[k] = v
		}
		w.Header().Set("X-Echo-Length", strconv.Itoa(len(sent)))
		for i, p := range pieces {
			_, _ = w.Write(p)
			if pauses[i] {
				_ = http.NewResponseController(w).Flush()
			}
		}
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	const streams = 300
	fetch := func(client *http.Client, base string, seed int) (http.Header, string) {
		response, body := post(t, client, fmt.Sprintf("%s/v1/x?seed=%d", base, seed), strings.Repeat("q", seed*37))
		response.Header.Del("Date")
		return response.Header, body
	}
	var wg sync.WaitGroup
	for lane := range 4 {
		wg.Go(func() {
			client := newClient(t)
			for seed := lane; seed < streams; seed += 4 {
				wantHeader, want := fetch(client, up.URL, seed)
				gotHeader, got := fetch(client, b.url+"/openai", seed)
				if want != got || fmt.Sprint(wantHeader) != fmt.Sprint(gotHeader) {
					t.Errorf("stream %d differs: %v %v", seed, wantHeader, gotHeader)
				}
			}
		})
	}
	wg.Wait()
	for _, e := range b.envelopes(2 * streams) {
		if e.Phase == event.Phase_PHASE_RESPONSE && e.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
			t.Errorf("%v", e.Response.Outcome)
		}
	}
}

func TestHundredMegabytesPassInBoundedMemory(t *testing.T) {
	const size = 100 << 20
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		n, _ := io.Copy(io.Discard, r.Body)
		w.Header().Set("X-Length", strconv.FormatInt(n, 10))
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.Copy(w, io.LimitReader(zeros{}, size))
	})
	b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) { c.Capture = "hash" }})
	runtime.GC()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	var peak atomic.Uint64
	stop := make(chan struct{})
	var watcher sync.WaitGroup
	watcher.Go(func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				var m runtime.MemStats
				runtime.ReadMemStats(&m)
				peak.Store(max(peak.Load(), m.HeapInuse))
			}
		}
	})
	r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, b.url+"/openai/v1/x", io.LimitReader(zeros{}, size))
	response, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(io.Discard, response.Body)
	response.Body.Close()
	close(stop)
	watcher.Wait()
	if err != nil || n != size || response.Header.Get("X-Length") != strconv.Itoa(size) {
		t.Errorf("%d bytes back, %s bytes there, %v", n, response.Header.Get("X-Length"), err)
	}
	if grown := int64(peak.Load()) - int64(before.HeapInuse); grown > 48<<20 {
		t.Errorf("heap grew by %d MiB", grown>>20)
	}
	request, end := b.pair()
	for _, p := range []*event.Payload{request.Request.Payload, end.Response.Payload} {
		if p.WireBytes != size || p.CapturedBytes != 80<<10 || p.State != event.PayloadState_PAYLOAD_STATE_TRUNCATED {
			t.Errorf("wire %d captured %d %v", p.WireBytes, p.CapturedBytes, p.State)
		}
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = '0'
	}
	return len(p), nil
}

func TestKafkaAwayNeverFailsACall(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // accepts, never answers
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	for name, broker := range map[string]string{"down": "127.0.0.1:1", "blackholed": silent.Addr().String()} {
		t.Run(name, func(t *testing.T) {
			up := jsonUpstream(t)
			b := newBench(t, benchOptions{upstream: up.URL, brokers: []string{broker}, publish: publishSmall})
			client := newClient(t)
			for range 200 {
				if response, body := post(t, client, b.url+"/openai/v1/x", question); response.StatusCode != 200 || body != answer {
					t.Fatalf("%d %s", response.StatusCode, body)
				}
			}
			b.drain(300 * time.Millisecond)
			published := b.metric("modeltrail_publish_published_envelopes_total")
			if published != 0 || b.tap.Dropped() != 400 {
				t.Errorf("%v published, %d of 400 dropped", published, b.tap.Dropped())
			}
			if b.metric("modeltrail_publish_accepted_envelopes_total") != b.metric("modeltrail_publish_dropped_envelopes_total") {
				t.Error("accepted and dropped do not balance")
			}
		})
	}
}

func TestShortMemoryDropsBodiesFirst(t *testing.T) {
	release := make(chan struct{})
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(bytes.Repeat([]byte("[0]"), 100<<10))
		_ = http.NewResponseController(w).Flush()
		<-release
	})
	b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) { c.MaxInFlightBytes, c.MaxBodyBytes = minInFlightBytes, 1<<20 }})
	var wg sync.WaitGroup
	for range 8 { // 8 open answers of 300 KiB want 2.4 MiB
		wg.Go(func() {
			if _, body := post(t, newClient(t), b.url+"/openai/v1/x", question); len(body) != 300<<10 {
				t.Errorf("%d bytes", len(body))
			}
		})
	}
	for b.metric("modeltrail_tap_in_flight_bytes") < 850<<10 {
		time.Sleep(time.Millisecond)
	}
	time.Sleep(50 * time.Millisecond)
	if used := b.metric("modeltrail_tap_in_flight_bytes"); used > minInFlightBytes {
		t.Errorf("%v bytes in flight", used)
	}
	close(release)
	wg.Wait()
	cut := 0
	for _, e := range b.envelopes(16) {
		if p := e.GetResponse().GetPayload(); p.GetState() == event.PayloadState_PAYLOAD_STATE_TRUNCATED {
			cut++
			if p.WireBytes != 300<<10 || p.CapturedBytes >= p.WireBytes {
				t.Errorf("wire %d captured %d", p.WireBytes, p.CapturedBytes)
			}
		}
	}
	if cut < 5 || b.metric("modeltrail_tap_shortened_bodies_total") < float64(cut) {
		t.Errorf("%d bodies cut", cut)
	}
	b.drain(time.Second)
	if used := b.metric("modeltrail_tap_in_flight_bytes"); used != 0 {
		t.Errorf("%v bytes were not given back", used)
	}
}
