package provider

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"strings"
)

const idLetters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

// id makes an identifier in the form of the providers', unique in this process and equal in a repeated run.
func (c *call) id(prefix string, n int) string {
	var seed [8]byte
	binary.BigEndian.PutUint64(seed[:], c.number)
	sum := sha256.Sum256(append(seed[:], prefix...))
	b := []byte(prefix)
	for i := range n {
		b = append(b, idLetters[int(sum[i%len(sum)]^byte(i))%len(idLetters)])
	}
	return string(b)
}

// vocabulary is what made-up answers are made of.
var vocabulary = strings.Fields(`the report shows that demand rose in spring while costs fell and most teams met their goals
a short summary follows with the main points first then details for those who need them we compared three options by effort
risk and benefit option two is simple to run and easy to undo it keeps the current interface and adds one small service
next steps are a review on monday a trial with one team and a decision by the end of the month`)

// text is the scripted answer, or a made-up one of about as many words as the tokens that are not reasoning.
func (c *call) text() string {
	if c.script.Text != "" {
		return c.script.Text
	}
	words := min(max((c.script.CompletionTokens-c.script.Reasoning)*3/4, 1), 4000)
	var b strings.Builder
	for i := range words {
		if i > 0 {
			b.WriteByte(' ')
		}
		b.WriteString(vocabulary[(i+int(c.number%17)*7)%len(vocabulary)])
	}
	return b.String() + "."
}

// split cuts text into at most n pieces at spaces where it can.
func split(text string, n int) []string {
	var pieces []string
	size := max((len(text)+n-1)/n, 1)
	for len(text) > size && len(pieces) < n-1 {
		cut := size
		if k := strings.IndexByte(text[cut:], ' '); k >= 0 && k < 12 {
			cut += k
		}
		for cut < len(text) && text[cut]&0xC0 == 0x80 {
			cut++
		}
		pieces, text = append(pieces, text[:cut]), text[cut:]
	}
	if text != "" {
		pieces = append(pieces, text)
	}
	return pieces
}

// promptTokens is the scripted input, or a quarter of the request's bytes.
func (c *call) promptTokens() int {
	n := c.script.PromptTokens
	if n == 0 {
		n = max(len(c.body)/4, 1)
	}
	return max(n, c.script.Cached+c.script.CacheWrite)
}

// function is an offered tool.
type function struct {
	name   string
	schema json.RawMessage
}

// chosen returns the tool to call: the scripted one if it is offered, else one that the last words of the user
// name; nil for a plain answer.
func (c *call) chosen(offered []function, lastUser string, forced string) *function {
	want := c.script.Tool
	if want == "" {
		want = forced
	}
	for i := range offered {
		if offered[i].name == want || want == "" && lastUser != "" && strings.Contains(lastUser, offered[i].name) {
			return &offered[i]
		}
	}
	if want == "*" && len(offered) > 0 {
		return &offered[0]
	}
	return nil
}

// schema is the part of JSON Schema that example fills.
type schema struct {
	Type       any                        `json:"type"`
	Properties map[string]json.RawMessage `json:"properties"`
	Required   []string                   `json:"required"`
	Items      json.RawMessage            `json:"items"`
	Enum       []any                      `json:"enum"`
}

// example returns a value that fits a schema: required members only.
func example(raw json.RawMessage, depth int) any {
	var s schema
	if json.Unmarshal(raw, &s) != nil || depth > 8 {
		return map[string]any{}
	}
	if len(s.Enum) > 0 {
		return s.Enum[0]
	}
	kind, _ := s.Type.(string)
	if many, ok := s.Type.([]any); ok && len(many) > 0 {
		kind, _ = many[0].(string)
	}
	switch kind {
	case "string":
		return "Oslo"
	case "integer":
		return 3
	case "number":
		return 2.5
	case "boolean":
		return true
	case "null":
		return nil
	case "array":
		return []any{example(s.Items, depth+1)}
	}
	out := map[string]any{}
	for _, name := range s.Required {
		out[name] = example(s.Properties[name], depth+1)
	}
	return out
}

// arguments are the JSON text of a call of f.
func (f *function) arguments() string {
	data, err := marshal(example(f.schema, 0))
	if err != nil {
		return "{}"
	}
	return string(data)
}

// content is a message's text: a string, or parts of which some have text.
type content string

// UnmarshalJSON reads both forms.
func (t *content) UnmarshalJSON(data []byte) error {
	var plain string
	if json.Unmarshal(data, &plain) == nil {
		*t = content(plain)
		return nil
	}
	var parts []struct {
		Text string `json:"text"`
	}
	if json.Unmarshal(data, &parts) == nil {
		for _, p := range parts {
			*t += content(p.Text)
		}
	}
	return nil
}
