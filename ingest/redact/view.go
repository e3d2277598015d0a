package redact

import (
	"encoding/binary"
	"math/bits"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// view is a text as a reader sees it, beside the bytes it stands for: escapes are resolved, invisible characters are
// gone, pieces of a stream are joined. A finding in the view is carried back to the original bytes, so nothing else
// of the original changes.
type view struct {
	buf    []byte
	segs   []segment
	parent *view // the text that segs point into; nil = the body
}

// segment says that buf[at:at+n] stands for the rn bytes from raw on in the parent. What follows, up to the next
// segment, is a copy of what follows there. Every decoded text begins with one.
type segment struct {
	at, n, raw, rn int32
}

// piece is an interval of the body.
type piece struct{ s, e int }

func (v *view) reset() {
	v.buf, v.segs, v.parent = v.buf[:0], v.segs[:0], nil
}

// pieces appends the intervals of the body that buf[s:e] stands for, joined where they touch.
func (v *view) pieces(s, e int, to []piece) []piece {
	lo, hi := 0, len(v.segs)
	for lo < hi { // first segment behind s
		if mid := (lo + hi) / 2; int(v.segs[mid].at) <= s {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	for k := max(lo-1, 0); k < len(v.segs) && int(v.segs[k].at) < e; k++ {
		g := v.segs[k]
		at, n, raw := int(g.at), int(g.n), int(g.raw)
		if at+n > s && (n > 0 || at > s) && g.rn > 0 {
			to = v.original(raw, raw+int(g.rn), to)
		}
		end := len(v.buf)
		if k+1 < len(v.segs) {
			end = int(v.segs[k+1].at)
		}
		from, until := max(s, at+n), min(e, end)
		if shift := raw + int(g.rn) - (at + n); from < until {
			to = v.original(from+shift, until+shift, to)
		}
	}
	return to
}

// original appends what text[s:e] of the parent stands for in the body.
func (v *view) original(s, e int, to []piece) []piece {
	if v.parent != nil {
		return v.parent.pieces(s, e, to)
	}
	return appendPiece(to, s, e)
}

func appendPiece(to []piece, s, e int) []piece {
	if n := len(to); n > 0 && to[n-1].e == s {
		to[n-1].e = e
		return to
	}
	return append(to, piece{s, e})
}

// Ways of writing that decode resolves.
const (
	backslashes = 1 << iota // JSON escapes
	percents                // %XX and + of a query
)

// decode appends src, which starts at offset off of the parent, as it reads: escapes resolved, zero-width
// characters left out, wide and odd forms of digits, letters, spaces and hyphens folded to ASCII. It reports whether
// anything reads other than it is written.
func (v *view) decode(src []byte, off, ways int) (changed bool) {
	v.segs = append(v.segs, segment{at: int32(len(v.buf)), raw: int32(off)})
	plain := 0
	for i := nextOdd(src, 0, ways); i < len(src); i = nextOdd(src, i, ways) {
		b := src[i]
		if b == '\\' && ways&backslashes != 0 && i+1 < len(src) && simple[src[i+1]] != 0 {
			changed = true
			v.buf = append(append(v.buf, src[plain:i]...), simple[src[i+1]])
			v.segs = append(v.segs, segment{int32(len(v.buf) - 1), 1, int32(off + i), 2})
			i += 2
			plain = i
			continue
		}
		r, n := rune(-1), 0
		switch {
		case b == '\\' && ways&backslashes != 0:
			r, n = unescape(src[i:])
		case b == '%' && ways&percents != 0:
			r, n = unpercent(src[i:])
		case b == '+' && ways&percents != 0 && i > 0 && strings.IndexByte("=/?&", src[i-1]) < 0: // else it leads a phone number
			r, n = ' ', 1
		case b >= utf8.RuneSelf:
			if r, n = utf8.DecodeRune(src[i:]); fold(r) == r {
				i += n
				continue
			}
		}
		if n == 0 {
			i++
			continue
		}
		changed = true
		v.buf = append(v.buf, src[plain:i]...)
		at := len(v.buf)
		switch f := fold(r); {
		case b == '%':
			v.buf = append(v.buf, byte(r))
		case f > 0 && f < utf8.RuneSelf:
			v.buf = append(v.buf, byte(f))
		case f != 0:
			v.buf = utf8.AppendRune(v.buf, f)
		}
		v.segs = append(v.segs, segment{int32(at), int32(len(v.buf) - at), int32(off + i), int32(n)})
		i += n
		plain = i
	}
	v.buf = append(v.buf, src[plain:]...)
	return changed
}

// nextOdd returns the first position at or after i of a character that may read other than it is written.
func nextOdd(src []byte, i, ways int) int {
	for i < len(src) {
		if i+8 <= len(src) && ways&percents == 0 {
			w := binary.LittleEndian.Uint64(src[i:])
			x := w ^ '\\'*ones
			m := ((x-ones)&^x | w) & highs
			if m == 0 {
				i += 8
				continue
			}
			i += bits.TrailingZeros64(m) / 8
		}
		switch b := src[i]; {
		case b == '\\', (b == '%' || b == '+') && ways&percents != 0:
			return i
		case b < utf8.RuneSelf:
			i++
		default:
			n := int(leads[b])
			if n == 0 {
				return i
			}
			i += n
		}
	}
	return len(src)
}

// leads is how long a character is by its first byte, and 0 where one of those that fold changes may begin so.
var leads = func() (t [256]uint8) {
	for b := utf8.RuneSelf; b < len(t); b++ {
		switch {
		case b == 0xC2, b == 0xCD, b == 0xD8, b >= 0xE1 && b <= 0xE3, b == 0xEF:
		case b < 0xC0:
			t[b] = 1
		case b < 0xE0:
			t[b] = 2
		case b < 0xF0:
			t[b] = 3
		default:
			t[b] = 4
		}
	}
	return t
}()

// simple is what the escapes of one letter say.
var simple = [256]byte{'"': '"', '\\': '\\', '/': '/', '\'': '\'', 'n': '\n', 'r': '\n', 't': '\t', 'b': '\t', 'f': '\t'}

// unescape reads one JSON escape sequence; n = 0 when there is none.
func unescape(s []byte) (r rune, n int) {
	if len(s) < 2 {
		return -1, 0
	}
	if c := simple[s[1]]; c != 0 {
		return rune(c), 2
	}
	if s[1] == 'u' {
		r = hex4(s)
		if r < 0 {
			return -1, 0
		}
		if utf16.IsSurrogate(r) {
			if low := hex4(s[6:]); low >= 0 {
				if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
					return pair, 12
				}
			}
			return utf8.RuneError, 6
		}
		return r, 6
	}
	return -1, 0
}

// hex4 reads \uXXXX; -1 when s does not begin so.
func hex4(s []byte) rune {
	if len(s) < 6 || s[0] != '\\' || s[1] != 'u' {
		return -1
	}
	var r rune
	for _, c := range s[2:6] {
		d := unhex(c)
		if d < 0 {
			return -1
		}
		r = r<<4 | rune(d)
	}
	return r
}

func unpercent(s []byte) (r rune, n int) {
	if len(s) < 3 || unhex(s[1]) < 0 || unhex(s[2]) < 0 {
		return -1, 0
	}
	return rune(unhex(s[1])<<4 | unhex(s[2])), 3
}

func unhex(c byte) int {
	switch {
	case c >= '0' && c <= '9':
		return int(c - '0')
	case c >= 'a' && c <= 'f':
		return int(c-'a') + 10
	case c >= 'A' && c <= 'F':
		return int(c-'A') + 10
	}
	return -1
}

// fold maps characters that look like ASCII to it, and invisible ones to 0. All others stay.
func fold(r rune) rune {
	switch {
	case r < 0xA0:
		return r
	case r == 0xA0, r >= 0x2000 && r <= 0x200A, r == 0x202F, r == 0x205F, r == 0x3000:
		return ' '
	case r == 0xAD, r == 0x34F, r == 0x61C, r >= 0x180B && r <= 0x180E, r >= 0x200B && r <= 0x200F,
		r >= 0x202A && r <= 0x202E, r >= 0x2060 && r <= 0x2064, r >= 0x2066 && r <= 0x206F,
		r >= 0xFE00 && r <= 0xFE0F, r == 0xFEFF:
		return 0
	case r >= 0x2010 && r <= 0x2013, r == 0x2212:
		return '-'
	case r >= 0xFF10 && r <= 0xFF19, r >= 0xFF21 && r <= 0xFF3A, r >= 0xFF41 && r <= 0xFF5A,
		r == 0xFF0B, r == 0xFF0D, r == 0xFF0E, r == 0xFF0F, r == 0xFF20, r == 0xFF3F:
		return r - 0xFEE0
	}
	return r
}
