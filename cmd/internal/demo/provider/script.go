package provider

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// HeaderScript is the request header that carries a script.
const HeaderScript = "X-Demo-Script"

// Script says how one call goes. Its text form is key=value pairs parted by semicolons, such as
// "prompt_tokens=910;completion_tokens=120;cached=512;frames=16;frame_ms=20". The zero Script answers at once with
// counts taken from the request.
type Script struct {
	PromptTokens     int           // prompt_tokens: all input tokens, cached ones included; 0 = counted from the request
	CompletionTokens int           // completion_tokens: all output tokens, reasoning included; 0 = 48
	Cached           int           // cached: input tokens read from the cache
	CacheWrite       int           // cache_write: input tokens written to the cache (Anthropic)
	Reasoning        int           // reasoning: output tokens of hidden reasoning
	Frames           int           // frames: pieces of text of a streamed answer; 0 = 8
	First            time.Duration // first_ms: time before the answer begins
	Frame            time.Duration // frame_ms: time between two pieces, or for the whole of an unstreamed answer's pieces
	Status           int           // status: an HTTP error to answer with
	RetryAfter       int           // retry_after: seconds told with 429 and 529; 0 = 1
	CutAfter         int           // cut_after: pieces after which the connection breaks
	ErrorAfter       int           // error_after: pieces after which the stream carries an error event
	Tool             string        // tool: name of an offered tool to call
	Encoding         string        // enc: gzip or br, when the caller accepts it
	Finish           string        // finish: "length" or "content_filter" in place of a normal end
	Text             string        // text: the answer; empty = made up, as long as CompletionTokens
}

// ParseScript reads the text form. An unknown key or a bad number is an error that names it.
func ParseScript(text string) (Script, error) {
	s := Script{CompletionTokens: 48, Frames: 8, RetryAfter: 1}
	for pair := range strings.SplitSeq(text, ";") {
		key, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
		if key == "" {
			continue
		}
		if err := s.set(key, value); err != nil {
			return s, err
		}
	}
	s.Reasoning = min(s.Reasoning, s.CompletionTokens)
	return s, nil
}

func (s *Script) set(key, value string) error {
	switch key {
	case "tool":
		s.Tool = value
	case "enc":
		s.Encoding = value
	case "finish":
		s.Finish = value
	case "text":
		s.Text = value
	default:
		n, err := strconv.Atoi(value)
		if err != nil || n < 0 {
			return fmt.Errorf("read demo script: %s=%q is no count", key, value)
		}
		return s.number(key, n)
	}
	return nil
}

func (s *Script) number(key string, n int) error {
	switch key {
	case "prompt_tokens":
		s.PromptTokens = n
	case "completion_tokens":
		s.CompletionTokens = n
	case "cached":
		s.Cached = n
	case "cache_write":
		s.CacheWrite = n
	case "reasoning":
		s.Reasoning = n
	case "frames":
		s.Frames = max(n, 1)
	case "first_ms":
		s.First = time.Duration(n) * time.Millisecond
	case "frame_ms":
		s.Frame = time.Duration(n) * time.Millisecond
	case "status":
		s.Status = n
	case "retry_after":
		s.RetryAfter = n
	case "cut_after":
		s.CutAfter = n
	case "error_after":
		s.ErrorAfter = n
	default:
		return fmt.Errorf("read demo script: unknown key %q", key)
	}
	return nil
}

// String is the text form, without keys that have their default.
func (s Script) String() string {
	var b strings.Builder
	number := func(key string, n, usual int) {
		if n != usual {
			fmt.Fprintf(&b, "%s=%d;", key, n)
		}
	}
	word := func(key, v string) {
		if v != "" {
			b.WriteString(key + "=" + v + ";")
		}
	}
	number("prompt_tokens", s.PromptTokens, 0)
	number("completion_tokens", s.CompletionTokens, 48)
	number("cached", s.Cached, 0)
	number("cache_write", s.CacheWrite, 0)
	number("reasoning", s.Reasoning, 0)
	number("frames", s.Frames, 8)
	number("first_ms", int(s.First/time.Millisecond), 0)
	number("frame_ms", int(s.Frame/time.Millisecond), 0)
	number("status", s.Status, 0)
	number("retry_after", s.RetryAfter, 1)
	number("cut_after", s.CutAfter, 0)
	number("error_after", s.ErrorAfter, 0)
	word("tool", s.Tool)
	word("enc", s.Encoding)
	word("finish", s.Finish)
	word("text", s.Text)
	return strings.TrimSuffix(b.String(), ";")
}
