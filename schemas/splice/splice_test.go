package splice

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/dialect"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

const chat = `{"id":"chatcmpl-1","object":"chat.completion","model":"gpt-5","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],"usage":{"prompt_tokens":120,"completion_tokens":200,"total_tokens":320}}`

func join(contentType, whole string, head, tail int) []byte {
	return Append(nil, contentType, []byte(whole[:head]), []byte(whole[len(whole)-tail:]), int64(len(whole)-head-tail))
}

func TestALongAnswerKeepsModelFinishAndUsage(t *testing.T) {
	whole := fmt.Sprintf(chat, strings.Repeat(`a \"quoted\" word, {braces} and [brackets]\n`, 5000))
	for _, tail := range []int{160, 400, 4000, 16000} {
		got := join("application/json", whole, 8000, tail)
		if !json.Valid(got) {
			t.Fatalf("tail %d: no JSON: ...%s", tail, got[len(got)-300:])
		}
		var call event.Call
		var usage event.Usage
		dialect.Decode(&dialect.Input{Path: "/v1/chat/completions", Method: "POST", RequestBody: []byte(`{"model":"gpt-5"}`),
			HasResponse: true, ResponseBody: got, ResponseTruncated: true, ResponseContentType: "application/json", Status: 200,
			Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE}, &call, &usage)
		if call.ResponseModel != "gpt-5" || usage.GetOutTotal() != 200 || usage.Source != event.UsageSource_USAGE_SOURCE_PROVIDER {
			t.Errorf("tail %d: model %q, usage %v", tail, call.ResponseModel, &usage)
		}
		if len(call.FinishReasons) != 1 || call.FinishReasons[0] != "stop" {
			t.Errorf("tail %d: finish %v", tail, call.FinishReasons)
		}
		if !bytes.Contains(got, []byte("bytes omitted")) {
			t.Errorf("tail %d: the gap is not named", tail)
		}
	}
}

func TestARequestWhoseModelStandsLastIsRead(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"messages":[`)
	for i := range 3000 {
		fmt.Fprintf(&b, `{"role":"user","content":"message %d"},`, i)
	}
	b.WriteString(`{"role":"user","content":"last"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"stream":true,"model":"claude-x"}`)
	got := join("application/json", b.String(), 20000, 3000)
	var body struct {
		Model    string
		Stream   bool
		Messages []struct{ Content string }
	}
	if err := json.Unmarshal(got, &body); err != nil {
		t.Fatal(err)
	}
	if body.Model != "claude-x" || !body.Stream || body.Messages[len(body.Messages)-1].Content != "last" {
		t.Errorf("%q %v, last message %v", body.Model, body.Stream, body.Messages[len(body.Messages)-1])
	}
}

func TestEmbeddingsKeepTheirUsage(t *testing.T) {
	whole := `{"object":"list","data":[` + strings.Repeat(`{"object":"embedding","index":0,"embedding":[0.0123,-0.5,1e-7,0.25]},`, 4000) +
		`{"object":"embedding","index":9,"embedding":[1]}],"model":"text-embedding-3-small","usage":{"prompt_tokens":8,"total_tokens":8}}`
	for head := 5000; head < 5100; head++ {
		for tail := 100; tail < 400; tail += 7 {
			if got := join("application/json", whole, head, tail); !json.Valid(got) || !bytes.Contains(got, []byte(`"prompt_tokens":8`)) {
				t.Fatalf("head %d, tail %d: %s", head, tail, got[len(got)-500:])
			}
		}
	}
}

func TestAStreamKeepsWholeEventsOnBothSides(t *testing.T) {
	for _, end := range []string{"\n", "\r\n"} {
		var b strings.Builder
		for i := range 500 {
			fmt.Fprintf(&b, "event: e%d%sdata: {\"n\":%d}%s%s", i, end, i, end, end)
		}
		whole := b.String()
		for head := 1000; head < 1060; head++ {
			got := join("text/event-stream", whole, head, head-400)
			reader := sse.NewReader(got)
			last := -1
			for {
				f, ok := reader.Next()
				if !ok {
					break
				}
				if f.Data == nil {
					continue
				}
				var data struct{ N int }
				if err := json.Unmarshal(f.Data, &data); err != nil || string(f.Event) != fmt.Sprintf("e%d", data.N) || data.N <= last {
					t.Fatalf("head %d: event %s data %s", head, f.Event, f.Data)
				}
				last = data.N
			}
			if last != 499 || !reader.Cut() {
				t.Fatalf("head %d: last %d, cut %v", head, last, reader.Cut())
			}
		}
	}
}

func TestOtherTextNamesTheGapBetweenWholeRunes(t *testing.T) {
	whole := strings.Repeat("häßlich ", 100)
	got := string(join("text/plain", whole, 12, 11))
	if strings.ContainsRune(got, '\uFFFD') || !strings.Contains(got, "bytes omitted") || strings.ToValidUTF8(got, "") != got {
		t.Errorf("%q", got)
	}
}

// TestEveryJoinIsJSONOrTheHead cuts random texts at random places. All but the tail's last bytes may be anywhere.
func TestEveryJoinIsJSONOrTheHead(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	joined := 0
	for range 4000 {
		whole, err := json.Marshal(map[string]any{"first": value(random, 5), "middle": value(random, 5), "z": value(random, 4)})
		if err != nil {
			t.Fatal(err)
		}
		if random.IntN(3) == 0 {
			var spaced bytes.Buffer
			if err := json.Indent(&spaced, whole, "", " "); err != nil {
				t.Fatal(err)
			}
			whole = spaced.Bytes()
		}
		for range 8 {
			head := 1 + random.IntN(len(whole)-1)
			tail := 1 + random.IntN(len(whole)-head)
			got := join("application/json", string(whole), head, tail)
			if head+tail == len(whole) {
				continue
			}
			switch {
			case json.Valid(got):
				joined++
			case !bytes.Equal(got, whole[:head]):
				t.Fatalf("neither JSON nor the head\nhead %s\ntail %s\ngot  %s", whole[:head], whole[len(whole)-tail:], got)
			}
		}
	}
	if joined < 5000 {
		t.Errorf("only %d of 32000 cuts were joined", joined)
	}
}

func value(random *rand.Rand, depth int) any {
	if depth == 0 || random.IntN(4) == 0 {
		switch random.IntN(4) {
		case 0:
			return random.Float64() * 1000
		case 1:
			return nil
		case 2:
			return true
		}
		texts := []string{"plain", `with "quotes" and \ backslash`, "{[,:]}", "ü日本😀", "\n\t\u0001", strings.Repeat(`\`, random.IntN(6)), strings.Repeat("long ", random.IntN(60))}
		var b strings.Builder
		for range random.IntN(4) {
			b.WriteString(texts[random.IntN(len(texts))])
		}
		return b.String()
	}
	if random.IntN(2) == 0 {
		list := make([]any, random.IntN(5))
		for i := range list {
			list[i] = value(random, depth-1)
		}
		return list
	}
	object := map[string]any{}
	for i := range random.IntN(5) {
		object[fmt.Sprintf("k%d\"", i)] = value(random, depth-1)
	}
	return object
}

func FuzzAppend(f *testing.F) {
	f.Add("application/json", []byte(`{"a":"xx`), []byte(`yy","b":[1,2]}`), int64(10))
	f.Add("text/event-stream", []byte("data: 1\n\ndata"), []byte("3\n\ndata: 4\n\n"), int64(3))
	f.Add("", []byte(`[[[[{"`), []byte(`\\\"}]]]]`), int64(1))
	f.Fuzz(func(t *testing.T, contentType string, head, tail []byte, omitted int64) {
		got := Append([]byte("x"), contentType, head, tail, omitted)
		if got[0] != 'x' || len(got) > 1+len(head)+len(tail)+200 {
			t.Errorf("%d bytes from %d and %d", len(got), len(head), len(tail))
		}
	})
}

func BenchmarkAppend(b *testing.B) {
	whole := fmt.Sprintf(chat, strings.Repeat(`a river carries small stones from high hills `, 6000))
	head, tail := []byte(whole[:64<<10]), []byte(whole[len(whole)-16<<10:])
	var out []byte
	b.SetBytes(int64(len(head) + len(tail)))
	b.ReportAllocs()
	for b.Loop() {
		out = Append(out[:0], "application/json", head, tail, int64(len(whole)-80<<10))
	}
}
