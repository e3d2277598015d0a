package tap

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

const (
	question = `{"model":"gpt-5","messages":[{"role":"user","content":"hello"}]}`
	answer   = `{"id":"r1","object":"chat.completion","model":"gpt-5","usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}`
)

func jsonUpstream(t *testing.T) *httptest.Server {
	return upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("X-Ratelimit-Remaining-Requests", "17")
		w.Header().Set("Set-Cookie", "session=planted-cookie")
		_, _ = io.WriteString(w, answer)
	})
}

func post(t *testing.T, client *http.Client, url, body string, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response, string(got)
}

func TestCallLeavesTwoWholeEnvelopes(t *testing.T) {
	up := jsonUpstream(t)
	b := newBench(t, benchOptions{upstream: up.URL})
	before := time.Now()
	response, got := post(t, newClient(t), b.url+"/openai/v1/chat/completions?alt=json&key=AIzaSyPlantedSecretKey0123456789abcdefg", question,
		"Authorization", "Bearer sk-planted-0123456789abcdef", "X-Request-Id", "req-1", "X-Modeltrail-Team", "payments",
		"User-Agent", "test/1.0", "Cookie", "planted-cookie", "Traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	if response.StatusCode != 200 || got != answer {
		t.Fatalf("%d %q", response.StatusCode, got)
	}
	request, end := b.pair()
	for _, e := range []*event.Envelope{request, end} {
		r := e.Request
		if r.Method != "POST" || r.Path != "/v1/chat/completions" || r.Host != strings.TrimPrefix(up.URL, "http://") ||
			r.HttpVersion != "HTTP/1.1" || r.ClientAddress != "127.0.0.1" || r.UserAgent != "test/1.0" || r.RequestId != "req-1" ||
			r.Traceparent == "" {
			t.Errorf("request %v", r)
		}
		if !strings.Contains(r.Query, "alt=json") || strings.Contains(r.Query, "Planted") {
			t.Errorf("query %q", r.Query)
		}
		h := attributeMap(r.Headers)
		if h["x-modeltrail-team"] != "payments" || h["authorization"] != "" || h["cookie"] != "" {
			t.Errorf("headers %v", h)
		}
		if c := e.Credential; c.Kind != "bearer" || c.Last4 != "cdef" || !strings.HasPrefix(c.Fingerprint, "mt1:") {
			t.Errorf("credential %v", c)
		}
		if e.Provider != "openai" || e.Route != "openai" || e.Dialect != "openai.chat" || e.Gateway != "modeltrail-tap" ||
			e.CaptureMode != event.CaptureMode_CAPTURE_MODE_REDACTED || e.SchemaVersion != event.SchemaVersion {
			t.Errorf("envelope %v", e)
		}
		if (len(r.Payload.Body) == 0) != (len(r.Payload.Outline) > 0) || len(r.Payload.Digest) != 32 || r.Payload.WireBytes != int64(len(question)) {
			t.Errorf("payload %v", r.Payload)
		}
		if e.Source.Kind != "tap" || e.Source.Instance != "test-tap" || e.Source.Version != "test" || e.Source.BootEpoch == 0 || e.Source.DroppedTotal != 0 {
			t.Errorf("source %v", e.Source)
		}
	}
	if string(request.Request.Payload.Body) != question || len(end.Request.Payload.Body) != 0 {
		t.Errorf("bodies %q %q", request.Request.Payload.Body, end.Request.Payload.Body)
	}
	a := end.Response
	if a.StatusCode != 200 || string(a.Payload.Body) != answer || a.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE ||
		a.Payload.State != event.PayloadState_PAYLOAD_STATE_FULL || a.ErrorClass != "" {
		t.Errorf("response %v", a)
	}
	if h := attributeMap(a.Headers); h["x-ratelimit-remaining-requests"] != "17" || h["set-cookie"] != "" {
		t.Errorf("headers %v", h)
	}
	times := []uint64{uint64(before.UnixNano()), end.StartedUnixNano, request.ObservedUnixNano, a.HeadersUnixNano, a.FirstByteUnixNano, a.EndedUnixNano, uint64(time.Now().UnixNano())}
	for i := 1; i < len(times); i++ {
		if times[i] < times[i-1] {
			t.Errorf("times run backwards: %v", times)
		}
	}
}

func TestSequencesHaveNoGaps(t *testing.T) {
	up := jsonUpstream(t)
	b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) { c.Workers = 2 }})
	client := newClient(t)
	for range 50 {
		post(t, client, b.url+"/openai/v1/chat/completions", question)
	}
	seen := map[string]event.Phase{}
	for i, e := range b.envelopes(100) {
		if e.Source.Sequence != uint64(i+1) {
			t.Fatalf("sequence %d at %d", e.Source.Sequence, i)
		}
		if seen[e.CallId]+1 != e.Phase {
			t.Fatalf("phase %v of %s after %v", e.Phase, e.CallId, seen[e.CallId])
		}
		seen[e.CallId] = e.Phase
	}
}

func TestRoutesRewriteAndInjectTheUpstreamCredential(t *testing.T) {
	var seen *http.Request
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		seen = r.Clone(context.Background())
		w.WriteHeader(http.StatusNoContent)
	})
	no := false
	b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) {
		c.Routes = []Route{
			{Prefix: "/", Upstream: up.URL + "/root"},
			{Prefix: "/a", Upstream: up.URL + "/base/"},
			{Prefix: "/a/b", Upstream: up.URL, StripPrefix: &no, RemoveHeaders: []string{"x-internal"},
				SetHeaders: []HeaderOverride{{Name: "x-api-key", Secret: secret.New("sk-upstream")}, {Name: "anthropic-version", Value: "2023-06-01"}}},
		}
	}})
	client := newClient(t)
	for path, want := range map[string]string{
		"/a/v1/x%2Fy?q=%zz&;a=b": "/base/v1/x%2Fy?q=%zz&;a=b", // byte for byte, also what does not parse
		"/a":                     "/base",
		"/ab//c":                 "/root/ab//c",
		"/a/b/messages":          "/a/b/messages",
	} {
		post(t, client, b.url+path, "", "Authorization", "Bearer caller", "X-Internal", "1", "X-Forwarded-For", "10.0.0.9", "X-Modeltrail-Team", "t")
		if seen.RequestURI != want {
			t.Errorf("%s went to %s, want %s", path, seen.RequestURI, want)
		}
		if seen.Header.Get("X-Modeltrail-Team") != "" || seen.Header.Get("X-Forwarded-For") != "10.0.0.9" {
			t.Errorf("%s: headers %v", path, seen.Header)
		}
		if path != "/a/b/messages" {
			if seen.Header.Get("Authorization") != "Bearer caller" {
				t.Errorf("%s: the caller's credential did not pass", path)
			}
			continue
		}
		if h := seen.Header; h.Get("X-Api-Key") != "sk-upstream" || h.Get("Authorization") != "" || h.Get("X-Internal") != "" || h.Get("Anthropic-Version") != "2023-06-01" {
			t.Errorf("headers %v", h)
		}
	}
}

func TestUnroutedPathIsRefused(t *testing.T) {
	b := newBench(t, benchOptions{upstream: "http://127.0.0.1:1"})
	response, body := post(t, newClient(t), b.url+"/nowhere", question)
	if response.StatusCode != http.StatusNotFound || !strings.Contains(body, `"code":"no_route"`) {
		t.Errorf("%d %s", response.StatusCode, body)
	}
}

func TestUpstreamThatCannotBeReachedGivesAClearError(t *testing.T) {
	slow := upstream(t, func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else the server does not notice that its client leaves
		<-r.Context().Done()
	})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	refused := "http://" + l.Addr().String()
	l.Close()
	plain := jsonUpstream(t)
	for name, tc := range map[string]struct {
		url    string
		status int
		class  string
	}{
		"refused": {refused, 502, "refused"},
		"tls":     {"https" + strings.TrimPrefix(plain.URL, "http"), 502, "tls"},
		"dns":     {"http://no-such-host.invalid", 502, "dns"},
		"timeout": {slow.URL, 504, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, benchOptions{upstream: tc.url, config: func(c *Config) { c.Routes[0].ResponseTimeout = 100 * time.Millisecond }})
			response, body := post(t, newClient(t), b.url+"/openai/v1/x", question)
			if response.StatusCode != tc.status || !strings.Contains(body, `"class":"`+tc.class+`"`) {
				t.Errorf("%d %s", response.StatusCode, body)
			}
			_, end := b.pair()
			if r := end.Response; r.StatusCode != 0 || r.Outcome != event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE || r.ErrorClass != tc.class {
				t.Errorf("response %v", r)
			}
		})
	}
}

func TestAnswerBeforeTheRequestWasReadReachesTheClient(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusTooManyRequests)
		_, _ = io.WriteString(w, "slow down")
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	client := newClient(t)
	big := strings.Repeat("x", 300<<10)
	for i := range 40 {
		response, body := post(t, client, b.url+"/openai/v1/x", big)
		if response.StatusCode != 429 || body != "slow down" {
			t.Fatalf("call %d: %d %q", i, response.StatusCode, body)
		}
	}
	for _, e := range b.envelopes(80) {
		if e.Phase == event.Phase_PHASE_RESPONSE && e.Response.StatusCode != 429 {
			t.Errorf("status %d", e.Response.StatusCode)
		}
	}
}

func TestTrailersPass(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Trailer", "X-Ratelimit-Remaining-Tokens")
		_, _ = io.WriteString(w, "body")
		w.Header().Set("X-Ratelimit-Remaining-Tokens", "9")
		w.Header().Set(http.TrailerPrefix+"Retry-After", "3")
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	response, _ := post(t, newClient(t), b.url+"/openai/v1/x", question)
	if diff := cmp.Diff(http.Header{"X-Ratelimit-Remaining-Tokens": {"9"}, "Retry-After": {"3"}}, response.Trailer); diff != "" {
		t.Error(diff)
	}
	_, end := b.pair()
	if diff := cmp.Diff(map[string]string{"x-ratelimit-remaining-tokens": "9", "retry-after": "3"}, attributeMap(end.Response.Trailers)); diff != "" {
		t.Error(diff)
	}
}

func TestHTTP2OnBothSides(t *testing.T) {
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", r.Proto, body)
	}))
	up.EnableHTTP2 = true
	up.StartTLS()
	t.Cleanup(up.Close)
	pool := x509.NewCertPool()
	pool.AddCert(up.Certificate())
	b := newBench(t, benchOptions{upstream: up.URL, tls: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}})
	h2c := new(http.Protocols)
	h2c.SetUnencryptedHTTP2(true)
	transport := &http.Transport{Protocols: h2c}
	t.Cleanup(transport.CloseIdleConnections)
	response, body := post(t, &http.Client{Transport: transport}, b.url+"/openai/v1/x", question)
	if response.Proto != "HTTP/2.0" || body != "HTTP/2.0 "+question {
		t.Errorf("%s %q", response.Proto, body)
	}
	request, end := b.pair()
	if request.Request.HttpVersion != "HTTP/2.0" || end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("%v", end)
	}
}

func TestWebSocketPassesAndIsNotCaptured(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer func() { _ = conn.CloseNow() }()
		for {
			kind, p, err := conn.Read(r.Context())
			if err != nil {
				return
			}
			if err := conn.Write(r.Context(), kind, p); err != nil {
				return
			}
		}
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	conn, _, err := websocket.Dial(t.Context(), b.url+"/openai/v1/realtime", &websocket.DialOptions{HTTPClient: newClient(t)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		want := bytes.Repeat([]byte{byte(i)}, 10_000)
		if err := conn.Write(t.Context(), websocket.MessageBinary, want); err != nil {
			t.Fatal(err)
		}
		if _, got, err := conn.Read(t.Context()); err != nil || !bytes.Equal(got, want) {
			t.Fatalf("echo %d: %v", i, err)
		}
	}
	if err := conn.Close(websocket.StatusNormalClosure, ""); err != nil {
		t.Error(err)
	}
	request, end := b.pair()
	if request.Request.Method != "GET" || end.Response.StatusCode != 101 || end.Response.Payload.State != event.PayloadState_PAYLOAD_STATE_ABSENT ||
		end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("%v", end)
	}
}

func TestInformationalAnswersPass(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Link", "</a>; rel=preload")
		w.WriteHeader(http.StatusEarlyHints)
		w.Header().Del("Link")
		w.WriteHeader(http.StatusAccepted)
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	response, _ := post(t, newClient(t), b.url+"/openai/v1/x", question)
	_, end := b.pair()
	if response.StatusCode != 202 || end.Response.StatusCode != 202 {
		t.Errorf("%d %d", response.StatusCode, end.Response.StatusCode)
	}
}

func TestManyLongAnswersAtOnceGetShortBuffers_UntilOthersEnd(t *testing.T) {
	var pools bufferPools
	var open [][]byte
	get := func() []byte {
		open = append(open, (&relayBuffers{pools: &pools, length: 1 << 20}).Get())
		return open[len(open)-1]
	}
	for range mostLong {
		if got := len(get()); got != relayLongBytes {
			t.Fatalf("buffer of %d bytes", got)
		}
	}
	if got := len(get()); got != relayBytes {
		t.Fatalf("one too many has %d bytes", got)
	}
	for _, p := range open {
		(&relayBuffers{pools: &pools}).Put(p)
	}
	if got := len(get()); got != relayLongBytes {
		t.Errorf("buffer of %d bytes after the others ended", got)
	}
}
