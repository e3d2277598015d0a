package redact

import (
	"bytes"
	"strings"
)

// at judges an '@': the end of the user part of a URL, or the middle of an e-mail address.
func (sc *scanner) at(i int) {
	if sc.r.cfg.Secrets && sc.userinfo(i) {
		return
	}
	if sc.r.email {
		sc.address(i)
	}
}

// userinfo removes the password of scheme://user:password@host (RFC 3986, section 3.2.1).
func (sc *scanner) userinfo(i int) bool {
	start := i
	for lo := max(0, i-256); ; start-- {
		if start == lo {
			return false
		}
		b := sc.text[start-1]
		if b == '/' {
			break
		}
		if b <= ' ' || strings.IndexByte("\"'?#<>\\@", b) >= 0 {
			return false
		}
	}
	if !bytes.HasSuffix(sc.text[:start], []byte("://")) {
		return false
	}
	colon := bytes.IndexByte(sc.text[start:i], ':')
	if colon < 0 {
		return false
	}
	s := start + colon + 1
	secret := sc.text[s:i]
	if len(secret) == 0 || secret[0] == '$' || secret[0] == '<' || secret[0] == '{' || secret[0] == '[' || secret[0] == '*' || secret[0] == '%' {
		return true
	}
	if len(secret) >= 6 && placeholder(secret) {
		return true
	}
	sc.add(s, i, "url-password")
	return true
}

// notDomains are endings that follow '@' in file names, such as icon@2x.png.
var notDomains = []string{"png", "jpg", "jpeg", "gif", "svg", "webp", "js", "ts", "css", "json", "tgz"}

// address removes an e-mail address (the dot-atom form of RFC 5322 with a domain of two or more labels).
func (sc *scanner) address(i int) {
	text := sc.text
	s := i
	for s > 0 && i-s < 64 && (isAlnum(text[s-1]) || bytes.IndexByte([]byte("._%+-"), text[s-1]) >= 0) {
		s--
	}
	if s > 0 && (i-s > 1 || sc.sent && (s < 2 || text[s-2] != '\\')) && text[s-1] == '\\' && bytes.IndexByte([]byte("nrtbf"), text[s]) >= 0 {
		s++ // the letter belongs to an escape
	}
	for s < i && (text[s] == '.' || text[s] == '-' || text[s] == '%' || text[s] == '+') {
		s++
	}
	if s == i {
		return
	}
	end, dot := i+1, -1
	for end < len(text) && end-i < 254 && (isAlnum(text[end]) || text[end] == '-' || text[end] == '.') {
		if text[end] == '.' {
			if text[end-1] == '.' || text[end-1] == '@' {
				break
			}
			if end+1 < len(text) && !isAlnum(text[end+1]) {
				break
			}
			dot = end
		}
		end++
	}
	for end > i && (text[end-1] == '.' || text[end-1] == '-') {
		end--
	}
	if dot < 0 || dot >= end {
		return
	}
	top := text[dot+1 : end]
	if len(top) < 2 {
		return
	}
	for _, b := range top {
		punycode := b == '-' || is(b, classDigit) && hasFold(top, 0, "xn--")
		if !is(b, classUpper|classLower) && !punycode {
			return
		}
	}
	for _, not := range notDomains {
		if len(top) == len(not) && hasFold(top, 0, not) {
			return
		}
	}
	sc.add(s, end, PIIEmail)
}
