package redact

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// blockSize is the bytes that are looked at together.
const blockSize = 64

// Marks of a byte.
const (
	markToken  = iota // may stand in a credential
	markNumber        // may stand in a written number
	markDigit
	markZero
	markPlus
	markFirst  // of the three letters by which an announcing word is seen
	markSecond // of them
	markThird  // of them
	marks
)

// marked says whether byte c has a mark.
func marked(c byte, mark int) bool {
	switch mark {
	case markToken:
		return is(c, classToken)
	case markNumber:
		return is(c, classNumber)
	case markDigit:
		return is(c, classDigit)
	case markZero:
		return c == '0'
	case markPlus:
		return c == '+'
	}
	return isLetter(c) && slices.ContainsFunc(announcers, func(a announcer) bool { return a.seen[mark-markFirst] == c|0x20 })
}

// block is the marks of blockSize bytes: a word for each mark, with a bit for each byte.
type block [marks]uint64

// read marks a block. blockAt does the same faster where the processor can.
func (b *block) read(text *[blockSize]byte) {
	var w [8]uint64 // eight marks of eight bytes each
	for k := range w {
		v, t := binary.LittleEndian.Uint64(text[8*k:]), &marksOf
		w[k] = t[uint8(v)] | t[uint8(v>>8)]<<1 | t[uint8(v>>16)]<<2 | t[uint8(v>>24)]<<3 |
			t[uint8(v>>32)]<<4 | t[uint8(v>>40)]<<5 | t[uint8(v>>48)]<<6 | t[v>>56]<<7
	}
	b.transpose(&w)
}

// marksOf are the marks of a byte, eight bits apart.
var marksOf = func() (t [256]uint64) {
	for c := range t {
		for mark := range marks {
			if marked(byte(c), mark) {
				t[c] |= 1 << (8 * mark)
			}
		}
	}
	return t
}()

// transpose brings the bytes of the same mark together: w is a matrix of eight by eight bytes, turned over in halves,
// quarters and eighths (H. S. Warren, Hacker's Delight, section 7-3).
func (b *block) transpose(w *[8]uint64) {
	const halves, quarters, eighths = 0x00000000FFFFFFFF, 0x0000FFFF0000FFFF, 0x00FF00FF00FF00FF
	w0, w4 := w[0]&halves|w[4]<<32, w[0]>>32|w[4]&^halves
	w1, w5 := w[1]&halves|w[5]<<32, w[1]>>32|w[5]&^halves
	w2, w6 := w[2]&halves|w[6]<<32, w[2]>>32|w[6]&^halves
	w3, w7 := w[3]&halves|w[7]<<32, w[3]>>32|w[7]&^halves
	w0, w2 = w0&quarters|w2&quarters<<16, w0>>16&quarters|w2&^quarters
	w1, w3 = w1&quarters|w3&quarters<<16, w1>>16&quarters|w3&^quarters
	w4, w6 = w4&quarters|w6&quarters<<16, w4>>16&quarters|w6&^quarters
	w5, w7 = w5&quarters|w7&quarters<<16, w5>>16&quarters|w7&^quarters
	b[0], b[1] = w0&eighths|w1&eighths<<8, w0>>8&eighths|w1&^eighths
	b[2], b[3] = w2&eighths|w3&eighths<<8, w2>>8&eighths|w3&^eighths
	b[4], b[5] = w4&eighths|w5&eighths<<8, w4>>8&eighths|w5&^eighths
	b[6], b[7] = w6&eighths|w7&eighths<<8, w6>>8&eighths|w7&^eighths
}

// blockAt marks the block at i; what is beyond the end of text has no marks.
func blockAt(text []byte, i int, b *block) {
	if i+blockSize <= len(text) {
		b.at((*[blockSize]byte)(text[i:]))
		return
	}
	var last [blockSize]byte
	copy(last[:], text[i:])
	b.at(&last)
}

// words marks the last of the letters by which an announcing word may be seen; before is the block before this one.
func (b *block) words(before *block) uint64 {
	return (b[markFirst]<<2 | before[markFirst]>>62) & (b[markSecond]<<1 | before[markSecond]>>63) & b[markThird]
}

// count counts what stands in the n bytes from s on.
func (b *block) count(s, n int) (c counted) {
	run := ^uint64(0) >> (blockSize - n) << s
	digit := b[markDigit] & run
	first := digit &^ (digit << 1)
	c.digits, c.groups = bits.OnesCount64(digit), bits.OnesCount64(first)
	c.trunk, c.plus = digit&((first&b[markZero])<<1) != 0, b[markPlus]&run != 0
	c.american = c.groups > 2 && americanIn(digit)
	return c
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

// runs judges the runs of at least least bytes that end in the block of m at i, of which the first may be open, and returns
// the one that goes on.
func (o open) runs(m uint64, i, least int, judge func(s, e int)) open {
	if o != none {
		n := bits.TrailingZeros64(^m)
		if n == blockSize {
			return o
		}
		if i+n-int(o) >= least {
			judge(int(o), i+n)
		}
		m = m >> n << n
	}
	for long := runsOf(m, least); long != 0; {
		s := bits.TrailingZeros64(long)
		e := s + bits.TrailingZeros64(^(m >> s))
		if e == blockSize {
			break
		}
		judge(i+s, i+e)
		long = long >> e << e
	}
	if m>>63 == 0 {
		return none
	}
	return open(i + blockSize - bits.LeadingZeros64(^m))
}
