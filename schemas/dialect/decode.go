package dialect

import (
	"strconv"
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
	"github.com/modeltrail/modeltrail/schemas/sse"
)

// answer is what a format's reader found in a response body, beside what it wrote to the Call.
type answer struct {
	usage      counts
	first      int    // see Result.FirstContentFrame
	errorType  string // the provider's class of an error that the body reports
	errored    bool   // the body reports an error, with or without a class
	terminal   bool   // the body ended as the format says, if only to say that the call failed
	problem    string // ErrorResponseNotJSON or ErrorResponseTruncated
	provider   string // a provider that gives itself away
	background bool   // the call was answered apart from its request
}

// Decode fills call and usage, whose previous contents it drops, from what was observed. It allocates little, returns
// nothing that in does not determine, and is safe for concurrent use on different results.
func Decode(in *Input, call *event.Call, usage *event.Usage) Result {
	Reset(call, usage)
	call.DecoderVersion = Version
	call.Provider = in.Provider
	if in.HasResponse {
		call.Outcome = in.Outcome
		usage.Source = event.UsageSource_USAGE_SOURCE_NONE
	}
	if in.Dialect == generic.Dialect {
		readGeneric(in, call, usage)
		return Result{}
	}
	d, operation, ok := Find(in.Dialect, in.Path)
	if !ok {
		call.DecodeError = ErrorUnknownDialect
		if in.HasResponse && in.Status >= 400 {
			call.ErrorType = statusError(in.Status)
		}
		return Result{}
	}
	call.Dialect = d.Name
	call.Operation = operation
	call.DecodeError = request(in, call)
	if call.RequestModel == "" {
		call.RequestModel = deployment(in.Path)
	}
	var a answer
	if in.HasResponse {
		a = response(in, d, call, usage)
	}
	if call.Provider == "" {
		call.Provider = provider(in, d, &a)
	}
	return Result{FirstContentFrame: a.first}
}

func request(in *Input, call *event.Call) (problem string) {
	if len(in.RequestBody) == 0 {
		if in.Method == "GET" || in.Method == "DELETE" {
			return ""
		}
		return ErrorRequestAbsent
	}
	problem = readRequest(in.RequestBody, call)
	if problem == "" && in.RequestTruncated {
		problem = ErrorRequestTruncated
	}
	return problem
}

func response(in *Input, d *Dialect, call *event.Call, usage *event.Usage) answer {
	var a answer
	stream := false
	if len(in.ResponseBody) > 0 {
		stream = sse.Is(in.ResponseContentType, in.ResponseBody)
		a = d.response(in.ResponseBody, stream, call)
	} else if in.Outcome == event.StreamOutcome_STREAM_OUTCOME_COMPLETE && in.Status >= 200 && in.Status < 300 && in.Status != 204 {
		a.problem = ErrorResponseAbsent
	}
	call.Stream = call.Stream || stream
	if in.ResponseTruncated && a.problem == "" && !a.terminal {
		a.problem = ErrorResponseTruncated
	}
	failed := in.Status >= 400
	if a.errored || failed {
		call.ErrorType = clip(a.errorType, maxErrorType)
		if call.ErrorType == "" && failed {
			call.ErrorType = statusError(in.Status)
		} else if call.ErrorType == "" {
			call.ErrorType = "error"
		}
	}
	if !failed {
		outcome(in, &a, stream, call)
		settle(in, d, &a, call, usage)
	}
	if a.problem != "" {
		call.DecodeError = a.problem
	}
	return a
}

// outcome corrects the observed end of the answer: bytes may have ended in good order while the message did not.
func outcome(in *Input, a *answer, stream bool, call *event.Call) {
	if a.terminal || in.ResponseTruncated || len(in.ResponseBody) == 0 || a.problem == ErrorResponseNotJSON {
		return
	}
	if call.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		return
	}
	call.Outcome = event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT
	if stream && !a.errored && a.problem == "" {
		a.problem = ErrorNoTerminalEvent
	}
}

// settle turns the counts that were read into usage.
func settle(in *Input, d *Dialect, a *answer, call *event.Call, usage *event.Usage) {
	if a.usage.tier != "" {
		call.ServiceTier = a.usage.tier
	}
	if in.Method == "GET" {
		// A stored answer fetched again must not be counted again. Only an answer that was made in the background has
		// its counts nowhere else.
		if !a.background {
			usage.Flags = append(usage.Flags, "retrieved")
			return
		}
		usage.Flags = append(usage.Flags, "background")
	}
	l := ledger{usage: usage}
	d.counting.settle(&a.usage, &l)
	a.usage.flags.appendTo(usage)
	switch {
	case !l.some():
	case a.terminal:
		usage.Source = event.UsageSource_USAGE_SOURCE_PROVIDER
	default:
		usage.Source = event.UsageSource_USAGE_SOURCE_PARTIAL
	}
}

func statusError(status int32) string { return "http_" + strconv.Itoa(int(status)) }

// deployment returns the name that stands for the model in an Azure OpenAI path: /openai/deployments/{name}/...
func deployment(path string) string {
	const marker = "/openai/deployments/"
	i := strings.Index(path, marker)
	if i < 0 {
		return ""
	}
	name, _, _ := strings.Cut(path[i+len(marker):], "/")
	return clip(name, maxString)
}

// provider names who answered when the route does not, by what only that provider sends.
func provider(in *Input, d *Dialect, a *answer) string {
	if d.Family != "openai" {
		return d.Provider
	}
	if strings.Contains(in.Path, "/openai/deployments/") {
		return "azure.ai.openai"
	}
	for _, h := range in.ResponseHeaders {
		if h.GetKey() == "apim-request-id" || h.GetKey() == "x-ms-region" {
			return "azure.ai.openai"
		}
	}
	if a.provider != "" {
		return a.provider
	}
	return d.Provider
}

// Reset empties call and usage and keeps what memory of theirs can be used again.
func Reset(call *event.Call, usage *event.Usage) {
	finish, offered, calls := call.FinishReasons[:0], call.ToolsOffered[:0], call.ToolCalls[:0]
	call.Reset()
	call.FinishReasons, call.ToolsOffered, call.ToolCalls = finish, offered, calls
	flags := usage.Flags[:0]
	usage.Reset()
	usage.Flags = flags
}
