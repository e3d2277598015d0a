package redact

import "encoding/base64"

// Bounds of base64 text that is looked into: shorter holds no key, longer is a file.
const (
	minEncoded = 24
	maxEncoded = 4096
)

// base64 looks into a token that decodes to printable text and removes it when a credential stands in there.
func (sc *scanner) base64(s, e int) {
	if sc.r.inner == nil || e-s < minEncoded {
		return
	}
	for i := s; e-i >= minEncoded; {
		for i < e && !encodes(sc.text[i]) {
			i++
		}
		start := i
		i = span(sc.text, i, e, classBase64)
		if n := i - start; n < minEncoded || n > maxEncoded {
			continue
		}
		if sc.encodedAt(start, i) {
			continue
		}
		for from, k := start, start; k <= i; k++ { // the parts of a path are tokens of their own
			if k == i || sc.text[k] == '/' {
				if k-from >= minEncoded && k-from < i-start {
					sc.encodedAt(from, k)
				}
				from = k + 1
			}
		}
	}
}

// encodedAt removes text[s:e] with its padding when it decodes to a text with a credential.
func (sc *scanner) encodedAt(s, e int) bool {
	if s > 0 && sc.text[s-1] == '\\' && !sc.encoded(sc.text[s:e]) {
		s++ // the letter of an escape stands before it
	}
	if e-s < minEncoded || !sc.encoded(sc.text[s:e]) {
		return false
	}
	for e < len(sc.text) && sc.text[e] == '=' {
		e++
	}
	sc.add(s, e, "base64-secret")
	return true
}

// encoded says whether token is the base64 of a text with a credential.
func (sc *scanner) encoded(token []byte) bool {
	if !readsASCII(token) {
		return false
	}
	var head [12]byte
	enc := base64.RawStdEncoding
	for _, b := range token {
		if b == '-' || b == '_' {
			enc = base64.RawURLEncoding
			break
		}
	}
	if n, err := enc.Decode(head[:], token[:16]); err != nil || !printable(head[:n]) {
		return false
	}
	if len(token)%4 == 1 { // cut short, or not base64 at all
		token = token[:len(token)-1]
	}
	sc.decoded = append(sc.decoded[:0], make([]byte, enc.DecodedLen(len(token)))...)
	n, err := enc.Decode(sc.decoded, token)
	if err != nil || !printable(sc.decoded[:n]) {
		return false
	}
	inner := sc.r.inner.take()
	defer sc.r.inner.give(inner)
	return len(inner.scan(sc.decoded[:n])) > 0
}

// readsASCII is false for most tokens that decode to bytes beyond ASCII: of every three bytes in the first twelve the
// highest bit is known from one character of the token.
func readsASCII(token []byte) bool {
	for i := 0; i+4 <= 16; i += 4 {
		if sextets[token[i]]&32 != 0 || sextets[token[i+1]]&8 != 0 || sextets[token[i+2]]&2 != 0 {
			return false
		}
	}
	return true
}

// sextets are the values of the characters of both base64 alphabets.
var sextets = func() (t [256]uint8) {
	for i, c := range []byte("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/") {
		t[c] = uint8(i)
	}
	t['-'], t['_'] = t['+'], t['/']
	return t
}()

func encodes(b byte) bool { return is(b, classBase64) }

func printable(s []byte) bool {
	for _, b := range s {
		if b < ' ' && b != '\n' && b != '\r' && b != '\t' || b > '~' {
			return false
		}
	}
	return true
}
