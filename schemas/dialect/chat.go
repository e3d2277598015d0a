package dialect

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// OpenAI Chat Completions and the older Completions (platform.openai.com/docs/api-reference/chat), also as Azure OpenAI,
// DeepSeek, Mistral, Groq and OpenAI-compatible servers speak them.

func matchChat(path string) string {
	switch {
	case strings.HasSuffix(path, "/chat/completions"):
		return OperationChat
	case strings.HasSuffix(path, "/completions"):
		return OperationCompletion
	}
	return ""
}

type chat struct {
	answer
	call      *event.Call
	tools     tools
	finish    [maxFinishReasons]string // by choice
	streaming bool
	frame     int
	class     string // the root's own type and code, which are an error's when it calls itself one
	code      string
	object    string
	end       string
	rooted    bool // some frame held an object
}

func readChat(body []byte, stream bool, call *event.Call) answer {
	c := chat{call: call, streaming: stream}
	c.tools.call = call
	if stream {
		c.stream(body)
	} else {
		c.whole(body)
	}
	c.tools.finish()
	for _, reason := range c.finish {
		if reason != "" {
			call.FinishReasons = append(call.FinishReasons, reason)
		}
	}
	return c.answer
}

func (c *chat) whole(body []byte) {
	s, ok := open(body)
	if !ok {
		c.problem = ErrorResponseNotJSON
		return
	}
	c.root(&s)
	c.problem = ended(&s, c.end, ErrorResponseTruncated, ErrorResponseNotJSON)
	c.terminal = c.problem == ""
}

func (c *chat) stream(body []byte) {
	frames := sse.NewReader(body)
	for f, ok := frames.Next(); ok; f, ok = frames.Next() {
		if isDone(f.Data) {
			c.terminal = true
			continue
		}
		s := jsonscan.New(f.Data)
		if s.Object() {
			c.frame, c.rooted = f.Number, true
			c.root(&s)
		}
	}
	if c.errored {
		c.terminal = false // the end marker follows an error too
	}
	switch {
	case !c.rooted && !c.terminal:
		c.problem = ErrorResponseNotJSON
	case frames.Cut():
		c.problem = ErrorResponseTruncated
	}
}

// root reads a whole answer or one chunk.
func (c *chat) root(s *jsonscan.Scanner) {
	c.class, c.code, c.object = "", "", ""
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "id":
			word(s, &c.call.ResponseId)
		case "model":
			word(s, &c.call.ResponseModel)
		case "service_tier":
			word(s, &c.call.ServiceTier)
		case "choices":
			c.choices(s)
		case "usage":
			c.usage.hint(s, &c.answer)
		case "x_groq":
			c.groq(s)
		case "prompt_filter_results":
			if s.Skip() != nil {
				c.provider = "azure.ai.openai"
			}
		case "error":
			c.err(readError(s))
		case "object":
			c.object = text(s)
		case "type":
			c.class = text(s)
		case "code":
			c.code = nameOf(s)
		case outline.EndKey:
			c.end = text(s)
		default:
			s.Skip()
		}
	}
	if c.object == "error" || c.class == "error" {
		if c.class == "error" {
			c.class = ""
		}
		c.err(either(c.class, c.code), true)
	}
}

func (a *answer) err(class string, present bool) {
	if present {
		a.errored = true
		if class != "" {
			a.errorType = class
		}
	}
}

// hint reads a usage object and recognises DeepSeek by its own figures.
func (c *counts) hint(s *jsonscan.Scanner, a *answer) {
	c.read(s)
	if c.cacheHit.known() && a.provider == "" {
		a.provider = "deepseek"
	}
}

func (c *chat) groq(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	c.provider = "groq"
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "usage" {
			c.usage.read(s)
		} else {
			s.Skip()
		}
	}
}

func (c *chat) choices(s *jsonscan.Scanner) {
	if !s.Array() {
		s.Skip()
		return
	}
	for s.Elem() {
		if s.Object() {
			c.choice(s)
		} else {
			s.Skip()
		}
	}
}

func (c *chat) choice(s *jsonscan.Scanner) {
	var (
		index  int32 = -1
		finish string
		later  jsonscan.Scanner // a message that came before its choice's index
	)
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "index":
			index = small(s)
		case "finish_reason":
			finish = text(s)
		case "message", "delta":
			if index < 0 {
				later = *s
				s.Skip()
				continue
			}
			c.message(s, index)
		case "text", "text" + outline.NonEmptySuffix:
			c.content(filled(s))
		case "usage":
			c.usage.read(s)
		default:
			s.Skip()
		}
	}
	index = max(index, 0)
	if later.Kind() == jsonscan.Object {
		c.message(&later, index)
	}
	if finish != "" && index < maxFinishReasons {
		c.finish[index] = finish
	}
}

func (c *chat) content(some bool) {
	if some && c.first == 0 && c.streaming {
		c.first = c.frame
	}
}

func (c *chat) message(s *jsonscan.Scanner, choice int32) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "content", "refusal", "reasoning", "reasoning_content",
			"content" + outline.NonEmptySuffix, "refusal" + outline.NonEmptySuffix,
			"reasoning" + outline.NonEmptySuffix, "reasoning_content" + outline.NonEmptySuffix:
			c.content(filled(s))
		case "tool_calls":
			c.toolCalls(s, choice)
		case "function_call":
			var one chatTool
			one.index = -1
			one.function(s)
			if one.name != "" || one.arguments.known() {
				c.apply(&one, choice)
			}
		default:
			s.Skip()
		}
	}
}

// chatTool is one element of tool_calls, whole or a piece.
type chatTool struct {
	index     int32 // -1 = none
	id, name  string
	arguments count
}

func (c *chat) toolCalls(s *jsonscan.Scanner, choice int32) {
	if !s.Array() {
		s.Skip()
		return
	}
	for s.Elem() {
		if !s.Object() {
			s.Skip()
			continue
		}
		one := chatTool{index: -1}
		for key, ok := s.Key(); ok; key, ok = s.Key() {
			switch string(key) {
			case "index":
				one.index = small(s)
			case "id":
				one.id = text(s)
			case "function", "custom":
				one.function(s)
			default:
				s.Skip()
			}
		}
		c.apply(&one, choice)
	}
}

func (o *chatTool) function(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "name":
			word(s, &o.name)
		case "arguments", "input":
			o.arguments = textLen(s)
		case "arguments" + outline.LenSuffix, "input" + outline.LenSuffix:
			var ignored flags
			readCount(s, &o.arguments, &ignored)
		default:
			s.Skip()
		}
	}
}

// apply adds a tool call, or a piece to the one it belongs to. Some servers give every call of an answer the index 0;
// then another id means another call.
func (c *chat) apply(o *chatTool, choice int32) {
	at := -1
	if c.streaming {
		at = c.tools.find(choice, o.index)
		if at >= 0 && o.id != "" && c.call.ToolCalls[at].Id != "" && c.call.ToolCalls[at].Id != o.id {
			at = -1
		}
	}
	if at < 0 {
		if at = c.tools.add(choice, o.index); at < 0 {
			return
		}
		c.call.ToolCalls[at].Type = toolFunction
	}
	tc := c.call.ToolCalls[at]
	if o.id != "" {
		tc.Id = o.id
	}
	if o.name != "" {
		tc.Name = o.name
	}
	c.tools.argue(at, o.arguments)
	c.content(o.arguments.orZero() > 0)
}
