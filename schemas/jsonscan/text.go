package jsonscan

import (
	"encoding/binary"
	"unicode/utf16"
	"unicode/utf8"
)

// Unescape appends to dst the text that raw, the inside of a JSON string, stands for. As in encoding/json an unknown
// or broken escape and a lone surrogate become U+FFFD; other bytes are copied as they are.
func Unescape(dst, raw []byte) []byte {
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			dst = append(dst, raw[i])
			i++
			continue
		}
		r, n := escape(raw[i:])
		dst = utf8.AppendRune(dst, r)
		i += n
	}
	return dst
}

// UnescapedLen returns the length in bytes of what Unescape would append.
func UnescapedLen(raw []byte) int {
	size := 0
	for i := 0; i < len(raw); {
		if raw[i] != '\\' {
			size++
			i++
			continue
		}
		r, n := escape(raw[i:])
		size += utf8.RuneLen(r)
		i += n
	}
	return size
}

// escape reads the escape that raw begins with and returns the rune and the number of bytes it takes.
func escape(raw []byte) (rune, int) {
	if len(raw) < 2 {
		return utf8.RuneError, 1
	}
	switch raw[1] {
	case '"', '\\', '/':
		return rune(raw[1]), 2
	case 'b':
		return '\b', 2
	case 'f':
		return '\f', 2
	case 'n':
		return '\n', 2
	case 'r':
		return '\r', 2
	case 't':
		return '\t', 2
	case 'u':
		return unicodeEscape(raw)
	}
	return utf8.RuneError, 2
}

func unicodeEscape(raw []byte) (rune, int) {
	r, ok := hex4(raw)
	if !ok {
		return utf8.RuneError, 2
	}
	if !utf16.IsSurrogate(r) {
		return r, 6
	}
	if low, ok := hex4(raw[6:]); ok {
		if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
			return pair, 12
		}
	}
	return utf8.RuneError, 6
}

// hex4 reads \uXXXX.
func hex4(raw []byte) (rune, bool) {
	if len(raw) < 6 || raw[0] != '\\' || raw[1] != 'u' {
		return 0, false
	}
	var r rune
	for _, c := range raw[2:6] {
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c && c <= 'f':
			c -= 'a' - 10
		case 'A' <= c && c <= 'F':
			c -= 'A' - 10
		default:
			return 0, false
		}
		r = r<<4 | rune(c)
	}
	return r, true
}

// ValidText reports whether raw, the inside of a JSON string, may be written out again as it stands: no control
// character, no broken escape, valid UTF-8.
func ValidText(raw []byte) bool {
	ascii := true
	i := 0
	for ; i+8 <= len(raw); i += 8 {
		w := binary.LittleEndian.Uint64(raw[i:])
		if (w|(w-' '*ones)|zeroBytes(w^quotes)|zeroBytes(w^backslashes))&highs != 0 {
			break // something to look at: no ASCII, a control character, a quote or an escape
		}
	}
	for ; i < len(raw); i++ {
		switch c := raw[i]; {
		case c < ' ' || c == '"':
			return false
		case c >= utf8.RuneSelf:
			ascii = false
		case c == '\\':
			n := validEscape(raw[i:])
			if n == 0 {
				return false
			}
			i += n - 1
		}
	}
	return ascii || utf8.Valid(raw)
}

// validEscape returns the length of the escape that raw begins with, 0 if it is broken.
func validEscape(raw []byte) int {
	if len(raw) < 2 {
		return 0
	}
	switch raw[1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 2
	case 'u':
		if _, ok := hex4(raw); ok {
			return 6
		}
	}
	return 0
}

// ValidNumber reports whether raw is a number by the JSON grammar.
func ValidNumber(raw []byte) bool {
	i := 0
	if i < len(raw) && raw[i] == '-' {
		i++
	}
	whole := digits(raw, i)
	if whole == 0 || (whole > 1 && raw[i] == '0') {
		return false
	}
	i += whole
	if i < len(raw) && raw[i] == '.' {
		n := digits(raw, i+1)
		if n == 0 {
			return false
		}
		i += 1 + n
	}
	if i < len(raw) && (raw[i] == 'e' || raw[i] == 'E') {
		i++
		if i < len(raw) && (raw[i] == '+' || raw[i] == '-') {
			i++
		}
		n := digits(raw, i)
		if n == 0 {
			return false
		}
		i += n
	}
	return i == len(raw)
}

func digits(raw []byte, from int) int {
	n := 0
	for from+n < len(raw) && raw[from+n] >= '0' && raw[from+n] <= '9' {
		n++
	}
	return n
}
