package front

import (
	"crypto/sha256"
	"crypto/subtle"
	"net/http"
	"net/url"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// User may use the front. A read-only user runs SELECT, SHOW, DESCRIBE, EXPLAIN, EXISTS and CHECK, nothing else.
type User struct {
	Name     string
	Password secret.Secret
	ReadOnly bool
}

// authenticate finds the user of a request: X-ClickHouse-User and -Key headers, Basic authentication, or the
// user and password parameters, in this order.
func (h *Handler) authenticate(r *http.Request, params url.Values) (User, error) {
	name, password := r.Header.Get("X-ClickHouse-User"), r.Header.Get("X-ClickHouse-Key")
	if name == "" {
		var ok bool
		if name, password, ok = r.BasicAuth(); !ok {
			name, password = params.Get("user"), params.Get("password")
		}
	}
	if name == "" {
		name = "default"
	}
	got := sha256.Sum256([]byte(password))
	for _, u := range h.set.Users {
		want := sha256.Sum256([]byte(u.Password.Value()))
		same := subtle.ConstantTimeCompare(got[:], want[:]) == 1
		if u.Name == name && same && !u.Password.IsZero() {
			return u, nil
		}
	}
	return User{}, raise(codeAuthFailed, "AUTHENTICATION_FAILED",
		name+": Authentication failed: password is incorrect, or there is no user with such name")
}
