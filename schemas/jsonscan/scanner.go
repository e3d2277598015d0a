// Package jsonscan walks one JSON text in one pass, without building a tree and without allocating.
//
// It exists for bodies that others wrote: they may be cut off anywhere, they may be no JSON at all, and most of
// their bytes are content that the caller skips. Every valid text is walked completely and yields the same values
// as encoding/json. Of invalid ones it notices only what keeps it from going on: it does not check skipped values.
// It runs in linear time, recurses nowhere and never panics.
package jsonscan

import (
	"bytes"
	"encoding/binary"
	"math/bits"
)

// Kind is the type of the value at the scanner's position.
type Kind uint8

// The kinds. None stands for the end of the text or for bytes that start no value.
const (
	None Kind = iota
	Object
	Array
	String
	Number
	True
	False
	Null
)

// State says whether the text could be walked so far.
type State uint8

// The states. The first problem is kept.
const (
	OK        State = iota
	Truncated       // the text ended inside a value
	Malformed       // a byte stands where the grammar has no place for it
)

const maxKey = 64

// Scanner is a position in a text. The zero Scanner is at the end of an empty text. Copying it forks the position.
// After a problem every method reports the end, so loops terminate. It is not safe for concurrent use.
type Scanner struct {
	data  []byte
	pos   int
	depth int
	state State
	key   [maxKey]byte // an unescaped key
}

// New returns a scanner at the start of data, after a byte order mark if there is one.
func New(data []byte) Scanner {
	var s Scanner
	if len(data) >= 3 && data[0] == 0xEF && data[1] == 0xBB && data[2] == 0xBF {
		s.pos = 3
	}
	s.data = data
	return s
}

// State returns the first problem met, or OK.
func (s *Scanner) State() State { return s.state }

func (s *Scanner) fail(st State) {
	if s.state == OK {
		s.state = st
	}
	s.pos = len(s.data)
}

func (s *Scanner) space() {
	d, i := s.data, s.pos
	for i < len(d) && d[i] <= ' ' && (d[i] == ' ' || d[i] == '\n' || d[i] == '\r' || d[i] == '\t') {
		i++
	}
	s.pos = i
}

// Kind looks at the next value without consuming it.
func (s *Scanner) Kind() Kind {
	// After a problem the position is at the end, so the fast path need not ask.
	if s.pos < len(s.data) && s.data[s.pos] > ' ' {
		return kinds[s.data[s.pos]]
	}
	return s.kindAfterSpace()
}

func (s *Scanner) kindAfterSpace() Kind {
	s.space()
	if s.pos >= len(s.data) {
		return None
	}
	return kinds[s.data[s.pos]]
}

var kinds = [256]Kind{
	'{': Object, '[': Array, '"': String, 't': True, 'f': False, 'n': Null, '-': Number,
	'0': Number, '1': Number, '2': Number, '3': Number, '4': Number,
	'5': Number, '6': Number, '7': Number, '8': Number, '9': Number,
}

// Object enters an object, or reports false and consumes nothing when the next value is none.
func (s *Scanner) Object() bool {
	if s.Kind() != Object {
		return false
	}
	s.pos++
	s.depth++
	return true
}

// Array enters an array, or reports false and consumes nothing when the next value is none.
func (s *Scanner) Array() bool {
	if s.Kind() != Array {
		return false
	}
	s.pos++
	s.depth++
	return true
}

// Key moves to the next member of the object entered last and returns its key without escapes. The caller MUST
// consume the member's value before it calls Key again. At the end of the object, or of the text, ok is false.
// The key is valid until the next call of Key. Keys of more than 64 bytes that hold escapes come back empty.
func (s *Scanner) Key() (key []byte, ok bool) {
	if d, i := s.data, s.pos; i+1 < len(d) && d[i] == ',' && d[i+1] == '"' {
		s.pos++ // compact text
	} else if !s.more('}') {
		return nil, false
	} else if s.data[s.pos] != '"' {
		s.fail(Malformed)
		return nil, false
	}
	key, escaped, ok := s.text()
	if !ok {
		return nil, false
	}
	if s.pos < len(s.data) && s.data[s.pos] == ':' {
		s.pos++
	} else if !s.colon() {
		return nil, false
	}
	if escaped {
		if len(key) > maxKey {
			return nil, true
		}
		key = Unescape(s.key[:0], key)
	}
	return key, true
}

func (s *Scanner) colon() bool {
	s.space()
	switch {
	case s.pos >= len(s.data):
		s.fail(Truncated)
		return false
	case s.data[s.pos] != ':':
		s.fail(Malformed)
		return false
	}
	s.pos++
	return true
}

// Elem moves to the next element of the array entered last. The caller MUST consume the element before it calls
// Elem again. At the end of the array, or of the text, it reports false.
func (s *Scanner) Elem() bool { return s.more(']') }

// more skips to the next member or element, or consumes the closing byte.
func (s *Scanner) more(closer byte) bool {
	if s.state != OK {
		return false
	}
	for comma := false; ; comma = true {
		if s.pos >= len(s.data) || s.data[s.pos] <= ' ' {
			s.space()
		}
		if s.pos >= len(s.data) {
			s.fail(Truncated)
			return false
		}
		switch c := s.data[s.pos]; {
		case c == closer:
			s.pos++
			s.depth--
			return false
		case c == ',' && !comma:
			s.pos++
		case c == ',' || c == '}' || c == ']' || c == ':':
			s.fail(Malformed)
			return false
		default:
			return true
		}
	}
}

// Text consumes a string and returns the bytes between its quotes as they stand, and whether they hold escapes.
// When the next value is no whole string, ok is false; a string that the text's end cuts off is consumed.
func (s *Scanner) Text() (raw []byte, escaped, ok bool) {
	if s.Kind() != String {
		return nil, false, false
	}
	return s.text()
}

// text is Text for a scanner that stands at a quote.
func (s *Scanner) text() (raw []byte, escaped, ok bool) {
	d, start := s.data, s.pos+1
	i := start
	// Most strings are short: eight bytes at a time beat a call. The rest is left to the vector search.
	for end := min(len(d)-8, start+56); i <= end; i += 8 {
		w := binary.LittleEndian.Uint64(d[i:])
		if m := zeroBytes(w^quotes) | zeroBytes(w^backslashes); m != 0 {
			i += bits.TrailingZeros64(m) / 8
			break
		}
	}
	if i < len(d) && d[i] == '"' {
		s.pos = i + 1
		return d[start:i], false, true
	}
	if i > len(d) {
		i = len(d)
	}
	end := closing(d, start, i)
	if end < 0 {
		s.fail(Truncated)
		return nil, false, false
	}
	s.pos = end + 1
	raw = d[start:end]
	return raw, bytes.IndexByte(raw, '\\') >= 0, true
}

const (
	ones        = 0x0101010101010101
	highs       = 0x8080808080808080
	quotes      = '"' * ones
	backslashes = '\\' * ones
)

// zeroBytes sets the high bit of the first byte of w that is zero, and perhaps of later ones.
func zeroBytes(w uint64) uint64 { return (w - ones) &^ w & highs }

// closing returns the position of the quote that ends the string starting at start, or -1. No quote lies before from.
func closing(d []byte, start, from int) int {
	for i := from; ; i++ {
		n := bytes.IndexByte(d[i:], '"')
		if n < 0 {
			return -1
		}
		i += n
		// A run of backslashes lies next to one quote only, so counting it back keeps the time linear.
		b := i
		for b > start && d[b-1] == '\\' {
			b--
		}
		if (i-b)%2 == 0 {
			return i
		}
	}
}

// Num consumes a number and returns its bytes. When the next value is no whole number, ok is false; a number at the
// very end of an unfinished text is consumed but not returned, for digits may be missing.
func (s *Scanner) Num() (raw []byte, ok bool) {
	if s.Kind() != Number {
		return nil, false
	}
	d, start := s.data, s.pos
	i := start
	for i < len(d) && classes[d[i]] == classNumber {
		i++
	}
	if i == len(d) && s.depth > 0 {
		s.fail(Truncated)
		return nil, false
	}
	s.pos = i
	return d[start:i], true
}

// Bool consumes true or false. When the next value is neither, ok is false and nothing is consumed.
func (s *Scanner) Bool() (value, ok bool) {
	switch s.Kind() {
	case True:
		return true, s.literal("true")
	case False:
		return false, s.literal("false")
	default:
		return false, false
	}
}

func (s *Scanner) literal(word string) bool {
	rest := s.data[s.pos:]
	if len(rest) >= len(word) && string(rest[:len(word)]) == word {
		s.pos += len(word)
		return true
	}
	if len(rest) < len(word) && word[:len(rest)] == string(rest) {
		s.fail(Truncated)
		return false
	}
	s.fail(Malformed)
	return false
}

// Skip consumes the next value and returns its bytes as they stand, nil when it is not whole.
func (s *Scanner) Skip() []byte {
	kind := s.Kind()
	start := s.pos
	switch kind {
	case Object, Array:
		s.skipContainer()
	case String:
		s.skipString()
	case Number:
		s.Num()
	case True:
		s.literal("true")
	case False:
		s.literal("false")
	case Null:
		s.literal("null")
	default:
		if s.pos >= len(s.data) {
			s.fail(Truncated)
		} else {
			s.fail(Malformed)
		}
	}
	if s.state != OK {
		return nil
	}
	return s.data[start:s.pos]
}

func (s *Scanner) skipString() {
	end := closing(s.data, s.pos+1, s.pos+1)
	if end < 0 {
		s.fail(Truncated)
		return
	}
	s.pos = end + 1
}

const (
	classOther = iota
	classNumber
	classOpen
	classClose
	classQuote
)

var classes = [256]uint8{
	'{': classOpen, '[': classOpen, '}': classClose, ']': classClose, '"': classQuote,
	'0': classNumber, '1': classNumber, '2': classNumber, '3': classNumber, '4': classNumber,
	'5': classNumber, '6': classNumber, '7': classNumber, '8': classNumber, '9': classNumber,
	'-': classNumber, '+': classNumber, '.': classNumber, 'e': classNumber, 'E': classNumber,
}

// skipContainer counts brackets without telling them apart: a caller that does not read a value need not know
// whether it was well formed, only where it ends.
func (s *Scanner) skipContainer() {
	d, i, depth := s.data, s.pos, 0
	for i < len(d) {
		switch classes[d[i]] {
		case classOpen:
			depth++
		case classClose:
			depth--
			if depth == 0 {
				s.pos = i + 1
				return
			}
		case classQuote:
			end := closing(d, i+1, i+1)
			if end < 0 {
				s.fail(Truncated)
				return
			}
			i = end
		}
		i++
	}
	s.fail(Truncated)
}
