package provider

import "encoding/json"

// chatRequest is what the provider reads of a Chat Completions request.
type chatRequest struct {
	Model    string `json:"model"`
	Messages []struct {
		Role    string  `json:"role"`
		Content content `json:"content"`
	} `json:"messages"`
	Stream        bool `json:"stream"`
	StreamOptions struct {
		IncludeUsage bool `json:"include_usage"`
	} `json:"stream_options"`
	Tools []struct {
		Function struct {
			Name       string          `json:"name"`
			Parameters json.RawMessage `json:"parameters"`
		} `json:"function"`
	} `json:"tools"`
	ToolChoice     json.RawMessage `json:"tool_choice"`
	ResponseFormat struct {
		Type       string `json:"type"`
		JSONSchema struct {
			Schema json.RawMessage `json:"schema"`
		} `json:"json_schema"`
	} `json:"response_format"`
	ServiceTier string `json:"service_tier"`
}

type chatUsage struct {
	PromptTokens        int `json:"prompt_tokens"`
	CompletionTokens    int `json:"completion_tokens"`
	TotalTokens         int `json:"total_tokens"`
	PromptTokensDetails struct {
		CachedTokens int `json:"cached_tokens"`
		AudioTokens  int `json:"audio_tokens"`
	} `json:"prompt_tokens_details"`
	CompletionTokensDetails struct {
		ReasoningTokens          int `json:"reasoning_tokens"`
		AudioTokens              int `json:"audio_tokens"`
		AcceptedPredictionTokens int `json:"accepted_prediction_tokens"`
		RejectedPredictionTokens int `json:"rejected_prediction_tokens"`
	} `json:"completion_tokens_details"`
}

type chatTool struct {
	Index    *int   `json:"index,omitempty"` // in streams only
	ID       string `json:"id,omitempty"`
	Type     string `json:"type,omitempty"`
	Function struct {
		Name      string `json:"name,omitempty"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

type chatMessage struct {
	Role        string     `json:"role"`
	Content     *string    `json:"content"`
	ToolCalls   []chatTool `json:"tool_calls,omitempty"`
	Refusal     *string    `json:"refusal"`
	Annotations []any      `json:"annotations"`
}

type chatChoice struct {
	Index        int         `json:"index"`
	Message      chatMessage `json:"message"`
	Logprobs     any         `json:"logprobs"`
	FinishReason string      `json:"finish_reason"`
}

type chatCompletion struct {
	ID                string       `json:"id"`
	Object            string       `json:"object"`
	Created           int64        `json:"created"`
	Model             string       `json:"model"`
	Choices           []chatChoice `json:"choices"`
	Usage             chatUsage    `json:"usage"`
	ServiceTier       string       `json:"service_tier"`
	SystemFingerprint string       `json:"system_fingerprint"`
}

type chatDelta struct {
	Role      string     `json:"role,omitempty"`
	Content   *string    `json:"content,omitempty"`
	ToolCalls []chatTool `json:"tool_calls,omitempty"`
	Refusal   any        `json:"refusal,omitempty"`
}

type chunkChoice struct {
	Index        int       `json:"index"`
	Delta        chatDelta `json:"delta"`
	Logprobs     any       `json:"logprobs"`
	FinishReason *string   `json:"finish_reason"`
}

// chatChunk has a usage member, null but in the last chunk, only when the caller asked for usage.
type chatChunk struct {
	ID                string        `json:"id"`
	Object            string        `json:"object"`
	Created           int64         `json:"created"`
	Model             string        `json:"model"`
	ServiceTier       string        `json:"service_tier"`
	SystemFingerprint string        `json:"system_fingerprint"`
	Choices           []chunkChoice `json:"choices"`
}

type chatChunkUsage struct {
	chatChunk
	Usage *chatUsage `json:"usage"`
}

func (c *call) chatUsage() chatUsage {
	u := chatUsage{PromptTokens: c.promptTokens(), CompletionTokens: c.script.CompletionTokens}
	u.TotalTokens = u.PromptTokens + u.CompletionTokens
	u.PromptTokensDetails.CachedTokens = c.script.Cached
	u.CompletionTokensDetails.ReasoningTokens = c.script.Reasoning
	return u
}

// chat answers POST /v1/chat/completions.
func chat(c *call) {
	var req chatRequest
	if !c.decode(&req) {
		return
	}
	if req.Model == "" || len(req.Messages) == 0 {
		c.fail(400, "you must provide a model parameter and messages")
		return
	}
	tool := c.chatTool(&req)
	finish := "stop"
	if tool != nil {
		finish = "tool_calls"
	}
	if c.script.Finish != "" {
		finish = c.script.Finish
	}
	text := c.text()
	if req.ResponseFormat.Type == "json_object" || req.ResponseFormat.Type == "json_schema" {
		text = (&function{schema: req.ResponseFormat.JSONSchema.Schema}).arguments()
	}
	if req.Stream {
		c.chatStream(&req, tool, text, finish)
		return
	}
	message := chatMessage{Role: "assistant", Content: &text, Annotations: []any{}}
	if tool != nil {
		message.Content = nil
		message.ToolCalls = []chatTool{c.toolCall(tool, tool.arguments())}
	}
	if !c.sleep(c.script.Frame) {
		return
	}
	c.reply(200, chatCompletion{
		ID: c.id("chatcmpl-", 29), Object: "chat.completion", Created: c.started.Unix(), Model: req.Model,
		Choices: []chatChoice{{Message: message, FinishReason: finish}}, Usage: c.chatUsage(),
		ServiceTier: "default", SystemFingerprint: "fp_demo",
	})
}

// chatTool chooses among the offered tools. A caller that has just sent a tool's result gets text.
func (c *call) chatTool(req *chatRequest) *function {
	last := req.Messages[len(req.Messages)-1]
	if last.Role == "tool" && c.script.Tool == "" {
		return nil
	}
	var offered []function
	for _, t := range req.Tools {
		offered = append(offered, function{t.Function.Name, t.Function.Parameters})
	}
	return c.chosen(offered, string(last.Content), forcedTool(req.ToolChoice))
}

// forcedTool reads tool_choice: the named tool, "*" for any, "" for none.
func forcedTool(raw json.RawMessage) string {
	var word string
	if json.Unmarshal(raw, &word) == nil {
		if word == "required" || word == "any" {
			return "*"
		}
		return ""
	}
	var named struct {
		Type     string `json:"type"`
		Name     string `json:"name"`
		Function struct {
			Name string `json:"name"`
		} `json:"function"`
	}
	if json.Unmarshal(raw, &named) != nil {
		return ""
	}
	switch {
	case named.Function.Name != "":
		return named.Function.Name
	case named.Name != "":
		return named.Name
	case named.Type == "any":
		return "*"
	}
	return ""
}

func (c *call) toolCall(f *function, arguments string) chatTool {
	t := chatTool{ID: c.id("call_", 24), Type: "function"}
	t.Function.Name, t.Function.Arguments = f.name, arguments
	return t
}

func (c *call) chatStream(req *chatRequest, tool *function, text, finish string) {
	s := newStream(c)
	if s == nil {
		return
	}
	head := chatChunk{ID: c.id("chatcmpl-", 29), Object: "chat.completion.chunk", Created: c.started.Unix(), Model: req.Model,
		ServiceTier: "default", SystemFingerprint: "fp_demo"}
	emit := func(choices []chunkChoice, usage *chatUsage) {
		chunk := head
		chunk.Choices = choices
		if req.StreamOptions.IncludeUsage {
			s.send("", chatChunkUsage{chunk, usage})
		} else {
			s.send("", chunk)
		}
	}
	delta := func(d chatDelta) { emit([]chunkChoice{{Delta: d}}, nil) }
	fail := func() { s.send("", c.failure(500, "")) }
	empty := ""
	if tool == nil {
		delta(chatDelta{Role: "assistant", Content: &empty})
		for _, piece := range split(text, c.script.Frames) {
			if !s.piece(fail) {
				return
			}
			delta(chatDelta{Content: &piece})
		}
	} else {
		zero := 0
		first := c.toolCall(tool, "")
		first.Index = &zero
		delta(chatDelta{Role: "assistant", ToolCalls: []chatTool{first}})
		for _, piece := range split(tool.arguments(), c.script.Frames) {
			if !s.piece(fail) {
				return
			}
			next := chatTool{Index: &zero}
			next.Function.Arguments = piece
			delta(chatDelta{ToolCalls: []chatTool{next}})
		}
	}
	emit([]chunkChoice{{FinishReason: &finish}}, nil)
	if req.StreamOptions.IncludeUsage {
		u := c.chatUsage()
		emit([]chunkChoice{}, &u)
	}
	s.raw("", "[DONE]")
	s.close()
}
