package provider

// responseEvent is any event of a streamed response. Members that an event lacks are left out.
type responseEvent struct {
	Type           string    `json:"type"`
	SequenceNumber int       `json:"sequence_number"`
	Response       *response `json:"response,omitempty"`
	ItemID         string    `json:"item_id,omitempty"`
	OutputIndex    *int      `json:"output_index,omitempty"`
	ContentIndex   *int      `json:"content_index,omitempty"`
	Item           any       `json:"item,omitempty"`
	Part           any       `json:"part,omitempty"`
	Delta          string    `json:"delta,omitempty"`
	Text           *string   `json:"text,omitempty"`
	Name           string    `json:"name,omitempty"`
	Arguments      *string   `json:"arguments,omitempty"`
	Logprobs       *[]any    `json:"logprobs,omitempty"`
	Code           *string   `json:"code,omitempty"`
	Message        string    `json:"message,omitempty"`
}

// responseWriter numbers the events of one streamed response.
type responseWriter struct {
	*stream
	next int
}

func (w *responseWriter) event(e responseEvent) {
	e.SequenceNumber = w.next
	w.next++
	w.send(e.Type, e)
}

func (w *responseWriter) broken() {
	code := "server_error"
	w.event(responseEvent{Type: "error", Code: &code, Message: "The server had an error while processing your request."})
}

func (c *call) responseStream(res response, tool *function) {
	s := newStream(c)
	if s == nil {
		return
	}
	w := &responseWriter{stream: s}
	w.event(responseEvent{Type: "response.created", Response: &res})
	w.event(responseEvent{Type: "response.in_progress", Response: &res})
	if c.script.Reasoning > 0 {
		at := len(res.Output)
		item := outputReasoning{c.id("rs_", 48), "reasoning", []any{}}
		w.event(responseEvent{Type: "response.output_item.added", OutputIndex: &at, Item: item})
		w.event(responseEvent{Type: "response.output_item.done", OutputIndex: &at, Item: item})
		res.Output = append(res.Output, item)
	}
	var item any
	var ok bool
	if tool != nil {
		item, ok = c.callEvents(w, len(res.Output), tool)
	} else {
		item, ok = c.textEvents(w, len(res.Output))
	}
	if !ok {
		return
	}
	res.Output = append(res.Output, item)
	c.finish(&res)
	w.event(responseEvent{Type: "response." + res.Status, Response: &res})
	s.close()
}

// textEvents streams a message; false when the stream ended early.
func (c *call) textEvents(w *responseWriter, at int) (any, bool) {
	zero, none, text := 0, []any{}, c.text()
	id := c.id("msg_", 48)
	w.event(responseEvent{Type: "response.output_item.added", OutputIndex: &at, Item: c.outputMessage("in_progress", "")})
	w.event(responseEvent{Type: "response.content_part.added", ItemID: id, OutputIndex: &at, ContentIndex: &zero, Part: outputText{"output_text", none, none, ""}})
	for _, piece := range split(text, c.script.Frames) {
		if !w.piece(w.broken) {
			return nil, false
		}
		w.event(responseEvent{Type: "response.output_text.delta", ItemID: id, OutputIndex: &at, ContentIndex: &zero, Delta: piece, Logprobs: &none})
	}
	w.event(responseEvent{Type: "response.output_text.done", ItemID: id, OutputIndex: &at, ContentIndex: &zero, Text: &text, Logprobs: &none})
	w.event(responseEvent{Type: "response.content_part.done", ItemID: id, OutputIndex: &at, ContentIndex: &zero, Part: outputText{"output_text", none, none, text}})
	item := c.outputMessage("completed", text)
	w.event(responseEvent{Type: "response.output_item.done", OutputIndex: &at, Item: item})
	return item, true
}

// callEvents streams a function call; false when the stream ended early.
func (c *call) callEvents(w *responseWriter, at int, tool *function) (any, bool) {
	arguments := tool.arguments()
	item := c.outputCall(tool, "in_progress", "")
	w.event(responseEvent{Type: "response.output_item.added", OutputIndex: &at, Item: item})
	for _, piece := range split(arguments, c.script.Frames) {
		if !w.piece(w.broken) {
			return nil, false
		}
		w.event(responseEvent{Type: "response.function_call_arguments.delta", ItemID: item.ID, OutputIndex: &at, Delta: piece})
	}
	w.event(responseEvent{Type: "response.function_call_arguments.done", ItemID: item.ID, OutputIndex: &at, Name: tool.name, Arguments: &arguments})
	item = c.outputCall(tool, "completed", arguments)
	w.event(responseEvent{Type: "response.output_item.done", OutputIndex: &at, Item: item})
	return item, true
}
