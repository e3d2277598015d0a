package outline_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

func TestAppendKeepsTheSkeletonOnly(t *testing.T) {
	for name, c := range map[string]struct{ body, want string }{
		"chat request": {
			`{"model":"gpt-5.5","messages":[{"role":"user","content":"private"}],"stream":true,"max_tokens":5,"tools":[{"type":"function","function":{"name":"f","description":"private"}}]}`,
			`{"model":"gpt-5.5","stream":true,"max_tokens":5,"tools":[{"type":"function","function":{"name":"f"}}]}`,
		},
		"chat answer": {
			`{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content":"private","tool_calls":[{"id":"t","function":{"name":"f","arguments":"{\"a\":1}"}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":2,"future_tokens":7},"note":"private","cost":0.5}}`,
			`{"id":"c1","choices":[{"index":0,"message":{"role":"assistant","content_nonempty":true,"tool_calls":[{"id":"t","function":{"name":"f","arguments_len":7}}]},"finish_reason":"stop"}],"usage":{"prompt_tokens":5,"prompt_tokens_details":{"cached_tokens":2,"future_tokens":7},"cost":0.5}}`,
		},
		"a code is an error's or content": {
			`{"output":[{"type":"code_interpreter_call","code":"private"}],"error":{"type":"t","code":"c","message":"private"}}`,
			`{"output":[{"type":"code_interpreter_call"}],"error":{"type":"t","code":"c"}}`,
		},
		"code of an error event":     {`{"type":"error","code":"rate","message":"private"}`, `{"type":"error","code":"rate"}`},
		"code of another event":      {`{"type":"response.code.done","code":"private"}`, `{"type":"response.code.done"}`},
		"figures are no text":        {`{"max_tokens":"private","temperature":"0.5","stream":"private"}`, `{"temperature":"0.5"}`},
		"escaped keys":               {`{"mod\u0065l":"m","\u0078":1}`, `{"model":"m"}`},
		"embeddings":                 {`{"object":"list","data":[{"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":1}}`, `{"object":"list","usage":{"prompt_tokens":1}}`},
		"odd keys in usage":          {`{"usage":{"Private Words":1,"ok_2":2,"list":[1,2],"rounds":[{"n":1},3]}}`, `{"usage":{"ok_2":2,"list":[],"rounds":[{"n":1}]}}`},
		"long strings":               {`{"model":"` + strings.Repeat("x", 129) + `","user":"u"}`, `{"user":"u"}`},
		"raw control characters":     {"{\"model\":\"a\nb\",\"user\":\"\xff\",\"id\":\"\\q\"}", `{}`},
		"broken numbers":             {`{"max_tokens":01,"temperature":1.,"index":-,"created":2}`, `{"created":2}`},
		"truncated in a container":   {`{"model":"m","tools":[{"name":"f","type":"fu`, `{"model":"m","tools":[{"name":"f"}],"outline_end":"truncated"}`},
		"truncated in a number":      {`{"model":"m","max_tokens":12`, `{"model":"m","outline_end":"truncated"}`},
		"malformed":                  {`{"model":"m",oops`, `{"model":"m","outline_end":"malformed"}`},
		"no JSON":                    {`<html>private</html>`, `null`},
		"a word":                     {`"private"`, `null`},
		"a list":                     {`[{"error":{"code":400,"message":"private"}},{"x":1}]`, `{"error":{"code":400}}`},
		"error as text":              {`{"error":"private"}`, `{"error":{}}`},
		"anthropic tool":             {`{"content":[{"type":"tool_use","id":"t","name":"f","input":{"a": "private"}},{"type":"text","text":""}]}`, `{"content":[{"type":"tool_use","id":"t","name":"f","input_len":16},{"type":"text"}]}`},
		"metadata":                   {`{"metadata":{"user_id":"u","note":"private"}}`, `{"metadata":{"user_id":"u"}}`},
		"nothing":                    {"", ""},
		"only the beginning is JSON": {`{"model":"m"} private`, `{"model":"m"}`},
	} {
		if got := string(outline.Append(nil, "application/json", []byte(c.body))); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", name, got, c.want)
		}
	}
}

func TestAppendOfAStreamLeavesOutWhatRepeats(t *testing.T) {
	body := "event: message\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n" +
		": keep-alive\n\n" +
		"data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"private\"}}]}\n\n" +
		"data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"words\"}}]}\n\n" +
		"event: private\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"1234567\"}}]}}]}\n\n" +
		"data: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"12345\"}}]}}]}\n\n" +
		"data: not json\n\n" +
		"data: [DONE]\n\n"
	want := "event: message\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n" +
		": frame 3\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"content_nonempty\":true}}]}\n\n" +
		": frame 5\ndata: {\"id\":\"1\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments_len\":12}}]}}]}\n\n" +
		": frame 7\ndata: null\n\n" +
		"data: [DONE]\n\n"
	got := string(outline.Append([]byte("kept"), "text/event-stream", []byte(body)))
	if diff := cmp.Diff("kept"+want, got); diff != "" {
		t.Errorf("outline differs (-want +got):\n%s", diff)
	}
}

func TestAppendKeepsHeadAndEndOfALongStream(t *testing.T) {
	var body bytes.Buffer
	for i := range 20000 {
		fmt.Fprintf(&body, "data: {\"id\":\"c\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w\"}}],\"usage\":{\"completion_tokens\":%d}}\n\n", i)
	}
	body.WriteString("data: [DONE]\n\n")
	got := outline.Append(nil, "text/event-stream", body.Bytes())
	if len(got) > outline.MaxStream {
		t.Fatalf("%d bytes", len(got))
	}
	if n := bytes.Count(got, []byte("\n"+sse.CutComment+"\n")); n != 1 {
		t.Errorf("%d cut marks", n)
	}
	valid(t, got)
	if !bytes.HasPrefix(got, []byte(`data: {"id":"c","choices":[{"index":0,"delta":{"content_nonempty":true}}],"usage":{"completion_tokens":0}}`)) {
		t.Errorf("head is lost: %.120s", got)
	}
	if !bytes.HasSuffix(got, []byte("\"completion_tokens\":19999}}\n\ndata: [DONE]\n\n")) {
		t.Errorf("end is lost: %s", got[len(got)-120:])
	}
}

func TestAppendBoundsAHugeDocumentAndKeepsItsUsage(t *testing.T) {
	body := `{"model":"m","choices":[` + strings.Repeat(`{"index":0,"finish_reason":"`+strings.Repeat("x", 100)+`"},`, 2000) + `{}],"usage":{"prompt_tokens":7}}`
	got := outline.Append(nil, "application/json", []byte(body))
	if len(got) > outline.MaxJSON || !json.Valid(got) {
		t.Fatalf("%d bytes, valid %v", len(got), json.Valid(got))
	}
	if !bytes.HasSuffix(got, []byte(`],"usage":{"prompt_tokens":7},"outline_end":"limit"}`)) {
		t.Errorf("end is %s", got[len(got)-80:])
	}
}

func TestAppendBoundsDepth(t *testing.T) {
	body := strings.Repeat(`{"usage":`, 1) + strings.Repeat(`{"a":`, 100000) + `1` + strings.Repeat("}", 100001)
	got := outline.Append(nil, "application/json", []byte(body))
	if !json.Valid(got) || bytes.Count(got, []byte("{")) > 64 {
		t.Errorf("outline is %d bytes: %.200s", len(got), got)
	}
}

func TestAppendDoesNotAllocateIntoRoom(t *testing.T) {
	dst := make([]byte, 0, outline.MaxStream)
	for _, body := range samples(t) {
		if n := testing.AllocsPerRun(20, func() { outline.Append(dst, "", body) }); n != 0 {
			t.Errorf("%v allocations for %.60s", n, body)
		}
	}
}

// samples returns the bodies of the decoders' fixtures.
func samples(t testing.TB) (out [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../dialect/testdata/*/*.case")
	if err != nil || len(files) == 0 {
		t.Fatalf("no fixtures: %v", err)
	}
	for _, file := range files {
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, mark := range []string{"-- request --\n", "-- response --\n"} {
			_, rest, ok := bytes.Cut(raw, []byte(mark))
			body, _, _ := bytes.Cut(rest, []byte("-- response --\n"))
			if ok && len(body) > 0 {
				out = append(out, body)
			}
		}
	}
	return out
}

// valid fails unless an outline is JSON, or a stream of frames whose data is.
func valid(t testing.TB, got []byte) {
	t.Helper()
	if len(got) == 0 || json.Valid(got) {
		return
	}
	if !sse.Is("", got) {
		t.Fatalf("outline is neither JSON nor a stream: %.300q", got)
	}
	r := sse.NewReader(got)
	for f, ok := r.Next(); ok; f, ok = r.Next() {
		if !f.Whole {
			t.Fatalf("frame %d has no end", f.Number)
		}
		if f.Data != nil && string(f.Data) != "[DONE]" && !json.Valid(f.Data) {
			t.Fatalf("frame %d is not JSON: %q", f.Number, f.Data)
		}
	}
}

func TestAppendOfEveryPrefixIsWellFormed(t *testing.T) {
	for _, body := range samples(t) {
		for n := 0; n <= len(body); n += 1 + len(body)/200 {
			valid(t, outline.Append(nil, "", body[:n]))
		}
	}
}

const canary = "CANARY"

// plant returns a random JSON value in which every string, and every key that is not protocol, is a canary. Protocol
// keys get values of the kind that a hostile or careless peer might put there.
func plant(r *rand.Rand, depth int) string {
	keys := []string{"model", "messages", "content", "input", "text", "arguments", "choices", "message", "delta", "tool_calls", "function",
		"usage", "output", "item", "response", "error", "metadata", "code", "data", "embedding", "prompt", "instructions", "system", "tools",
		"parameters", "input_schema", "summary", "thinking", "partial_json", "refusal", "conversation", "action", "query", canary, canary + "_x"}
	switch n := r.IntN(6); {
	case depth > 6 || n == 0:
		return `"` + canary + `"`
	case n == 1:
		return fmt.Sprint(r.IntN(1000))
	case n == 2:
		var parts []string
		for range r.IntN(4) {
			parts = append(parts, plant(r, depth+1))
		}
		return "[" + strings.Join(parts, ",") + "]"
	default:
		var parts []string
		for range r.IntN(6) {
			parts = append(parts, `"`+keys[r.IntN(len(keys))]+`":`+plant(r, depth+1))
		}
		return "{" + strings.Join(parts, ",") + "}"
	}
}

// allowed are the keys under which a string survives somewhere.
var allowed = map[string]bool{"model": true, "code": true, "conversation": true}

func TestAppendLetsNoStringThroughUnderOtherKeys(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		doc := `{"type":"message","root":` + plant(r, 0) + `,"choices":[{"message":` + plant(r, 1) + `,"delta":` + plant(r, 1) + `}],"output":[` +
			plant(r, 1) + `],"usage":` + plant(r, 1) + `,"response":` + plant(r, 1) + `,"error":` + plant(r, 1) + `}`
		got := outline.Append(nil, "application/json", []byte(doc))
		var v any
		if err := json.Unmarshal(got, &v); err != nil {
			t.Fatalf("outline is no JSON: %v\n%s", err, got)
		}
		hunt(t, "", v)
	}
}

func hunt(t *testing.T, key string, v any) {
	t.Helper()
	switch v := v.(type) {
	case string:
		if strings.Contains(v, canary) && !allowed[key] {
			t.Fatalf("a string survived under %q", key)
		}
	case []any:
		for _, e := range v {
			hunt(t, key, e)
		}
	case map[string]any:
		for k, e := range v {
			if strings.Contains(k, canary) {
				t.Fatalf("a key survived: %q", k)
			}
			hunt(t, k, e)
		}
	}
}

func TestAppendOfAllFixturesHoldsNoContent(t *testing.T) {
	for _, body := range samples(t) {
		got := outline.Append(nil, "", body)
		for _, word := range []string{"nvoice 17 is", "private", "secret", "You are", "billing clerk", "Look something", "print(", "Rate limit", "https://", "EqQB", "tok\""} {
			if bytes.Contains(got, []byte(word)) {
				t.Errorf("%q survived: %.300s", word, got)
			}
		}
	}
}

func FuzzAppend(f *testing.F) {
	for _, body := range samples(f) {
		f.Add("text/event-stream", body)
	}
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		got := outline.Append(nil, contentType, body)
		limit := outline.MaxJSON
		if sse.Is(contentType, body) {
			limit = outline.MaxStream
		}
		if len(got) > limit {
			t.Fatalf("%d bytes", len(got))
		}
		if (len(got) == 0) != (len(body) == 0) {
			t.Fatalf("%d bytes became %d", len(body), len(got))
		}
		valid(t, got)
	})
}

func BenchmarkAppend(b *testing.B) {
	message := strings.Repeat("The invoice is due, says \\\"the clerk\\\".\\n", 25)
	var request, stream, embeddings bytes.Buffer
	request.WriteString(`{"model":"gpt-5.5","stream":true,"messages":[`)
	for range 20 {
		request.WriteString(`{"role":"user","content":"` + message + `"},`)
	}
	request.WriteString(`{"role":"user","content":"x"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}]}`)
	for i := range 300 {
		fmt.Fprintf(&stream, "data: {\"id\":\"chatcmpl-S1\",\"object\":\"chat.completion.chunk\",\"created\":1787565600,\"model\":\"gpt-5.5-2026-04-14\",\"service_tier\":\"default\",\"system_fingerprint\":\"fp_9a\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\" word%d\"},\"logprobs\":null,\"finish_reason\":null}],\"usage\":null,\"obfuscation\":\"x8Qm\"}\n\n", i)
	}
	stream.WriteString("data: [DONE]\n\n")
	embeddings.WriteString(`{"object":"list","data":[{"object":"embedding","index":0,"embedding":[` + strings.Repeat("-0.0093272923,", 1536) + `0]}],"model":"e","usage":{"prompt_tokens":8}}`)
	whole := []byte(`{"id":"chatcmpl-Ax81","object":"chat.completion","created":1787565600,"model":"gpt-5.5-2026-04-14","choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("The invoice is due. ", 8) + `","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":910,"completion_tokens":120,"total_tokens":1030,"prompt_tokens_details":{"cached_tokens":512,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_9a"}`)
	dst := make([]byte, 0, outline.MaxStream)
	for name, body := range map[string][]byte{"request 21 KB": request.Bytes(), "stream of 300 chunks": stream.Bytes(), "embedding": embeddings.Bytes(), "answer 700 B": whole} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				outline.Append(dst, "", body)
			}
		})
	}
}
