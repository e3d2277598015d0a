package receive

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/ingest/publish"
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

func (s *store) Write(_ context.Context, rejects []batch.Reject) error {
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

func TestEveryWayOfWriting_GivesTheSameEnvelopes_ExactlyAsSent(t *testing.T) {
	one, two := envelope("call-1", event.Phase_PHASE_REQUEST), envelope("call-1", event.Phase_PHASE_RESPONSE)
	a, b := asJSON(t, one), asJSON(t, two)
	pretty, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		media, coding string
		body          []byte
		want          []*event.Envelope
	}{
		"protobuf":            {MediaProtobuf, "", delimited(t, one, two), []*event.Envelope{one, two}},
		"protobuf, gzip":      {MediaProtobuf, "gzip", delimited(t, one, two), []*event.Envelope{one, two}},
		"JSON array":          {"application/json; charset=utf-8", "", fmt.Appendf(nil, " [%s,\n%s]\n", a, b), []*event.Envelope{one, two}},
		"JSON array, zstd":    {MediaJSON, "zstd", fmt.Appendf(nil, "[%s,%s]", a, b), []*event.Envelope{one, two}},
		"JSON object":         {MediaJSON, "", a, []*event.Envelope{one}},
		"JSON, many lines":    {MediaJSON, "", pretty, []*event.Envelope{one}},
		"JSON, one per line":  {MediaJSON, "", fmt.Appendf(nil, "%s\n\n%s", a, b), []*event.Envelope{one, two}},
		"NDJSON":              {MediaNDJSON, "", fmt.Appendf(nil, "%s\r\n%s\n", a, b), []*event.Envelope{one, two}},
		"two codings at once": {MediaNDJSON, "gzip, zstd", fmt.Appendf(nil, "%s\n%s", a, b), []*event.Envelope{one, two}},
	} {
		for _, trusted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, trusted %v", name, trusted), func(t *testing.T) {
				sender := bearer("tap-far", tokenA)
				sender.TrustedRedaction = trusted
				r := start(t, config(sender))
				body := c.body
				for coding := range strings.SplitSeq(c.coding, ", ") {
					if coding != "" {
						body = compress(t, coding, body)
					}
				}
				h := token(tokenA).with("Content-Type", c.media)
				if c.coding != "" {
					h = h.with("Content-Encoding", c.coding)
				}
				if got := r.post(h, body); got.status != http.StatusOK || got.Accepted != len(c.want) || got.RejectedCount != 0 {
					t.Fatalf("answer %+v", got)
				}
				if diff := cmp.Diff(c.want, r.envelopes, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestBadRecordsOfAGoodRequest_AreNamedCountedAndDeadLetters(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	good := asJSON(t, envelope("call-1", event.Phase_PHASE_REQUEST))
	noID := envelope("", event.Phase_PHASE_REQUEST)
	newer := envelope("call-3", event.Phase_PHASE_REQUEST)
	newer.SchemaVersion = 999
	lines := [][]byte{good, []byte(`{"callId":`), asJSON(t, noID), []byte(`{"unknown":1}`), asJSON(t, newer), good, []byte(`17`)}
	got := r.post(token(tokenA).with("Content-Type", MediaNDJSON), bytes.Join(lines, []byte("\n")))
	if got.status != http.StatusMultiStatus || got.Accepted != 2 || got.RejectedCount != 5 {
		t.Fatalf("answer %+v", got)
	}
	want := []Rejected{
		{Index: 1, Reason: ReasonNotJSON}, {Index: 2, Reason: "missing_call_id"}, {Index: 3, Reason: ReasonNotJSON},
		{Index: 4, Reason: "unknown_schema_version"}, {Index: 6, Reason: ReasonNotJSON},
	}
	for i := range got.Rejected {
		got.Rejected[i].Detail = ""
	}
	if diff := cmp.Diff(want, got.Rejected); diff != "" {
		t.Error(diff)
	}
	for i, letter := range r.letters {
		if !bytes.Equal(letter.Value, lines[want[i].Index]) {
			t.Errorf("dead letter %d is %q; want the original bytes", i, letter.Value)
		}
		if letter.Stage != Stage || letter.Reason != want[i].Reason || letter.Position != (batch.Position{Topic: event.TopicEnvelopes, Partition: -1, Offset: -1}) {
			t.Errorf("dead letter %d: %+v", i, letter)
		}
	}
	if n := r.metric("modeltrail_receive_records_total", "source=tap-far", "result=rejected"); n != 5 {
		t.Errorf("%v rejected records counted", n)
	}
	if n := r.metric("modeltrail_receive_rejected_records_total", "reason="+ReasonNotJSON); n != 3 {
		t.Errorf("%v not_json_envelope counted", n)
	}
}

func TestBodyThatCannotBeDivided_IsRefusedWhole(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	good := delimited(t, envelope("call-1", event.Phase_PHASE_REQUEST))
	for name, c := range map[string]struct {
		media string
		body  []byte
		want  int
	}{
		"length beyond the body": {MediaProtobuf, append(bytes.Clone(good), 0x7f, 1, 2), 400},
		"endless varint":         {MediaProtobuf, bytes.Repeat([]byte{0xff}, 12), 400},
		"array without end":      {MediaJSON, fmt.Appendf(nil, "[%s", asJSON(t, envelope("c", event.Phase_PHASE_REQUEST))), 400},
		"text after the array":   {MediaJSON, []byte("[] x"), 400},
		"broken array":           {MediaJSON, []byte("[{},,]"), 400},
		"empty":                  {MediaJSON, nil, 400},
		"other media type":       {"text/plain", good, 415},
		"no media type":          {"", good, 415},
	} {
		if got := r.post(token(tokenA).with("Content-Type", c.media), c.body); got.status != c.want || got.Error.Message == "" {
			t.Errorf("%s: %+v; want %d", name, got, c.want)
		}
	}
	if len(r.envelopes)+len(r.letters) != 0 {
		t.Errorf("%d envelopes and %d dead letters of refused requests", len(r.envelopes), len(r.letters))
	}
}

func TestWithoutADurableStep_NothingIsAnsweredWith2xx(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	body := asJSON(t, envelope("call-1", event.Phase_PHASE_REQUEST))
	r.refuse = errors.New("kafka is away")
	if got := r.post(token(tokenA), body); got.status != 503 || got.retryAfter != "5" || got.Error.Code != "not_durable" || got.Error.RetryAfterSeconds != 5 {
		t.Errorf("Kafka away: %+v", got)
	}
	r.refuse = fmt.Errorf("publish: %w", publish.ErrRefused)
	if got := r.post(token(tokenA), body); got.status != 503 || got.retryAfter != "1" || got.Error.Code != "overload" {
		t.Errorf("spool full: %+v", got)
	}
	r.refuse, r.lose = nil, errors.New("kafka is away")
	if got := r.post(token(tokenA), append(append(bytes.Clone(body), '\n'), "x"...)); got.status != 503 || got.retryAfter == "" {
		t.Errorf("dead letters away: %+v", got)
	}
	if len(r.envelopes) != 0 {
		t.Errorf("%d envelopes of refused requests", len(r.envelopes))
	}
}

func TestPublisherThatNeverAnswers_EndsIn503AfterTheDurableTimeout(t *testing.T) {
	cfg := config(bearer("tap-far", tokenA))
	cfg.DurableTimeout = 100 * time.Millisecond
	r := start(t, cfg)
	r.hold = make(chan struct{})
	started := time.Now()
	if got := r.post(token(tokenA), asJSON(t, envelope("call-1", event.Phase_PHASE_REQUEST))); got.status != 503 {
		t.Errorf("answer %+v", got)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// buggy panics at its first body.
type buggy struct{ ModelTrail }

func (buggy) Decode(context.Context, http.Header, []byte, func(Record) error) error {
	panic("sk-secret in a panic")
}

func TestBugInADecoder_CostsOneRequest(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)), buggy{})
	for range 2 {
		if got := r.post(token(tokenA), []byte("{}")); got.status != http.StatusInternalServerError || strings.Contains(got.Error.Message, "secret") {
			t.Errorf("answer %+v", got)
		}
	}
	if n := r.metric("modeltrail_receive_in_flight_bytes") + r.metric("modeltrail_receive_in_flight_requests"); n != 0 {
		t.Errorf("%v bytes and requests are still reserved", n)
	}
}

func TestTwoFormatsOfOnePath_AreRefused(t *testing.T) {
	s := &store{}
	_, err := New(config(), Settings{Publisher: s, DeadLetters: s, Formats: []Format{ModelTrail{}, buggy{}}})
	if err == nil || !strings.Contains(err.Error(), "/v1/envelopes") {
		t.Errorf("error is %v", err)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	if got := postTo(t, http.DefaultClient, strings.Replace(r.url, "/v1/envelopes", "/v1/other", 1), token(tokenA), strings.NewReader("{}")); got.status != 404 {
		t.Errorf("other path: %+v", got)
	}
	response, err := http.Get(r.url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", response.Status)
	}
}
