package decode_test

import (
	"bytes"
	"encoding/json"
	"flag"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
)

var update = flag.Bool("update", false, "write the golden files anew")

var _ processors.Step = decode.New()

const (
	start = uint64(1787565600_000000000)

	requestBody  = `{"model":"claude-sonnet-5","max_tokens":1024,"stream":true,"messages":[{"role":"user","content":"private"}],"tools":[{"name":"get_invoice"}],"metadata":{"user_id":"user-8f"}}`
	responseBody = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"model\":\"claude-sonnet-5\",\"usage\":{\"input_tokens\":330,\"cache_read_input_tokens\":1500,\"cache_creation_input_tokens\":0,\"output_tokens\":1}}}\n\n" +
		"event: ping\ndata: {\"type\":\"ping\"}\n\n" +
		"event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"tool_use\",\"id\":\"toolu_1\",\"name\":\"get_invoice\",\"input\":{}}}\n\n" +
		"event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"input_json_delta\",\"partial_json\":\"{\\\"n\\\":17}\"}}\n\n" +
		"event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"tool_use\"},\"usage\":{\"output_tokens\":212}}\n\n" +
		"event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

// request returns a full request envelope, response one for its end.
func request() *event.Envelope {
	return &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: "01J-call", Phase: event.Phase_PHASE_REQUEST,
		Source:          &event.Source{Kind: "tap", Instance: "tap-1", BootEpoch: 7, Sequence: 41, Version: "0.1"},
		StartedUnixNano: start, ObservedUnixNano: start + 1e6, Gateway: "edge", Route: "claude", Provider: "anthropic",
		CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Credential:  &event.Credential{Fingerprint: "mt1:00112233445566778899aabbccddeeff", Last4: "f00d", Kind: "api_key"},
		Request: &event.Request{
			Method: "POST", Host: "ai.example.test", Path: "/v1/messages", Headers: []*event.Attribute{{Key: "x-team", Value: "finance"}},
			Payload: &event.Payload{
				State: event.PayloadState_PAYLOAD_STATE_FULL, Body: []byte(requestBody), Outline: outline.Append(nil, "", []byte(requestBody)),
				ContentType: "application/json", WireBytes: 180, CapturedBytes: 180, Digest: []byte{1, 2},
				Redactions: []*event.Redaction{{Rule: "email", Count: 2}, {Rule: "iban", Count: 1}},
			},
			ClientAddress: "10.4.2.19", UserAgent: "billing-bot/2.1", RequestId: "req-1",
			Traceparent: "00-5b8efff798038103d269b633813fc60c-eee19b7ec3c1b174-01",
		},
	}
}

func response() *event.Envelope {
	env := request()
	env.Phase = event.Phase_PHASE_RESPONSE
	env.ObservedUnixNano = start + 5e9
	env.Request.Payload.Body = nil
	env.Request.Payload.State = event.PayloadState_PAYLOAD_STATE_ABSENT
	env.Response = &event.Response{
		StatusCode: 200, HeadersUnixNano: start + 3e8, FirstByteUnixNano: start + 4e8, EndedUnixNano: start + 5e9,
		Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE,
		Payload: &event.Payload{
			State: event.PayloadState_PAYLOAD_STATE_FULL, Body: []byte(responseBody), Outline: outline.Append(nil, "text/event-stream", []byte(responseBody)),
			ContentType: "text/event-stream", WireBytes: int64(len(responseBody)), CapturedBytes: int64(len(responseBody)), Digest: []byte{3},
			Redactions: []*event.Redaction{{Rule: "email", Count: 3}, {Rule: "phone", Count: 1}},
		},
		Chunks: []*event.ChunkMark{{Frames: 1, AtUnixNano: start + 4e8}, {Frames: 3, AtUnixNano: start + 5e8}, {Frames: 5, AtUnixNano: start + 6e8}},
	}
	return env
}

func record(env *event.Envelope) *batch.Record {
	return &batch.Record{Position: batch.Position{Topic: event.TopicEnvelopes, Partition: 3, Offset: 99}, IngestedAt: time.Unix(0, int64(start)+6e9), Envelope: env}
}

func process(t testing.TB, env *event.Envelope) *event.Event {
	t.Helper()
	r := record(env)
	if v := decode.New().Process(r); v != (processors.Verdict{}) {
		t.Fatalf("verdict %+v", v)
	}
	return r.Event
}

func TestProcessMatchesGoldenFiles(t *testing.T) {
	for name, env := range map[string]*event.Envelope{"request": request(), "response": response()} {
		before := proto.Clone(env)
		raw, err := protojson.Marshal(process(t, env))
		if err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(before, env) {
			t.Errorf("%s: the envelope was written to", name)
		}
		var got bytes.Buffer
		if err := json.Indent(&got, raw, "", "  "); err != nil {
			t.Fatal(err)
		}
		golden := "testdata/" + name + ".golden"
		if *update {
			if err := os.WriteFile(golden, got.Bytes(), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got.String()); diff != "" {
			t.Errorf("%s differs (-want +got):\n%s", name, diff)
		}
	}
}

func TestStructuralFaultsAreRejected(t *testing.T) {
	for reason, spoil := range map[string]func(*event.Envelope){
		"no_call_id":             func(e *event.Envelope) { e.CallId = "" },
		"no_phase":               func(e *event.Envelope) { e.Phase = 0 },
		"unknown_schema_version": func(e *event.Envelope) { e.SchemaVersion = event.SchemaVersion + 1 },
		"no_source":              func(e *event.Envelope) { e.Source = nil },
		"no_start_time":          func(e *event.Envelope) { e.StartedUnixNano = 0 },
		"no_request":             func(e *event.Envelope) { e.Request = nil },
		"no_response":            func(e *event.Envelope) { e.Response = nil },
	} {
		env := response()
		spoil(env)
		v := decode.New().Process(record(env))
		if v.Action != processors.ActionReject || v.Reason != reason {
			t.Errorf("verdict %+v, want reason %s", v, reason)
		}
	}
	if v := decode.New().Process(record(nil)); v.Reason != decode.ReasonNoEnvelope {
		t.Errorf("verdict without envelope %+v", v)
	}
	for _, spoil := range []func(*event.Source){
		func(s *event.Source) { s.Instance = "" }, func(s *event.Source) { s.Kind = "" }, func(s *event.Source) { s.Sequence = 0 },
	} {
		env := request()
		spoil(env.Source)
		if v := decode.New().Process(record(env)); v.Reason != decode.ReasonNoSource {
			t.Errorf("verdict %+v", v)
		}
	}
}

func TestUnreadableBodiesKeepTheCall(t *testing.T) {
	env := response()
	env.Response.Payload = &event.Payload{State: event.PayloadState_PAYLOAD_STATE_UNDECODABLE}
	env.Request.Payload = nil
	e := process(t, env)
	if e.CallId != "01J-call" || e.Call.DecodeError != "response_absent" || e.ResponsePayload.State != event.PayloadState_PAYLOAD_STATE_UNDECODABLE {
		t.Errorf("event %v", e)
	}
}

func TestOutlinesGiveWhatBodiesGive(t *testing.T) {
	want := process(t, response())
	for _, mode := range []event.CaptureMode{event.CaptureMode_CAPTURE_MODE_METADATA, event.CaptureMode_CAPTURE_MODE_HASH, event.CaptureMode_CAPTURE_MODE_FULL} {
		env := response()
		env.CaptureMode = mode
		env.Response.Payload.Body = []byte("ciphertext or nothing")
		got := process(t, env)
		if !proto.Equal(want.Call, got.Call) || !proto.Equal(want.Usage, got.Usage) {
			t.Errorf("%v: %v %v", mode, got.Call, got.Usage)
		}
	}
}

func TestCaptureCutIsNotTheProvidersFault(t *testing.T) {
	for name, spoil := range map[string]func(*event.Payload){
		"state":  func(p *event.Payload) { p.State = event.PayloadState_PAYLOAD_STATE_TRUNCATED },
		"length": func(p *event.Payload) { p.CapturedBytes = 300 },
	} {
		env := response()
		env.Response.Payload.Body = env.Response.Payload.Body[:300]
		spoil(env.Response.Payload)
		e := process(t, env)
		if e.Call.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE || e.Call.DecodeError != "response_truncated" ||
			e.Usage.Source != event.UsageSource_USAGE_SOURCE_PARTIAL {
			t.Errorf("%s: %v %v", name, e.Call, e.Usage)
		}
	}
}

func TestTimesBeforeTheStartAreUnknown(t *testing.T) {
	env := response()
	env.Response.EndedUnixNano = start - 1
	env.Response.FirstByteUnixNano = 0
	env.Response.Chunks = env.Response.Chunks[:1]
	e := process(t, env)
	if e.DurationNs != nil || e.TimeToFirstByteNs != nil || e.Call.TimeToFirstTokenNs != nil {
		t.Errorf("times %v %v %v", e.DurationNs, e.TimeToFirstByteNs, e.Call.TimeToFirstTokenNs)
	}
}

func TestTraceIDIsTakenFromValidTraceparentsOnly(t *testing.T) {
	const id = "5b8efff798038103d269b633813fc60c"
	for header, want := range map[string]string{
		"00-" + id + "-eee19b7ec3c1b174-01":                               id,
		"01-" + id + "-eee19b7ec3c1b174-01-more":                          id,
		"00-" + id + "-eee19b7ec3c1b174-01-more":                          "",
		"01-" + id + "-eee19b7ec3c1b174-01more":                           "",
		"ff-" + id + "-eee19b7ec3c1b174-01":                               "",
		"00-" + strings.ToUpper(id) + "-eee19b7ec3c1b174-01":              "",
		"00-" + strings.Repeat("0", 32) + "-eee19b7ec3c1b174-01":          "",
		"00-" + id + "-0000000000000000-01":                               "",
		"00_" + id + "-eee19b7ec3c1b174-01":                               "",
		"00-" + id + "-eee19b7ec3c1b174-0x":                               "",
		"00-" + id:                                                        "",
		"":                                                                "",
		"<script>alert(1)</script>......................................": "",
	} {
		env := request()
		env.Request.Traceparent = header
		if got := process(t, env).TraceId; got != want {
			t.Errorf("%q gives %q", header, got)
		}
	}
}
