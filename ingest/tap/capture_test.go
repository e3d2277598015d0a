package tap

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

const sealKey = "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

func publishSmall(c *publish.Config) {
	c.MaxBufferedBytes, c.MaxRecordBytes, c.Linger = 128<<10, 64<<10, time.Millisecond
}

func TestCaptureModesKeepWhatTheyPromise(t *testing.T) {
	up := jsonUpstream(t)
	for mode, state := range map[string]event.PayloadState{
		"metadata": event.PayloadState_PAYLOAD_STATE_ABSENT, "hash": event.PayloadState_PAYLOAD_STATE_ABSENT,
		"redacted": event.PayloadState_PAYLOAD_STATE_FULL, "full": event.PayloadState_PAYLOAD_STATE_FULL,
	} {
		t.Run(mode, func(t *testing.T) {
			b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) {
				c.Routes[0].Capture = mode
				c.EncryptionKey = secret.New(sealKey)
			}})
			post(t, newClient(t), b.url+"/openai/v1/chat/completions", question)
			request, end := b.pair()
			for _, x := range []struct {
				env   *event.Envelope
				p     *event.Payload
				plain string
			}{{request, request.Request.Payload, question}, {end, end.Response.Payload, answer}} {
				if x.env.CaptureMode != captureModes[mode] || x.p.State != state || (mode == "redacted") != (len(x.p.Outline) == 0) || bytes.Contains(x.p.Outline, []byte("hello")) {
					t.Errorf("%v", x.p)
				}
				mac := hmac.New(sha256.New, b.tap.credential.Key())
				mac.Write([]byte(x.plain))
				if want := mac.Sum(nil); (mode != "metadata") != bytes.Equal(x.p.Digest, want) {
					t.Errorf("digest %x", x.p.Digest)
				}
				checkBody(t, mode, x.env, x.p, x.plain)
			}
		})
	}
}

func checkBody(t *testing.T, mode string, env *event.Envelope, p *event.Payload, plain string) {
	t.Helper()
	key, err := hex.DecodeString(sealKey)
	if err != nil {
		t.Fatal(err)
	}
	opened, err := Open(key, env)
	switch mode {
	case "redacted":
		if string(p.Body) != plain || !errors.Is(err, ErrNotSealed) {
			t.Errorf("body %q, %v", p.Body, err)
		}
	case "full":
		if string(opened) != plain || err != nil || p.KeyId != "key-1" || bytes.Contains(p.Body, []byte(plain[:8])) {
			t.Errorf("opened %q, %v", opened, err)
		}
		for name, change := range map[string]func(*event.Envelope){
			"call":   func(e *event.Envelope) { e.CallId += "x" },
			"key id": func(*event.Envelope) { p.KeyId = "key-2" },
			"body":   func(*event.Envelope) { p.Body[len(p.Body)-1] ^= 1 },
		} {
			change(env)
			if _, err := Open(key, env); err == nil {
				t.Errorf("a body opens with another %s", name)
			}
		}
	default:
		if len(p.Body) != 0 || !errors.Is(err, ErrNotSealed) {
			t.Errorf("body %q, %v", p.Body, err)
		}
	}
}

func TestFullCaptureWithoutKeyIsRefused(t *testing.T) {
	for name, change := range map[string]func(*Config){
		"tap.capture":                 func(c *Config) { c.Capture = "full" },
		"tap.routes[0].capture":       func(c *Config) { c.Routes[0].Capture = "full" },
		"tap.encryption_key":          func(c *Config) { c.Capture, c.EncryptionKey = "full", secret.New("abcd") },
		"tap.routes[0].upstream":      func(c *Config) { c.Routes[0].Upstream = "api.openai.com" },
		"tap.routes[0].prefix":        func(c *Config) { c.Routes[0].Prefix = "openai" },
		"tap.routes[1].prefix":        func(c *Config) { c.Routes = append(c.Routes, c.Routes[0]) },
		"tap.headers":                 func(c *Config) { c.Headers = []string{"authorization"} },
		"would keep x-api-key":        func(c *Config) { c.Headers = []string{"x-*"} },
		"tap.max_in_flight_bytes":     func(c *Config) { c.MaxInFlightBytes = 1 },
		"tap.workers":                 func(c *Config) { c.Workers = 0 },
		"tap.listen":                  func(c *Config) { c.Listen = "nowhere" },
		"tap.connect_timeout":         func(c *Config) { c.ConnectTimeout = 0 },
		"tap.routes[0].set_headers":   func(c *Config) { c.Routes[0].SetHeaders = []HeaderOverride{{Name: "a b"}} },
		"credential.cache_entries":    func(c *Config) { c.Credential.CacheEntries = -1 },
		"pii: unknown class":          func(c *Config) { c.Redact.PII = []string{"shoe size"} },
		"full needs tap.encryption_k": func(c *Config) { c.Capture = "full" },
	} {
		cfg := testConfig(t, "http://127.0.0.1:1")
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := testConfig(t, "http://127.0.0.1:1").Validate(); err != nil {
		t.Error(err)
	}
}

func TestBinaryBodiesAreLeftOut(t *testing.T) {
	image := append([]byte("\x89PNG\r\n\x1a\n"), bytes.Repeat([]byte{0, 1, 2}, 1000)...)
	for contentType, state := range map[string]event.PayloadState{
		"image/png": event.PayloadState_PAYLOAD_STATE_BINARY, "": event.PayloadState_PAYLOAD_STATE_BINARY,
		"application/octet-stream": event.PayloadState_PAYLOAD_STATE_BINARY,
	} {
		up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
			_, _ = io.Copy(io.Discard, r.Body)
			w.Header()["Content-Type"] = []string{contentType}
			_, _ = w.Write(image)
		})
		b := newBench(t, benchOptions{upstream: up.URL})
		if _, got := post(t, newClient(t), b.url+"/openai/v1/images", question); got != string(image) {
			t.Error("bytes differ")
		}
		_, end := b.pair()
		if p := end.Response.Payload; p.State != state || len(p.Body) != 0 || len(p.Digest) != 32 {
			t.Errorf("%q: %v", contentType, p)
		}
	}
}

func TestNoPlantedSecretIsInAnyRecord(t *testing.T) {
	secrets := []string{
		"sk-proj-Abcdefghijklmnopqrst0123456789ABCDEFGHIJ", "AKIAIOSFODNN7EXAMPLQ", "ghp_0123456789abcdefghijABCDEFGHIJ012345",
		"AIzaSyA0123456789abcdefghijklmnopqrstuv",
	}
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		sent, _ := io.ReadAll(r.Body)
		w.Header().Set("Content-Type", "application/json")
		w.Header().Set("Request-Id", secrets[2])
		w.Header().Set("Set-Cookie", "s="+secrets[0])
		_, _ = w.Write(sent)
	})
	b := newBench(t, benchOptions{upstream: up.URL})
	client := newClient(t)
	for _, s := range secrets {
		body := `{"model":"m","messages":[{"role":"user","content":"my key is ` + s + ` ok"}],"user":"` + s + `"}`
		for _, header := range [][]string{
			{"Authorization", "Bearer " + s}, {"X-Api-Key", s}, {"Cookie", s}, {"User-Agent", "agent " + s}, {"X-Request-Id", s},
			{"X-Stainless-Lang", s}, {"Proxy-Authorization", "Basic " + s},
		} {
			post(t, client, b.url+"/openai/v1/"+s+"/x?key="+s+"&note="+s, body, header...)
		}
	}
	n := len(secrets) * 7 * 2
	for _, e := range b.envelopes(n) {
		raw, err := e.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range secrets {
			if at := bytes.Index(raw, []byte(s)); at >= 0 {
				t.Errorf("%s is in a %v: ...%q", s, e.Phase, raw[max(0, at-40):at])
			}
		}
	}
}

func TestMarksCountWholeFramesHoweverTheyAreCut(t *testing.T) {
	for text, want := range map[string]uint32{
		"":                                    0,
		"data: a\n\ndata: b\n\n":              2,
		"data: a\r\n\r\ndata: b\r\n\r\n":      2,
		"data: a\n\n\n\ndata: b\n\n":          2,
		"event: x\ndata: a\n\n: ping\n\ndata": 2,
		"data: a\n":                           0,
		"data: \r\r\n\n":                      1,
	} {
		for cut := 1; cut <= len(text)+1; cut++ {
			m := marks{on: true}
			for rest := text; rest != ""; {
				n := min(cut, len(rest))
				m.scan([]byte(rest[:n]))
				rest = rest[n:]
			}
			if m.frames != want {
				t.Errorf("%q in pieces of %d: %d frames, want %d", text, cut, m.frames, want)
			}
		}
	}
}

func TestCaptureKeepsBothEndsAndGivesItsMemoryBack(t *testing.T) {
	for _, x := range []struct {
		name                string
		size, piece         int
		limit, expected     int64
		encoding            string
		wantHead, wantTotal int
	}{
		{name: "short", size: 70_000, piece: 100, limit: 80 << 10, wantHead: 64 << 10, wantTotal: 70_000},
		{name: "exactly", size: 80 << 10, piece: 1000, limit: 80 << 10, wantHead: 64 << 10, wantTotal: 80 << 10},
		{name: "one more", size: 80<<10 + 1, piece: 1000, limit: 80 << 10, wantHead: 64 << 10, wantTotal: 80 << 10},
		{name: "long", size: 1_000_000, piece: 777, limit: 80 << 10, wantHead: 64 << 10, wantTotal: 80 << 10},
		{name: "large pieces", size: 1_000_000, piece: 32 << 10, limit: 80 << 10, wantHead: 64 << 10, wantTotal: 80 << 10},
		{name: "one piece", size: 1_000_000, piece: 1_000_000, limit: 80 << 10, wantHead: 64 << 10, wantTotal: 80 << 10},
		{name: "of known length", size: 1_000_000, piece: 5000, limit: 80 << 10, expected: 1_000_000, wantHead: 64 << 10, wantTotal: 80 << 10},
		{name: "shorter than it says", size: 500_000, piece: 5000, limit: 80 << 10, expected: 1_000_000, wantHead: 64 << 10, wantTotal: 64 << 10},
		{name: "encoded", size: 200_000, piece: 5000, limit: 80 << 10, encoding: "gzip", wantHead: 80 << 10, wantTotal: 80 << 10},
		{name: "small limit", size: 200_000, piece: 5000, limit: 10_000, wantHead: 10_000, wantTotal: 10_000},
	} {
		t.Run(x.name, func(t *testing.T) {
			pool := &chunkPool{budget: newBudget(minInFlightBytes)}
			c := capture{limit: x.limit, expected: x.expected, encoding: x.encoding}
			all := make([]byte, x.size)
			for i := range all {
				all[i] = byte(i * 7 / 3)
			}
			for rest := all; len(rest) > 0; {
				n := min(x.piece, len(rest))
				c.write(pool, rest[:n])
				rest = rest[n:]
			}
			c.freeze()
			c.write(pool, []byte("late"))
			got, head := c.assemble(nil)
			if head != x.wantHead || len(got) != x.wantTotal || c.wire != int64(x.size) || c.captured() != int64(len(got)) {
				t.Errorf("head %d, total %d, wire %d, captured %d", head, len(got), c.wire, c.captured())
			}
			if !bytes.HasPrefix(all, got[:head]) || !bytes.HasSuffix(all, got[head:]) {
				t.Error("the ends are not the body's")
			}
			c.free(pool)
			if used := pool.budget.used.Load(); used != 0 {
				t.Errorf("%d bytes leaked", used)
			}
		})
	}
}

func TestTheUsageAtTheEndOfALongAnswerIsKept(t *testing.T) {
	long := strings.Repeat(`a river \"carries\" small stones `, 20_000)
	whole := `{"id":"x","model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"` + long + `"},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":9,"total_tokens":16}}`
	stream := "data: {\"model\":\"gpt-5\",\"choices\":[]}\n\n" + strings.Repeat(`data: {"choices":[{"index":0,"delta":{"content":"a river "}}]}`+"\n\n", 9000) + "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":7,\"completion_tokens\":9,\"total_tokens\":16}}\n\ndata: [DONE]\n\n"
	for contentType, body := range map[string]string{"application/json": whole, "text/event-stream": stream} {
		for _, mode := range []string{"redacted", "hash"} {
			t.Run(contentType+" "+mode, func(t *testing.T) {
				up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
					_, _ = io.Copy(io.Discard, r.Body)
					w.Header().Set("Content-Type", contentType)
					_, _ = io.WriteString(w, body)
				})
				b := newBench(t, benchOptions{upstream: up.URL, config: func(c *Config) { c.Routes[0].Capture = mode }})
				if _, got := post(t, newClient(t), b.url+"/openai/v1/chat/completions", question); got != body {
					t.Fatal("the answer was changed")
				}
				_, end := b.pair()
				p := end.Response.Payload
				seen := p.Body
				if mode == "hash" {
					seen = p.Outline
				}
				if p.CapturedBytes != 80<<10 || !bytes.Contains(seen, []byte(`"completion_tokens":9`)) || !bytes.Contains(seen, []byte(`"model":"gpt-5"`)) {
					t.Errorf("captured %d, %d bytes of body, outline %.300s", p.CapturedBytes, len(p.Body), p.Outline)
				}
			})
		}
	}
}
