package outline

// place is where in a body an object stands. A key is allowed for a place, never everywhere: "code" is an error's
// class in one object and a program in another.
type place uint8

const (
	nowhere    place = iota
	inRoot           // a request, a response, or the data of one SSE frame
	inResponse       // the response object inside a Responses API frame
	inChoice         // choices[]
	inMessage        // choices[].message and choices[].delta
	inToolCall       // choices[].message.tool_calls[]
	inFunction       // a tool call's function or custom object
	inStart          // the message object of an Anthropic message_start
	inDelta          // the delta object of an Anthropic frame
	inBlock          // content[] and content_block of Anthropic
	inItem           // output[] and item of the Responses API
	inAction         // the action of a web search item
	inTool           // tools[], functions[], mcp_servers[] of a request
	inToolBody       // the function or custom object of an offered tool
	inUsage          // any object below usage: numbers under plain keys
	inError          // error
	inMetadata       // metadata
	inOptions        // stream_options
	inIdentity       // an object that only names something: conversation
	inReason         // incomplete_details
	inWrapper        // x_groq: an object around usage
)

// keep says what survives of a value.
type keep uint8

const (
	keepScalar   keep = 1 << iota // number, bool, null, string of at most 128 bytes
	keepName                      // such a string
	keepFigure                    // number, bool, null, string that is a number
	keepLength                    // a number under <key>_len: bytes of the string, or of the value as it stands
	keepNonEmpty                  // true under <key>_nonempty when a string or array is not empty
	keepShell                     // an empty array or object in place of anything but null: it was there
	keepInError                   // keepScalar, but only in a frame or body that called itself an error before
)

// rule allows one key in one place. A container is entered when child names a place.
type rule struct {
	in    place
	key   string
	keep  keep
	child place
}

// rules is the allow-list. What is not in it is dropped.
var rules = [...]rule{
	{inRoot, "id", keepName, nowhere},
	{inRoot, "object", keepName, nowhere},
	{inRoot, "type", keepName, nowhere},
	{inRoot, "role", keepName, nowhere},
	{inRoot, "model", keepName, nowhere},
	{inRoot, "created", keepFigure, nowhere},
	{inRoot, "created_at", keepFigure, nowhere},
	{inRoot, "status", keepScalar, nowhere},
	{inRoot, "service_tier", keepName, nowhere},
	{inRoot, "stream", keepFigure, nowhere},
	{inRoot, "background", keepFigure, nowhere},
	{inRoot, "max_tokens", keepFigure, nowhere},
	{inRoot, "max_completion_tokens", keepFigure, nowhere},
	{inRoot, "max_output_tokens", keepFigure, nowhere},
	{inRoot, "temperature", keepFigure, nowhere},
	{inRoot, "user", keepName, nowhere},
	{inRoot, "safety_identifier", keepName, nowhere},
	{inRoot, "previous_response_id", keepName, nowhere},
	{inRoot, "conversation", keepScalar, inIdentity},
	{inRoot, "stop_reason", keepName, nowhere},
	{inRoot, "index", keepFigure, nowhere},
	{inRoot, "output_index", keepFigure, nowhere},
	{inRoot, "code", keepInError, nowhere},
	{inRoot, "arguments", keepLength, nowhere},
	{inRoot, "delta", keepLength, inDelta},
	{inRoot, "choices", 0, inChoice},
	{inRoot, "message", 0, inStart},
	{inRoot, "content", 0, inBlock},
	{inRoot, "content_block", 0, inBlock},
	{inRoot, "output", 0, inItem},
	{inRoot, "item", 0, inItem},
	{inRoot, "response", 0, inResponse},
	{inRoot, "usage", 0, inUsage},
	{inRoot, "error", keepShell, inError},
	{inRoot, "incomplete_details", 0, inReason},
	{inRoot, "tools", 0, inTool},
	{inRoot, "functions", 0, inTool},
	{inRoot, "mcp_servers", 0, inTool},
	{inRoot, "metadata", 0, inMetadata},
	{inRoot, "stream_options", 0, inOptions},
	{inRoot, "x_groq", 0, inWrapper},
	{inRoot, "prompt_filter_results", keepShell, nowhere},

	{inResponse, "id", keepName, nowhere},
	{inResponse, "object", keepName, nowhere},
	{inResponse, "model", keepName, nowhere},
	{inResponse, "created_at", keepFigure, nowhere},
	{inResponse, "status", keepScalar, nowhere},
	{inResponse, "service_tier", keepName, nowhere},
	{inResponse, "background", keepFigure, nowhere},
	{inResponse, "previous_response_id", keepName, nowhere},
	{inResponse, "conversation", keepScalar, inIdentity},
	{inResponse, "output", 0, inItem},
	{inResponse, "usage", 0, inUsage},
	{inResponse, "error", keepShell, inError},
	{inResponse, "incomplete_details", 0, inReason},

	{inChoice, "index", keepFigure, nowhere},
	{inChoice, "finish_reason", keepName, nowhere},
	{inChoice, "message", 0, inMessage},
	{inChoice, "delta", 0, inMessage},
	{inChoice, "text", keepNonEmpty, nowhere},
	{inChoice, "usage", 0, inUsage},

	{inMessage, "role", keepName, nowhere},
	{inMessage, "content", keepNonEmpty, nowhere},
	{inMessage, "refusal", keepNonEmpty, nowhere},
	{inMessage, "reasoning", keepNonEmpty, nowhere},
	{inMessage, "reasoning_content", keepNonEmpty, nowhere},
	{inMessage, "tool_calls", 0, inToolCall},
	{inMessage, "function_call", 0, inFunction},

	{inToolCall, "index", keepFigure, nowhere},
	{inToolCall, "id", keepName, nowhere},
	{inToolCall, "type", keepName, nowhere},
	{inToolCall, "function", 0, inFunction},
	{inToolCall, "custom", 0, inFunction},

	{inFunction, "name", keepName, nowhere},
	{inFunction, "arguments", keepLength, nowhere},
	{inFunction, "input", keepLength, nowhere},

	{inStart, "id", keepName, nowhere},
	{inStart, "type", keepName, nowhere},
	{inStart, "role", keepName, nowhere},
	{inStart, "model", keepName, nowhere},
	{inStart, "stop_reason", keepName, nowhere},
	{inStart, "usage", 0, inUsage},
	{inStart, "content", 0, inBlock},

	{inDelta, "type", keepName, nowhere},
	{inDelta, "stop_reason", keepName, nowhere},
	{inDelta, "text", keepNonEmpty, nowhere},
	{inDelta, "thinking", keepNonEmpty, nowhere},
	{inDelta, "partial_json", keepLength, nowhere},

	{inBlock, "type", keepName, nowhere},
	{inBlock, "id", keepName, nowhere},
	{inBlock, "name", keepName, nowhere},
	{inBlock, "server_name", keepName, nowhere},
	{inBlock, "text", keepNonEmpty, nowhere},
	{inBlock, "input", keepLength, nowhere},

	{inItem, "type", keepName, nowhere},
	{inItem, "id", keepName, nowhere},
	{inItem, "call_id", keepName, nowhere},
	{inItem, "name", keepName, nowhere},
	{inItem, "server_label", keepName, nowhere},
	{inItem, "status", keepScalar, nowhere},
	{inItem, "role", keepName, nowhere},
	{inItem, "arguments", keepLength, nowhere},
	{inItem, "input", keepLength, nowhere},
	{inItem, "action", 0, inAction},

	{inAction, "type", keepName, nowhere},

	{inTool, "type", keepName, nowhere},
	{inTool, "name", keepName, nowhere},
	{inTool, "server_label", keepName, nowhere},
	{inTool, "function", 0, inToolBody},
	{inTool, "custom", 0, inToolBody},

	{inToolBody, "name", keepName, nowhere},

	{inUsage, "service_tier", keepName, nowhere},

	{inError, "type", keepName, nowhere},
	{inError, "code", keepScalar, nowhere},
	{inError, "status", keepScalar, nowhere},

	{inMetadata, "user_id", keepName, nowhere},

	{inOptions, "include_usage", keepFigure, nowhere},

	{inIdentity, "id", keepName, nowhere},

	{inReason, "reason", keepName, nowhere},

	{inWrapper, "usage", 0, inUsage},
}
