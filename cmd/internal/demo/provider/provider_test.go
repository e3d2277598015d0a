package provider

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/andybalholm/brotli"
	"github.com/google/go-cmp/cmp"
)

const chatBody = `{"model":"gpt-4o","messages":[{"role":"user","content":"hello"}]`

// ask sends one request and returns the answer with its body read.
func ask(t *testing.T, path, script, body string, headers ...string) (*http.Response, string, error) {
	t.Helper()
	srv := httptest.NewServer(New())
	t.Cleanup(srv.Close)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, srv.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer demo")
	req.Header.Set("Accept-Encoding", "identity")
	if script != "" {
		req.Header.Set(HeaderScript, script)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := srv.Client().Do(req)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	data, err := io.ReadAll(res.Body)
	return res, string(data), err
}

type frame struct {
	event string
	data  map[string]any
}

// frames reads a stream; the last element of data-only streams may be [DONE], kept as event.
func frames(t *testing.T, stream string) []frame {
	t.Helper()
	var out []frame
	var cur frame
	sc := bufio.NewScanner(strings.NewReader(stream))
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		line := sc.Text()
		switch {
		case strings.HasPrefix(line, "event: "):
			cur.event = line[7:]
		case line == "data: [DONE]":
			cur.event = "[DONE]"
		case strings.HasPrefix(line, "data: "):
			if err := json.Unmarshal([]byte(line[6:]), &cur.data); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
		case line == "":
			out = append(out, cur)
			cur = frame{}
		}
	}
	return out
}

// at walks a decoded JSON value by names and positions.
func at(v any, path ...any) any {
	for _, p := range path {
		switch k := p.(type) {
		case string:
			m, _ := v.(map[string]any)
			v = m[k]
		case int:
			l, _ := v.([]any)
			if k >= len(l) {
				return nil
			}
			v = l[k]
		}
	}
	return v
}

func object(t *testing.T, body string) any {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(body), &v); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	return v
}

func TestChat_Whole_HasScriptedUsage(t *testing.T) {
	res, body, err := ask(t, "/v1/chat/completions", "prompt_tokens=910;completion_tokens=120;cached=512;reasoning=64", chatBody+"}")
	if err != nil || res.StatusCode != 200 {
		t.Fatal(res, err)
	}
	v := object(t, body)
	want := map[string]any{"prompt_tokens": 910.0, "completion_tokens": 120.0, "total_tokens": 1030.0,
		"prompt_tokens_details":     map[string]any{"cached_tokens": 512.0, "audio_tokens": 0.0},
		"completion_tokens_details": map[string]any{"reasoning_tokens": 64.0, "audio_tokens": 0.0, "accepted_prediction_tokens": 0.0, "rejected_prediction_tokens": 0.0}}
	if diff := cmp.Diff(want, at(v, "usage")); diff != "" {
		t.Error(diff)
	}
	if at(v, "object") != "chat.completion" || at(v, "choices", 0, "finish_reason") != "stop" || at(v, "choices", 0, "message", "content") == "" {
		t.Error(body)
	}
}

func TestChat_Streamed_UsageOnlyWhenAsked(t *testing.T) {
	_, body, err := ask(t, "/v1/chat/completions", "prompt_tokens=9;completion_tokens=40;frames=5", chatBody+`,"stream":true,"stream_options":{"include_usage":true}}`)
	if err != nil {
		t.Fatal(err)
	}
	f := frames(t, body)
	if len(f) != 1+5+1+1+1 || f[len(f)-1].event != "[DONE]" {
		t.Fatalf("%d frames: %s", len(f), body)
	}
	last := f[len(f)-2].data
	if len(at(last, "choices").([]any)) != 0 || at(last, "usage", "completion_tokens") != 40.0 {
		t.Errorf("last chunk: %v", last)
	}
	if v, ok := f[1].data["usage"]; !ok || v != nil {
		t.Error("usage is not null in the chunks before the last")
	}
	_, body, _ = ask(t, "/v1/chat/completions", "", chatBody+`,"stream":true}`)
	if strings.Contains(body, "usage") {
		t.Error("usage was sent unasked")
	}
}

func TestChat_Tool_IsCalledWhenNamedOrForced(t *testing.T) {
	tools := `,"tools":[{"type":"function","function":{"name":"get_weather","parameters":{"type":"object","properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city","days"]}}}]`
	for _, tc := range []struct{ script, body string }{
		{"tool=get_weather", chatBody + tools + "}"},
		{"", strings.Replace(chatBody, "hello", "please call get_weather", 1) + tools + "}"},
		{"", chatBody + tools + `,"tool_choice":"required"}`},
		{"", chatBody + tools + `,"tool_choice":{"type":"function","function":{"name":"get_weather"}}}`},
	} {
		_, body, err := ask(t, "/v1/chat/completions", tc.script, tc.body)
		v := object(t, body)
		if err != nil || at(v, "choices", 0, "message", "tool_calls", 0, "function", "arguments") != `{"city":"Oslo","days":3}` || at(v, "choices", 0, "finish_reason") != "tool_calls" {
			t.Errorf("%s %v", body, err)
		}
	}
	_, body, _ := ask(t, "/v1/chat/completions", "tool=get_weather;frames=3", chatBody+tools+`,"stream":true}`)
	arguments := ""
	for _, f := range frames(t, body) {
		if s, ok := at(f.data, "choices", 0, "delta", "tool_calls", 0, "function", "arguments").(string); ok {
			arguments += s
		}
	}
	if arguments != `{"city":"Oslo","days":3}` {
		t.Error(body)
	}
	_, body, _ = ask(t, "/v1/chat/completions", "", chatBody+tools+"}")
	if strings.Contains(body, "tool_calls\":[") {
		t.Error("a tool was called without reason")
	}
}

func TestMessages_Streamed_FollowsTheEventSequence(t *testing.T) {
	_, body, err := ask(t, "/v1/messages", "prompt_tokens=1830;cached=1500;completion_tokens=212;frames=2", `{"model":"claude-sonnet-4-5","max_tokens":100,"stream":true,"messages":[{"role":"user","content":"hi"}]}`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	f := frames(t, body)
	for _, e := range f {
		names = append(names, e.event)
		if e.data["type"] != e.event {
			t.Errorf("event %s has type %v", e.event, e.data["type"])
		}
	}
	want := []string{"message_start", "content_block_start", "ping", "content_block_delta", "content_block_delta", "content_block_stop", "message_delta", "message_stop"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatal(diff)
	}
	if u := at(f[0].data, "message", "usage"); at(u, "input_tokens") != 330.0 || at(u, "cache_read_input_tokens") != 1500.0 || at(u, "output_tokens") != 1.0 {
		t.Errorf("start usage %v", u)
	}
	if d := f[6].data; at(d, "usage", "output_tokens") != 212.0 || at(d, "delta", "stop_reason") != "end_turn" {
		t.Errorf("final %v", d)
	}
}

func TestMessages_Tool_WholeAndStreamed(t *testing.T) {
	base := `{"model":"claude-sonnet-4-5","max_tokens":100,"messages":[{"role":"user","content":[{"type":"text","text":"use get_weather"}]}],"tools":[{"name":"get_weather","input_schema":{"type":"object","properties":{"city":{"type":"string"}},"required":["city"]}}]`
	_, body, _ := ask(t, "/v1/messages", "", base+"}", "X-Api-Key", "demo")
	v := object(t, body)
	if at(v, "content", 0, "type") != "tool_use" || at(v, "content", 0, "input", "city") != "Oslo" || at(v, "stop_reason") != "tool_use" {
		t.Error(body)
	}
	_, body, _ = ask(t, "/v1/messages", "", base+`,"stream":true}`)
	partial := ""
	for _, f := range frames(t, body) {
		if s, ok := at(f.data, "delta", "partial_json").(string); ok {
			partial += s
		}
	}
	if partial != `{"city":"Oslo"}` {
		t.Error(body)
	}
}

func TestResponses_Streamed_FollowsTheEventSequence(t *testing.T) {
	_, body, err := ask(t, "/v1/responses", "prompt_tokens=100;completion_tokens=50;cached=10;reasoning=20;frames=2", `{"model":"gpt-5.5","input":"hi","stream":true}`)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	f := frames(t, body)
	for i, e := range f {
		names = append(names, strings.TrimPrefix(e.event, "response."))
		if e.data["sequence_number"] != float64(i) || e.data["type"] != e.event {
			t.Errorf("event %d: %v", i, e)
		}
	}
	want := []string{"created", "in_progress", "output_item.added", "output_item.done", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta", "output_text.done", "content_part.done", "output_item.done", "completed"}
	if diff := cmp.Diff(want, names); diff != "" {
		t.Fatal(diff)
	}
	u := at(f[len(f)-1].data, "response", "usage")
	if at(u, "input_tokens") != 100.0 || at(u, "output_tokens_details", "reasoning_tokens") != 20.0 || at(u, "input_tokens_details", "cached_tokens") != 10.0 {
		t.Error(u)
	}
	text := at(f[8].data, "text").(string)
	if text != at(f[6].data, "delta").(string)+at(f[7].data, "delta").(string) {
		t.Error("the pieces are not the text")
	}
}

func TestResponses_FunctionCall_WholeAndIncomplete(t *testing.T) {
	body := `{"model":"gpt-5.5","input":[{"role":"user","content":"x"}],"tools":[{"type":"function","name":"lookup","parameters":{"type":"object"}}]}`
	_, out, _ := ask(t, "/v1/responses", "tool=lookup", body)
	if v := object(t, out); at(v, "output", 0, "type") != "function_call" || at(v, "output", 0, "name") != "lookup" || at(v, "status") != "completed" {
		t.Error(out)
	}
	_, out, _ = ask(t, "/v1/responses", "finish=length", body)
	if v := object(t, out); at(v, "status") != "incomplete" || at(v, "incomplete_details", "reason") != "max_output_tokens" {
		t.Error(out)
	}
}

func TestEmbeddings_FloatsAndBase64(t *testing.T) {
	_, out, _ := ask(t, "/v1/embeddings", "prompt_tokens=7", `{"model":"text-embedding-3-small","input":["a","b"],"dimensions":16}`)
	v := object(t, out)
	if len(at(v, "data").([]any)) != 2 || len(at(v, "data", 0, "embedding").([]any)) != 16 || at(v, "usage", "total_tokens") != 7.0 {
		t.Error(out)
	}
	_, out, _ = ask(t, "/v1/embeddings", "", `{"model":"text-embedding-3-small","input":"a","encoding_format":"base64"}`)
	if s, _ := at(object(t, out), "data", 0, "embedding").(string); len(s) != 8192 {
		t.Errorf("%d characters", len(s))
	}
}

func TestErrors_HaveTheDialectsShape(t *testing.T) {
	for _, tc := range []struct {
		path, script string
		status       int
		path0        []any
		want         any
	}{
		{"/v1/chat/completions", "status=401", 401, []any{"error", "code"}, "invalid_api_key"},
		{"/v1/chat/completions", "status=429;retry_after=3", 429, []any{"error", "code"}, "rate_limit_exceeded"},
		{"/v1/responses", "status=500", 500, []any{"error", "type"}, "server_error"},
		{"/v1/messages", "status=429", 429, []any{"error", "type"}, "rate_limit_error"},
		{"/v1/messages", "status=529", 529, []any{"error", "type"}, "overloaded_error"},
		{"/v1/nothing", "", 404, []any{"error", "type"}, "invalid_request_error"},
		{"/v1/chat/completions", "colour=red", 400, []any{"error", "type"}, "invalid_request_error"},
	} {
		res, body, err := ask(t, tc.path, tc.script, chatBody+"}")
		if err != nil || res.StatusCode != tc.status || at(object(t, body), tc.path0...) != tc.want {
			t.Errorf("%s %s: %v %s %v", tc.path, tc.script, res.StatusCode, body, err)
		}
		if tc.status == 429 && res.Header.Get("Retry-After") == "" {
			t.Error("no Retry-After")
		}
	}
	res, _, err := ask(t, "/v1/chat/completions", "", chatBody+"}", "Authorization", "")
	if err != nil || res.StatusCode != 401 {
		t.Error("a call without credential was answered")
	}
}

func TestStream_CutAndErrorEvent(t *testing.T) {
	for _, path := range []string{"/v1/chat/completions", "/v1/messages", "/v1/responses"} {
		request := `{"model":"m","max_tokens":9,"input":"x","messages":[{"role":"user","content":"x"}],"stream":true}`
		_, body, err := ask(t, path, "cut_after=2;frames=6", request)
		if !errors.Is(err, io.ErrUnexpectedEOF) || strings.Contains(body, "[DONE]") || strings.Contains(body, "message_stop") || strings.Contains(body, "response.completed") {
			t.Errorf("%s: cut: %v %s", path, err, body)
		}
		_, body, err = ask(t, path, "error_after=2;frames=6", request)
		if err != nil || !strings.Contains(body, "error") || strings.Contains(body, "[DONE]") || strings.Contains(body, "message_stop") || strings.Contains(body, "response.completed") {
			t.Errorf("%s: error event: %v %s", path, err, body)
		}
	}
	if _, _, err := ask(t, "/v1/chat/completions", "cut_after=1", chatBody+"}"); err == nil {
		t.Error("a whole answer was not cut")
	}
}

func TestEncoding_OnlyWhenAcceptedAndScripted(t *testing.T) {
	for enc, open := range map[string]func(io.Reader) (io.Reader, error){
		"gzip": func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) },
		"br":   func(r io.Reader) (io.Reader, error) { return brotli.NewReader(r), nil },
	} {
		for _, suffix := range []string{"}", `,"stream":true}`} {
			res, body, err := ask(t, "/v1/chat/completions", "enc="+enc, chatBody+suffix, "Accept-Encoding", enc)
			if err != nil || res.Header.Get("Content-Encoding") != enc {
				t.Fatal(enc, err)
			}
			r, err := open(strings.NewReader(body))
			if err != nil {
				t.Fatal(err)
			}
			plain, err := io.ReadAll(r)
			if err != nil || !strings.Contains(string(plain), "chatcmpl-") {
				t.Errorf("%s: %v %q", enc, err, plain)
			}
		}
		if res, _, _ := ask(t, "/v1/chat/completions", "enc="+enc, chatBody+"}"); res.Header.Get("Content-Encoding") != "" {
			t.Error("encoded unasked")
		}
	}
}

func TestScript_RoundTrip(t *testing.T) {
	in := Script{PromptTokens: 1, CompletionTokens: 2, Cached: 3, CacheWrite: 4, Reasoning: 1, Frames: 6, First: 7 * time.Millisecond,
		Frame: 8 * time.Millisecond, Status: 429, RetryAfter: 9, CutAfter: 10, ErrorAfter: 11, Tool: "t", Encoding: "br", Finish: "length", Text: "a b"}
	out, err := ParseScript(in.String())
	if diff := cmp.Diff(in, out); diff != "" || err != nil {
		t.Error(diff, err)
	}
	for _, bad := range []string{"frames=x", "nope=1", "status=-1"} {
		if _, err := ParseScript(bad); err == nil {
			t.Errorf("%s was accepted", bad)
		}
	}
}
