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

// announcer is a word that announces a short credential. Its three-byte strings at offsets at, at+1 and at+2 are
// looked for, of which one begins at a multiple of three; they are chosen to be rare.
type announcer struct {
	word string
	at   int
	kind announce
}

var announcers = []announcer{
	{"passw", 0, announcePassword}, {"passphrase", 0, announcePassword}, {"secret", 0, announcePassword}, {"passcode", 0, announcePassword},
	{"authorization", 5, announcePassword}, {"basic ", 0, announceBasic}, {"bearer ", 1, announceBearer}, {"curl ", 0, announceCurl},
	{"-begin ", 0, announcePEM}, {"pwd", -1, announcePassword},
}

// wordSet is the three-byte strings of all announcers.
type wordSet struct {
	grams
	lists [64][]wordPart
}

// wordPart is a three-byte string, with folds set, and where its announcer begins relative to it.
type wordPart struct {
	gram  uint32
	back  int
	which *announcer
}

func newWords() *wordSet {
	w := &wordSet{}
	add := func(a *announcer, four [3]byte, back int) {
		v := uint32(four[0]) | uint32(four[1])<<8 | uint32(four[2])<<16 | folds&0xFFFFFF
		w.add(v)
		list := &w.lists[gramHash(v)%uint32(len(w.lists))]
		*list = append(*list, wordPart{v, back, a})
	}
	for n := range announcers {
		a := &announcers[n]
		if len(a.word) >= 5 {
			for k := a.at; k < a.at+3; k++ {
				add(a, [3]byte([]byte(a.word[k:k+3])), k)
			}
			continue
		}
		add(a, [3]byte([]byte(a.word)), 0)
		for c := range 128 { // the word is too short to hold three: any byte may stand beside it
			b := byte(c&0x1F | c<<1&0xC0 | 0x20)
			add(a, [3]byte{b, a.word[0], a.word[1]}, -1)
			add(a, [3]byte{a.word[1], a.word[2], b}, 1)
		}
	}
	return w
}

// word judges a place where a three-byte string of an announcer may stand.
func (sc *scanner) word(i int) {
	v := uint32(load(sc.text, i)|folds) & 0xFFFFFF
	list := sc.r.words.lists[gramHash(v)%64]
	for n := range list {
		p := &list[n]
		if p.gram != v {
			continue
		}
		at := i - p.back
		if at >= 0 && hasFold(sc.text, at, p.which.word) && (len(p.which.word) >= 5 || sc.parted(at, len(p.which.word))) {
			sc.credential(p.which, at)
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
