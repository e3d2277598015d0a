package redact

import (
	"encoding/binary"
	"math/bits"
	"unicode/utf8"
)

// inspect reads a body once. It is text when it is UTF-8 (RFC 3629) without NUL; its last character may be cut short. It is
// odd when it has a character that fold changes beside one of a token, where it could part or disguise a finding; joined
// emoji and the spaces of CJK text are not odd.
func inspect(body []byte) (text, odd bool) {
	for i := 0; ; {
		i += asciiAt(body, i)
		if i == len(body) {
			return true, odd
		}
		if body[i] < utf8.RuneSelf {
			return false, false
		}
		for i < len(body) && body[i] >= utf8.RuneSelf {
			n := characterAt(body, i)
			if n == 0 {
				return i > 0 && cutShort(body[i:]), odd
			}
			if leads[body[i]] == 0 && !odd {
				odd = oddAt(body, i, n)
			}
			i += n
		}
	}
}

// asciiAt is the length of the ASCII without NUL that begins at i.
func asciiAt(body []byte, i int) int {
	from := i
	for ; i+32 <= len(body); i += 32 {
		b := body[i : i+32 : i+32]
		w0, w1 := binary.LittleEndian.Uint64(b), binary.LittleEndian.Uint64(b[8:])
		w2, w3 := binary.LittleEndian.Uint64(b[16:]), binary.LittleEndian.Uint64(b[24:])
		if (w0|w1|w2|w3|(w0-ones)|(w1-ones)|(w2-ones)|(w3-ones))&highs != 0 {
			break
		}
	}
	for ; i+8 <= len(body); i += 8 {
		w := binary.LittleEndian.Uint64(body[i:])
		if m := (w | (w - ones)) & highs; m != 0 {
			return i + bits.TrailingZeros64(m)/8 - from
		}
	}
	for i < len(body) && body[i] < utf8.RuneSelf && body[i] != 0 {
		i++
	}
	return i - from
}

// characterAt is the length of the character of two bytes or more at i, or 0 if there is none.
func characterAt(body []byte, i int) int {
	s := body[i:]
	switch b := s[0]; {
	case b > 0xE0 && b < 0xF0 && b != 0xED && len(s) > 2 && s[1]&0xC0 == 0x80 && s[2]&0xC0 == 0x80:
		return 3
	case b >= 0xC2 && b < 0xE0 && len(s) > 1 && s[1]&0xC0 == 0x80:
		return 2
	}
	if _, n := utf8.DecodeRune(s); n > 1 {
		return n
	}
	return 0
}

// cutShort says that s is the beginning of a character.
func cutShort(s []byte) bool { return len(s) < utf8.UTFMax && !utf8.FullRune(s) }

// oddAt judges the character of n bytes at i.
func oddAt(body []byte, i, n int) bool {
	r, _ := utf8.DecodeRune(body[i:])
	f := fold(r)
	return f != r && (f > ' ' || i > 0 && is(body[i-1], classToken) || i+n < len(body) && is(body[i+n], classToken))
}
