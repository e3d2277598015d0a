package dialect_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/dialect"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
)

func TestFindReadsThePath(t *testing.T) {
	for _, c := range []struct{ name, path, want, operation string }{
		{"", "/v1/chat/completions", "openai_chat", "chat"},
		{"", "/v1/chat/completions/", "openai_chat", "chat"},
		{"", "/v1/completions", "openai_chat", "text_completion"},
		{"", "/openai/deployments/d/chat/completions", "openai_chat", "chat"},
		{"", "/v1/responses", "openai_responses", "chat"},
		{"", "/v1/responses/resp_1", "openai_responses", "chat"},
		{"", "/v1/responses/resp_1/input_items", "", ""},
		{"", "/v1/responses/input_tokens", "", ""},
		{"", "/v1/embeddings", "openai_embeddings", "embeddings"},
		{"", "/v1/messages", "anthropic_messages", "chat"},
		{"", "/anthropic/v1/messages", "anthropic_messages", "chat"},
		{"", "/v1/messages/count_tokens", "", ""},
		{"", "/v1/threads/t/messages", "", ""},
		{"", "/v1/models", "", ""},
		{"", "", "", ""},
		{"openai", "/v1/embeddings", "openai_embeddings", "embeddings"},
		{"openai", "/v1/messages", "", ""},
		{"anthropic", "/v1/messages", "anthropic_messages", "chat"},
		{"openai_chat", "/rewritten", "openai_chat", "chat"},
		{"openai_embeddings", "/rewritten", "openai_embeddings", "embeddings"},
		{"no_such", "/v1/messages", "", ""},
	} {
		d, operation, ok := dialect.Find(c.name, c.path)
		got := ""
		if ok {
			got = d.Name
		}
		if got != c.want || operation != c.operation {
			t.Errorf("Find(%q, %q) = %q, %q", c.name, c.path, got, operation)
		}
	}
}

func TestNamesAreAllFindable(t *testing.T) {
	want := []string{"openai_chat", "openai", "openai_responses", "openai_embeddings", "anthropic_messages", "anthropic"}
	if diff := cmp.Diff(want, dialect.Names()); diff != "" {
		t.Errorf("names differ (-want +got):\n%s", diff)
	}
}

func decode(in dialect.Input) (*event.Call, *event.Usage) {
	var call event.Call
	var usage event.Usage
	dialect.Decode(&in, &call, &usage)
	return &call, &usage
}

func TestUnknownDialectKeepsTheCall(t *testing.T) {
	call, usage := decode(dialect.Input{Method: "GET", Path: "/v1/models", HasResponse: true, Status: 403, Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, Provider: "openai"})
	if call.DecodeError != dialect.ErrorUnknownDialect || call.ErrorType != "http_403" || call.Provider != "openai" {
		t.Errorf("call is %v", call)
	}
	if usage.Source != event.UsageSource_USAGE_SOURCE_NONE || call.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("usage is %v, outcome %v", usage, call.Outcome)
	}
}

func TestListsAndStringsAreBounded(t *testing.T) {
	var tools, calls, choices []string
	for i := range 400 {
		tools = append(tools, fmt.Sprintf(`{"name":"tool%d"}`, i))
		calls = append(calls, fmt.Sprintf(`{"id":"c%d","function":{"name":"f","arguments":"{}"}}`, i))
		choices = append(choices, fmt.Sprintf(`{"index":%d,"finish_reason":"stop"}`, i))
	}
	long := strings.Repeat("é", 300)
	call, _ := decode(dialect.Input{
		Path: "/v1/chat/completions", HasResponse: true, Status: 200,
		RequestBody:  []byte(`{"model":"` + long + `","user":"x` + strings.Repeat(`\u00e9`, 300) + `","tools":[` + strings.Join(tools, ",") + `]}`),
		ResponseBody: []byte(`{"choices":[{"index":0,"message":{"tool_calls":[` + strings.Join(calls, ",") + `]}},` + strings.Join(choices, ",") + `]}`),
	})
	if len(call.ToolsOffered) != 256 || len(call.ToolCalls) != 128 || len(call.FinishReasons) != 16 {
		t.Errorf("%d tools, %d calls, %d reasons", len(call.ToolsOffered), len(call.ToolCalls), len(call.FinishReasons))
	}
	if call.RequestModel != strings.Repeat("é", 128) || call.EndUser != "x"+strings.Repeat("é", 127) {
		t.Errorf("model has %d bytes, user %d", len(call.RequestModel), len(call.EndUser))
	}
}

func TestInvalidUTF8IsMended(t *testing.T) {
	call, _ := decode(dialect.Input{Path: "/v1/embeddings", RequestBody: []byte("{\"model\":\"a\xffb\"}")})
	if call.RequestModel != "a\uFFFDb" {
		t.Errorf("model is %q", call.RequestModel)
	}
}

func TestLastOfDoubledMembersWins(t *testing.T) {
	call, _ := decode(dialect.Input{Path: "/v1/chat/completions", RequestBody: []byte(`{"model":"cheap","tools":[{"name":"a"}],"model":"dear","tools":[{"name":"b"}]}`)})
	if call.RequestModel != "dear" || len(call.ToolsOffered) != 1 || call.ToolsOffered[0] != "b" {
		t.Errorf("call is %v", call)
	}
}

func TestConfiguredProviderWins(t *testing.T) {
	call, _ := decode(dialect.Input{Provider: "x_ai", Path: "/openai/deployments/d/chat/completions", RequestBody: []byte(`{}`)})
	if call.Provider != "x_ai" || call.RequestModel != "d" {
		t.Errorf("call is %v", call)
	}
}

func TestDecodeDropsWhatTheMessagesHeld(t *testing.T) {
	files := cases(t)
	call, usage := &event.Call{}, &event.Usage{}
	for _, first := range files {
		for _, second := range []string{files[0], files[len(files)/2], files[len(files)-1]} {
			a, b := load(t, first), load(t, second)
			dialect.Decode(&a, call, usage)
			dialect.Decode(&b, call, usage)
			wantCall, wantUsage := decode(b)
			if call.String() != wantCall.String() || usage.String() != wantUsage.String() {
				t.Fatalf("%s after %s differs", second, first)
			}
		}
	}
}

func TestOutlineOfALongStreamKeepsUsageAndLengths(t *testing.T) {
	var body strings.Builder
	body.WriteString("data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"function\":{\"name\":\"f\",\"arguments\":\"\"}}]}}]}\n\n")
	for i := range 8000 {
		fmt.Fprintf(&body, "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"%d\"}}]}}]}\n\n", i%10)
	}
	body.WriteString("data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":9000}}\n\ndata: [DONE]\n\n")
	in := dialect.Input{
		Path: "/v1/chat/completions", RequestBody: []byte(`{}`), HasResponse: true, Status: 200,
		Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, ResponseBody: []byte(body.String()),
	}
	wantCall, wantUsage := decode(in)
	in.ResponseBody = outline.Append(nil, "", in.ResponseBody)
	call, usage := decode(in)
	if call.String() != wantCall.String() || usage.String() != wantUsage.String() || call.ToolCalls[0].GetArgumentsBytes() != 8000 {
		t.Errorf("got %v %v\nwant %v %v", call, usage, wantCall, wantUsage)
	}
	if len(in.ResponseBody) > 1000 {
		t.Errorf("outline has %d bytes", len(in.ResponseBody))
	}
}

func TestOutlineCutInTheMiddleSaysSo(t *testing.T) {
	var body strings.Builder
	for i := range 8000 {
		fmt.Fprintf(&body, "data: {\"id\":\"c\",\"model\":\"m\",\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w\"}}],\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":%d}}\n\n", i)
	}
	body.WriteString("data: [DONE]\n\n")
	call, usage := decode(dialect.Input{
		Path: "/v1/chat/completions", RequestBody: []byte(`{}`), HasResponse: true, Status: 200,
		Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, ResponseBody: outline.Append(nil, "", []byte(body.String())),
	})
	if call.DecodeError != dialect.ErrorResponseTruncated || call.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("call is %v", call)
	}
	if usage.GetOutTotal() != 7999 || usage.Source != event.UsageSource_USAGE_SOURCE_PROVIDER {
		t.Errorf("usage is %v", usage)
	}
}
