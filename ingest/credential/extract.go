package credential

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
)

// Kinds of credentials, as written to Credential.kind.
const (
	KindBearer   = "bearer"
	KindAPIKey   = "api_key"
	KindBasic    = "basic"
	KindAWSSigV4 = "aws_sigv4"
	KindQueryKey = "query_key"
	KindNone     = "none"
)

// Presented is what a request authenticates with, before hashing. It holds the raw secret: it lives no longer
// than the request and is never printed.
type Presented struct {
	kind   string
	secret string
}

// Kind returns one of the kinds above.
func (p Presented) Kind() string {
	if p.kind == "" {
		return KindNone
	}
	return p.kind
}

// String implements fmt.Stringer without revealing the secret.
func (p Presented) String() string { return p.Kind() }

// GoString implements fmt.GoStringer without revealing the secret.
func (p Presented) GoString() string { return p.Kind() }

// keyHeaders are the provider headers that carry a bare key, in canonical form: Anthropic, Azure OpenAI, Google,
// and Azure API Management.
var keyHeaders = [...]string{"X-Api-Key", "Api-Key", "X-Goog-Api-Key", "Ocp-Apim-Subscription-Key"}

// queryKeys are the query parameters that carry a key: Google ("key") and usual proxies.
var queryKeys = [...]string{"key", "api_key", "api-key", "apikey", "access_token", "subscription-key", "X-Amz-Credential"}

// Extract finds the credential of a request from its headers and raw query. A provider's key header wins over
// Authorization, because clients that send both put a placeholder into the latter.
func Extract(header http.Header, rawQuery string) Presented {
	for _, name := range keyHeaders {
		if v := header[name]; len(v) > 0 && v[0] != "" {
			return Presented{KindAPIKey, v[0]}
		}
	}
	for _, name := range [...]string{"Authorization", "Proxy-Authorization"} {
		if v := header[name]; len(v) > 0 && v[0] != "" {
			return fromAuthorization(v[0])
		}
	}
	if rawQuery != "" {
		return fromQuery(rawQuery)
	}
	return Presented{}
}

func fromAuthorization(value string) Presented {
	scheme, rest, found := strings.Cut(value, " ")
	rest = strings.TrimSpace(rest)
	switch {
	case !found:
		return Presented{KindAPIKey, value}
	case strings.EqualFold(scheme, "bearer"):
		return Presented{KindBearer, rest}
	case strings.EqualFold(scheme, "basic"):
		return Presented{KindBasic, rest}
	case strings.HasPrefix(scheme, "AWS4-"):
		return Presented{KindAWSSigV4, accessKeyID(rest)}
	default:
		return Presented{KindAPIKey, rest}
	}
}

// accessKeyID cuts the key id out of "Credential=AKID/20260101/region/service/aws4_request, SignedHeaders=...".
// The id is an identifier; the signature is never kept.
func accessKeyID(params string) string {
	_, after, _ := strings.Cut(params, "Credential=")
	id, _, _ := strings.Cut(after, "/")
	return strings.TrimSpace(id)
}

func fromQuery(rawQuery string) Presented {
	for rawQuery != "" {
		var pair string
		pair, rawQuery, _ = strings.Cut(rawQuery, "&")
		name, value, _ := strings.Cut(pair, "=")
		for _, key := range queryKeys {
			if value == "" || !strings.EqualFold(name, key) {
				continue
			}
			if plain, err := url.QueryUnescape(value); err == nil {
				value = plain
			}
			if key == "X-Amz-Credential" {
				id, _, _ := strings.Cut(value, "/")
				return Presented{KindAWSSigV4, id}
			}
			return Presented{KindQueryKey, value}
		}
	}
	return Presented{}
}

// basicUserinfo decodes "user:password"; an undecodable value stands for itself.
func basicUserinfo(encoded string) string {
	if plain, err := base64.StdEncoding.DecodeString(encoded); err == nil {
		return string(plain)
	}
	return encoded
}
