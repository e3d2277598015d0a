package redact

import "encoding/binary"

// The first look at a text must cost about one nanosecond per byte, so it does not search keywords. A credential
// is either a long token (every rule of the set matches at least minRun token characters in a row), or it follows
// one of a few words ("password", "basic", ...), and the personal data looked for contains '@' or nine digits.
// Long tokens and digit groups are found by looking at every n-th byte only: a run of n characters cannot hide
// between two looks.
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
	classWord // \w
	classStop // ends a run inside a JSON string: quote, backslash, line break
)

// byteClass holds the class bits of every byte.
var byteClass = buildByteClass()

func buildByteClass() (t [256]uint8) {
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
	return t
}

func is(b byte, class uint8) bool { return byteClass[b]&class != 0 }

func isAlnum(b byte) bool { return byteClass[b]&(classDigit|classUpper|classLower) != 0 }

// nextRun finds the next run of at least minRun token characters that begins at or after from.
// It returns start = -1 when there is none.
func nextRun(text []byte, from int) (start, end int) {
	return nextOf(text, from, minRun, classToken)
}

// nextNumber finds the next run of at least minDigits characters of written numbers.
func nextNumber(text []byte, from int) (start, end int) {
	return nextOf(text, from, minDigits, classNumber)
}

func nextOf(text []byte, from, least int, class uint8) (start, end int) {
	i := from + least - 1
	for i < len(text) {
		if byteClass[text[i]]&class == 0 {
			i += least
			continue
		}
		s := i
		for s > from && byteClass[text[s-1]]&class != 0 {
			s--
		}
		e := i + 1
		for e < len(text) && byteClass[text[e]]&class != 0 {
			e++
		}
		if e-s >= least {
			return s, e
		}
		from = e
		i = e + least
	}
	return -1, -1
}

// grams is a set of four-byte strings, blind to case, as a bit table. Looking at every second position finds each
// word of at least five bytes by one of its first two four-byte strings.
type grams struct {
	bits [gramBits / 64]uint64
}

const (
	gramBits = 1 << 14
	foldBits = 0x20202020
)

func gramHash(v uint32) uint32 { return (v | foldBits) * 0x9E3779B1 >> (32 - 14) }

func (g *grams) add(four string) {
	h := gramHash(binary.LittleEndian.Uint32([]byte(four)))
	g.bits[h>>6] |= 1 << (h & 63)
}

// next returns the first position at or after from, in steps of two, where one of the set may begin; -1 if none. Two four-byte strings are looked up with one load.
func (g *grams) next(text []byte, from int) int {
	i := from
	for ; i+8 <= len(text); i += 4 {
		v := binary.LittleEndian.Uint64(text[i:])
		a, b := gramHash(uint32(v)), gramHash(uint32(v>>16))
		if (g.bits[a>>6]>>(a&63)|g.bits[b>>6]>>(b&63))&1 != 0 {
			if g.bits[a>>6]>>(a&63)&1 != 0 {
				return i
			}
			return i + 2
		}
	}
	for ; i+4 <= len(text); i += 2 {
		h := gramHash(binary.LittleEndian.Uint32(text[i:]))
		if g.bits[h>>6]>>(h&63)&1 != 0 {
			return i
		}
	}
	return -1
}
