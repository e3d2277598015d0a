package workload

import (
	"fmt"
	"strings"
)

// ContentType is the type of the answer's body.
func (c *Call) ContentType() string {
	switch c.Kind {
	case ChatStream, MessagesStream, Broken:
		return "text/event-stream"
	}
	return "application/json"
}

// Streamed reports whether the caller asked for a stream.
func (c *Call) Streamed() bool {
	return c.Kind == ChatStream || c.Kind == MessagesStream || c.Kind == Broken
}

// Anthropic reports whether the call is in Anthropic's format.
func (c *Call) Anthropic() bool { return c.Kind == Messages || c.Kind == MessagesStream }

// RequestBody is what the caller sent.
func (c *Call) RequestBody() []byte {
	switch {
	case c.Anthropic():
		return fmt.Appendf(nil, `{"model":%q,"max_tokens":1024,"messages":[{"role":"user","content":%q}],"tools":[{"name":"find_invoice","input_schema":{"type":"object"}},{"name":"send_mail","input_schema":{"type":"object"}}],"metadata":{"user_id":%q},"stream":%t}`,
			c.Model, c.Prompt, c.EndUser, c.Streamed())
	case c.Kind == Embeddings:
		return fmt.Appendf(nil, `{"model":%q,"input":%q,"user":%q}`, c.Model, c.Prompt, c.EndUser)
	}
	return fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"user","content":%q}],"tools":[{"type":"function","function":{"name":"find_invoice","parameters":{"type":"object"}}},{"type":"function","function":{"name":"send_mail","parameters":{"type":"object"}}}],"user":%q,"stream":%t}`,
		c.Model, c.Prompt, c.EndUser, c.Streamed())
}

// ResponseBody is what the provider answered; nil when nothing came.
func (c *Call) ResponseBody() []byte {
	switch c.Kind {
	case Chat:
		return c.chat()
	case ChatStream, Broken:
		return c.chatStream()
	case Messages:
		return c.messages()
	case MessagesStream:
		return c.messagesStream()
	case Embeddings:
		return fmt.Appendf(nil, `{"object":"list","model":%q,"data":[{"object":"embedding","index":0,"embedding":[0.1,0.2]}],"usage":{"prompt_tokens":%d,"total_tokens":%d}}`,
			c.Answered, c.Uncached, c.Uncached)
	case Limited:
		return []byte(`{"error":{"message":"Rate limit reached","type":"requests","param":null,"code":"rate_limit_exceeded"}}`)
	}
	return nil
}

// chatUsage counts as OpenAI does: totals include their parts.
func (c *Call) chatUsage() string {
	in, out := c.Uncached+c.CacheRead, c.Text+c.Reasoning
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d},"completion_tokens_details":{"reasoning_tokens":%d}}`,
		in, out, in+out, c.CacheRead, c.Reasoning)
}

func (c *Call) chat() []byte {
	message, finish := fmt.Sprintf(`{"role":"assistant","content":%q}`, c.Reply), "stop"
	if t := c.Tool; t != nil {
		finish = "tool_calls"
		message = fmt.Sprintf(`{"role":"assistant","content":null,"tool_calls":[{"id":%q,"type":"function","function":{"name":%q,"arguments":%q}}]}`, t.ID, t.Name, t.Arguments)
	}
	return fmt.Appendf(nil, `{"id":%q,"object":"chat.completion","created":1772400000,"model":%q,"choices":[{"index":0,"message":%s,"finish_reason":%q}],"usage":%s,"service_tier":"default"}`,
		c.ResponseID, c.Answered, message, finish, c.chatUsage())
}

func (c *Call) chatStream() []byte {
	var s strings.Builder
	chunk := func(choices, rest string) {
		fmt.Fprintf(&s, `data: {"id":%q,"object":"chat.completion.chunk","created":1772400000,"model":%q,"choices":%s%s}`+"\n\n", c.ResponseID, c.Answered, choices, rest)
	}
	chunk(`[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]`, "")
	chunk(fmt.Sprintf(`[{"index":0,"delta":{"content":%q},"finish_reason":null}]`, c.Reply), "")
	if c.Kind == Broken {
		return []byte(s.String())
	}
	chunk(`[{"index":0,"delta":{},"finish_reason":"stop"}]`, "")
	chunk(`[]`, `,"usage":`+c.chatUsage())
	s.WriteString("data: [DONE]\n\n")
	return []byte(s.String())
}

// messagesUsage counts as Anthropic does: counts come on top of each other.
func (c *Call) messagesUsage(out int64) string {
	return fmt.Sprintf(`{"input_tokens":%d,"cache_creation_input_tokens":%d,"cache_read_input_tokens":%d,"cache_creation":{"ephemeral_5m_input_tokens":%d,"ephemeral_1h_input_tokens":%d},"output_tokens":%d}`,
		c.Uncached, c.Write5m+c.Write1h, c.CacheRead, c.Write5m, c.Write1h, out)
}

func (c *Call) messages() []byte {
	content, stop := fmt.Sprintf(`[{"type":"text","text":%q}]`, c.Reply), "end_turn"
	if t := c.Tool; t != nil {
		stop = "tool_use"
		content = fmt.Sprintf(`[{"type":"tool_use","id":%q,"name":%q,"input":%s}]`, t.ID, t.Name, t.Arguments)
	}
	return fmt.Appendf(nil, `{"id":%q,"type":"message","role":"assistant","model":%q,"content":%s,"stop_reason":%q,"stop_sequence":null,"usage":%s}`,
		c.ResponseID, c.Answered, content, stop, c.messagesUsage(c.Text))
}

func (c *Call) messagesStream() []byte {
	var s strings.Builder
	frame := func(kind, data string) {
		fmt.Fprintf(&s, "event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, data)
	}
	frame("message_start", fmt.Sprintf(`,"message":{"id":%q,"type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"usage":%s}`, c.ResponseID, c.Answered, c.messagesUsage(1)))
	stop := "end_turn"
	if t := c.Tool; t != nil {
		stop = "tool_use"
		frame("content_block_start", fmt.Sprintf(`,"index":0,"content_block":{"type":"tool_use","id":%q,"name":%q,"input":{}}`, t.ID, t.Name))
		half := len(t.Arguments) / 2
		frame("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"input_json_delta","partial_json":%q}`, t.Arguments[:half]))
		frame("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"input_json_delta","partial_json":%q}`, t.Arguments[half:]))
	} else {
		frame("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
		frame("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, c.Reply))
	}
	frame("content_block_stop", `,"index":0`)
	frame("message_delta", fmt.Sprintf(`,"delta":{"stop_reason":%q,"stop_sequence":null},"usage":{"output_tokens":%d}`, stop, c.Text))
	frame("message_stop", "")
	return []byte(s.String())
}
