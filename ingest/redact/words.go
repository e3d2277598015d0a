package redact

import (
	"bytes"
	"encoding/base64"
	"strings"
)

// What to do at one of the words that announce a short credential.
type announce uint8

const (
	announcePassword announce = iota
	announceBasic
	announceBearer
	announceCurl
	announcePEM
)

// announcer is a word that announces a short credential. It is seen by three letters that stand in it; they begin with few
// different letters, and rare ones.
type announcer struct {
	word, seen string
	kind       announce
}

var announcers = []announcer{
	{"passw", "pas", announcePassword}, {"passphrase", "pas", announcePassword}, {"passcode", "pas", announcePassword},
	{"pwd", "pwd", announcePassword}, {"secret", "cre", announcePassword}, {"authorization", "zat", announcePassword},
	{"basic ", "bas", announceBasic}, {"bearer ", "bea", announceBearer}, {"curl ", "cur", announceCurl},
	{"-begin ", "beg", announcePEM},
}

// seenBy are the announcers by the first letter by which they are seen.
var seenBy = func() (t [32][]announcer) {
	for _, a := range announcers {
		t[a.seen[0]&0x1F] = append(t[a.seen[0]&0x1F], a)
	}
	return t
}()

// seenBytes is the letters by which an announcer is seen.
const seenBytes = markThird - markFirst + 1

// word judges a place at which an announcer may be seen.
func (sc *scanner) word(i int) {
	by := seenBy[sc.text[i]&0x1F]
	for n := range by {
		a := &by[n]
		if !hasFold(sc.text, i, a.seen) {
			continue
		}
		at := i - strings.Index(a.word, a.seen)
		if at >= 0 && hasFold(sc.text, at, a.word) && (len(a.word) >= 5 || sc.parted(at, len(a.word))) {
			sc.credential(a, at)
		}
	}
}

// parted says that a short word stands apart from letters on one side at least.
func (sc *scanner) parted(at, size int) bool {
	return at > 0 && strings.IndexByte("_-. \"'\n&?:,;{", sc.prev(at)) >= 0 ||
		at+size < len(sc.text) && strings.IndexByte("=:\"'\\ ]", sc.text[at+size]) >= 0
}

func hasFold(text []byte, at int, low string) bool {
	if len(text) < at+len(low) {
		return false
	}
	for i := range len(low) {
		b := text[at+i]
		if b >= 'A' && b <= 'Z' {
			b += 'a' - 'A'
		}
		if b != low[i] {
			return false
		}
	}
	return true
}

// credential judges what an announcer announces.
func (sc *scanner) credential(a *announcer, at int) {
	after := at + len(a.word)
	switch a.kind {
	case announcePassword:
		sc.assignment(after, true)
	case announceBasic:
		sc.basic(after)
	case announceBearer:
		sc.bearer(after)
	case announceCurl:
		sc.curl(after)
	case announcePEM:
		for at > 0 && sc.text[at-1] == '-' {
			at--
		}
		sc.pem(at, after)
	}
}

// basic judges the credentials of HTTP Basic (RFC 7617): base64 of user:password.
func (sc *scanner) basic(i int) {
	i = sc.skipBlank(i)
	end := i
	for end < len(sc.text) && encodes(sc.text[end]) {
		end++
	}
	if end-i < 8 || end-i > maxEncoded {
		return
	}
	token := sc.text[i:end]
	token = token[:len(token)-len(token)%4]
	sc.decoded = append(sc.decoded[:0], make([]byte, base64.RawStdEncoding.DecodedLen(len(token)))...)
	n, err := base64.RawStdEncoding.Decode(sc.decoded, token)
	if plain := sc.decoded[:n]; err != nil || !printable(plain) || bytes.IndexByte(plain, ':') < 0 {
		return
	}
	for end < len(sc.text) && sc.text[end] == '=' {
		end++
	}
	sc.add(i, end, "basic-auth")
}

// bearer judges the token of RFC 6750. A phrase such as "bearer authentication" has no digits.
func (sc *scanner) bearer(i int) {
	i = sc.skipBlank(i)
	end := i
	for end < len(sc.text) && is(sc.text[end], classToken) {
		end++
	}
	for end > i && sc.text[end-1] == '.' {
		end--
	}
	if end-i < 8 {
		return
	}
	digits, letters := 0, 0
	for _, b := range sc.text[i:end] {
		if is(b, classDigit) {
			digits++
		} else if is(b, classUpper|classLower) {
			letters++
		}
	}
	if digits > 0 && letters > 0 || digits >= 12 || mixed(sc.text[i:end]) && end-i >= 20 {
		sc.add(i, end, "bearer-token")
	}
}

func (sc *scanner) skipBlank(i int) int {
	for limit := min(len(sc.text), i+8); i < limit && (sc.text[i] == ' ' || sc.text[i] == '\t'); {
		i++
	}
	return i
}

// curl judges user:password behind -u or --user of a command line.
func (sc *scanner) curl(i int) {
	window := sc.text[i:min(len(sc.text), i+1024)]
	for _, option := range []string{"-u", "--user"} {
		for from := 0; ; {
			k := bytes.Index(window[from:], []byte(option))
			if k < 0 {
				break
			}
			from += k + len(option)
			sc.userPassword(i + from)
		}
	}
}

func (sc *scanner) userPassword(i int) {
	for limit := min(len(sc.text), i+6); i < limit && strings.IndexByte(" =\"'\\", sc.text[i]) >= 0; {
		i++
	}
	end := i
	for end < len(sc.text) && end < i+256 && strings.IndexByte(" \t\r\n\"'\\", sc.text[end]) < 0 {
		end++
	}
	colon := bytes.IndexByte(sc.text[i:end], ':')
	if colon <= 0 {
		return
	}
	if secret := sc.text[i+colon+1 : end]; len(secret) >= 4 && (len(secret) < 6 || !placeholder(secret)) && secret[0] != '$' && secret[0] != '<' {
		sc.add(i+colon+1, end, "curl-user")
	}
}

// pem removes a private key (RFC 7468, OpenSSH, OpenPGP) from its first line to its last, or to the end of the text
// when the last line is missing.
func (sc *scanner) pem(at, after int) {
	head := sc.text[after:min(len(sc.text), after+64)]
	label := bytes.Index(head, []byte("-----"))
	if label < 0 {
		label = len(head)
	}
	if !bytes.Contains(head[:label], []byte("PRIVATE KEY")) {
		return
	}
	sc.add(at, sc.pemEnd(after+label), "private-key")
}

// pemEnd returns the end of the key whose first line ends about i: behind its last line, or behind all that looks
// like its body.
func (sc *scanner) pemEnd(i int) int {
	const longest = 64 << 10
	text := sc.text[:min(len(sc.text), i+longest)]
	if k := bytes.Index(text[i:], []byte("-----END")); k >= 0 && !bytes.ContainsAny(text[i:i+k], "{}<>") {
		end := i + k + len("-----END")
		if d := bytes.Index(text[end:min(len(text), end+64)], []byte("-----")); d >= 0 {
			return end + d + 5
		}
		return end
	}
	end := i
	for k := i; k < len(text); {
		for k < len(text) && bytes.IndexByte([]byte(" \t\r\n\"',-"), text[k]) >= 0 || k+1 < len(text) && text[k] == '\\' && bytes.IndexByte([]byte("nrt\\\""), text[k+1]) >= 0 {
			if text[k] == '\\' {
				k++
			}
			k++
		}
		start := k
		for k < len(text) && encodes(text[k]) {
			k++
		}
		if k-start < 16 && k < len(text) || k == start {
			break
		}
		end = k
	}
	return max(end, min(len(text), i+5)) // at least the dashes of the first line
}
