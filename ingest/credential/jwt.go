package credential

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/golang-jwt/jwt/v5"

	"github.com/modeltrail/modeltrail/schemas/event"
)

const (
	maxTokenBytes  = 16 << 10
	maxClaimBytes  = 512
	maxClaimValues = 32
)

// tokenReader reads JWTs (RFC 7519).
type tokenReader struct {
	allowed []string
	subject []string
	keys    *keySet // nil: claims are taken unverified
	parser  *jwt.Parser
}

func newTokenReader(cfg JWT) (*tokenReader, error) {
	t := &tokenReader{allowed: cfg.Claims, subject: cfg.FingerprintClaims}
	if cfg.JWKSFile == "" {
		return t, nil
	}
	data, err := os.ReadFile(cfg.JWKSFile)
	if err != nil {
		return nil, err
	}
	if t.keys, err = parseKeySet(data); err != nil {
		return nil, err
	}
	// Expiry is left to the provider: a refused call of an expired token still belongs to its subject.
	t.parser = jwt.NewParser(jwt.WithoutClaimsValidation(), jwt.WithValidMethods(asymmetricMethods()))
	return t, nil
}

// asymmetricMethods leaves out the HMAC family and "none": a public key must never serve as an HMAC secret.
func asymmetricMethods() []string {
	return []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}
}

// looksLikeJWT reports three dot-separated parts of which the first opens a JSON object ("eyJ" is `{"` in base64).
func looksLikeJWT(s string) bool {
	return len(s) <= maxTokenBytes && strings.HasPrefix(s, "eyJ") && strings.Count(s, ".") == 2
}

// read fills c's claims and returns what the fingerprint is made from. False means: treat the token as opaque.
func (t *tokenReader) read(token string, c *event.Credential) (subject string, ok bool) {
	claims, verified, err := t.claims(token)
	if err != nil {
		return "", false
	}
	var b strings.Builder
	b.WriteString("jwt")
	for _, name := range t.subject {
		value := claimText(claims[name])
		if value == "" {
			return "", false
		}
		b.WriteByte(0)
		b.WriteString(value)
	}
	c.ClaimsVerified = verified
	for _, name := range t.allowed {
		if value := shorten(claimText(claims[name])); value != "" {
			c.Claims = append(c.Claims, &event.Attribute{Key: name, Value: value})
		}
	}
	return b.String(), true
}

func (t *tokenReader) claims(token string) (claims map[string]any, verified bool, err error) {
	if t.keys != nil {
		parsed := jwt.MapClaims{}
		if _, err := t.parser.ParseWithClaims(token, parsed, t.keys.find); err != nil {
			return nil, false, fmt.Errorf("verify token: %w", err)
		}
		return parsed, true, nil
	}
	payload, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil {
		return nil, false, fmt.Errorf("decode token: %w", err)
	}
	if err := json.Unmarshal(payload, &claims); err != nil {
		return nil, false, errors.New("decode token: claims are not a JSON object")
	}
	return claims, false, nil
}

// claimText flattens strings, numbers, booleans and lists of them; objects are not kept.
func claimText(v any) string {
	switch v := v.(type) {
	case string:
		return v
	case float64, bool:
		return fmt.Sprint(v)
	case []any:
		parts := make([]string, 0, min(len(v), maxClaimValues))
		for _, item := range v[:min(len(v), maxClaimValues)] {
			if s, ok := item.(string); ok {
				parts = append(parts, s)
			}
		}
		return strings.Join(parts, ",")
	}
	return ""
}

func shorten(text string) string {
	if len(text) > maxClaimBytes {
		text = strings.ToValidUTF8(text[:maxClaimBytes], "")
	}
	return text
}
