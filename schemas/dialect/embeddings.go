package dialect

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// OpenAI Embeddings (platform.openai.com/docs/api-reference/embeddings).

func matchEmbeddings(path string) string {
	if strings.HasSuffix(path, "/embeddings") {
		return OperationEmbeddings
	}
	return ""
}

func readEmbeddings(body []byte, stream bool, call *event.Call) (a answer) {
	if stream {
		// The format has no streams; a gateway that answers in one can only report an error.
		frames := sse.NewReader(body)
		a.problem = ErrorResponseNotJSON
		for f, ok := frames.Next(); ok; f, ok = frames.Next() {
			if s := jsonscan.New(f.Data); s.Object() {
				a.embeddings(&s, call)
				a.problem, a.terminal = "", true
			}
		}
		return a
	}
	s, ok := open(body)
	if !ok {
		a.problem = ErrorResponseNotJSON
		return a
	}
	a.problem = ended(&s, a.embeddings(&s, call), ErrorResponseTruncated, ErrorResponseNotJSON)
	a.terminal = a.problem == ""
	return a
}

func (a *answer) embeddings(s *jsonscan.Scanner, call *event.Call) (end string) {
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "id":
			word(s, &call.ResponseId)
		case "model":
			word(s, &call.ResponseModel)
		case "usage":
			a.usage.read(s)
		case "error":
			a.err(readError(s))
		case outline.EndKey:
			end = text(s)
		default:
			s.Skip()
		}
	}
	return end
}
