// Package provider is a language model provider that follows a script. It answers in the wire formats of OpenAI
// (Chat Completions, Responses, Embeddings, Models) and Anthropic (Messages), whole and streamed, closely enough
// that the providers' own client libraries work with it, and it says what the caller scripted: token counts, pace,
// tool calls, errors, broken streams. It calls nothing and keeps nothing.
package provider

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// maxBody bounds a request body in bytes.
const maxBody = 32 << 20

// dialect is a family of formats.
type dialect uint8

const (
	openAI dialect = iota
	anthropic
)

// call is one request on its way to its answer.
type call struct {
	w       http.ResponseWriter
	r       *http.Request
	dialect dialect
	script  Script
	body    []byte
	number  uint64
	started time.Time
}

type server struct {
	calls atomic.Uint64
	mux   *http.ServeMux
}

// New returns the provider. Routes: POST /v1/chat/completions, /v1/responses, /v1/embeddings, /v1/messages,
// /v1/messages/count_tokens, GET /v1/models. It is safe for concurrent use.
func New() http.Handler {
	s := &server{mux: http.NewServeMux()}
	s.mux.HandleFunc("POST /v1/chat/completions", s.route(openAI, chat))
	s.mux.HandleFunc("POST /v1/responses", s.route(openAI, responses))
	s.mux.HandleFunc("POST /v1/embeddings", s.route(openAI, embeddings))
	s.mux.HandleFunc("GET /v1/models", s.route(openAI, models))
	s.mux.HandleFunc("POST /v1/messages", s.route(anthropic, messages))
	s.mux.HandleFunc("POST /v1/messages/count_tokens", s.route(anthropic, countTokens))
	s.mux.HandleFunc("/", s.route(openAI, func(c *call) {
		c.fail(http.StatusNotFound, fmt.Sprintf("Invalid URL (%s %s)", c.r.Method, c.r.URL.Path))
	}))
	return s.mux
}

// route reads what all formats share, then lets one of them answer.
func (s *server) route(d dialect, answer func(*call)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		c := &call{w: w, r: r, dialect: d, number: s.calls.Add(1), started: time.Now()}
		c.heads()
		if r.Header.Get("Authorization") == "" && r.Header.Get("X-Api-Key") == "" && r.Header.Get("Api-Key") == "" {
			c.fail(http.StatusUnauthorized, "You didn't provide an API key.")
			return
		}
		var err error
		if c.body, err = io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody)); err != nil {
			c.fail(http.StatusBadRequest, "The request body could not be read.")
			return
		}
		if c.script, err = ParseScript(r.Header.Get(HeaderScript)); err != nil {
			c.fail(http.StatusBadRequest, err.Error())
			return
		}
		if !c.sleep(c.script.First) {
			return
		}
		if c.script.Status >= 400 {
			c.fail(c.script.Status, "")
			return
		}
		answer(c)
	}
}

// heads sets the headers that every answer of the provider has.
func (c *call) heads() {
	h := c.w.Header()
	if c.dialect == anthropic {
		h.Set("Request-Id", c.id("req_", 24))
		h.Set("Anthropic-Organization-Id", "8f5e2c1a-0d4b-4c7e-9a36-2b1f0e9d8c7a")
		h.Set("Anthropic-Ratelimit-Requests-Limit", "4000")
		h.Set("Anthropic-Ratelimit-Requests-Remaining", "3999")
		return
	}
	h.Set("X-Request-Id", c.id("req_", 32))
	h.Set("Openai-Version", "2020-10-01")
	h.Set("Openai-Organization", "demo-org")
	h.Set("Openai-Processing-Ms", "12")
	h.Set("X-Ratelimit-Limit-Requests", "10000")
	h.Set("X-Ratelimit-Remaining-Requests", "9999")
	h.Set("X-Ratelimit-Limit-Tokens", "2000000")
	h.Set("X-Ratelimit-Remaining-Tokens", "1999000")
}

// sleep waits unless the caller leaves; it reports whether the caller is still there.
func (c *call) sleep(d time.Duration) bool {
	if d <= 0 {
		return c.r.Context().Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-c.r.Context().Done():
		return false
	}
}

// decode reads the request body.
func (c *call) decode(into any) bool {
	if err := json.Unmarshal(c.body, into); err != nil {
		c.fail(http.StatusBadRequest, "We could not parse the JSON body of your request.")
		return false
	}
	return true
}

// reply writes a whole answer. With CutAfter the connection breaks in the middle of it.
func (c *call) reply(status int, value any) {
	data, err := marshal(value)
	if err != nil {
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.w.Header().Set("Content-Type", "application/json")
	out, err := newEncoder(c)
	if err != nil {
		c.w.WriteHeader(http.StatusInternalServerError)
		return
	}
	c.w.WriteHeader(status)
	if c.script.CutAfter > 0 {
		data = data[:min(len(data)/2, c.script.CutAfter*64)]
	}
	_, _ = out.Write(data) // the caller may have left; there is nobody to tell
	_ = out.Close()
	if c.script.CutAfter > 0 {
		_ = http.NewResponseController(c.w).Flush()
		panic(http.ErrAbortHandler)
	}
}

// marshal is JSON as the providers write it: no escaping of <, > and &.
func marshal(value any) ([]byte, error) {
	var b strings.Builder
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(value); err != nil {
		return nil, fmt.Errorf("encode answer: %w", err)
	}
	return []byte(strings.TrimSuffix(b.String(), "\n")), nil
}

// errorType is the provider's word for an HTTP status.
func (c *call) errorType(status int) (kind, code, message string) {
	if c.dialect == anthropic {
		switch status {
		case http.StatusBadRequest:
			return "invalid_request_error", "", "Invalid request."
		case http.StatusUnauthorized:
			return "authentication_error", "", "invalid x-api-key"
		case http.StatusForbidden:
			return "permission_error", "", "Your API key does not have permission to use the specified resource."
		case http.StatusNotFound:
			return "not_found_error", "", "Not found."
		case http.StatusTooManyRequests:
			return "rate_limit_error", "", "This request would exceed your organization's rate limit."
		case 529:
			return "overloaded_error", "", "Overloaded"
		}
		return "api_error", "", "Internal server error"
	}
	switch status {
	case http.StatusBadRequest, http.StatusNotFound:
		return "invalid_request_error", "", "Invalid request."
	case http.StatusUnauthorized:
		return "invalid_request_error", "invalid_api_key", "Incorrect API key provided."
	case http.StatusForbidden:
		return "invalid_request_error", "model_not_found", "The model does not exist or you do not have access to it."
	case http.StatusTooManyRequests:
		return "requests", "rate_limit_exceeded", "Rate limit reached for requests."
	}
	return "server_error", "", "The server had an error while processing your request."
}

// apiError is OpenAI's error object. Param and Code are null when empty.
type apiError struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// messageError is Anthropic's.
type messageError struct {
	Type  string `json:"type"`
	Error struct {
		Type    string `json:"type"`
		Message string `json:"message"`
	} `json:"error"`
	RequestID string `json:"request_id,omitempty"`
}

// failure builds the dialect's error object; an empty message stands for the usual one.
func (c *call) failure(status int, message string) any {
	kind, code, usual := c.errorType(status)
	if message == "" {
		message = usual
	}
	if c.dialect == anthropic {
		e := messageError{Type: "error", RequestID: c.w.Header().Get("Request-Id")}
		e.Error.Type, e.Error.Message = kind, message
		return e
	}
	e := apiError{Message: message, Type: kind}
	if code != "" {
		e.Code = &code
	}
	return map[string]apiError{"error": e}
}

func (c *call) fail(status int, message string) {
	if status == http.StatusTooManyRequests || status == 529 {
		c.w.Header().Set("Retry-After", fmt.Sprint(c.script.RetryAfter))
	}
	cut := c.script.CutAfter
	c.script.CutAfter = 0
	c.reply(status, c.failure(status, message))
	c.script.CutAfter = cut
}
