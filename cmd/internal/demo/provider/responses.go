package provider

import "encoding/json"

// responseRequest is what the provider reads of a Responses request.
type responseRequest struct {
	Model              string          `json:"model"`
	Input              json.RawMessage `json:"input"`
	Instructions       *string         `json:"instructions"`
	MaxOutputTokens    *int            `json:"max_output_tokens"`
	Stream             bool            `json:"stream"`
	Store              *bool           `json:"store"`
	PreviousResponseID *string         `json:"previous_response_id"`
	Temperature        *float64        `json:"temperature"`
	TopP               *float64        `json:"top_p"`
	Tools              []responseTool  `json:"tools"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	Metadata           json.RawMessage `json:"metadata"`
	User               *string         `json:"user"`
}

type responseTool struct {
	Type       string          `json:"type"`
	Name       string          `json:"name,omitempty"`
	Parameters json.RawMessage `json:"parameters,omitempty"`
	Strict     bool            `json:"strict"`
}

type responseUsage struct {
	InputTokens        int `json:"input_tokens"`
	InputTokensDetails struct {
		CachedTokens int `json:"cached_tokens"`
	} `json:"input_tokens_details"`
	OutputTokens        int `json:"output_tokens"`
	OutputTokensDetails struct {
		ReasoningTokens int `json:"reasoning_tokens"`
	} `json:"output_tokens_details"`
	TotalTokens int `json:"total_tokens"`
}

type response struct {
	ID                 string          `json:"id"`
	Object             string          `json:"object"`
	CreatedAt          int64           `json:"created_at"`
	Status             string          `json:"status"`
	Background         bool            `json:"background"`
	Error              any             `json:"error"`
	IncompleteDetails  any             `json:"incomplete_details"`
	Instructions       *string         `json:"instructions"`
	MaxOutputTokens    *int            `json:"max_output_tokens"`
	Model              string          `json:"model"`
	Output             []any           `json:"output"`
	ParallelToolCalls  bool            `json:"parallel_tool_calls"`
	PreviousResponseID *string         `json:"previous_response_id"`
	Reasoning          map[string]any  `json:"reasoning"`
	ServiceTier        string          `json:"service_tier"`
	Store              bool            `json:"store"`
	Temperature        float64         `json:"temperature"`
	Text               map[string]any  `json:"text"`
	ToolChoice         json.RawMessage `json:"tool_choice"`
	Tools              []responseTool  `json:"tools"`
	TopP               float64         `json:"top_p"`
	Truncation         string          `json:"truncation"`
	Usage              *responseUsage  `json:"usage"`
	User               *string         `json:"user"`
	Metadata           json.RawMessage `json:"metadata"`
}

type outputText struct {
	Type        string `json:"type"`
	Annotations []any  `json:"annotations"`
	Logprobs    []any  `json:"logprobs"`
	Text        string `json:"text"`
}

type outputMessage struct {
	ID      string       `json:"id"`
	Type    string       `json:"type"`
	Status  string       `json:"status"`
	Content []outputText `json:"content"`
	Role    string       `json:"role"`
}

type outputCall struct {
	ID        string `json:"id"`
	Type      string `json:"type"`
	Status    string `json:"status"`
	Arguments string `json:"arguments"`
	CallID    string `json:"call_id"`
	Name      string `json:"name"`
}

type outputReasoning struct {
	ID      string `json:"id"`
	Type    string `json:"type"`
	Summary []any  `json:"summary"`
}

// responses answers POST /v1/responses.
func responses(c *call) {
	var req responseRequest
	if !c.decode(&req) {
		return
	}
	if req.Model == "" || len(req.Input) == 0 {
		c.fail(400, "Missing required parameter: 'model' or 'input'.")
		return
	}
	var offered []function
	for _, t := range req.Tools {
		if t.Type == "function" {
			offered = append(offered, function{t.Name, t.Parameters})
		}
	}
	tool := c.chosen(offered, lastInput(req.Input), forcedTool(req.ToolChoice))
	res := c.response(&req)
	if req.Stream {
		c.responseStream(res, tool)
		return
	}
	if c.script.Reasoning > 0 {
		res.Output = append(res.Output, outputReasoning{c.id("rs_", 48), "reasoning", []any{}})
	}
	if tool != nil {
		res.Output = append(res.Output, c.outputCall(tool, "completed", tool.arguments()))
	} else {
		res.Output = append(res.Output, c.outputMessage("completed", c.text()))
	}
	c.finish(&res)
	if !c.sleep(c.script.Frame) {
		return
	}
	c.reply(200, res)
}

// lastInput is the text of the caller's last item; a tool's result has none.
func lastInput(raw json.RawMessage) string {
	var plain string
	if json.Unmarshal(raw, &plain) == nil {
		return plain
	}
	var items []struct {
		Type    string  `json:"type"`
		Content content `json:"content"`
	}
	if json.Unmarshal(raw, &items) != nil || len(items) == 0 {
		return ""
	}
	return string(items[len(items)-1].Content)
}

func (c *call) response(req *responseRequest) response {
	res := response{ID: c.id("resp_", 48), Object: "response", CreatedAt: c.started.Unix(), Status: "in_progress",
		Instructions: req.Instructions, MaxOutputTokens: req.MaxOutputTokens, Model: req.Model, Output: []any{}, ParallelToolCalls: true,
		PreviousResponseID: req.PreviousResponseID, Reasoning: map[string]any{"effort": nil, "summary": nil}, ServiceTier: "default",
		Store: req.Store == nil || *req.Store, Temperature: 1, Text: map[string]any{"format": map[string]string{"type": "text"}, "verbosity": "medium"},
		ToolChoice: req.ToolChoice, Tools: req.Tools, TopP: 1, Truncation: "disabled", User: req.User, Metadata: req.Metadata}
	if res.ToolChoice == nil {
		res.ToolChoice = json.RawMessage(`"auto"`)
	}
	if res.Tools == nil {
		res.Tools = []responseTool{}
	}
	if res.Metadata == nil {
		res.Metadata = json.RawMessage(`{}`)
	}
	if req.Temperature != nil {
		res.Temperature = *req.Temperature
	}
	if req.TopP != nil {
		res.TopP = *req.TopP
	}
	return res
}

// finish sets the final status and the usage.
func (c *call) finish(res *response) {
	res.Status = "completed"
	if c.script.Finish != "" {
		res.Status, res.IncompleteDetails = "incomplete", map[string]string{"reason": "max_output_tokens"}
	}
	u := &responseUsage{InputTokens: c.promptTokens(), OutputTokens: c.script.CompletionTokens}
	u.InputTokensDetails.CachedTokens = c.script.Cached
	u.OutputTokensDetails.ReasoningTokens = c.script.Reasoning
	u.TotalTokens = u.InputTokens + u.OutputTokens
	res.Usage = u
}

func (c *call) outputMessage(status, text string) outputMessage {
	m := outputMessage{ID: c.id("msg_", 48), Type: "message", Status: status, Role: "assistant", Content: []outputText{}}
	if status == "completed" {
		m.Content = append(m.Content, outputText{"output_text", []any{}, []any{}, text})
	}
	return m
}

func (c *call) outputCall(f *function, status, arguments string) outputCall {
	return outputCall{c.id("fc_", 48), "function_call", status, arguments, c.id("call_", 24), f.name}
}
