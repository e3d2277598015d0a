package provider

import "encoding/json"

// messageRequest is what the provider reads of an Anthropic Messages request.
type messageRequest struct {
	Model     string `json:"model"`
	MaxTokens int    `json:"max_tokens"`
	Messages  []struct {
		Role    string          `json:"role"`
		Content json.RawMessage `json:"content"`
	} `json:"messages"`
	Stream bool `json:"stream"`
	Tools  []struct {
		Name        string          `json:"name"`
		InputSchema json.RawMessage `json:"input_schema"`
	} `json:"tools"`
	ToolChoice json.RawMessage `json:"tool_choice"`
}

type messageUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	CacheCreation            struct {
		Ephemeral5m int `json:"ephemeral_5m_input_tokens"`
		Ephemeral1h int `json:"ephemeral_1h_input_tokens"`
	} `json:"cache_creation"`
	OutputTokens int    `json:"output_tokens"`
	ServiceTier  string `json:"service_tier"`
}

// finalUsage is the cumulative usage of message_delta.
type finalUsage struct {
	InputTokens              int `json:"input_tokens"`
	CacheCreationInputTokens int `json:"cache_creation_input_tokens"`
	CacheReadInputTokens     int `json:"cache_read_input_tokens"`
	OutputTokens             int `json:"output_tokens"`
}

type textBlock struct {
	Type string `json:"type"`
	Text string `json:"text"`
}

type toolBlock struct {
	Type  string          `json:"type"`
	ID    string          `json:"id"`
	Name  string          `json:"name"`
	Input json.RawMessage `json:"input"`
}

type message struct {
	ID           string       `json:"id"`
	Type         string       `json:"type"`
	Role         string       `json:"role"`
	Model        string       `json:"model"`
	Content      []any        `json:"content"`
	StopReason   *string      `json:"stop_reason"`
	StopSequence *string      `json:"stop_sequence"`
	Usage        messageUsage `json:"usage"`
}

// messageUsage counts as Anthropic does: input_tokens are those neither read from nor written to the cache.
func (c *call) messageUsage(output int) messageUsage {
	u := messageUsage{CacheReadInputTokens: c.script.Cached, CacheCreationInputTokens: c.script.CacheWrite, OutputTokens: output, ServiceTier: "standard"}
	u.InputTokens = c.promptTokens() - c.script.Cached - c.script.CacheWrite
	u.CacheCreation.Ephemeral5m = c.script.CacheWrite
	return u
}

// messages answers POST /v1/messages.
func messages(c *call) {
	var req messageRequest
	if !c.decode(&req) {
		return
	}
	if req.Model == "" || len(req.Messages) == 0 || req.MaxTokens <= 0 {
		c.fail(400, "model, max_tokens and messages: Field required")
		return
	}
	last := req.Messages[len(req.Messages)-1]
	var said content
	_ = said.UnmarshalJSON(last.Content) // reads what it can, never fails
	var offered []function
	for _, t := range req.Tools {
		offered = append(offered, function{t.Name, t.InputSchema})
	}
	tool := c.chosen(offered, string(said), forcedTool(req.ToolChoice))
	stop := "end_turn"
	if tool != nil {
		stop = "tool_use"
	}
	if c.script.Finish == "length" {
		stop = "max_tokens"
	}
	m := message{ID: c.id("msg_01", 22), Type: "message", Role: "assistant", Model: req.Model, Content: []any{}, Usage: c.messageUsage(1)}
	if req.Stream {
		c.messageStream(m, tool, stop)
		return
	}
	if tool != nil {
		m.Content = append(m.Content, toolBlock{"tool_use", c.id("toolu_01", 22), tool.name, json.RawMessage(tool.arguments())})
	} else {
		m.Content = append(m.Content, textBlock{"text", c.text()})
	}
	m.StopReason, m.Usage = &stop, c.messageUsage(c.script.CompletionTokens)
	if !c.sleep(c.script.Frame) {
		return
	}
	c.reply(200, m)
}

// blockEvent is any of the content_block events.
type blockEvent struct {
	Type  string `json:"type"`
	Index int    `json:"index"`
	Block any    `json:"content_block,omitempty"`
	Delta any    `json:"delta,omitempty"`
}

func (c *call) messageStream(m message, tool *function, stop string) {
	s := newStream(c)
	if s == nil {
		return
	}
	s.send("message_start", struct {
		Type    string  `json:"type"`
		Message message `json:"message"`
	}{"message_start", m})
	text, delta := "", func(piece string) any {
		return struct {
			Type string `json:"type"`
			Text string `json:"text"`
		}{"text_delta", piece}
	}
	var block any = textBlock{"text", ""}
	if tool != nil {
		text, block = tool.arguments(), toolBlock{"tool_use", c.id("toolu_01", 22), tool.name, json.RawMessage("{}")}
		delta = func(piece string) any {
			return struct {
				Type        string `json:"type"`
				PartialJSON string `json:"partial_json"`
			}{"input_json_delta", piece}
		}
	} else {
		text = c.text()
	}
	s.send("content_block_start", blockEvent{Type: "content_block_start", Block: block})
	s.send("ping", map[string]string{"type": "ping"})
	for _, piece := range split(text, c.script.Frames) {
		if !s.piece(func() { s.send("error", c.failure(529, "")) }) {
			return
		}
		s.send("content_block_delta", blockEvent{Type: "content_block_delta", Delta: delta(piece)})
	}
	s.send("content_block_stop", blockEvent{Type: "content_block_stop"})
	type stopDelta struct {
		StopReason   string  `json:"stop_reason"`
		StopSequence *string `json:"stop_sequence"`
	}
	u := c.messageUsage(c.script.CompletionTokens)
	s.send("message_delta", struct {
		Type  string     `json:"type"`
		Delta stopDelta  `json:"delta"`
		Usage finalUsage `json:"usage"`
	}{"message_delta", stopDelta{StopReason: stop}, finalUsage{u.InputTokens, u.CacheCreationInputTokens, u.CacheReadInputTokens, u.OutputTokens}})
	s.send("message_stop", map[string]string{"type": "message_stop"})
	s.close()
}

// countTokens answers POST /v1/messages/count_tokens.
func countTokens(c *call) { c.reply(200, map[string]int{"input_tokens": c.promptTokens()}) }
