package redact

import (
	"bytes"
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
)

const (
	ruleForm = "form-value"
	// unreadable replaces a text that cannot be cleaned.
	unreadable = "[REDACTED:unreadable]"
)

// String redacts a header value, a path, a user agent or any other single text. Percent-encoding and escapes are
// looked through. A text that cannot be cleaned is replaced as a whole.
func (r *Redactor) String(s string) (string, []*event.Redaction) {
	if s == "" {
		return s, nil
	}
	body := []byte(s)
	if len(body) > r.cfg.MaxBodyBytes {
		return unreadable, []*event.Redaction{{Rule: "unreadable", Count: 1}}
	}
	k := kindText
	if strings.ContainsAny(s, "%+") {
		k = kindPath
	}
	out, counts, err := r.clean(k, body)
	if err != nil {
		return unreadable, []*event.Redaction{{Rule: "unreadable", Count: 1}}
	}
	if counts == nil {
		return s, nil
	}
	return string(out), counts
}

// Query redacts a raw query string: names stay, the value of every key-like name becomes REDACTED and all else is
// scanned.
func (r *Redactor) Query(rawQuery string) string {
	if rawQuery == "" {
		return rawQuery
	}
	var out strings.Builder
	for i, pair := range strings.Split(rawQuery, "&") {
		if i > 0 {
			out.WriteByte('&')
		}
		name, value, ok := strings.Cut(pair, "=")
		switch {
		case ok && value != "" && keyLike(name):
			name, _ = r.String(name)
			out.WriteString(name + "=REDACTED")
		default:
			clean, _ := r.String(pair)
			out.WriteString(clean)
		}
	}
	return out.String()
}

// keyNames are whole names of query and form fields whose value is a credential, keyParts are parts of such names.
var (
	keyNames = []string{"key", "sig", "code", "auth", "pwd", "pass", "sid", "jwt", "otp", "pin", "hmac", "assertion", "nonce", "ticket"}
	keyParts = []string{"api_key", "apikey", "api-key", "accesskey", "access_key", "access-key", "-key", "_key", "token", "signature", "password",
		"passwd", "secret", "auth_", "_auth", "authorization", "credential", "session", "x-amz-", "code_verifier", "samlresponse", "cookie", "privatekey"}
)

// keyLike says whether the value of a field of this name is a credential.
func keyLike(name string) bool {
	if strings.IndexByte(name, '%') >= 0 {
		var v view
		v.decode([]byte(name), 0, percents)
		name = string(v.buf)
	}
	name = strings.ToLower(strings.Trim(name, " []"))
	for _, n := range keyNames {
		if name == n || strings.HasSuffix(name, "."+n) || strings.HasSuffix(name, "["+n) {
			return true
		}
	}
	if strings.HasSuffix(name, "tokens") { // max_tokens and kin are counts
		return false
	}
	for _, p := range keyParts {
		if strings.Contains(name, p) {
			return true
		}
	}
	return false
}

// formValues cuts the values of key-like fields of a form.
func (sc *scanner) formValues(body []byte) {
	if !sc.r.cfg.Secrets {
		return
	}
	for from := 0; from < len(body); {
		end := len(body)
		if k := bytes.IndexByte(body[from:], '&'); k >= 0 {
			end = from + k
		}
		if eq := bytes.IndexByte(body[from:end], '='); eq >= 0 && from+eq+1 < end {
			value := body[from+eq+1 : end]
			if keyLike(string(body[from:from+eq])) && !bytes.HasPrefix(value, []byte("[REDACTED:")) {
				sc.cuts = append(sc.cuts, cut{s: from + eq + 1, e: end, rule: ruleForm, mark: true})
			}
		}
		from = end + 1
	}
}
