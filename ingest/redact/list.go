package redact

import "math/bits"

// blockSize is the bytes that are looked at together where numbers stand close to each other, as in an embedding.
const blockSize = 64

// marks is what may be known of one byte, sixteen bits apart: in a number, a digit, a zero, a plus.
var marks = func() (t [256]uint64) {
	for c := range t {
		b := byte(c)
		if is(b, classNumber) {
			t[c] |= 1
		}
		if is(b, classDigit) {
			t[c] |= 1 << 16
		}
		if b == '0' {
			t[c] |= 1 << 32
		}
		if b == '+' {
			t[c] |= 1 << 48
		}
	}
	return t
}()

// block is the marks of blockSize bytes.
type block struct{ number, digit, zero, plus uint64 }

func newBlock(text []byte) (b block) {
	for k := 0; k < blockSize; k += 16 {
		c := text[k : k+16 : k+16]
		m := marks[c[0]] | marks[c[1]]<<1 | marks[c[2]]<<2 | marks[c[3]]<<3 |
			marks[c[4]]<<4 | marks[c[5]]<<5 | marks[c[6]]<<6 | marks[c[7]]<<7 |
			marks[c[8]]<<8 | marks[c[9]]<<9 | marks[c[10]]<<10 | marks[c[11]]<<11 |
			marks[c[12]]<<12 | marks[c[13]]<<13 | marks[c[14]]<<14 | marks[c[15]]<<15
		b.number |= m & 0xFFFF << k
		b.digit |= m >> 16 & 0xFFFF << k
		b.zero |= m >> 32 & 0xFFFF << k
		b.plus |= m >> 48 << k
	}
	return b
}

// numbers judges all numbers of a block about i, none of which begins before from, and returns the end of what is
// judged. There is a whole block at i.
func (sc *scanner) numbers(from, i int) int {
	text := sc.text
	start := max(from, i-stride)
	b := newBlock(text[start : start+blockSize])
	letters := hasLetters(text, start-32, start+blockSize)
	for b.number != 0 {
		s := bits.TrailingZeros64(b.number)
		n := bits.TrailingZeros64(^(b.number >> s))
		if s+n == blockSize { // it may go on
			if start+s > i {
				return start + s
			}
			s, e := extent(text, from, i, classNumber)
			sc.number(s, e)
			return e
		}
		run := (uint64(1)<<n - 1) << s
		b.number &^= run
		digit := b.digit & run
		first := digit &^ (digit << 1)
		c := counted{digits: bits.OnesCount64(digit), groups: bits.OnesCount64(first)}
		if c.digits < minDigits {
			continue
		}
		c.trunk, c.plus = digit&((first&b.zero)<<1) != 0, b.plus&run != 0
		c.american = c.groups > 2 && americanIn(digit)
		if !letters && c.digits < minCard && c.few() {
			continue
		}
		sc.counted(c, start+s, start+s+n)
	}
	return start + blockSize
}

// hasLetters is false when no letter stands in text[s:e], of which the length is a multiple of 32.
func hasLetters(text []byte, s, e int) bool {
	if s < 0 {
		return true
	}
	w := uint64(0)
	for i := s; i < e; i += 32 {
		w |= load(text, i) | load(text, i+8) | load(text, i+16) | load(text, i+24)
	}
	return w&(0x40*ones) != 0
}
