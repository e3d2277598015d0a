package dialect

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// Anthropic Messages (platform.claude.com/docs/en/api/messages; streams: .../build-with-claude/streaming). In a stream
// message_start gives the input counts, and every message_delta replaces the counts it names by running totals.

func matchMessages(path string) string {
	if strings.HasSuffix(path, "/v1/messages") || path == "/messages" {
		return OperationChat
	}
	return ""
}

type messages struct {
	answer
	call      *event.Call
	tools     tools
	streaming bool
	frame     int
	stop      string
	end       string
	rooted    bool
}

func readMessages(body []byte, stream bool, call *event.Call) answer {
	m := messages{call: call, streaming: stream}
	m.tools.call = call
	if stream {
		m.stream(body)
	} else {
		m.whole(body)
	}
	m.tools.finish()
	if m.stop != "" {
		call.FinishReasons = append(call.FinishReasons, m.stop)
	}
	return m.answer
}

func (m *messages) whole(body []byte) {
	s, ok := open(body)
	if !ok {
		m.problem = ErrorResponseNotJSON
		return
	}
	m.root(&s)
	m.problem = ended(&s, m.end, ErrorResponseTruncated, ErrorResponseNotJSON)
	m.terminal = m.problem == ""
}

func (m *messages) stream(body []byte) {
	frames := sse.NewReader(body)
	for f, ok := frames.Next(); ok; f, ok = frames.Next() {
		s := jsonscan.New(f.Data)
		if s.Object() {
			m.frame, m.rooted = f.Number, true
			m.root(&s)
		}
	}
	switch {
	case !m.rooted:
		m.problem = ErrorResponseNotJSON
	case frames.Cut():
		m.problem = ErrorResponseTruncated
	}
}

// root reads a whole message, an error, or the data of one event: their members do not contradict each other.
func (m *messages) root(s *jsonscan.Scanner) {
	var kind string
	index, at := int32(-1), -1
	var arguments count
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			kind = text(s)
		case "index":
			index = small(s)
		case "message":
			m.inner(s)
		case "content_block":
			at = m.block(s, index)
		case "delta":
			arguments = m.delta(s)
		case "error":
			m.err(readError(s))
		case outline.EndKey:
			m.end = text(s)
		default:
			m.member(s, key)
		}
	}
	if at >= 0 && index >= 0 {
		m.tools.slots[at].index = int16(index) // the index may come after the block
	}
	if arguments.known() {
		m.piece(index, arguments)
	}
	if kind == "message_stop" {
		m.terminal = true
	}
}

// inner reads the message of a message_start.
func (m *messages) inner(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		m.member(s, key)
	}
}

// member reads a member of a message, or of a message_delta event.
func (m *messages) member(s *jsonscan.Scanner, key []byte) {
	switch string(key) {
	case "id":
		word(s, &m.call.ResponseId)
	case "model":
		word(s, &m.call.ResponseModel)
	case "stop_reason":
		word(s, &m.stop)
	case "usage":
		m.usage.read(s)
	case "content":
		if !s.Array() {
			s.Skip()
			return
		}
		for s.Elem() {
			m.block(s, -1)
		}
	default:
		s.Skip()
	}
}

// block reads a content block and returns the position of the tool call that it is, or -1.
func (m *messages) block(s *jsonscan.Scanner, index int32) int {
	if !s.Object() {
		s.Skip()
		return -1
	}
	var kind, id, name, server string
	var input count
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			kind = text(s)
		case "id":
			id = text(s)
		case "name":
			name = text(s)
		case "server_name":
			server = text(s)
		case "input":
			input = textLen(s)
		case "input" + outline.LenSuffix:
			var ignored flags
			readCount(s, &input, &ignored)
		case "text", "text" + outline.NonEmptySuffix:
			m.content(filled(s))
		default:
			s.Skip()
		}
	}
	var class string
	switch kind {
	case "tool_use":
		class = toolFunction
	case "server_tool_use":
		class = toolServer
	case "mcp_tool_use":
		class = toolMCP
	default:
		return -1
	}
	at := m.tools.add(0, index)
	if at < 0 {
		return -1
	}
	tc := m.call.ToolCalls[at]
	tc.Id, tc.Name, tc.Type, tc.Server = id, name, class, server
	m.tools.settleArguments(at, input)
	return at
}

// delta reads the change of a block or message and returns the length of the tool arguments in it.
func (m *messages) delta(s *jsonscan.Scanner) (arguments count) {
	if !s.Object() {
		s.Skip()
		return 0
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "stop_reason":
			word(s, &m.stop)
		case "text", "thinking", "text" + outline.NonEmptySuffix, "thinking" + outline.NonEmptySuffix:
			m.content(filled(s))
		case "partial_json":
			arguments = textLen(s)
		case "partial_json" + outline.LenSuffix:
			var ignored flags
			readCount(s, &arguments, &ignored)
		default:
			s.Skip()
		}
	}
	return arguments
}

// piece adds to a tool call's arguments. The empty object that a streamed block starts with is no part of them.
func (m *messages) piece(index int32, arguments count) {
	if arguments.value() == 0 {
		return
	}
	m.content(true)
	at := m.tools.find(0, index)
	if at < 0 {
		return
	}
	sl := &m.tools.slots[at]
	if !sl.pieces {
		sl.pieces, sl.arguments = true, 0
	}
	m.tools.argue(at, arguments)
}

func (m *messages) content(some bool) {
	if some && m.first == 0 && m.streaming {
		m.first = m.frame
	}
}
