package redact

import (
	"bytes"
	"slices"
)

// Names of the rules that are code, not expressions.
const (
	ruleGeneric  = "generic-secret"
	rulePassword = "password"
)

// genericWords are names whose value is a credential if it looks random.
var genericWords = []string{
	"api_key", "apikey", "api-key", "api key", "access_key", "access-key", "accesskey", "secret", "token",
	"private_key", "privatekey", "private-key", "auth_key", "authkey", "auth-key", "subscription-key", "subscription_key",
	"accountkey", "account_key", "signing_key", "signing-key", "encryption_key", "encryption-key", "master_key", "masterkey",
	"credential", "bearer", "authorization", "session_key", "sessionkey",
}

// measures are endings of a name that make it a figure or a reference instead of a secret.
var measures = []string{"count", "id", "ids", "type", "url", "uri", "name", "limit", "usage", "details", "index", "length",
	"size", "expiry", "expires", "expires_in", "expiration", "budget", "policy", "min", "max", "age", "endpoint", "file", "path", "hint", "s"}

// assignment judges what is assigned to the name that ends at position i.
func (sc *scanner) assignment(i int, password bool) {
	text := sc.text
	suffix := i
	for i < len(text) && i < suffix+24 && (is(text[i], classWord) || text[i] == '-') {
		i++
	}
	if !suffixAllowed(text[suffix:i], password) {
		return
	}
	v, quote, spoken := assignedValue(text, i, sc.reach(6))
	if v < 0 {
		return
	}
	end := valueEnd(text, v, quote)
	sc.value(v, end, password, quote != 0, spoken)
	if escape := bytes.IndexByte(text[v:end], '\\'); sc.probe && escape > 0 { // it may be a line break, which ends the value
		sc.value(v, v+escape, password, quote != 0, spoken)
	}
}

// value judges text[v:end], which is assigned to a name that speaks of a secret.
func (sc *scanner) value(v, end int, password, quoted, spoken bool) {
	value := sc.text[v:end]
	rule := ""
	switch {
	case random(value):
		rule = ruleGeneric
	case password && passwordLike(value, quoted, spoken):
		rule = rulePassword
	default:
		return
	}
	if !placeholder(value) {
		sc.add(v, end, rule)
	}
}

func suffixAllowed(suffix []byte, password bool) bool {
	if len(suffix) == 0 {
		return true
	}
	if !password && is(suffix[0], classLower) {
		return false
	}
	last := bytes.TrimLeft(suffix, "_-")
	if k := bytes.LastIndexAny(last, "_-"); k >= 0 {
		last = last[k+1:]
	}
	for _, m := range measures {
		if len(last) == len(m) && hasFold(last, 0, m) {
			return false
		}
	}
	return true
}

// assignedValue finds where the value assigned to a name that ends at i begins: after an assignment sign or the
// word "is". At most reach quotes and blanks stand before the sign; quote is the character that delimits the value, 0
// for none.
func assignedValue(text []byte, i, reach int) (v int, quote byte, spoken bool) {
	limit := min(len(text), i+reach)
	for i < limit && is(text[i], classQuote) {
		i++
	}
	switch {
	case i >= len(text):
		return -1, 0, false
	case text[i] == ':' || text[i] == '=':
		for limit = min(len(text), i+3); i < limit && (text[i] == ':' || text[i] == '=' || text[i] == '>'); {
			i++
		}
	case bytes.HasPrefix(text[i:], []byte("is ")) && text[i-1] == ' ':
		i, spoken = i+3, true
		if bytes.HasPrefix(text[i:], []byte(": ")) {
			i += 2
		}
	default:
		return -1, 0, false
	}
	for limit = min(len(text), i+8); i < limit && (text[i] == ' ' || text[i] == '\t'); {
		i++
	}
	i = skipScheme(text, i)
	for limit = min(len(text), i+reach/2); i < limit && text[i] == '\\'; {
		i++
	}
	if i < len(text) && (text[i] == '"' || text[i] == '\'' || text[i] == '`') {
		return skipScheme(text, i+1), text[i], spoken
	}
	return i, 0, spoken
}

// skipScheme passes the scheme of an Authorization value.
func skipScheme(text []byte, i int) int {
	for _, scheme := range [...]string{"bearer ", "basic ", "token ", "apikey ", "api-key "} {
		if hasFold(text, i, scheme) {
			return i + len(scheme)
		}
	}
	return i
}

func valueEnd(text []byte, v int, quote byte) int {
	end := v
	limit := min(len(text), v+512)
	if quote != 0 {
		for end < limit && text[end] != quote && text[end] != '\n' {
			end++
		}
		for end > v && end < limit && text[end-1] == '\\' { // the closing quote is escaped
			end--
		}
		return end
	}
	for end < limit && !is(text[end], classEnd) {
		end++
	}
	for end > v && (text[end-1] == '.' || text[end-1] == ':') {
		end--
	}
	return end
}

// placeholder says that a value stands for a secret without being one.
func placeholder(v []byte) bool {
	if len(v) < 6 || bytes.IndexByte([]byte("$<{%[*#"), v[0]) >= 0 || bytes.Contains(v, []byte("REDACTED")) {
		return true
	}
	same := true
	for _, b := range v[1:] {
		same = same && b == v[0]
	}
	if same || hasFold(v, 0, "your") || hasFold(v, 0, "example") || hasFold(v, 0, "xxx") {
		return true
	}
	if !slices.ContainsFunc(v, func(b byte) bool { return is(b, classDigit) }) {
		for i, b := range v {
			for _, word := range standIns[b&0x1F] {
				if hasFold(v, i, word) {
					return true
				}
			}
		}
	}
	for _, word := range [...]string{"string", "required", "optional", "undefined", "number", "boolean", "hidden", "process.env"} {
		if len(v) == len(word) && hasFold(v, 0, word) {
			return true
		}
	}
	return false
}

// standIns are words that make a value without digits a stand-in, by their first letter.
var standIns = [32][]string{'p' & 0x1F: {"password"}, 's' & 0x1F: {"secret"}, 't' & 0x1F: {"token"}, 'c' & 0x1F: {"changeme"}, 'r' & 0x1F: {"redacted"}}

// random says that a value was generated: long, letters and digits well mixed.
func random(v []byte) bool {
	if len(v) < minRun || v[0] == '/' || v[0] == '.' {
		return false
	}
	digits, letters, turns, hex, other := 0, 0, 0, 0, 0
	last := uint16(0)
	for _, b := range v {
		class := byteClass[b] & (classDigit | classUpper | classLower)
		switch {
		case class == classDigit:
			digits++
		case class != 0:
			letters++
		case is(b, classToken):
		default:
			return false
		}
		if class == 0 && b != '-' {
			other++
		}
		if class != 0 && last != 0 && class != last {
			turns++
		}
		if class != 0 {
			last = class
		}
		if unhex(b) >= 0 || b == '-' {
			hex++
		}
	}
	if digits < 2 || letters < 2 || other > len(v)/5 {
		return false
	}
	return entropy(v) >= 3 && (turns >= 4 || hex == len(v) && len(v) >= 20)
}

// passwordLike says that a value was chosen by a person as a password.
func passwordLike(v []byte, quoted, spoken bool) bool {
	digits, letters, symbols, humps := 0, 0, 0, 0
	for i, b := range v {
		switch {
		case is(b, classDigit):
			digits++
		case is(b, classUpper|classLower), b >= 0x80:
			letters++
			if i > 0 && is(b, classUpper) && is(v[i-1], classLower) {
				humps++
			}
		case b <= ' ', b == '/' && spoken:
			return false
		case bytes.IndexByte([]byte("!@#$%^&*?~+"), b) >= 0:
			symbols++
		}
	}
	switch {
	case spoken:
		return digits > 0 && letters > 0 || symbols > 0 && (letters > 0 || digits > 0)
	case quoted:
		return digits+symbols > 0 || humps > 0 || letters >= 10
	default:
		return digits+symbols > 0
	}
}
