package backfill

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

func reader(t testing.TB) *Reader {
	t.Helper()
	redactor, err := redact.New(redact.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	r, err := NewReader(strings.Repeat("ab", 32), "old", "1", redactor)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

const full = `{"call_id":"c-1","started_at":"2026-01-02T03:04:05.5Z","duration_us":1500000,"time_to_first_byte_us":300000,"gateway":"edge","route":"llm","method":"POST",
"host":"api.openai.com","path":"/v1/chat/completions","http_status":200,"stream":true,"provider":"openai","operation":"chat","request_model":"gpt-5.5","response_model":"gpt-5.5-2026",
"credential_fingerprint":"mt1:00112233445566778899aabbccddeeff","headers":{"X-Team":"red"},"claims":{"sub":"ana"},"trace_id":"0af7651916cd43dd8448eb211c80319c",
"usage":{"in_total":100,"out_total":"7"},"in_uncached":60,"in_cache_read":40,"cost_usd":"0.000001234567","finish_reasons":["stop"],"tool_names":["search"],
"request_body":{"messages":[{"role":"user","content":"write to bob@example.org"}]},"response_body":"hello","team_id":"is found anew"}`

func line(s string) []byte { return []byte(strings.ReplaceAll(s, "\n", "")) }

func TestARecordBecomesWhatTheTapWouldHaveSeen(t *testing.T) {
	envs, err := reader(t).Envelopes(line(full), 7)
	if err != nil || len(envs) != 2 {
		t.Fatalf("%d envelopes, %v", len(envs), err)
	}
	request, response := envs[0], envs[1]
	for _, env := range envs {
		var back event.Envelope
		if err := wire.UnmarshalEnvelope(wire.MarshalEnvelope(nil, env), &back); err != nil || !proto.Equal(env, &back) {
			t.Errorf("the envelope does not travel: %v", err)
		}
		if env.CallId != "c-1" || env.Source.Sequence != 7 || env.Source.BootEpoch != BootEpoch || env.Source.Kind != Kind || env.Dialect != generic.Dialect {
			t.Errorf("identity %v", env)
		}
	}
	if request.Source.Instance != "backfill-abababababababab-requests" || response.Source.Instance != "backfill-abababababababab" {
		t.Errorf("instances %q, %q", request.Source.Instance, response.Source.Instance)
	}
	if got := string(request.Request.Payload.Body); strings.Contains(got, "bob@") || !strings.Contains(got, "REDACTED:email") {
		t.Errorf("request body is %s", got)
	}
	if len(response.Request.Payload.Body) > 0 || string(response.Response.Payload.Body) != "hello" {
		t.Errorf("bodies of the response %v", response)
	}
	start := time.Date(2026, 1, 2, 3, 4, 5, 5e8, time.UTC)
	if got := time.Unix(0, int64(response.Response.EndedUnixNano)).UTC(); !got.Equal(start.Add(1500 * time.Millisecond)) { //nolint:gosec // after 1970
		t.Errorf("ended at %s", got)
	}
	var facts generic.Facts
	if err := facts.Unmarshal(response.Request.Payload.Outline); err != nil {
		t.Fatal(err)
	}
	if *facts.CostPicoUSD != 1_234_567 || *facts.Usage.InTotal != 100 || *facts.Usage.OutTotal != 7 || *facts.Usage.InCacheRead != 40 || facts.Usage.OutText != nil || !facts.Stream {
		t.Errorf("facts %+v", facts)
	}
	if h := response.Request.Headers[0]; h.Key != "x-team" || h.Value != "red" || response.Credential.Claims[0].Value != "ana" || response.Credential.ClaimsVerified {
		t.Errorf("hints %v %v", response.Request.Headers, response.Credential)
	}
}

func TestEqualLinesOfOneFileAreOneEnvelope(t *testing.T) {
	a, err := reader(t).Envelopes(line(full), 7)
	if err != nil {
		t.Fatal(err)
	}
	b, err := reader(t).Envelopes(line(full), 7)
	if err != nil {
		t.Fatal(err)
	}
	for i := range a {
		if !bytes.Equal(wire.MarshalEnvelope(nil, a[i]), wire.MarshalEnvelope(nil, b[i])) {
			t.Errorf("envelope %d differs", i)
		}
	}
	anonymous := []byte(`{"started_at":"2026-01-01 00:00:00","model":"m"}`)
	first, _ := reader(t).Envelopes(anonymous, 1)
	second, _ := reader(t).Envelopes(anonymous, 2)
	if first[0].CallId == second[0].CallId || first[0].CallId == "" || first[0].Gateway != "old" {
		t.Errorf("call ids %q, %q", first[0].CallId, second[0].CallId)
	}
}

func TestBadLinesSayWhatIsWrongAndQuoteNothing(t *testing.T) {
	for name, c := range map[string]struct{ line, want string }{
		"no JSON":             {`{"a`, "not a JSON object"},
		"a list":              {`[1]`, "not a JSON object"},
		"null":                {`null`, "not a JSON object"},
		"no time":             {`{"model":"m"}`, "started_at is missing"},
		"no model":            {`{"started_at":"2026-01-01T00:00:00Z"}`, "request_model"},
		"a raw key":           {`{"started_at":"2026-01-01T00:00:00Z","model":"m","api_key":"sk-topsecret"}`, "api_key must not be loaded"},
		"a key as mark":       {`{"started_at":"2026-01-01T00:00:00Z","model":"m","credential_fingerprint":"sk-topsecret"}`, "not a fingerprint"},
		"a misspelt field":    {`{"started_at":"2026-01-01T00:00:00Z","model":"m","in_tokens":1}`, "in_tokens is no field"},
		"a misspelt unit":     {`{"started_at":"2026-01-01T00:00:00Z","model":"m","usage":{"in":1}}`, "in is no field"},
		"a negative count":    {`{"started_at":"2026-01-01T00:00:00Z","model":"m","in_total":-1}`, "in_total is negative"},
		"half a token":        {`{"started_at":"2026-01-01T00:00:00Z","model":"m","in_total":1.5}`, "in_total is not a whole number"},
		"a large status":      {`{"started_at":"2026-01-01T00:00:00Z","model":"m","http_status":70000}`, "HTTP status"},
		"an odd cost":         {`{"started_at":"2026-01-01T00:00:00Z","model":"m","cost_usd":"0.0000000000001"}`, "cost_usd is not an amount"},
		"a cost below zero":   {`{"started_at":"2026-01-01T00:00:00Z","model":"m","cost_usd":-1}`, "cost_usd is not an amount"},
		"time backwards":      {`{"started_at":"2026-01-01T00:00:00Z","model":"m","ended_at":"2025-01-01T00:00:00Z"}`, "ended_at is before"},
		"a number as time":    {`{"started_at":1767225600,"model":"m"}`, "started_at is not a time"},
		"an odd outcome":      {`{"started_at":"2026-01-01T00:00:00Z","model":"m","stream_outcome":"great"}`, "stream_outcome"},
		"centuries":           {`{"started_at":"2026-01-01T00:00:00Z","model":"m","duration_us":9000000000000000}`, "longer than a year"},
		"a time out of range": {`{"started_at":"9999-01-01T00:00:00Z","model":"m"}`, "outside the years"},
	} {
		_, err := reader(t).Envelopes([]byte(c.line), 1)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "topsecret") {
			t.Errorf("%s: error is %v, want one that says %q", name, err, c.want)
		}
	}
}

func TestALargeBodyIsLeftOutAndSaid(t *testing.T) {
	big := `{"started_at":"2026-01-01T00:00:00Z","model":"m","response_body":"` + strings.Repeat("word ", 300_000) + `"}`
	envs, err := reader(t).Envelopes([]byte(big), 1)
	if err != nil {
		t.Fatal(err)
	}
	if p := envs[0].Response.Payload; p.State != event.PayloadState_PAYLOAD_STATE_TRUNCATED || len(p.Body) > 0 || p.WireBytes != 1_500_000 {
		t.Errorf("payload %v", p)
	}
}

func FuzzEnvelopesNeverBreakAndAlwaysTravel(f *testing.F) {
	f.Add(line(full))
	f.Add([]byte(`{"started_at":"2026-01-01T00:00:00Z","model":"m","attributes":[{"key":"a","value":"b"}]}`))
	r := reader(f)
	f.Fuzz(func(t *testing.T, text []byte) {
		envs, err := r.Envelopes(text, 1)
		if err != nil {
			return
		}
		for _, env := range envs {
			var back event.Envelope
			if err := wire.UnmarshalEnvelope(wire.MarshalEnvelope(nil, env), &back); err != nil {
				t.Errorf("%v: %s", err, text)
			}
		}
	})
}
