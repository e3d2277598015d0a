package redact

import "math/bits"

// blockSize is the bytes that are looked at together.
const blockSize = 64

// marks is what is to be known of a byte, sixteen bits apart: whether it may stand in a credential, whether it may stand
// in a written number, whether it is a digit, whether an announcing word may be seen by it.
var marks = func() (t [256]uint64) {
	for c := range t {
		for n, class := range [...]uint16{classToken, classNumber, classDigit} {
			if is(byte(c), class) {
				t[c] |= 1 << (16 * n)
			}
		}
	}
	for n := range announcers {
		t[announcers[n].seen[0]] |= 1 << 48
		t[announcers[n].seen[0]&^0x20] |= 1 << 48
	}
	return t
}()

// block is the marks of blockSize bytes, one bit for each.
type block struct{ token, number, digit, word uint64 }

// blockAt reads the block at i; what is beyond the end of text has no marks.
func blockAt(text []byte, i int) (b block) {
	if i+blockSize > len(text) {
		var last [blockSize]byte
		copy(last[:], text[i:])
		text, i = last[:], 0
	}
	text = text[i : i+blockSize]
	for k := 0; k < blockSize; k += 16 {
		c := text[k : k+16 : k+16]
		m := marks[c[0]] | marks[c[1]]<<1 | marks[c[2]]<<2 | marks[c[3]]<<3 |
			marks[c[4]]<<4 | marks[c[5]]<<5 | marks[c[6]]<<6 | marks[c[7]]<<7 |
			marks[c[8]]<<8 | marks[c[9]]<<9 | marks[c[10]]<<10 | marks[c[11]]<<11 |
			marks[c[12]]<<12 | marks[c[13]]<<13 | marks[c[14]]<<14 | marks[c[15]]<<15
		b.token |= m & 0xFFFF << k
		b.number |= m >> 16 & 0xFFFF << k
		b.digit |= m >> 32 & 0xFFFF << k
		b.word |= m >> 48 << k
	}
	return b
}

// runsOf are the places from which at least n bits of m are set, for n from 9 to 16.
func runsOf(m uint64, n int) uint64 {
	m &= m >> 1
	m &= m >> 2
	m &= m >> 4
	return m & (m >> (n - 8))
}

// open is the begin of a run that goes on in the next block, or none.
type open int

const none open = -1

// ended returns the run that was open and ends in the block of m at i, and m without it; e is 0 while it goes on.
func (o open) ended(m uint64, i int) (e int, rest uint64) {
	n := bits.TrailingZeros64(^m)
	if n == blockSize {
		return 0, 0
	}
	return i + n, m >> n << n
}

// left returns the run that goes on behind the block of m at i.
func left(m uint64, i int) open {
	if m>>63 == 0 {
		return none
	}
	return open(i + blockSize - bits.LeadingZeros64(^m))
}
