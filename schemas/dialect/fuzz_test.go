package dialect_test

import (
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/schemas/dialect"
	"github.com/modeltrail/modeltrail/schemas/event"
)

func FuzzOpenAIChat(f *testing.F)        { fuzz(f, dialect.OpenAIChat) }
func FuzzOpenAIResponses(f *testing.F)   { fuzz(f, dialect.OpenAIResponses) }
func FuzzOpenAIEmbeddings(f *testing.F)  { fuzz(f, dialect.OpenAIEmbeddings) }
func FuzzAnthropicMessages(f *testing.F) { fuzz(f, dialect.AnthropicMessages) }

// fuzz checks what must hold for any bodies: no panic, units that sum to their totals, bounded fields, strings that
// protobuf takes, and a result that does not depend on what the messages held before.
func fuzz(f *testing.F, name string) {
	files, err := filepath.Glob(filepath.Join("testdata", name, "*.case"))
	if err != nil || len(files) == 0 {
		f.Fatalf("no cases: %v", err)
	}
	for _, file := range files {
		in := load(f, file)
		f.Add(in.RequestBody, in.ResponseBody, in.Status, in.Method)
	}
	f.Fuzz(func(t *testing.T, request, response []byte, status int32, method string) {
		in := dialect.Input{
			Dialect: name, Method: method, RequestBody: request, HasResponse: true, ResponseBody: response, Status: status,
			Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE,
		}
		var call event.Call
		var usage event.Usage
		first := dialect.Decode(&in, &call, &usage)
		if first.FirstContentFrame < 0 {
			t.Fatalf("first content frame %d", first.FirstContentFrame)
		}
		check(t, &call, &usage)
		again, usageAgain := proto.Clone(&call).(*event.Call), proto.Clone(&usage).(*event.Usage)
		if second := dialect.Decode(&in, again, usageAgain); second != first || !proto.Equal(&call, again) || !proto.Equal(&usage, usageAgain) {
			t.Fatal("a second decode into the same messages differs")
		}
	})
}

func check(t *testing.T, call *event.Call, usage *event.Usage) {
	t.Helper()
	if _, err := proto.Marshal(call); err != nil {
		t.Fatal(err)
	}
	if len(call.FinishReasons) > 16 || len(call.ToolCalls) > 128 || len(call.ToolsOffered) > 256 || len(call.ErrorType) > 64 {
		t.Fatal("a list or the error type is too long")
	}
	for _, s := range append(append([]string{call.RequestModel, call.ResponseModel, call.ResponseId, call.EndUser}, call.FinishReasons...), call.ToolsOffered...) {
		if len(s) > 256+len("mcp:") || !utf8.ValidString(s) {
			t.Fatalf("bad string %q", s)
		}
	}
	sum(t, usage, usage.InTotal, usage.InUncached, usage.InCacheRead, usage.InCacheWrite_5M, usage.InCacheWrite_1H, usage.InCacheWriteUnknown, usage.InAudio, usage.InImage)
	sum(t, usage, usage.OutTotal, usage.OutText, usage.OutReasoning, usage.OutAudio)
}

func sum(t *testing.T, usage *event.Usage, total *int64, parts ...*int64) {
	t.Helper()
	var n int64
	for _, p := range parts {
		if p != nil {
			if *p < 0 {
				t.Fatalf("negative unit in %v", usage)
			}
			n += *p
		}
	}
	if total != nil && *total != n {
		t.Fatalf("units sum to %d of %d: %v", n, *total, usage)
	}
}

func BenchmarkDecode(b *testing.B) {
	outline := []byte(`{"model":"gpt-5.5","stream":false,"temperature":0.2,"max_completion_tokens":400,"user":"u-77","service_tier":"auto","tools":[{"type":"function","function":{"name":"get_invoice"}},{"type":"function","function":{"name":"pay_invoice"}},{"type":"function","function":{"name":"find_customer"}}],"metadata":{"user_id":"m-1"}}`)
	b.Run("chat answer 700 B", func(b *testing.B) {
		in := load(b, "testdata/openai_chat/whole.case")
		in.RequestBody = outline
		in.ResponseBody = []byte(strings.Replace(string(in.ResponseBody), "Invoice 17 is due.", strings.Repeat("Invoice 17 is due. ", 5), 1))
		bench(b, &in)
	})
	for _, name := range []string{"openai_chat/stream", "openai_chat/stream_tools", "openai_responses/tools", "openai_responses/stream", "openai_embeddings/whole", "anthropic_messages/whole", "anthropic_messages/stream"} {
		b.Run(name, func(b *testing.B) {
			in := load(b, "testdata/"+name+".case")
			in.RequestBody = outline
			bench(b, &in)
		})
	}
}

func bench(b *testing.B, in *dialect.Input) {
	b.Helper()
	var call event.Call
	var usage event.Usage
	b.SetBytes(int64(len(in.RequestBody) + len(in.ResponseBody)))
	b.ReportAllocs()
	for b.Loop() {
		dialect.Decode(in, &call, &usage)
	}
}
