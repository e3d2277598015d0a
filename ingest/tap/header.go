package tap

import (
	"net/http"
	"strings"
)

// credentialHeaders carry secrets. They are never kept, and they are removed from calls that get the tap's own
// upstream credential.
var credentialHeaders = []string{
	"Authorization", "Proxy-Authorization", "X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key",
	"X-Amz-Security-Token", "Cookie", "Set-Cookie",
}

// attribute is a kept header as it was seen; the worker redacts its value.
type attribute struct{ key, value string }

// maxHeaders bounds the kept headers of one message, maxHeaderBytes a kept value.
const (
	maxHeaders     = 48
	maxHeaderBytes = 1024
)

// allowList decides which headers are kept.
type allowList struct {
	exact    map[string]string // canonical name -> lower-case name
	prefixes []string          // canonical
}

func newAllowList(names []string) allowList {
	l := allowList{exact: map[string]string{}}
	for _, name := range names {
		if prefix, wild := strings.CutSuffix(name, "*"); wild {
			l.prefixes = append(l.prefixes, http.CanonicalHeaderKey(prefix))
			continue
		}
		l.exact[http.CanonicalHeaderKey(name)] = strings.ToLower(name)
	}
	return l
}

// collect appends the kept headers of h to dst. It runs on the call's goroutine and copies no bytes.
func (l *allowList) collect(dst []attribute, h http.Header) []attribute {
	for name, values := range h {
		if len(values) == 0 || len(dst) == maxHeaders {
			continue
		}
		key, kept := l.exact[name]
		if !kept {
			if key, kept = l.wild(name); !kept {
				continue
			}
		}
		value := values[0]
		if len(values) > 1 {
			value = strings.Join(values, ", ")
		}
		if len(value) > maxHeaderBytes {
			value = strings.Clone(value[:maxHeaderBytes]) // a part would keep the whole in memory
		}
		dst = append(dst, attribute{key, value})
	}
	return dst
}

func (l *allowList) wild(name string) (string, bool) {
	for _, prefix := range l.prefixes {
		if strings.HasPrefix(name, prefix) {
			return strings.ToLower(name), true
		}
	}
	return "", false
}

func first(h http.Header, canonical string) string {
	if v := h[canonical]; len(v) > 0 {
		return v[0]
	}
	return ""
}
