package dialect

import (
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/outline"
)

// requestState holds what of a request needs a choice between several members.
type requestState struct {
	call         *event.Call
	max, maxNew  count // max_tokens; the names that replaced it
	user, safety string
	metadataUser string
	conversation string
	previous     string
	end          string
	tooled       bool
}

// readRequest reads a request body of any format: their members do not contradict each other.
func readRequest(body []byte, call *event.Call) (problem string) {
	s, ok := open(body)
	if !ok {
		return ErrorRequestNotJSON
	}
	st := requestState{call: call}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		st.member(&s, key)
	}
	if !st.max.known() || st.maxNew.known() {
		st.max = st.maxNew
	}
	if st.max.known() {
		v := st.max.value()
		call.MaxOutputTokens = &v
	}
	call.EndUser = either(st.user, either(st.safety, st.metadataUser))
	call.ConversationId = either(st.conversation, st.previous)
	return ended(&s, st.end, ErrorRequestTruncated, ErrorRequestNotJSON)
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}

func (st *requestState) member(s *jsonscan.Scanner, key []byte) {
	var ignored flags
	call := st.call
	switch string(key) {
	case "model":
		call.RequestModel = text(s)
	case "stream":
		call.Stream = truth(s)
	case "service_tier":
		call.ServiceTier = text(s)
	case "temperature":
		if v, ok := float(s); ok {
			call.Temperature = &v
		}
	case "max_tokens":
		readCount(s, &st.max, &ignored)
	case "max_completion_tokens", "max_output_tokens":
		readCount(s, &st.maxNew, &ignored)
	case "user":
		st.user = text(s)
	case "safety_identifier":
		st.safety = text(s)
	case "metadata":
		st.metadata(s)
	case "conversation":
		st.conversation = identity(s)
	case "previous_response_id":
		st.previous = text(s)
	case "tools":
		if st.tooled { // of two members with one name the last wins, as for the provider
			call.ToolsOffered = call.ToolsOffered[:0]
		}
		st.tooled = true
		st.tools(s, "")
	case "functions":
		st.tools(s, "")
	case "mcp_servers":
		st.tools(s, "mcp:")
	case outline.EndKey:
		st.end = text(s)
	default:
		s.Skip()
	}
}

func (st *requestState) metadata(s *jsonscan.Scanner) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "user_id" {
			st.metadataUser = text(s)
		} else {
			s.Skip()
		}
	}
}

// identity consumes a name, or an object that has one as its id.
func identity(s *jsonscan.Scanner) (id string) {
	if !s.Object() {
		return text(s)
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "id" {
			id = text(s)
		} else {
			s.Skip()
		}
	}
	return id
}

func (st *requestState) tools(s *jsonscan.Scanner, prefix string) {
	if !s.Array() {
		s.Skip()
		return
	}
	for s.Elem() {
		if name := offered(s, prefix); name != "" && len(st.call.ToolsOffered) < maxToolsOffered {
			st.call.ToolsOffered = append(st.call.ToolsOffered, name)
		}
	}
}

// offered consumes one tool and returns its name: its own, or "mcp:" and the server's, or the built-in's type.
func offered(s *jsonscan.Scanner, prefix string) string {
	if !s.Object() {
		s.Skip()
		return ""
	}
	var name, kind, server string
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "name":
			word(s, &name)
		case "type":
			kind = text(s)
		case "server_label":
			server = text(s)
		case "function", "custom":
			innerName(s, &name)
		default:
			s.Skip()
		}
	}
	switch {
	case name != "" && prefix != "":
		return prefix + name
	case name != "":
		return name
	case server != "":
		return "mcp:" + server
	}
	return kind
}

// innerName consumes an object and stores its name.
func innerName(s *jsonscan.Scanner, name *string) {
	if !s.Object() {
		s.Skip()
		return
	}
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		if string(key) == "name" {
			word(s, name)
		} else {
			s.Skip()
		}
	}
}
