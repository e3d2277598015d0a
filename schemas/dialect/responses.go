package dialect

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// OpenAI Responses (platform.openai.com/docs/api-reference/responses and .../responses-streaming). A stream ends with
// response.completed, response.incomplete or response.failed, which repeats the whole response with its usage.

// matchResponses also takes the retrieval of a stored response, the only place where the counts of a background
// response are.
func matchResponses(path string) string {
	if strings.HasSuffix(path, "/responses") {
		return OperationChat
	}
	i := strings.LastIndex(path, "/responses/")
	if i < 0 {
		return ""
	}
	if id := path[i+len("/responses/"):]; strings.HasPrefix(id, "resp") && !strings.Contains(id, "/") {
		return OperationChat
	}
	return ""
}

type responses struct {
	answer
	call         *event.Call
	tools        tools
	streaming    bool
	frame        int
	status       string
	reason       string // incomplete_details.reason
	conversation string
	searches     int64
	pictures     int64
	end          string
	rooted       bool
}

func readResponses(body []byte, stream bool, call *event.Call) answer {
	r := responses{call: call, streaming: stream}
	r.tools.call = call
	if stream {
		r.stream(body)
	} else {
		r.whole(body)
	}
	r.tools.finish()
	r.settleItems()
	return r.answer
}

func (r *responses) settleItems() {
	if r.status == "incomplete" && r.reason != "" {
		r.status = r.reason
	}
	if r.status != "" && r.status != "queued" && r.status != "in_progress" {
		r.call.FinishReasons = append(r.call.FinishReasons, r.status)
	}
	if r.conversation != "" {
		r.call.ConversationId = r.conversation
	}
	for i, tc := range r.call.ToolCalls {
		if tc.Type != toolBuiltin {
			continue
		}
		switch {
		case tc.Name == "web_search" && r.tools.slots[i].billed:
			r.searches++
		case tc.Name == "image_generation":
			r.pictures++
		}
	}
	if r.searches > 0 {
		r.usage.webSearches = known(r.searches)
	}
	if r.pictures > 0 {
		r.usage.images = known(r.pictures)
	}
}

func (r *responses) whole(body []byte) {
	s, ok := open(body)
	if !ok {
		r.problem = ErrorResponseNotJSON
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == outline.EndKey {
			r.end = text(&s)
		} else {
			r.member(&s, key)
		}
	}
	r.problem = ended(&s, r.end, ErrorResponseTruncated, ErrorResponseNotJSON)
	r.terminal = r.problem == ""
	if r.status == "failed" {
		r.errored = true
	}
}

func (r *responses) stream(body []byte) {
	frames := sse.NewReader(body)
	for f, ok := frames.Next(); ok; f, ok = frames.Next() {
		s := jsonscan.New(f.Data)
		if s.Object() {
			r.frame, r.rooted = f.Number, true
			r.event(&s)
		}
	}
	switch {
	case !r.rooted:
		r.problem = ErrorResponseNotJSON
	case frames.Cut():
		r.problem = ErrorResponseTruncated
	}
}

// event reads the data of one event.
func (r *responses) event(s *jsonscan.Scanner) {
	var (
		kind, code       string
		index            int32 = -1
		delta, arguments count
		one              item
		class            string
		failed           bool
		ignored          flags
	)
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			kind = text(s)
		case "output_index":
			index = small(s)
		case "delta":
			delta = textLen(s)
		case "delta" + outline.LenSuffix:
			readCount(s, &delta, &ignored)
		case "arguments":
			arguments = textLen(s)
		case "arguments" + outline.LenSuffix:
			readCount(s, &arguments, &ignored)
		case "item":
			one.read(s)
		case "response":
			r.object(s)
		case "code":
			code = nameOf(s)
		case "error":
			class, failed = readError(s)
		default:
			s.Skip()
		}
	}
	switch kind {
	case "response.completed", "response.incomplete", "response.failed":
		r.terminal = true
	case "error":
		failed = true
	}
	r.err(either(class, code), failed)
	if one.kind != "" {
		r.apply(&one, index, false)
	}
	r.progress(kind, index, delta, arguments)
}

// progress applies what an event adds to the answer.
func (r *responses) progress(kind string, index int32, delta, arguments count) {
	if delta.orZero() > 0 && r.first == 0 {
		r.first = r.frame
	}
	at := r.tools.find(0, index)
	switch kind {
	case "response.function_call_arguments.delta", "response.mcp_call_arguments.delta", "response.custom_tool_call_input.delta":
		r.tools.argue(at, delta)
	case "response.function_call_arguments.done", "response.mcp_call_arguments.done":
		r.tools.settleArguments(at, arguments)
	}
}

// object reads the response object of an event.
func (r *responses) object(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		r.member(s, key)
	}
}

// member reads a member of a response object.
func (r *responses) member(s *jsonscan.Scanner, key []byte) {
	switch string(key) {
	case "id":
		word(s, &r.call.ResponseId)
	case "model":
		word(s, &r.call.ResponseModel)
	case "service_tier":
		word(s, &r.call.ServiceTier)
	case "status":
		word(s, &r.status)
	case "usage":
		r.usage.read(s)
	case "output":
		r.output(s)
	case "conversation":
		if v := identity(s); v != "" {
			r.conversation = v
		}
	case "background":
		r.background = truth(s)
	case "incomplete_details":
		r.details(s)
	case "error":
		r.err(readError(s))
	default:
		s.Skip()
	}
}

func (r *responses) details(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "reason" {
			word(s, &r.reason)
		} else {
			s.Skip()
		}
	}
}

// output reads the list of items of a response object. When it is not empty it replaces what the stream told before.
func (r *responses) output(s *jsonscan.Scanner) {
	if !s.Array() {
		s.Skip()
		return
	}
	for i := int32(0); s.Elem(); i++ {
		if i == 0 {
			r.tools.clear()
		}
		var one item
		one.read(s)
		r.apply(&one, i, true)
	}
}

// item is one element of output.
type item struct {
	kind, id, callID, name, server, action string
	arguments                              count
}

func (o *item) read(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	var ignored flags
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			o.kind = text(s)
		case "id":
			o.id = text(s)
		case "call_id":
			o.callID = text(s)
		case "name":
			o.name = text(s)
		case "server_label":
			o.server = text(s)
		case "arguments", "input":
			o.arguments = textLen(s)
		case "arguments" + outline.LenSuffix, "input" + outline.LenSuffix:
			readCount(s, &o.arguments, &ignored)
		case "action":
			o.readAction(s)
		default:
			s.Skip()
		}
	}
}

func (o *item) readAction(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "type" {
			o.action = text(s)
		} else {
			s.Skip()
		}
	}
}

// apply adds or completes the tool call that an item is, if it is one.
func (r *responses) apply(o *item, index int32, final bool) {
	class, name := "", o.name
	switch o.kind {
	case "function_call", "custom_tool_call":
		class = toolFunction
	case "mcp_call":
		class = toolMCP
	default:
		// mcp_approval_request and mcp_list_tools call nothing, nor do *_call_output items.
		builtin, ok := strings.CutSuffix(o.kind, "_call")
		if !ok {
			return
		}
		class, name = toolBuiltin, builtin
	}
	var at int
	if final {
		at = r.tools.add(0, index)
	} else {
		at = r.tools.place(0, index)
	}
	if at < 0 {
		return
	}
	tc := r.call.ToolCalls[at]
	tc.Id, tc.Name, tc.Type, tc.Server = either(o.callID, o.id), name, class, o.server
	// Opening and searching within a page are steps of a search, not searches.
	r.tools.slots[at].billed = o.action == "" || o.action == "search"
	if o.arguments.orZero() > 0 || final {
		r.tools.settleArguments(at, o.arguments)
	}
}
