package receive

import (
	"bytes"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// rawKey has the form of a provider's key. It stands in two parts, so that scanners of this file are not alarmed.
const rawKey = "sk-ant-" + "api03-Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmFyYmF6cXV4Zm9vYmEtAA"

func TestTextOfUntrustedSources_IsRedactedEverywhere(t *testing.T) {
	r := start(t, config(bearer("gateway", tokenA)))
	e := envelope("call-1", event.Phase_PHASE_RESPONSE)
	e.Gateway, e.Route, e.Provider, e.Dialect = rawKey, rawKey, rawKey, rawKey
	e.Source = &event.Source{Kind: rawKey, Instance: rawKey, Version: rawKey}
	e.Credential.Claims = []*event.Attribute{{Key: "sub", Value: rawKey}}
	q := e.Request
	q.Host, q.Path, q.UserAgent, q.RequestId, q.ClientAddress, q.Traceparent = rawKey, "/v1/"+rawKey, "agent "+rawKey, rawKey, rawKey, rawKey
	q.Query = "key=" + rawKey + "&x=" + rawKey
	q.Headers = []*event.Attribute{{Key: "x-note", Value: "Bearer " + rawKey}}
	q.Payload.Outline = []byte(`{"user":"` + rawKey + `"}`)
	q.Payload.ContentType = rawKey
	e.Response.ErrorClass = rawKey
	e.Response.Headers = []*event.Attribute{{Key: "x-note", Value: rawKey}}
	e.Response.Trailers = []*event.Attribute{{Key: "x-note", Value: rawKey}}
	e.Response.Payload.Body = []byte(`{"choices":[{"message":{"content":"the key is ` + rawKey + `, mail to anna.schmidt@example.com"}}]}`)
	if got := r.post(token(tokenA).with("Content-Type", MediaProtobuf), delimited(t, e)); got.status != 200 {
		t.Fatalf("answer %+v", got)
	}
	kept, err := proto.Marshal(r.envelopes[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{rawKey, rawKey[10:40], "anna.schmidt"} {
		if bytes.Contains(kept, []byte(secret)) {
			t.Errorf("%q is kept: %v", secret, r.envelopes[0])
		}
	}
	counts := map[string]uint32{}
	for _, c := range r.envelopes[0].Response.Payload.Redactions {
		counts[c.Rule] += c.Count
	}
	if counts["email"] != 1 || len(counts) != 2 {
		t.Errorf("redactions are %v", counts)
	}
}

func TestTrustedSource_KeepsItsText(t *testing.T) {
	sender := bearer("tap-far", tokenA)
	sender.TrustedRedaction = true
	r := start(t, config(sender))
	e := envelope("call-1", event.Phase_PHASE_REQUEST)
	e.Request.Headers[0].Value = "contact anna.schmidt@example.com"
	want := proto.CloneOf(e)
	if got := r.post(token(tokenA).with("Content-Type", MediaProtobuf), delimited(t, e)); got.status != 200 {
		t.Fatalf("answer %+v", got)
	}
	if diff := cmp.Diff(want, r.envelopes[0], protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

func TestRawCredentials_AreRefusedFromEverySource_AndNotEvenDeadLettersHoldThem(t *testing.T) {
	for name, change := range map[string]func(*event.Envelope){
		"as fingerprint":       func(e *event.Envelope) { e.Credential.Fingerprint = rawKey },
		"as last four":         func(e *event.Envelope) { e.Credential.Last4 = rawKey },
		"as kind":              func(e *event.Envelope) { e.Credential.Kind = rawKey },
		"in a request header":  func(e *event.Envelope) { e.Request.Headers[0] = &event.Attribute{Key: "X-Api-Key", Value: rawKey} },
		"in a response header": func(e *event.Envelope) { e.Response.Headers[0] = &event.Attribute{Key: "set-cookie", Value: rawKey} },
		"in a trailer": func(e *event.Envelope) {
			e.Response.Trailers = []*event.Attribute{{Key: "authorization", Value: rawKey}}
		},
	} {
		for _, trusted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, trusted %v", name, trusted), func(t *testing.T) {
				sender := bearer("gateway", tokenA)
				sender.TrustedRedaction = trusted
				r := start(t, config(sender))
				e := envelope("call-1", event.Phase_PHASE_RESPONSE)
				change(e)
				got := r.post(token(tokenA), asJSON(t, e))
				if got.status != 207 || got.RejectedCount != 1 || got.Rejected[0].Reason != ReasonRawCredential || strings.Contains(got.Rejected[0].Detail, rawKey) {
					t.Errorf("answer %+v", got)
				}
				if len(r.envelopes) != 0 || len(r.letters) != 1 || len(r.letters[0].Value) != 0 {
					t.Errorf("envelopes %v, letters %+v", r.envelopes, r.letters)
				}
			})
		}
	}
}

func headerOf(r batch.Reject, key string) string {
	for _, h := range r.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}

func TestDeadLettersOfUntrustedSources_HoldNoSecrets(t *testing.T) {
	r := start(t, config(bearer("gateway", tokenA)))
	noID := envelope("", event.Phase_PHASE_REQUEST)
	noID.Request.Headers[0].Value = "Bearer " + rawKey
	for _, c := range []struct{ media, body, want string }{
		{MediaNDJSON, `{"callId": "x", "unknown": "` + rawKey + `"}`, "redacted"},
		{MediaProtobuf, string(delimited(t, noID)), "redacted"},
		{MediaNDJSON, `{"callId": "x", "unknown": "harmless"}`, "whole"},
		{MediaNDJSON, "\x01\xfe" + rawKey + "\x00", "redacted"},
	} {
		r.letters = nil
		if got := r.post(token(tokenA).with("Content-Type", c.media), []byte(c.body)); got.RejectedCount != 1 {
			t.Fatalf("%q: answer %+v", c.body, got)
		}
		letter := r.letters[0]
		if how := headerOf(letter, HeaderLetterOriginal); how != c.want || bytes.Contains(letter.Value, []byte(rawKey[10:40])) {
			t.Errorf("%q became %s %q", c.body, how, letter.Value)
		}
		if (headerOf(letter, HeaderLetterDigest) == "") != (c.want == "whole") || headerOf(letter, HeaderLetterSource) != "gateway" {
			t.Errorf("headers %v", letter.Headers)
		}
	}
}

func TestMaxCapture_LeavesOutBodiesBeyondIt_AndKeepsWhatDecodersNeed(t *testing.T) {
	ciphertext := append(bytes.Repeat([]byte{0xf1, 0x80, 0xff}, 30), 0xfe)
	for name, c := range map[string]struct {
		most    string
		mode    event.CaptureMode
		body    []byte
		keyID   string
		kept    bool
		outline bool
		want    event.CaptureMode
	}{
		"redacted under redacted":  {"redacted", event.CaptureMode_CAPTURE_MODE_REDACTED, nil, "", true, false, event.CaptureMode_CAPTURE_MODE_REDACTED},
		"redacted under hash":      {"hash", event.CaptureMode_CAPTURE_MODE_REDACTED, nil, "", false, true, event.CaptureMode_CAPTURE_MODE_HASH},
		"redacted under metadata":  {"metadata", event.CaptureMode_CAPTURE_MODE_REDACTED, nil, "", false, true, event.CaptureMode_CAPTURE_MODE_METADATA},
		"full under redacted":      {"redacted", event.CaptureMode_CAPTURE_MODE_FULL, ciphertext, "key-1", false, false, event.CaptureMode_CAPTURE_MODE_REDACTED},
		"full under full":          {"full", event.CaptureMode_CAPTURE_MODE_FULL, ciphertext, "key-1", true, false, event.CaptureMode_CAPTURE_MODE_FULL},
		"text that claims full":    {"full", event.CaptureMode_CAPTURE_MODE_FULL, nil, "key-1", false, false, event.CaptureMode_CAPTURE_MODE_FULL},
		"full without its key":     {"full", event.CaptureMode_CAPTURE_MODE_FULL, ciphertext, "", false, false, event.CaptureMode_CAPTURE_MODE_FULL},
		"body that claims hash":    {"redacted", event.CaptureMode_CAPTURE_MODE_HASH, nil, "", false, true, event.CaptureMode_CAPTURE_MODE_HASH},
		"body that claims nothing": {"metadata", event.CaptureMode_CAPTURE_MODE_METADATA, nil, "", false, true, event.CaptureMode_CAPTURE_MODE_METADATA},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := config(bearer("gateway", tokenA))
			cfg.MaxCapture = c.most
			r := start(t, cfg)
			e := envelope("call-1", event.Phase_PHASE_RESPONSE)
			e.CaptureMode = c.mode
			if c.body != nil {
				e.Response.Payload.Body = c.body
			}
			e.Response.Payload.KeyId = c.keyID
			got := r.post(token(tokenA), asJSON(t, e))
			if got.status != 200 || (got.Reduced == 1) == c.kept {
				t.Fatalf("answer %+v", got)
			}
			kept := r.envelopes[0]
			p := kept.Response.Payload
			if kept.CaptureMode != c.want || (len(p.Body) > 0) != c.kept || (len(p.Outline) > 0) != c.outline {
				t.Errorf("mode %s, body %q, outline %q", kept.CaptureMode, p.Body, p.Outline)
			}
			if c.outline && !bytes.Contains(p.Outline, []byte(`"prompt_tokens":11`)) {
				t.Errorf("the outline lacks the usage: %s", p.Outline)
			}
			if digest := kept.Request.Payload.Digest; (len(digest) > 0) != (c.want != event.CaptureMode_CAPTURE_MODE_METADATA) {
				t.Errorf("digest is %q", digest)
			}
		})
	}
}

func TestEnvelopeTooLargeForABroker_LosesItsBody_ThenItsPlace(t *testing.T) {
	cfg := config(bearer("gateway", tokenA))
	cfg.MaxRecordBytes = 16 << 10
	r := start(t, cfg)
	long := envelope("call-1", event.Phase_PHASE_RESPONSE)
	long.Response.Payload.Body = fmt.Appendf(nil, `{"model":"gpt-5","choices":[{"message":{"content":%q}}],"usage":{"prompt_tokens":11}}`, strings.Repeat("word ", 8000))
	got := r.post(token(tokenA), asJSON(t, long))
	if got.status != 200 || got.Reduced != 1 {
		t.Fatalf("answer %+v", got)
	}
	p := r.envelopes[0].Response.Payload
	if len(p.Body) != 0 || p.State != event.PayloadState_PAYLOAD_STATE_TRUNCATED || !bytes.Contains(p.Outline, []byte(`"prompt_tokens":11`)) {
		t.Errorf("payload is %v", p)
	}
	wide := envelope("call-2", event.Phase_PHASE_REQUEST)
	for i := range 40 {
		wide.Request.Headers = append(wide.Request.Headers, &event.Attribute{Key: fmt.Sprintf("x-%d", i), Value: strings.Repeat("a b ", 200)})
	}
	if got := r.post(token(tokenA), asJSON(t, wide)); got.status != 207 || got.Rejected[0].Reason != ReasonTooLarge || len(r.letters) != 1 {
		t.Errorf("answer %+v, %d letters", got, len(r.letters))
	}
	if n := r.metric("modeltrail_receive_reduced_bodies_total", "reason="+reducedSize); n != 2 {
		t.Errorf("%v bodies counted", n)
	}
}

func TestInvalidFields_AreRefused(t *testing.T) {
	sender := bearer("tap-far", tokenA)
	sender.TrustedRedaction, sender.Instances = true, []string{"tap-7", "edge-*"}
	r := start(t, config(sender))
	for name, c := range map[string]struct {
		change func(*event.Envelope)
		want   string
	}{
		"call id with a line break": {func(e *event.Envelope) { e.CallId = "a\nb" }, ReasonInvalidField},
		"long call id":              {func(e *event.Envelope) { e.CallId = strings.Repeat("a", 129) }, ReasonInvalidField},
		"unknown mode":              {func(e *event.Envelope) { e.CaptureMode = 9 }, ReasonInvalidField},
		"body without mode":         {func(e *event.Envelope) { e.CaptureMode = 0 }, ReasonInvalidField},
		"text that is not UTF-8":    {func(e *event.Envelope) { e.Request.Path = "/\xff" }, ReasonInvalidField},
		"query that is not UTF-8":   {func(e *event.Envelope) { e.Request.Query = "\xff" }, ReasonInvalidField},
		"header name with a blank":  {func(e *event.Envelope) { e.Request.Headers[0].Key = "a b" }, ReasonInvalidField},
		"of another instance":       {func(e *event.Envelope) { e.Source.Instance = "tap-8" }, ReasonForeignSource},
	} {
		e := envelope("call-1", event.Phase_PHASE_REQUEST)
		c.change(e)
		var body bytes.Buffer
		value, err := e.MarshalVT()
		if err != nil {
			t.Fatal(err)
		}
		body.Write([]byte{byte(len(value)&0x7f | 0x80), byte(len(value) >> 7)})
		body.Write(value)
		got := r.post(token(tokenA).with("Content-Type", MediaProtobuf), body.Bytes())
		if got.status != 207 || got.Rejected[0].Reason != c.want {
			t.Errorf("%s: answer %+v", name, got)
		}
	}
	e := envelope("call-1", event.Phase_PHASE_REQUEST)
	e.Source.Instance = "edge-14"
	if got := r.post(token(tokenA), asJSON(t, e)); got.status != 200 {
		t.Errorf("allowed instance: %+v", got)
	}
}

// account is a ledger that counts.
type account struct{ numbered, lost int }

func (a *account) Epoch() uint64                 { return 42 }
func (a *account) Numbered(_, _ uint64)          { a.numbered++ }
func (a *account) Lost(_, _, _ uint64, _ string) { a.lost++ }

func TestNumbers_OfTheSenderStay_AndOwnOnesHaveNoHolesAfterAnOutage(t *testing.T) {
	r := start(t, config(bearer("gateway", tokenA)))
	ledger := &account{}
	r.receiver.numbers = newNumbers("receiver-1", "v2", ledger)
	send := func(ids ...string) answer {
		var body []byte
		for _, id := range ids {
			e := envelope(id, event.Phase_PHASE_REQUEST)
			if !strings.HasPrefix(id, "relayed") {
				e.Source = nil
			}
			body = append(append(body, asJSON(t, e)...), '\n')
		}
		return r.post(token(tokenA), body)
	}
	send("a", "relayed-1")
	r.fail(errors.New("away"))
	if got := send("b", "c"); got.status != 503 {
		t.Fatalf("answer %+v", got)
	}
	if n := r.metric("modeltrail_receive_unsettled_numbers"); n != 2 {
		t.Errorf("%v numbers wait", n)
	}
	r.fail(nil)
	send("d")
	send("c", "b")
	numbers := map[string]uint64{}
	for _, e := range r.envelopes {
		if e.CallId == "relayed-1" {
			if e.Source.Instance != "tap-7" || e.Source.Sequence != 12 {
				t.Errorf("relayed source is %v", e.Source)
			}
			continue
		}
		if s := e.Source; s.Kind != "receive" || s.Instance != "receiver-1" || s.Version != "v2" || s.BootEpoch != 42 {
			t.Errorf("own source is %v", s)
		}
		numbers[e.CallId] = e.Source.Sequence
	}
	if diff := cmp.Diff(map[string]uint64{"a": 1, "b": 2, "c": 3, "d": 4}, numbers); diff != "" {
		t.Error(diff)
	}
	if ledger.numbered != 4 || ledger.lost != 0 {
		t.Errorf("ledger %+v", ledger)
	}
}
