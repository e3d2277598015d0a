package redact

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"regexp/syntax"
	"strconv"
	"strings"
	"testing"
)

// writer makes random texts of every kind that a call may hold: prose, code, digits, base64, credentials and what
// looks like them, whole, torn, escaped and in frames.
type writer struct {
	r     *rand.Rand
	lines []string
	rules []*syntax.Regexp
	words []string
}

func newWriter(t testing.TB, r *Redactor, seed uint64) *writer {
	t.Helper()
	w := &writer{r: rand.New(rand.NewPCG(seed, 99)), lines: cleanLines(t), words: r.set.words}
	for _, rule := range r.set.rules {
		tree, err := syntax.Parse(rule.source, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		w.rules = append(w.rules, tree)
	}
	return w
}

func (w *writer) one(of ...string) string { return of[w.r.IntN(len(of))] }

// piece writes one piece of text.
func (w *writer) piece(b *strings.Builder) {
	switch w.r.IntN(17) {
	case 0, 1:
		b.WriteString(w.lines[w.r.IntN(len(w.lines))])
	case 2:
		line := w.lines[w.r.IntN(len(w.lines))]
		from := w.r.IntN(len(line))
		b.WriteString(strings.ToValidUTF8(line[from:from+w.r.IntN(len(line)-from+1)], ""))
	case 3:
		all := canaries(w.r.Uint64N(1 << 20))
		b.WriteString(all[w.r.IntN(len(all))].text())
	case 4, 5:
		sample(w.rules[w.r.IntN(len(w.rules))], w.r, b)
	case 6:
		b.WriteString(w.one(w.words...))
		b.WriteString(w.one("", "=", " = ", ": ", "\": \"", ":=", " is ", "_id=", "-", ",", "=>", " : "))
		b.WriteString(random62(w.r, w.one(alnum, hexes, urlsafe, lower), 8+w.r.IntN(60)))
	case 7:
		b.WriteString(w.one("password", "PASSWD", "Secret", "passcode", "passphrase", "pwd", "DB_PWD", "authorization", "zpwd", "pwdx"))
		b.WriteString(w.one("=", ": ", " is ", "\":\"", "_count: ", " ", "='", "\\\":\\\""))
		b.WriteString(random62(w.r, w.one(alnum, alnum+"!@#$", "0123456789", "abc"), w.r.IntN(24)))
	case 8:
		b.WriteString(w.one("Basic ", "bearer ", "curl -u ", "curl --user=", "-----BEGIN RSA PRIVATE KEY-----", "https://a:"))
		b.WriteString(w.one(random62(w.r, alnum, 20), base64.StdEncoding.EncodeToString([]byte("user:"+random62(w.r, alnum, 9))), "u:p4ssw0rd!") + w.one("", "@host", " x"))
	case 9:
		raw := w.one("key sk-ant-"+random62(w.r, alnum, 24), "nothing of interest in here", random62(w.r, "\x00\xff\x80abc", 30), "password=hunter22x!")
		b.WriteString(w.one(base64.StdEncoding.EncodeToString([]byte(raw)), base64.RawURLEncoding.EncodeToString([]byte(raw))))
	case 10, 11:
		w.number(b)
	case 12:
		b.WriteString(random62(w.r, w.one(alnum, base64s, urlsafe, hexes, "0123456789", alnum+"._-~%=", "=-_."), w.r.IntN(200)))
	case 13:
		b.WriteString(w.one("我们的系统", "é", "\u200b", "\u00a0", "１２３４", "‐", "🙂", "\ufeff", "日本 sk-ant-"))
	case 14:
		b.WriteString(w.one("a", "ann.b", "x%y", "1") + "@" + w.one("mail.example", "b", "c.org", "2x.png", "x.co.uk", "d.x-"))
	case 15:
		b.WriteString(w.one("\\n", "\\\"", "\\u0073", "\\\\", "\\/", "\n", "\"", "%73", "+", "    ", "\t", "{", "}", "],", "\\"))
	case 16:
		fmt.Fprintf(b, "func (s *scanner) %s%s(ctx context.Context, token string) error { return s.%s(ctx, %q) }",
			w.one("Get", "set", "Keyed"), w.one("AccessToken", "Linear", "ClientSecretRotation"), w.one("authenticateCredential", "sk", "keys"), w.one("status.internal_error", "ey", "test_case_one"))
	}
}

// number writes what may be a phone, card or account number or nothing.
func (w *writer) number(b *strings.Builder) {
	switch w.r.IntN(6) {
	case 0:
		b.WriteString(w.one("tel ", "phone: ", "card ", "iban ", "Handy", "GB29 NWBK ", "DE89", "NO93 ", "order ", "MT84MALT0"))
		fallthrough
	case 1:
		for range 1 + w.r.IntN(7) {
			b.WriteString(random62(w.r, "0123456789", 1+w.r.IntN(5)) + w.one(" ", "-", ".", "/", "", ") ", " (", "  ", "+", ", "))
		}
	case 2:
		b.WriteString(strconv.Itoa(w.r.Int()))
	case 3:
		b.WriteString(strconv.FormatFloat(w.r.Float64()*1000, 'f', 3+w.r.IntN(9), 64) + ", ")
	case 4:
		b.WriteString(w.one("4111 1111 1111 1111", "5555555555554444", "3782-822463-10005", "4012888888881881", "6011-1111-1111-1117", "4222222222222"))
	case 5:
		b.WriteString(w.one("DE89 3704 0044 0532 0130 00", "GB29NWBK60161331926819", "FR1420041010050500013M02606", "+49 170 2345678", "(415) 555-2671",
			"0171 2345678", "1-415-555-2671", "00 44 20 7946 0958", "2026-01-15T10:30:45", "12.03.2026", "192.168.100.200"))
	}
}

// text writes several pieces in a row.
func (w *writer) text() string {
	var b strings.Builder
	for range 1 + w.r.IntN(8) {
		w.piece(&b)
		b.WriteString(w.one("", "", " ", " ", "\n", ", ", "\"", "'", ": ", "=", ";", "(", ")", "\\n", "/"))
	}
	return strings.ReplaceAll(strings.ToValidUTF8(b.String(), ""), "\x00", "")
}

// body writes a text in one of the shapes of a body.
func (w *writer) body() (contentType, body string) {
	text := w.text()
	switch w.r.IntN(9) {
	case 0, 1:
		return "text/plain", text
	case 2:
		return "application/json", `{"messages":[{"role":"user","content":` + quoted(text) + `}],"` + w.one("token", "n", "password") + `":` + quoted(w.text()) + `}`
	case 3:
		inner, _ := json.Marshal(map[string]string{w.one(w.words...): text})
		return "application/json", `{"arguments":` + quoted(string(inner)) + `}`
	case 4:
		var b strings.Builder
		for i, c := range []byte(text) {
			switch {
			case c < 0x80 && w.r.IntN(8) == 0:
				fmt.Fprintf(&b, `\u%04x`, c)
			case c == '"' || c == '\\' || c < ' ':
				q := quoted(text[i : i+1])
				b.WriteString(q[1 : len(q)-1])
			default:
				b.WriteByte(c)
			}
		}
		return "", `{"content":"` + b.String() + `"}`
	case 5:
		return "application/x-www-form-urlencoded", "a=" + strings.NewReplacer(" ", "+", "@", "%40", "-", "%2d", "&", "%26").Replace(text) + "&key=" + w.one("", "x")
	default:
		step := 1 + w.r.IntN(40)
		if len(text) > 400 {
			step += 20
		}
		shape := w.one(shapes...)
		if shape == "ndjson" {
			return "application/x-ndjson", sse(shape, text, step)
		}
		return "text/event-stream", sse(shape, text, step)
	}
}
