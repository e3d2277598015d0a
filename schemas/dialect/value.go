package dialect

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
	"unsafe"

	"github.com/modeltrail/modeltrail/schemas/jsonscan"
	"github.com/modeltrail/modeltrail/schemas/outline"
)

// text consumes a value and returns it when it is a string, at most maxString bytes of it.
func text(s *jsonscan.Scanner) string {
	if s.Kind() != jsonscan.String {
		s.Skip()
		return ""
	}
	raw, escaped, _ := s.Text()
	if !escaped {
		return clip(view(raw), maxString)
	}
	// No escape takes more than six bytes for one byte of text.
	raw = raw[:min(len(raw), maxString*6)]
	return clip(view(jsonscan.Unescape(make([]byte, 0, len(raw)), raw)), maxString)
}

// word consumes a value and, when it is a string that is not empty, stores it.
func word(s *jsonscan.Scanner, dst *string) {
	if v := text(s); v != "" {
		*dst = v
	}
}

// view makes bytes a string without copying.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// clip cuts a string to n bytes between runes and mends what is no UTF-8, which protobuf refuses.
func clip(v string, n int) string {
	if len(v) > n {
		for n > 0 && !utf8.RuneStart(v[n]) {
			n--
		}
		v = v[:n]
	}
	if !utf8.ValidString(v) {
		return clip(strings.ToValidUTF8(v, "\uFFFD"), n)
	}
	return v
}

// nameOf consumes a string or number and returns it as text.
func nameOf(s *jsonscan.Scanner) string {
	if s.Kind() == jsonscan.Number {
		raw, _ := s.Num()
		return clip(view(raw), maxString)
	}
	return text(s)
}

// truth consumes a value and reports whether it is true.
func truth(s *jsonscan.Scanner) bool {
	if v, ok := s.Bool(); ok {
		return v
	}
	s.Skip()
	return false
}

// small consumes a value and returns it when it is an integer that fits an index, else -1.
func small(s *jsonscan.Scanner) int32 {
	var c count
	var ignored flags
	readCount(s, &c, &ignored)
	if !c.known() || c.value() > 1<<30 {
		return -1
	}
	return int32(c.value())
}

// float consumes a value and returns it when it is a number.
func float(s *jsonscan.Scanner) (float64, bool) {
	raw, ok := s.Num()
	if !ok {
		s.Skip()
		return 0, false
	}
	v, err := strconv.ParseFloat(view(raw), 64)
	return v, err == nil
}

// textLen consumes a value and returns the length in bytes of a string, or of anything but null as it stands.
func textLen(s *jsonscan.Scanner) count {
	switch s.Kind() {
	case jsonscan.String:
		raw, escaped, ok := s.Text()
		switch {
		case !ok:
			return 0
		case escaped:
			return known(int64(jsonscan.UnescapedLen(raw)))
		}
		return known(int64(len(raw)))
	case jsonscan.Null:
		s.Skip()
		return 0
	default:
		if raw := s.Skip(); raw != nil {
			return known(int64(len(raw)))
		}
		return 0
	}
}

// filled consumes a value and reports whether it is a string or list that is not empty.
func filled(s *jsonscan.Scanner) bool {
	switch s.Kind() {
	case jsonscan.String:
		raw, _, ok := s.Text()
		return ok && len(raw) > 0
	case jsonscan.Array:
		some := false
		for s.Array(); s.Elem(); s.Skip() {
			some = true
		}
		return some
	case jsonscan.True:
		return truth(s) // <key>_nonempty of an outline
	default:
		s.Skip()
		return false
	}
}

// readError consumes an error value and returns the provider's class. present is false for null.
func readError(s *jsonscan.Scanner) (class string, present bool) {
	if s.Kind() == jsonscan.Null {
		s.Skip()
		return "", false
	}
	if !s.Object() {
		return "", s.Skip() != nil
	}
	var code, status string
	for key, ok := s.Key(); ok; key, ok = s.Key() {
		switch string(key) {
		case "type":
			class = text(s)
		case "code":
			code = nameOf(s)
		case "status":
			status = nameOf(s)
		default:
			s.Skip()
		}
	}
	return errorClass(class, code, status), true
}

// errorClass chooses the word that says most. OpenAI's type of a rate limit names only the unit that ran out, and an
// HTTP status says nothing new.
func errorClass(class, code, status string) string {
	switch {
	case class == "tokens" || class == "requests":
		return either(code, class)
	case class != "":
		return class
	case isNumber(code):
		return either(status, code)
	}
	return either(code, status)
}

func isNumber(v string) bool {
	for i := range len(v) {
		if v[i] < '0' || v[i] > '9' {
			return false
		}
	}
	return v != ""
}

// open enters the root object of a body, or the first object of a root array: some servers wrap an error in a list.
func open(body []byte) (s jsonscan.Scanner, ok bool) {
	s = jsonscan.New(body)
	if s.Array() && !s.Elem() {
		return s, false
	}
	return s, s.Object()
}

// ended says what the state of a scanner, and the outline's last member, mean for a body.
func ended(s *jsonscan.Scanner, outlineEnd, truncated, malformed string) string {
	switch {
	case s.State() == jsonscan.Malformed || outlineEnd == outline.EndMalformed:
		return malformed
	case s.State() == jsonscan.Truncated || outlineEnd != "":
		return truncated
	}
	return ""
}

// isDone recognises the end marker of OpenAI's streams.
func isDone(data []byte) bool { return string(bytes.TrimSpace(data)) == "[DONE]" }
