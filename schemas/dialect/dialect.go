// Package dialect reads what providers' bodies say about a call: model, tools, finish, errors and token counts.
//
// The decoders are pure functions of the observed bodies; they read a body and its outline (schemas/outline) alike,
// whole or as a stream of events, complete or cut off anywhere. A body that cannot be read costs fields, never the
// call: Call.DecodeError names the reason. Strings of the result may alias the input.
//
// One provider format is one file and one row of the table below.
package dialect

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Version is written to Call.DecoderVersion. It grows with every change that reads an equal body differently.
const Version = "1"

// Names of the dialects, as they stand in configuration and in rows.
const (
	OpenAIChat        = "openai_chat"
	OpenAIResponses   = "openai_responses"
	OpenAIEmbeddings  = "openai_embeddings"
	AnthropicMessages = "anthropic_messages"
)

// Values of Call.Operation: OpenTelemetry gen_ai.operation.name.
const (
	OperationChat       = "chat"
	OperationCompletion = "text_completion"
	OperationEmbeddings = "embeddings"
)

// Dialect is one wire format.
type Dialect struct {
	Name     string
	Family   string // a route may name the family and leave the format to the path
	Provider string // gen_ai.provider.name of who speaks it, when nothing tells more

	// Match returns the operation of a path, without its query and trailing slash, or "" for a path of another format.
	Match func(path string) (operation string)

	response func(body []byte, stream bool, call *event.Call) answer
	counting counting
}

var table = [...]Dialect{
	{OpenAIChat, "openai", "openai", matchChat, readChat, inclusive},
	{OpenAIResponses, "openai", "openai", matchResponses, readResponses, inclusive},
	{OpenAIEmbeddings, "openai", "openai", matchEmbeddings, readEmbeddings, inputOnly},
	{AnthropicMessages, "anthropic", "anthropic", matchMessages, readMessages, exclusive},
}

// Names returns the values that a route's dialect may have: the formats and their families.
func Names() []string {
	var names []string
	for i := range table {
		names = append(names, table[i].Name)
		if i == 0 || table[i].Family != table[i-1].Family {
			names = append(names, table[i].Family)
		}
	}
	return names
}

// Find returns the format that name means for a path, and the operation. name is a format, which then holds whatever
// the path; or a family, or "" for all, where the path decides. ok is false when there is none.
func Find(name, path string) (d *Dialect, operation string, ok bool) {
	path = strings.TrimRight(path, "/")
	for i := range table {
		d := &table[i]
		if name != "" && name != d.Family && name != d.Name {
			continue
		}
		if op := d.Match(path); op != "" {
			return d, op, true
		}
		if name == d.Name {
			return d, usual(d), true
		}
	}
	return nil, "", false
}

// usual is the operation of a format whose path says nothing, as behind a rewriting gateway.
func usual(d *Dialect) string {
	if d.Name == OpenAIEmbeddings {
		return OperationEmbeddings
	}
	return OperationChat
}

// Input is what was observed of a call. Decode only reads it.
type Input struct {
	Dialect, Provider string // as the route is configured; Dialect "" = found by path
	Method, Path      string

	RequestBody      []byte // identity-encoded body or its outline
	RequestTruncated bool   // RequestBody is known to be the beginning only

	HasResponse         bool // the response phase; the fields below count only then
	ResponseBody        []byte
	ResponseTruncated   bool // the capture kept the beginning only; a missing end says nothing about the provider
	ResponseContentType string
	ResponseHeaders     []*event.Attribute
	Status              int32
	Outcome             event.StreamOutcome
}

// Result is what Decode found beside Call and Usage.
type Result struct {
	// FirstContentFrame numbers, from 1, the first frame of an event stream that held generated text, reasoning or
	// tool arguments; 0 = unknown or no stream.
	FirstContentFrame int
}

// Values of Call.DecodeError. A reason about the response takes precedence over one about the request.
const (
	ErrorUnknownDialect    = "unknown_dialect"
	ErrorRequestAbsent     = "request_absent"
	ErrorRequestNotJSON    = "request_not_json"
	ErrorRequestTruncated  = "request_truncated"
	ErrorResponseAbsent    = "response_absent"
	ErrorResponseNotJSON   = "response_not_json"
	ErrorResponseTruncated = "response_truncated"
	ErrorNoTerminalEvent   = "no_terminal_event"
)

// Bounds of what a Call keeps.
const (
	maxString        = 256
	maxErrorType     = 64
	maxFinishReasons = 16
	maxToolCalls     = 128
	maxToolsOffered  = 256
)
