package redact

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"math/bits"
	"slices"
)

// kind is how a body is written.
type kind uint8

const (
	kindText kind = iota
	kindJSON      // one value, or one per line
	kindSSE
	kindForm
	kindPath // a single text that may be percent-encoded
)

// cut is an interval of the body that goes away.
type cut struct {
	s, e   int
	rule   string
	mark   bool // leaves [REDACTED:rule]; without it the interval is the rest of a match that began in an earlier frame
	quoted bool // replaces a number, so the mark becomes a string
}

// region is an interval in which a cut may lie: the inside of a string, a number, a line of text.
type region struct {
	s, e   int
	number bool
}

// merge sorts cuts and joins those that overlap; the longer one names the rule.
func merge(cuts []cut) []cut {
	slices.SortStableFunc(cuts, func(a, b cut) int {
		return cmp.Or(cmp.Compare(a.s, b.s), cmp.Compare(b.e, a.e))
	})
	out := cuts[:0]
	for _, c := range cuts {
		if n := len(out); n > 0 && c.s < out[n-1].e {
			last := &out[n-1]
			if c.e-c.s > last.e-last.s {
				last.rule = c.rule
			}
			last.e, last.mark = max(last.e, c.e), last.mark || c.mark
			continue
		}
		out = append(out, c)
	}
	return out
}

// clip keeps of sorted cuts what lies in strings, numbers and text, so that the structure around them survives.
func clip(k kind, body []byte, cuts []cut) []cut {
	if k != kindJSON && k != kindSSE {
		return cuts
	}
	var out []cut
	i := 0
	visit := func(r region) bool {
		for i < len(cuts) && cuts[i].e <= r.s {
			i++
		}
		for n := i; n < len(cuts) && cuts[n].s < r.e; n++ {
			c := cuts[n]
			if r.number {
				c.s, c.e, c.quoted, c.mark = r.s, r.e, true, true
				out = append(out, c)
				break
			}
			c.s, c.e = max(c.s, r.s), min(c.e, r.e)
			out = append(out, c)
		}
		return i < len(cuts)
	}
	if k == kindSSE {
		sseRegions(body, visit)
	} else {
		jsonRegions(body, 0, len(body), visit)
	}
	return out
}

// sseRegions visits the regions of every line: those of the JSON behind "data:", else all behind the field name.
func sseRegions(body []byte, visit func(region) bool) {
	for from := 0; from < len(body); {
		end := lineEnd(body, from)
		s := from
		if k := bytes.IndexByte(body[from:end], ':'); k >= 0 && k <= len("event") {
			s = from + k + 1
		}
		payload := s
		for payload < end && body[payload] == ' ' {
			payload++
		}
		more := true
		if payload < end && (body[payload] == '{' || body[payload] == '[' || body[payload] == '"') && !bytes.Equal(body[payload:end], []byte("[DONE]")) {
			more = jsonRegions(body, payload, end, visit)
		} else if s < end {
			more = visit(region{s, end, false})
		}
		if !more {
			return
		}
		from = nextLine(body, end)
	}
}

// lineEnd returns the end of the line that begins at from, without its terminator.
func lineEnd(body []byte, from int) int {
	n := bytes.IndexByte(body[from:], '\n')
	if n < 0 {
		return len(body)
	}
	if n > 0 && body[from+n-1] == '\r' {
		n--
	}
	return from + n
}

func nextLine(body []byte, end int) int {
	for end < len(body) && body[end] == '\r' {
		end++
	}
	return end + 1
}

// jsonRegions visits the strings and numbers of the JSON text body[s:e], which may be cut short and may be several
// values. A line break ends a string that nothing else ends, so one broken line does not hide the next.
func jsonRegions(body []byte, s, e int, visit func(region) bool) bool {
	for i := s; i < e; {
		switch b := body[i]; {
		case b == '"':
			end := stringEnd(body, i+1, e)
			if !visit(region{i + 1, end, false}) {
				return false
			}
			i = end + 1
		case b == '-' || is(b, classDigit):
			end := i + 1
			for end < e && (isAlnum(body[end]) || body[end] == '.' || body[end] == '+' || body[end] == '-') {
				end++
			}
			if !visit(region{i, end, true}) {
				return false
			}
			i = end
		default:
			i++
		}
	}
	return true
}

// stringEnd returns the position of the quote that ends the JSON string whose inside begins at i, or where it is cut.
func stringEnd(body []byte, i, e int) int {
	for i < e {
		if i+8 <= e {
			w := binary.LittleEndian.Uint64(body[i:])
			quote, slash, line := w^'"'*ones, w^'\\'*ones, w^'\n'*ones
			m := ((quote-ones)&^quote | (slash-ones)&^slash | (line-ones)&^line) & highs
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		}
		switch {
		case byteClass[body[i]]&classStop == 0:
			i++
		case body[i] != '\\':
			return i
		default:
			i += 2
		}
	}
	return e
}

// splice builds the body without the cuts, which are sorted and do not overlap.
func splice(body []byte, cuts []cut) []byte {
	size := len(body)
	for _, c := range cuts {
		size += len(c.rule) + 16 - (c.e - c.s)
	}
	out := make([]byte, 0, max(size, 0))
	from := 0
	for _, c := range cuts {
		out = append(out, body[from:c.s]...)
		if c.quoted {
			out = append(out, '"')
		}
		if c.mark {
			out = append(out, "[REDACTED:"...)
			out = append(out, c.rule...)
			out = append(out, ']')
		}
		if c.quoted {
			out = append(out, '"')
		}
		from = c.e
	}
	return append(out, body[from:]...)
}
