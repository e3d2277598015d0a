package splice

// maxDepth bounds the nesting that is followed; deeper texts are not joined.
const maxDepth = 64

// opening is the state of a JSON text at the end of its head.
type opening struct {
	stack    []byte // '{' and '[' that are open
	inString bool   // inside a string that is a value
	end      int    // where the usable part of the head ends
	empty    bool   // outside a string: the innermost container has no complete value yet
}

// place is where a tail can be entered: behind a comma, with this many containers still open.
type place struct {
	at    int
	depth int // length of the closers' stack there
}

// closing is what a tail says when it is read backwards from the end of the text.
type closing struct {
	stack    []byte  // kinds of the containers that the tail closes, outermost first
	inString bool    // the tail begins inside a string that is a value
	begin    int     // where that string's text can be entered
	places   []place // from the end of the text to its beginning
}

// document joins the two parts of one JSON text.
func document(dst, head, tail []byte, omitted int64) []byte {
	open, ok := scanHead(head)
	if !ok {
		return append(dst, head...)
	}
	end, ok := scanTail(tail)
	if !ok {
		return append(dst, head...)
	}
	if open.inString && end.inString && string(open.stack) == string(end.stack) {
		dst = append(dst, head[:open.end]...)
		dst = append(dst, marker(omitted+int64(len(head)-open.end+end.begin))...)
		return append(dst, tail[end.begin:]...)
	}
	for depth := len(open.stack); depth > 0; depth-- {
		at, found := end.enter(open.stack[:depth])
		if !found {
			continue
		}
		lost := omitted + int64(len(head)-open.end+at)
		dst = append(dst, head[:open.end]...)
		if open.inString {
			dst = append(append(dst, marker(lost)...), '"')
		}
		for i := len(open.stack) - 1; i >= depth; i-- {
			dst = append(dst, open.stack[i]+2) // '}' and ']' follow '{' and '[' at this distance
		}
		if !open.empty || open.inString || depth < len(open.stack) {
			dst = append(dst, ',')
		}
		return append(dst, tail[at:]...)
	}
	return append(dst, head...)
}

// enter finds the earliest place with exactly these containers open.
func (c *closing) enter(stack []byte) (at int, ok bool) {
	if len(stack) > len(c.stack) || string(c.stack[:len(stack)]) != string(stack) {
		return 0, false
	}
	for i := len(c.places) - 1; i >= 0; i-- {
		if c.places[i].depth == len(stack) {
			return c.places[i].at, true
		}
	}
	return 0, false
}

// scanHead walks the head. Outside a string its usable part ends behind the last complete value.
func scanHead(head []byte) (opening, bool) {
	var o opening
	var (
		value  int  // end of the last complete value or of the last opening bracket
		key    bool // the next string of the innermost object is a key
		scalar bool // inside a number or a word
	)
	o.empty = true
	complete := func(at int) { value, o.empty = at, false }
	for i := 0; i < len(head); i++ {
		switch c := head[i]; c {
		case '{', '[':
			if len(o.stack) == maxDepth {
				return o, false
			}
			o.stack = append(o.stack, c)
			key, value, o.empty = c == '{', i+1, true
		case '}', ']':
			if scalar {
				complete(i)
			}
			if len(o.stack) == 0 || o.stack[len(o.stack)-1]+2 != c {
				return o, false
			}
			o.stack = o.stack[:len(o.stack)-1]
			scalar, key = false, false
			complete(i + 1)
		case ',':
			if scalar {
				complete(i)
			}
			scalar = false
			key = len(o.stack) > 0 && o.stack[len(o.stack)-1] == '{'
		case ':':
			key = false
		case '"':
			end := stringEnd(head, i+1)
			if end < 0 {
				return o.within(head, i+1, value, key)
			}
			if !key {
				complete(end + 1)
			}
			i = end
		case ' ', '\t', '\r', '\n', 0xEF, 0xBB, 0xBF:
			if scalar {
				complete(i)
			}
			scalar = false
		default:
			scalar = true
		}
	}
	o.end = value
	return o, len(o.stack) > 0
}

// within ends the head inside a string that begins at start.
func (o opening) within(head []byte, start, value int, key bool) (opening, bool) {
	o.end = value
	if key || len(o.stack) == 0 {
		return o, len(o.stack) > 0
	}
	o.inString = true
	o.end = len(wholeRunes(head))
	o.end = start + len(wholeEscapes(head[start:o.end]))
	return o, true
}

// wholeEscapes leaves out an escape that was cut at the end of a string's text.
func wholeEscapes(text []byte) []byte {
	for i := len(text) - 1; i >= max(0, len(text)-longestEscape); i-- {
		if text[i] != '\\' {
			continue
		}
		run := 1
		for run <= i && text[i-run] == '\\' {
			run++
		}
		if run%2 == 1 && (i+1 == len(text) || text[i+1] == 'u' && len(text)-i < longestEscape) {
			return text[:i]
		}
		return text
	}
	return text
}

// stringEnd returns where the string's closing quote is, -1 when the text ends before.
func stringEnd(text []byte, i int) int {
	for ; i < len(text); i++ {
		switch text[i] {
		case '"':
			return i
		case '\\':
			i++
		}
	}
	return -1
}

// scanTail walks the tail backwards from the end of the text.
func scanTail(tail []byte) (closing, bool) {
	var (
		c        closing
		reversed []byte // closers met and not yet matched, as opening kinds, outermost first
	)
	for i := len(tail) - 1; i >= 0; i-- {
		switch b := tail[i]; b {
		case '}', ']':
			if len(reversed) == maxDepth {
				return c, false
			}
			reversed = append(reversed, b-2)
		case '{', '[':
			if len(reversed) == 0 || reversed[len(reversed)-1] != b {
				return c, false
			}
			reversed = reversed[:len(reversed)-1]
			c.drop(len(reversed))
		case ',':
			c.places = append(c.places, place{i + 1, len(reversed)})
		case '"':
			begin := stringBegin(tail, i-1)
			if begin < 0 {
				c.stack = reversed
				c.enterString(tail, i)
				return c, len(reversed) > 0
			}
			i = begin
		}
	}
	c.stack = reversed
	return c, len(reversed) > 0
}

// drop forgets the places inside a container that lies in the tail as a whole: no head has it open.
func (c *closing) drop(depth int) {
	for len(c.places) > 0 && c.places[len(c.places)-1].depth > depth {
		c.places = c.places[:len(c.places)-1]
	}
}

// stringBegin returns where the string's opening quote is, -1 when the text begins inside the string. A quote is
// escaped when an odd number of backslashes stands before it.
func stringBegin(text []byte, i int) int {
	for ; i >= 0; i-- {
		if text[i] != '"' {
			continue
		}
		back := 0
		for back < i && text[i-1-back] == '\\' {
			back++
		}
		if back == i && back > 0 {
			return -1 // the backslashes may have begun before the text
		}
		if back%2 == 0 {
			return i
		}
		i -= back
	}
	return -1
}

// longestEscape in bytes. A string entered behind this many bytes without a backslash is not entered inside an escape.
const longestEscape = 6

// enterString finds where the text of a string can be entered that began before the tail and ends at quote.
func (c *closing) enterString(tail []byte, quote int) {
	for i := quote + 1; i < len(tail); i++ {
		if b := tail[i]; b == ':' {
			return // a key
		} else if b != ' ' && b != '\t' && b != '\r' && b != '\n' {
			break
		}
	}
	plain := 0
	for i := 0; i <= quote; i++ {
		if plain >= longestEscape && (tail[i] < 0x80 || tail[i] >= 0xC0) {
			c.inString, c.begin = true, i
			return
		}
		plain++
		if tail[i] == '\\' {
			plain = 0
		}
	}
}
