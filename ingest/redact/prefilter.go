package redact

import "encoding/binary"

// The first look at a text must cost about one nanosecond per byte, so it does not search keywords. A credential is
// either a long token (every rule of the set matches at least minRun token characters in a row), or it follows one of a
// few words ("password", "basic ", ...), and the personal data looked for contains '@' or nine digits. All but '@' are
// found in one pass that marks 64 bytes at a time (block.go).
const (
	minRun    = 14 // shortest token any rule can match
	minDigits = 9  // digits of the shortest phone number; IBANs and cards have more
)

// Byte classes.
const (
	classToken  = 1 << iota // may stand in a credential
	classNumber             // may stand in a phone, card or account number
	classDigit
	classUpper
	classLower
	classWord   // \w
	classStop   // ends a run inside a JSON string: quote, backslash, line break
	classBase64 // of either alphabet
	classQuote  // may stand between a name and the sign of assignment
	classEnd    // ends a value without quotes
	classNested // brackets, commas and quotes of JSON, digits and minus
)

// byteClass holds the class bits of every byte.
var byteClass = buildByteClass()

func buildByteClass() (t [256]uint16) {
	for c := range 256 {
		switch b := byte(c); {
		case b >= '0' && b <= '9':
			t[c] = classToken | classNumber | classDigit | classWord
		case b >= 'a' && b <= 'z':
			t[c] = classToken | classLower | classWord
		case b >= 'A' && b <= 'Z':
			t[c] = classToken | classUpper | classWord
		}
	}
	for _, b := range []byte("_-+/=.~%") {
		t[b] |= classToken
	}
	t['_'] |= classWord
	for _, b := range []byte("\"\\\n") {
		t[b] |= classStop
	}
	for _, b := range []byte(" ()+-./") {
		t[b] |= classNumber
	}
	for c := range t {
		if t[c]&(classDigit|classUpper|classLower) != 0 || c == '+' || c == '/' || c == '-' || c == '_' {
			t[c] |= classBase64
		}
	}
	for _, b := range []byte("\"'`]\\ \t") {
		t[b] |= classQuote
	}
	for _, b := range []byte(" \t\r\n\"'`,;<>(){}[]&|\\") {
		t[b] |= classEnd
	}
	for _, b := range []byte("{}[],\"-0123456789") {
		t[b] |= classNested
	}
	return t
}

func is(b byte, class uint16) bool { return byteClass[b]&class != 0 }

func isAlnum(b byte) bool { return byteClass[b]&(classDigit|classUpper|classLower) != 0 }

// Words of eight equal bytes.
const (
	ones  = 0x0101010101010101
	highs = 0x80 * ones
	folds = 0x20 * ones
)

// load reads eight bytes at i; beyond the end they are zero, which is in no class and no word.
func load(text []byte, i int) uint64 {
	if i+8 <= len(text) {
		return binary.LittleEndian.Uint64(text[i:])
	}
	var last [8]byte
	copy(last[:], text[min(i, len(text)):])
	return binary.LittleEndian.Uint64(last[:])
}

// span returns the end of the run of characters of a class that begins at i, at most e.
func span(text []byte, i, e int, class uint16) int {
	for t := &byteClass; i+8 <= e; i += 8 {
		b := text[i : i+8 : i+8]
		if t[b[0]]&t[b[1]]&t[b[2]]&t[b[3]]&t[b[4]]&t[b[5]]&t[b[6]]&t[b[7]]&class == 0 {
			break
		}
	}
	for i < e && byteClass[text[i]]&class != 0 {
		i++
	}
	return i
}
