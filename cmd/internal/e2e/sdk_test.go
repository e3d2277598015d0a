package e2e

import (
	"fmt"
	"maps"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
	"github.com/modeltrail/modeltrail/cmd/internal/e2e/apachekafka"
)

// Secrets that must not be found in any topic, table, log or alert. Each is invented.
var (
	openAIKey    = "sk-proj-" + strings.Repeat("Zq7", 16) + "T3BlbkFJ" + strings.Repeat("v9K", 12)
	anthropicKey = "sk-ant-api03-" + strings.Repeat("Kd5_", 23) + "wAA"
	promptAWSKey = "AKIA" + "Z7QW3ERTY5UIOP2A"
	answerToken  = "ghp_" + "a8B3kL9mN2pQ4rS6tU1vW5xY7zC0dE3fGh2J"
	toolKey      = "AIza" + "SyB7wX9kLm2Nq4Rs6Tu8Vw0Xy1Za3Bc5De7"
	queryKey     = "qk_" + "93hf83hf02jd93jd02kd92ks02kd"
	cardNumber   = "4539 5787 6362 1486"
	mailAddress  = "rosa.planted@customer.example"
)

func planted() []string {
	return []string{
		openAIKey, anthropicKey, promptAWSKey, answerToken, toolKey, queryKey,
		cardNumber, strings.ReplaceAll(cardNumber, " ", ""), mailAddress,
	}
}

// wanted is what the row of a call must say. Empty strings of cost mean NULL.
type wanted struct {
	status              int
	outcome, usage      string
	in, out, cached     string // as SQL prints them; "-" is NULL
	cost, costStatus    string
	requested, answered string
	tools               string
}

type sdkCase struct {
	call     SDKCall
	want     wanted
	sdkOK    bool
	sdkTools []string
}

const (
	mini   = "gpt-4.1-mini"      // 0.4 in, 0.1 cached, 1.6 out, USD per million
	sonnet = "claude-sonnet-4-6" // 3 in, 0.3 cached, 15 out
)

func chatBody(stream bool, extra map[string]any) map[string]any {
	body := map[string]any{
		"model": mini, "messages": []any{map[string]any{"role": "user", "content": "Deploy with " + promptAWSKey + " and tell " + mailAddress + " about card " + cardNumber}},
	}
	if stream {
		body["stream"] = true
		body["stream_options"] = map[string]any{"include_usage": true}
	}
	maps.Copy(body, extra)
	return body
}

func messagesBody(stream bool, extra map[string]any) map[string]any {
	body := map[string]any{
		"model": sonnet, "max_tokens": 1024, "messages": []any{map[string]any{"role": "user", "content": "Summarise. Key " + promptAWSKey}},
	}
	if stream {
		body["stream"] = true
	}
	maps.Copy(body, extra)
	return body
}

// sdkCases lists the calls by their names, which travel as request ids. Costs are worked out by hand.
func sdkCases() []sdkCase {
	openai := func(name, op, script string, body map[string]any, abort int) SDKCall {
		return SDKCall{Name: name, SDK: "openai", Op: op, BaseURL: "{tap}/openai/v1", APIKey: openAIKey, Body: body, AbortAfter: abort,
			Headers: map[string]string{"x-request-id": name, "x-demo-script": script}}
	}
	anthropic := func(name, script string, body map[string]any, abort int) SDKCall {
		return SDKCall{Name: name, SDK: "anthropic", Op: "messages", BaseURL: "{tap}/anthropic", APIKey: anthropicKey, Body: body, AbortAfter: abort,
			Headers: map[string]string{"x-request-id": name, "x-demo-script": script}}
	}
	chatTools := map[string]any{"tools": []any{map[string]any{"type": "function", "function": map[string]any{
		"name": "get_weather", "parameters": map[string]any{"type": "object", "description": toolKey}}}}}
	claudeTools := map[string]any{"tools": []any{map[string]any{"name": "get_weather", "input_schema": map[string]any{"type": "object"}}}}
	const usage = "prompt_tokens=910;completion_tokens=120;cached=512;reasoning=64"
	full := wanted{status: 200, outcome: "complete", usage: "provider", in: "910", out: "120", cached: "512",
		cost: "0.0004024", costStatus: "priced", requested: mini, answered: mini} // 398*0.4 + 512*0.1 + 120*1.6 per million
	claude := wanted{status: 200, outcome: "complete", usage: "provider", in: "1830", out: "212", cached: "1500",
		cost: "0.00462", costStatus: "priced", requested: sonnet, answered: sonnet} // 330*3 + 1500*0.3 + 212*15 per million
	const claudeUsage = "prompt_tokens=1830;completion_tokens=212;cached=1500"
	with := func(w wanted, change func(*wanted)) wanted { change(&w); return w }
	return []sdkCase{
		{openai("chat-whole", "chat", usage, chatBody(false, nil), 0), full, true, nil},
		{openai("chat-gzip", "chat", usage+";enc=gzip", chatBody(false, nil), 0), full, true, nil},
		{openai("chat-stream", "chat", usage+";frames=12;frame_ms=2", chatBody(true, nil), 0), full, true, nil},
		{openai("chat-secret-answer", "chat", usage+";frames=30;text=Use the token "+answerToken+" for it", chatBody(true, nil), 0), full, true, nil},
		{openai("chat-no-usage", "chat", usage, chatBody(true, map[string]any{"stream_options": map[string]any{"include_usage": false}}), 0),
			with(full, func(w *wanted) {
				w.usage, w.in, w.out, w.cached, w.cost, w.costStatus = "none", "-", "-", "-", "-", "no_usage"
			}), true, nil},
		{openai("chat-tools", "chat", usage+";tool=get_weather", chatBody(false, chatTools), 0),
			with(full, func(w *wanted) { w.tools = "get_weather" }), true, []string{"get_weather"}},
		{openai("chat-tools-stream", "chat", usage+";tool=get_weather", chatBody(true, chatTools), 0),
			with(full, func(w *wanted) { w.tools = "get_weather" }), true, []string{"get_weather"}},
		{openai("chat-429", "chat", "status=429", chatBody(false, nil), 0),
			wanted{429, "complete", "none", "-", "-", "-", "-", "not_billed", mini, "", ""}, false, nil},
		{openai("chat-abort", "chat", usage+";frames=200;frame_ms=20", chatBody(true, nil), 5),
			with(full, func(w *wanted) {
				w.outcome, w.usage, w.in, w.out, w.cached, w.cost, w.costStatus = "client_abort", "none", "-", "-", "-", "-", "no_usage"
			}), true, nil},
		{openai("chat-cut", "chat", usage+";frames=20;cut_after=6", chatBody(true, nil), 0),
			with(full, func(w *wanted) {
				w.outcome, w.usage, w.in, w.out, w.cached, w.cost, w.costStatus = "upstream_abort", "none", "-", "-", "-", "-", "no_usage"
			}), false, nil},
		{openai("responses-whole", "responses", usage, map[string]any{"model": mini, "input": "Hello " + mailAddress}, 0), full, true, nil},
		{openai("responses-stream", "responses", usage, map[string]any{"model": mini, "input": "Hello", "stream": true}, 0), full, true, nil},
		{openai("embeddings", "embeddings", "prompt_tokens=250", map[string]any{"model": "text-embedding-3-small", "input": "find " + mailAddress}, 0),
			wanted{200, "complete", "provider", "250", "0", "-", "0.000005", "priced", "text-embedding-3-small", "text-embedding-3-small", ""}, true, nil},
		{anthropic("messages-whole", claudeUsage, messagesBody(false, nil), 0), claude, true, nil},
		{anthropic("messages-stream", claudeUsage+";frames=12", messagesBody(true, nil), 0), claude, true, nil},
		{anthropic("messages-tools", claudeUsage+";tool=get_weather", messagesBody(true, claudeTools), 0),
			with(claude, func(w *wanted) { w.tools = "get_weather" }), true, []string{"get_weather"}},
		{anthropic("messages-529", "status=529", messagesBody(false, nil), 0),
			wanted{529, "complete", "none", "-", "-", "-", "-", "not_billed", sonnet, "", ""}, false, nil},
		{anthropic("messages-abort", claudeUsage+";frames=200;frame_ms=20", messagesBody(true, nil), 6),
			wanted{200, "client_abort", "partial", "1830", "1", "1500", "0.001455", "priced", sonnet, sonnet, ""}, true, nil}, // 330*3 + 1500*0.3 + 1*15
	}
}

// portkeyCases are calls whose client knows only the gateway; the gateway's upstream is the tap.
func portkeyCases(gateway, tapURL string) []sdkCase {
	headers := func(name, provider, route, script string) map[string]string {
		return map[string]string{
			"x-portkey-provider": provider, "x-portkey-custom-host": tapURL + route,
			"x-portkey-forward-headers": "x-request-id,x-demo-script", "x-request-id": name, "x-demo-script": script,
		}
	}
	cases := sdkCases()
	pick := func(from, name, provider, route string) sdkCase {
		i := slices.IndexFunc(cases, func(c sdkCase) bool { return c.call.Name == from })
		c := cases[i]
		script := c.call.Headers["x-demo-script"]
		c.call.Name, c.call.BaseURL, c.call.Headers = name, gateway, headers(name, provider, route, script)
		return c
	}
	return []sdkCase{
		pick("chat-whole", "portkey-chat", "openai", "/openai/v1"),
		pick("chat-stream", "portkey-chat-stream", "openai", "/openai/v1"),
		pick("chat-tools", "portkey-tools", "openai", "/openai/v1"),
		pick("chat-429", "portkey-429", "openai", "/openai/v1"),
	}
}

// startPortkey runs the real Portkey gateway.
func startPortkey(t *testing.T) string {
	t.Helper()
	address := FreeAddress(t)
	_, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("node", filepath.Join(ClientsDir(t), "node_modules", "@portkey-ai", "gateway", "build", "start-server.js"), "--headless", "--port="+port)
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the Portkey gateway: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	Eventually(t, 30*time.Second, "the Portkey gateway answers", func() error {
		response, err := http.Get("http://" + address + "/")
		if err == nil {
			response.Body.Close()
		}
		return err
	})
	return "http://" + address + "/v1"
}

// drive runs the cases through the tap of n and checks what the client saw.
func drive(t *testing.T, n *Node, cases []sdkCase) {
	t.Helper()
	var calls []SDKCall
	for _, c := range cases {
		c.call.BaseURL = strings.Replace(c.call.BaseURL, "{tap}", n.TapURL, 1)
		calls = append(calls, c.call)
	}
	for i, r := range DriveSDKs(t, calls) {
		if r.OK != cases[i].sdkOK || !slices.Equal(r.Tools, cases[i].sdkTools) && len(cases[i].sdkTools) > 0 {
			t.Errorf("%s: the SDK saw ok=%t status=%d tools=%v error=%s %s", r.Name, r.OK, r.Status, r.Tools, r.Error, r.Message)
		}
	}
}

// checkRows compares every call's row to the last decimal.
func checkRows(t *testing.T, n *Node, cases []sdkCase) {
	t.Helper()
	n.WaitCount("calls", "1", len(cases))
	for _, c := range cases {
		row := n.Query(fmt.Sprintf(`SELECT toString(count()), toString(any(http_status)), toString(any(stream_outcome)), toString(any(usage_source)),
			ifNull(toString(any(in_total)), '-'), ifNull(toString(any(out_total)), '-'), ifNull(toString(any(in_cache_read)), '-'),
			ifNull(toString(any(cost_usd)), '-'), toString(any(cost_status)), any(request_model), any(response_model), arrayStringConcat(any(tool_names), ',')
			FROM calls WHERE request_id = '%s'`, c.call.Name))
		w := c.want
		want := strings.Join([]string{"1", fmt.Sprint(w.status), w.outcome, w.usage, w.in, w.out, w.cached, w.cost, w.costStatus, w.requested, w.answered, w.tools}, "\t")
		if strings.TrimRight(row, "\n") != want {
			t.Errorf("%s:\n got %s\nwant %s", c.call.Name, strings.TrimRight(row, "\n"), want)
		}
	}
}

// checkNothingLeaked searches everything that was stored or printed.
func checkNothingLeaked(t *testing.T, n *Node) {
	t.Helper()
	dumps := map[string]string{"topics": n.DumpTopics(), "tables": n.DumpTables(), "log": n.Log(), "output": n.Output()}
	if alerts, err := os.ReadFile(filepath.Join(n.DataDir, "alerts.jsonl")); err == nil {
		dumps["alerts"] = string(alerts)
	}
	for where, dump := range dumps {
		if len(dump) < 100 && where != "output" {
			t.Errorf("the dump of %s is suspiciously short: %d bytes", where, len(dump))
		}
		for _, secret := range planted() {
			if found := FindSecret(dump, secret); found != "" {
				t.Errorf("a planted secret stands in %s: %s", where, found)
			}
		}
	}
}

func TestRealSDKsAndPortkey_EveryCallIsExactlyOneRow(t *testing.T) {
	upstream := httptest.NewServer(provider.New())
	defer upstream.Close()
	n := Start(t, Setup{Upstream: upstream.URL})
	gateway := startPortkey(t)
	cases := append(sdkCases(), portkeyCases(gateway, n.TapURL)...)
	drive(t, n, cases)
	keyed, err := http.Post(n.TapURL+"/openai/v1/embeddings?key="+queryKey, "application/json", strings.NewReader(`{"model":"text-embedding-3-small","input":"x"}`))
	if err != nil {
		t.Fatal(err)
	}
	keyed.Body.Close()
	checkRows(t, n, append(cases, sdkCase{call: SDKCall{}, want: wanted{401, "complete", "none", "-", "-", "-", "-", "not_billed", "text-embedding-3-small", "", ""}}))
	n.CheckComplete()
	checkNothingLeaked(t, n)
}

func TestSamePathOnApacheKafka(t *testing.T) {
	if !apachekafka.Available() {
		t.Skip("no Java or no Maven on PATH; the same path runs on the embedded broker in this package")
	}
	upstream := httptest.NewServer(provider.New())
	defer upstream.Close()
	n := Start(t, Setup{Upstream: upstream.URL, Config: "kafka: {brokers: [\"" + apachekafka.Start(t) + "\"]}\n"})
	cases := sdkCases()
	drive(t, n, cases)
	checkRows(t, n, cases)
	n.CheckComplete()
	checkNothingLeaked(t, n)
}
