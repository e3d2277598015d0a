package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
)

// exchange is one call as the provider and its caller would have it on the wire.
type exchange struct {
	provider, dialect, host, path string
	model                         string
	stream                        bool
	request, response             []byte
	frames                        uint32
}

// vocabulary makes text that compresses like prose does: few words often, many words rarely.
type vocabulary struct {
	words []string
	pick  *rand.Zipf
}

func newVocabulary(rng *rand.Rand) *vocabulary {
	v := &vocabulary{pick: rand.NewZipf(rng, 1.2, 4, 3999)}
	for range 4000 {
		var w strings.Builder
		for range 2 + rng.IntN(3) {
			w.WriteByte("bcdfghklmnprstvw"[rng.IntN(16)])
			w.WriteByte("aeiou"[rng.IntN(5)])
		}
		v.words = append(v.words, w.String())
	}
	return v
}

func (v *vocabulary) text(length int) string {
	var s strings.Builder
	for s.Len() < length {
		s.WriteString(v.words[v.pick.Uint64()])
		s.WriteByte(' ')
	}
	return s.String()
}

var openAIModels = []string{"gpt-5.5", "gpt-5.5-mini", "gpt-4.1", "gpt-4o", "o4-mini"}
var anthropicModels = []string{"claude-sonnet-5", "claude-opus-4-1", "claude-haiku-4-5"}

// newExchange makes a call of about 900 bytes of request and 600 bytes of response; three of ten are streamed, one
// of eight calls a tool.
func newExchange(rng *rand.Rand, v *vocabulary) exchange {
	stream := rng.IntN(10) < 3
	if rng.IntN(2) == 0 {
		return openAI(rng, v, stream)
	}
	return anthropic(rng, v, stream)
}

const toolSchema = `{"type":"object","properties":{"number":{"type":"string"},"year":{"type":"integer"}},"required":["number"]}`

func openAI(rng *rand.Rand, v *vocabulary, stream bool) exchange {
	x := exchange{provider: "openai", dialect: "openai_chat", host: "api.openai.com", path: "/v1/chat/completions",
		model: openAIModels[rng.IntN(len(openAIModels))], stream: stream}
	options := ""
	if stream {
		options = `,"stream":true,"stream_options":{"include_usage":true}`
	}
	x.request = fmt.Appendf(nil, `{"model":%q,"messages":[{"role":"system","content":%q},{"role":"user","content":%q}],"tools":[{"type":"function","function":{"name":"find_invoice","parameters":%s}}],"temperature":0.2,"max_completion_tokens":400,"user":"u-%d"%s}`,
		x.model, v.text(200), v.text(380), toolSchema, rng.IntN(5000), options)
	in, cached, out := 150+rng.IntN(2000), 64*rng.IntN(3), 20+rng.IntN(400)
	usage := fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d,"prompt_tokens_details":{"cached_tokens":%d,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0}}`, in, out, in+out, cached)
	id := rng.Uint64()
	if stream {
		var s strings.Builder
		chunk := func(choices, usage string) {
			fmt.Fprintf(&s, `data: {"id":"chatcmpl-%x","object":"chat.completion.chunk","created":1787565600,"model":%q,"choices":%s%s}`+"\n\n", id, x.model, choices, usage)
			x.frames++
		}
		chunk(fmt.Sprintf(`[{"index":0,"delta":{"role":"assistant","content":%q},"finish_reason":null}]`, v.text(40)), "")
		chunk(`[{"index":0,"delta":{},"finish_reason":"stop"}]`, "")
		chunk(`[]`, `,"usage":`+usage)
		s.WriteString("data: [DONE]\n\n")
		x.response = []byte(s.String())
		return x
	}
	message, finish := fmt.Sprintf(`{"role":"assistant","content":%q,"refusal":null}`, v.text(110)), "stop"
	if rng.IntN(8) == 0 {
		finish = "tool_calls"
		message = fmt.Sprintf(`{"role":"assistant","content":null,"tool_calls":[{"id":"call_%x","type":"function","function":{"name":"find_invoice","arguments":"{\"number\":\"%d\"}"}}]}`, id, rng.IntN(1000))
	}
	x.response = fmt.Appendf(nil, `{"id":"chatcmpl-%x","object":"chat.completion","created":1787565600,"model":%q,"choices":[{"index":0,"message":%s,"logprobs":null,"finish_reason":%q}],"usage":%s,"service_tier":"default","system_fingerprint":"fp_%x"}`,
		id, x.model, message, finish, usage, id>>40)
	return x
}

func anthropic(rng *rand.Rand, v *vocabulary, stream bool) exchange {
	x := exchange{provider: "anthropic", dialect: "anthropic_messages", host: "api.anthropic.com", path: "/v1/messages",
		model: anthropicModels[rng.IntN(len(anthropicModels))], stream: stream}
	x.request = fmt.Appendf(nil, `{"model":%q,"max_tokens":1024,"system":[{"type":"text","text":%q}],"messages":[{"role":"user","content":%q}],"tools":[{"name":"find_invoice","input_schema":%s}],"metadata":{"user_id":"user-%d"},"stream":%t}`,
		x.model, v.text(200), v.text(400), toolSchema, rng.IntN(5000), stream)
	id, in, read, out := rng.Uint64(), 150+rng.IntN(1000), 500*rng.IntN(4), 20+rng.IntN(400)
	if stream {
		var s strings.Builder
		frame := func(kind, data string) {
			fmt.Fprintf(&s, "event: %s\ndata: {\"type\":%q%s}\n\n", kind, kind, data)
			x.frames++
		}
		frame("message_start", fmt.Sprintf(`,"message":{"id":"msg_%x","type":"message","role":"assistant","model":%q,"content":[],"stop_reason":null,"usage":{"input_tokens":%d,"cache_read_input_tokens":%d,"output_tokens":1}}`, id, x.model, in, read))
		frame("content_block_start", `,"index":0,"content_block":{"type":"text","text":""}`)
		frame("content_block_delta", fmt.Sprintf(`,"index":0,"delta":{"type":"text_delta","text":%q}`, v.text(40)))
		frame("content_block_stop", `,"index":0`)
		frame("message_delta", fmt.Sprintf(`,"delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":%d}`, out))
		frame("message_stop", "")
		x.response = []byte(s.String())
		return x
	}
	content, stop := fmt.Sprintf(`[{"type":"text","text":%q}]`, v.text(180)), "end_turn"
	if rng.IntN(8) == 0 {
		stop = "tool_use"
		content = fmt.Sprintf(`[{"type":"tool_use","id":"toolu_%x","name":"find_invoice","input":{"number":"%d"}}]`, id, rng.IntN(1000))
	}
	x.response = fmt.Appendf(nil, `{"id":"msg_%x","type":"message","role":"assistant","model":%q,"content":%s,"stop_reason":%q,"stop_sequence":null,"usage":{"input_tokens":%d,"cache_creation_input_tokens":0,"cache_read_input_tokens":%d,"cache_creation":{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":%d,"service_tier":"standard"}}`,
		id, x.model, content, stop, in, read, out)
	return x
}
