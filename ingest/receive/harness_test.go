package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// store is where envelopes and dead letters end; its functions can make it fail.
type store struct {
	mu        sync.Mutex
	envelopes []*event.Envelope
	letters   []batch.Reject
	refuse    error // of PublishDurable
	lose      error // of Write
	hold      chan struct{}
	writing   func(context.Context) // what else happens while dead letters are written
}

func (s *store) PublishDurable(ctx context.Context, envs []*event.Envelope) error {
	if s.hold != nil {
		select {
		case <-s.hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.refuse != nil {
		return s.refuse
	}
	for _, e := range envs {
		s.envelopes = append(s.envelopes, proto.CloneOf(e))
	}
	return nil
}

func (s *store) Write(ctx context.Context, rejects []batch.Reject) error {
	if s.writing != nil {
		s.writing(ctx)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.lose != nil {
		return s.lose
	}
	for _, r := range rejects {
		r.Value = bytes.Clone(r.Value)
		s.letters = append(s.letters, r)
	}
	return nil
}

func (s *store) fail(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refuse = err
}

const (
	tokenA = "token-a-0123456789abcdef0123456789abcdef"
	tokenB = "token-b-0123456789abcdef0123456789abcdef"
)

func config(sources ...Source) Config {
	cfg := DefaultConfig()
	cfg.Instance = "receiver-1"
	cfg.Sources = sources
	return cfg
}

func bearer(name string, tokens ...string) Source {
	s := Source{Name: name}
	for _, t := range tokens {
		s.Bearer = append(s.Bearer, Credential{Secret: secret.New(t)})
	}
	return s
}

// rig is a receiver behind a real HTTP server.
type rig struct {
	*store
	t        *testing.T
	receiver *Receiver
	registry *prometheus.Registry
	url      string
	now      time.Time
	mu       sync.Mutex
}

func start(t *testing.T, cfg Config, formats ...Format) *rig {
	t.Helper()
	r := &rig{store: &store{}, t: t, registry: prometheus.NewRegistry(), now: time.Unix(1_800_000_000, 0)}
	if len(formats) == 0 {
		formats = []Format{ModelTrail{}}
	}
	receiver, err := New(cfg, Settings{
		Publisher: r, DeadLetters: r, Formats: formats, Topic: event.TopicEnvelopes, Version: "test",
		Logger: zerolog.New(zerolog.NewTestWriter(t)), Registerer: r.registry, Now: r.clock,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.receiver = receiver
	server := httptest.NewServer(receiver)
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections(); server.Close() })
	r.url = server.URL + "/v1/envelopes"
	return r
}

func (r *rig) clock() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.now
}

func (r *rig) advance(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.now = r.now.Add(d)
}

// answer is what a sender gets.
type answer struct {
	Result
	Problem
	status     int
	retryAfter string
}

type header map[string]string

func token(t string) header {
	return header{"Authorization": "Bearer " + t, "Content-Type": MediaJSON}
}

func (h header) with(name, value string) header {
	out := header{name: value}
	for k, v := range h {
		if _, ok := out[k]; !ok {
			out[k] = v
		}
	}
	return out
}

func (r *rig) post(h header, body []byte) answer {
	r.t.Helper()
	return postTo(r.t, http.DefaultClient, r.url, h, bytes.NewReader(body))
}

func postTo(t *testing.T, client *http.Client, url string, h header, body io.Reader) answer {
	t.Helper()
	request, err := http.NewRequest(http.MethodPost, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for k, v := range h {
		request.Header.Set(k, v)
	}
	response, err := client.Do(request)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	a := answer{status: response.StatusCode, retryAfter: response.Header.Get("Retry-After")}
	if err := errors.Join(json.Unmarshal(text, &a.Result), json.Unmarshal(text, &a.Problem)); err != nil {
		t.Fatalf("%d %s: %v", response.StatusCode, text, err)
	}
	return a
}

func (r *rig) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.registry.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
	next:
		for _, m := range f.GetMetric() {
			for _, l := range labels {
				found := false
				for _, p := range m.GetLabel() {
					found = found || p.GetName()+"="+p.GetValue() == l
				}
				if !found {
					continue next
				}
			}
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// envelope is one as a tap makes it.
func envelope(id string, phase event.Phase) *event.Envelope {
	e := &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: id, Phase: phase,
		Source:          &event.Source{Kind: "tap", Instance: "tap-7", BootEpoch: 1_799_999_999_000_000_000, Sequence: 12, Version: "v1"},
		StartedUnixNano: 1_800_000_000_000_000_000, ObservedUnixNano: 1_800_000_001_123_000_000,
		Gateway: "edge", Route: "openai", Provider: "openai", CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Credential: &event.Credential{Fingerprint: "mt1:0123456789abcdef0123456789abcdef", Last4: "9f3a", Kind: "bearer",
			Claims: []*event.Attribute{{Key: "sub", Value: "svc-billing"}}},
		Request: &event.Request{
			Method: "POST", Host: "api.openai.com", Path: "/v1/chat/completions", Query: "alt=sse&key=REDACTED", HttpVersion: "HTTP/1.1",
			Headers:       []*event.Attribute{{Key: "user-agent", Value: "billing-bot/2.1"}, {Key: "x-request-id", Value: "req-" + id}},
			ClientAddress: "10.4.2.19", UserAgent: "billing-bot/2.1", RequestId: "req-" + id,
			Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
			Payload: &event.Payload{
				State: event.PayloadState_PAYLOAD_STATE_FULL, ContentType: "application/json", WireBytes: 90, CapturedBytes: 90, Digest: []byte("digest"),
				Body:       []byte(`{"model":"gpt-5","messages":[{"role":"user","content":"write to [REDACTED:email] now"}]}`),
				Redactions: []*event.Redaction{{Rule: "email", Count: 1}},
			},
		},
	}
	if phase == event.Phase_PHASE_RESPONSE {
		e.Request.Payload.Body, e.Request.Payload.Redactions = nil, nil
		e.Request.Payload.Outline = []byte(`{"model":"gpt-5"}`)
		e.Response = &event.Response{
			StatusCode: 200, Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, EndedUnixNano: 1_800_000_001_123_000_000,
			Headers: []*event.Attribute{{Key: "content-type", Value: "application/json"}},
			Payload: &event.Payload{State: event.PayloadState_PAYLOAD_STATE_FULL, ContentType: "application/json",
				Body: []byte(`{"model":"gpt-5","choices":[{"message":{"content":"done"}}],"usage":{"prompt_tokens":11,"completion_tokens":3}}`)},
			Chunks: []*event.ChunkMark{{Frames: 1, AtUnixNano: 5}},
		}
	}
	return e
}

func delimited(t *testing.T, envs ...*event.Envelope) []byte {
	t.Helper()
	var out bytes.Buffer
	for _, e := range envs {
		if _, err := protodelim.MarshalTo(&out, e); err != nil {
			t.Fatal(err)
		}
	}
	return out.Bytes()
}

func asJSON(t *testing.T, e *event.Envelope) []byte {
	t.Helper()
	out, err := protojson.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func compress(t *testing.T, coding string, body []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	var w io.WriteCloser = gzip.NewWriter(&out)
	if coding == "zstd" {
		encoder, err := zstd.NewWriter(&out)
		if err != nil {
			t.Fatal(err)
		}
		w = encoder
	}
	if _, err := w.Write(body); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
