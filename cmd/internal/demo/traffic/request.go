package traffic

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
)

// maxPrompt bounds the text of a prompt in bytes; the scripted token count may stand for more.
const maxPrompt = 24 << 10

// sentences are what prompts are made of, about nine tokens each.
var sentences = []string{
	"Please read the following notes and say what matters. ",
	"The customer wrote twice and still waits for an answer. ",
	"Compare both versions and list what was changed and why. ",
	"The report covers the last quarter and three regions. ",
	"Keep the tone friendly, the sentences short and the facts right. ",
	"If something is missing, ask for it instead of guessing. ",
	"The build fails on the second step after the cache is restored. ",
	"Every item has a name, an amount and the day it was booked. ",
}

// personalData is invented: reserved domains, test card numbers and keys of no account.
var personalData = []string{
	"",
	"Write to jane.roe@customers.example about it. ",
	"She paid with card 4111 1111 1111 1111 last week. ",
	"The old script still has sk-demo-" + "Zk3vQ8mT1xR6bW9pL2nC in it. ",
}

// text is a prompt of about n tokens that depends on the call's number.
func (c *planned) text() string {
	var b strings.Builder
	b.WriteString(personalData[c.personal])
	for i := c.number; b.Len() < min(c.prompt*4, maxPrompt); i++ {
		b.WriteString(sentences[i%len(sentences)])
	}
	return strings.TrimSpace(b.String())
}

func toolSchema() json.RawMessage {
	return json.RawMessage(`{"type":"object","properties":{"subject":{"type":"string"},"limit":{"type":"integer"}},"required":["subject"]}`)
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// body is the request in the app's wire format.
func (c *planned) body() any {
	switch c.app.format {
	case formatResponses:
		return c.responsesBody()
	case formatMessages:
		return c.messagesBody()
	case formatEmbeddings:
		return map[string]any{"model": c.app.model, "input": c.text(), "dimensions": 256, "encoding_format": "base64"}
	}
	req := map[string]any{"model": c.app.model, "max_completion_tokens": c.script.CompletionTokens + 64, "user": c.app.id,
		"messages": []message{{"system", "You work for " + c.app.team + "."}, {"user", c.text()}}}
	if c.stream {
		req["stream"], req["stream_options"] = true, map[string]bool{"include_usage": true}
	}
	if c.app.tool != "" {
		req["tools"] = []any{map[string]any{"type": "function", "function": map[string]any{"name": c.app.tool, "parameters": toolSchema()}}}
	}
	return req
}

func (c *planned) responsesBody() any {
	req := map[string]any{"model": c.app.model, "max_output_tokens": c.script.CompletionTokens + 64, "instructions": "You work for " + c.app.team + ".",
		"input": []message{{"user", c.text()}}, "store": false}
	if c.stream {
		req["stream"] = true
	}
	if c.app.tool != "" {
		req["tools"] = []any{map[string]any{"type": "function", "name": c.app.tool, "parameters": toolSchema(), "strict": false}}
	}
	return req
}

func (c *planned) messagesBody() any {
	req := map[string]any{"model": c.app.model, "max_tokens": c.script.CompletionTokens + 64, "system": "You work for " + c.app.team + ".",
		"messages": []message{{"user", c.text()}}, "metadata": map[string]string{"user_id": c.app.id}}
	if c.stream {
		req["stream"] = true
	}
	if c.app.tool != "" {
		req["tools"] = []any{map[string]any{"name": c.app.tool, "input_schema": toolSchema()}}
	}
	return req
}

// path is the endpoint below the tap's URL.
func (c *planned) path(cfg *Config) string {
	switch c.app.format {
	case formatResponses:
		return cfg.OpenAIPrefix + "/v1/responses"
	case formatMessages:
		return cfg.AnthropicPrefix + "/v1/messages"
	case formatEmbeddings:
		return cfg.OpenAIPrefix + "/v1/embeddings"
	}
	return cfg.OpenAIPrefix + "/v1/chat/completions"
}

func (c *planned) headers(h http.Header) {
	h.Set("Content-Type", "application/json")
	h.Set("User-Agent", c.app.id+"/1.0")
	h.Set("X-Request-Id", c.requestID)
	h.Set("Traceparent", fmt.Sprintf("00-%016x%016x-%016x-01", c.number*0x9E37+1, c.number+1, c.number+1))
	h.Set(provider.HeaderScript, c.script.String())
	h.Set("Accept-Encoding", "identity")
	if c.script.Encoding != "" {
		h.Set("Accept-Encoding", c.script.Encoding)
	}
	if c.app.format == formatMessages {
		h.Set("X-Api-Key", c.secret)
		h.Set("Anthropic-Version", "2023-06-01")
		return
	}
	h.Set("Authorization", "Bearer "+c.secret)
}
