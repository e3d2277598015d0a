package strictyaml

import (
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/goccy/go-yaml/ast"
	"github.com/shopspring/decimal"
)

const maxText = 4096

func scalarText(s ast.ScalarNode) string {
	switch v := s.(type) {
	case *ast.StringNode:
		return v.Value
	case *ast.LiteralNode:
		return v.Value.Value
	default:
		return s.GetToken().Value
	}
}

// Text reads a single value as it was written; numbers and booleans are text too.
func (n Node) Text() string {
	if !n.Present() {
		return ""
	}
	s, ok := n.node.(ast.ScalarNode)
	if !ok {
		n.Fault("must be a single value, not %s", kind(n.node))
		return ""
	}
	text := strings.TrimSpace(scalarText(s))
	switch {
	case len(text) > maxText:
		n.Fault("is longer than %d bytes", maxText)
		return ""
	case !utf8.ValidString(text) || strings.IndexFunc(text, unicode.IsControl) >= 0:
		n.Fault("holds control characters or broken UTF-8")
		return ""
	}
	return text
}

// Texts reads a list of single values; an empty one is a fault.
func (n Node) Texts() []string {
	items := n.Items()
	texts := make([]string, 0, len(items))
	for _, item := range items {
		text := item.Text()
		if text == "" {
			item.Fault("is empty; remove it")
			continue
		}
		texts = append(texts, text)
	}
	return texts
}

// Bool reads true or false; absent is false.
func (n Node) Bool() bool {
	if !n.Present() {
		return false
	}
	b, ok := n.node.(*ast.BoolNode)
	if !ok {
		n.Fault("must be true or false")
		return false
	}
	return b.Value
}

// Decimal reads a decimal number from its text, so that nothing passes through binary floating point.
func (n Node) Decimal() (decimal.Decimal, bool) {
	text := n.Text()
	if text == "" {
		return decimal.Decimal{}, false
	}
	d, ok := ParseDecimal(text)
	if !ok {
		n.Fault("%q is not a decimal number such as 12.50", text)
	}
	return d, ok
}

// ParseDecimal reads a decimal of at most 40 characters with an exponent of at most two digits: longer ones are
// never a price, and would let a short text ask for an enormous number.
func ParseDecimal(text string) (decimal.Decimal, bool) {
	if len(text) == 0 || len(text) > 40 {
		return decimal.Decimal{}, false
	}
	if i := strings.IndexAny(text, "eE"); i >= 0 && len(strings.TrimLeft(text[i+1:], "+-")) > 2 {
		return decimal.Decimal{}, false
	}
	for _, c := range text {
		if !strings.ContainsRune("0123456789.eE+-", c) {
			return decimal.Decimal{}, false
		}
	}
	d, err := decimal.NewFromString(text)
	return d, err == nil
}

// Instant reads a date (2006-01-02, midnight UTC) or an RFC 3339 time.
func (n Node) Instant() (time.Time, bool) {
	text := n.Text()
	if text == "" {
		return time.Time{}, false
	}
	for _, layout := range []string{time.DateOnly, time.RFC3339} {
		if t, err := time.Parse(layout, text); err == nil && t.Year() >= 1970 && t.Year() < 2200 {
			return t.UTC(), true
		}
	}
	n.Fault("%q is not a date such as 2026-08-31 or a time such as 2026-08-31T18:00:00Z", text)
	return time.Time{}, false
}

// Date reads a date (2006-01-02), midnight UTC.
func (n Node) Date() (time.Time, bool) {
	text := n.Text()
	if text == "" {
		return time.Time{}, false
	}
	t, err := time.Parse(time.DateOnly, text)
	if err != nil || t.Year() < 1970 || t.Year() >= 2200 {
		n.Fault("%q is not a date such as 2026-08-31", text)
		return time.Time{}, false
	}
	return t, true
}
