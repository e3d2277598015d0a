package credential

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

const testKey = "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"

func newResolver(t *testing.T, change func(*Config)) *Resolver {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Key = secret.New(testKey)
	if change != nil {
		change(&cfg)
	}
	r, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFingerprintIsTheTruncatedKeyedHash(t *testing.T) {
	key, err := decodeKey(testKey)
	if err != nil {
		t.Fatal(err)
	}
	// printf %s sk-test | openssl dgst -sha256 -mac HMAC -macopt hexkey:$testKey | cut -c1-32
	if got, want := Fingerprint(key, "sk-test"), "mt1:e7c33ba7a51c5c67db02ad080a9f2da6"; got != want {
		t.Errorf("fingerprint %s, want %s", got, want)
	}
}

func TestCredentialsAreFoundWhereProvidersPutThem(t *testing.T) {
	basic := base64.StdEncoding.EncodeToString([]byte("user:a-long-password-here"))
	for name, tc := range map[string]struct {
		header map[string]string
		query  string
		kind   string
		secret string
		last4  string
	}{
		"openai":           {map[string]string{"Authorization": "Bearer sk-proj-0123456789abcdef"}, "", KindBearer, "sk-proj-0123456789abcdef", "cdef"},
		"bearer any case":  {map[string]string{"Authorization": "bearer  sk-proj-0123456789abcdef"}, "", KindBearer, "sk-proj-0123456789abcdef", "cdef"},
		"short key":        {map[string]string{"Authorization": "Bearer sk-short"}, "", KindBearer, "sk-short", ""},
		"anthropic":        {map[string]string{"X-Api-Key": "sk-ant-0123456789abcdef", "Authorization": "Bearer placeholder"}, "", KindAPIKey, "sk-ant-0123456789abcdef", "cdef"},
		"azure":            {map[string]string{"Api-Key": "0123456789abcdef0123456789abcdef"}, "", KindAPIKey, "0123456789abcdef0123456789abcdef", "cdef"},
		"google header":    {map[string]string{"X-Goog-Api-Key": "AIza0123456789abcdef"}, "", KindAPIKey, "AIza0123456789abcdef", "cdef"},
		"google query":     {nil, "alt=sse&key=AIza0123456789%61bcdef", KindQueryKey, "AIza0123456789abcdef", "cdef"},
		"bare value":       {map[string]string{"Authorization": "0123456789abcdef"}, "", KindAPIKey, "0123456789abcdef", "cdef"},
		"basic":            {map[string]string{"Authorization": "Basic " + basic}, "", KindBasic, "user:a-long-password-here", ""},
		"sigv4":            {map[string]string{"Authorization": "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/us-east-1/bedrock/aws4_request, SignedHeaders=host, Signature=fe5f"}, "", KindAWSSigV4, "AKIAIOSFODNN7EXAMPLE", "MPLE"},
		"sigv4 presigned":  {nil, "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Fus-east-1", KindAWSSigV4, "AKIAIOSFODNN7EXAMPLE", "MPLE"},
		"control in last4": {map[string]string{"X-Api-Key": "0123456789abcde\tf"}, "", KindAPIKey, "0123456789abcde\tf", ""},
		"nothing":          {map[string]string{"Accept": "*/*"}, "alt=sse", KindNone, "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := http.Header{}
			for k, v := range tc.header {
				h.Set(k, v)
			}
			r := newResolver(t, nil)
			got := r.Resolve(Extract(h, tc.query))
			want := &event.Credential{Kind: tc.kind, Last4: tc.last4}
			if tc.secret != "" {
				want.Fingerprint = Fingerprint(r.Key(), tc.secret)
			}
			if got.Kind != want.Kind || got.Last4 != want.Last4 || got.Fingerprint != want.Fingerprint {
				t.Errorf("got %s %s %s, want %s %s %s", got.Kind, got.Last4, got.Fingerprint, want.Kind, want.Last4, want.Fingerprint)
			}
			if again := r.Resolve(Extract(h, tc.query)); again.Fingerprint != got.Fingerprint {
				t.Error("the remembered fingerprint differs")
			}
		})
	}
}

func TestPresentedDoesNotPrintItsSecret(t *testing.T) {
	p := Extract(http.Header{"X-Api-Key": {"planted-secret-value"}}, "")
	if s := fmt.Sprintf("%v %+v %#v %s", p, p, p, p); strings.Contains(s, "planted") {
		t.Error(s)
	}
}

func TestJWTRenewalsKeepTheFingerprint(t *testing.T) {
	r := newResolver(t, nil)
	sign := func(exp time.Time) string {
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
			"iss": "https://id.example", "sub": "user-7", "aud": []string{"a", "b"}, "exp": exp.Unix(),
			"password": "planted-secret-value",
		}).SignedString([]byte("some key"))
		if err != nil {
			t.Fatal(err)
		}
		return token
	}
	first := r.Resolve(Presented{KindBearer, sign(time.Now())})
	second := r.Resolve(Presented{KindBearer, sign(time.Now().Add(time.Hour))})
	if first.Fingerprint != second.Fingerprint {
		t.Error("a renewed token has another fingerprint")
	}
	if first.ClaimsVerified || first.Last4 != "" {
		t.Error("claims must be marked unverified, last4 must be empty")
	}
	var got []string
	for _, c := range first.Claims {
		got = append(got, c.Key+"="+c.Value)
	}
	if diff := cmp.Diff([]string{"sub=user-7", "iss=https://id.example", "aud=a,b"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestOnlyVerifiedTokensGiveClaimsWithAKeySet(t *testing.T) {
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	ecKey, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	b64 := func(n *big.Int, size int) string {
		return base64.RawURLEncoding.EncodeToString(n.FillBytes(make([]byte, size)))
	}
	point, err := ecKey.PublicKey.Bytes()
	if err != nil {
		t.Fatal(err)
	}
	set, err := json.Marshal(map[string]any{"keys": []any{
		map[string]string{"kty": "RSA", "kid": "r", "n": b64(rsaKey.N, 256), "e": "AQAB"},
		map[string]string{"kty": "EC", "kid": "e", "crv": "P-256", "x": base64.RawURLEncoding.EncodeToString(point[1:33]), "y": base64.RawURLEncoding.EncodeToString(point[33:])},
	}})
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "jwks.json")
	if err := os.WriteFile(file, set, 0o600); err != nil {
		t.Fatal(err)
	}
	r := newResolver(t, func(c *Config) { c.JWT.JWKSFile = file })
	claims := jwt.MapClaims{"iss": "i", "sub": "s", "exp": time.Now().Add(-time.Hour).Unix()}
	sign := func(method jwt.SigningMethod, kid string, key any) string {
		token := jwt.NewWithClaims(method, claims)
		if kid != "" {
			token.Header["kid"] = kid
		}
		text, err := token.SignedString(key)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		token    string
		verified bool
	}{
		"rsa":             {sign(jwt.SigningMethodRS256, "r", rsaKey), true},
		"rsa pss":         {sign(jwt.SigningMethodPS256, "r", rsaKey), true},
		"ec":              {sign(jwt.SigningMethodES256, "e", ecKey), true},
		"no kid":          {sign(jwt.SigningMethodRS256, "", rsaKey), true},
		"unknown kid":     {sign(jwt.SigningMethodRS256, "x", rsaKey), false},
		"another's key":   {sign(jwt.SigningMethodRS256, "r", other), false},
		"hmac confusion":  {sign(jwt.SigningMethodHS256, "r", []byte("AQAB")), false},
		"none":            {sign(jwt.SigningMethodNone, "r", jwt.UnsafeAllowNoneSignatureType), false},
		"cut":             {"eyJhbGciOiJSUzI1NiJ9.e30.", false},
		"garbage payload": {"eyJhbGciOiJSUzI1NiJ9.!!!.AAAA", false},
	} {
		t.Run(name, func(t *testing.T) {
			c := r.Resolve(Presented{KindBearer, tc.token})
			if c.ClaimsVerified != tc.verified || (len(c.Claims) > 0) != tc.verified {
				t.Errorf("verified %v with %d claims, want %v", c.ClaimsVerified, len(c.Claims), tc.verified)
			}
			if !strings.HasPrefix(c.Fingerprint, prefix) {
				t.Error("no fingerprint")
			}
		})
	}
}

func TestKeyFileIsMadeOnceAndPrivate(t *testing.T) {
	cfg := DefaultConfig()
	cfg.KeyFile = filepath.Join(t.TempDir(), "state", "tap.key")
	keys := make([]string, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			key, err := LoadKey(cfg)
			if err != nil {
				t.Error(err)
			}
			keys[i] = string(key)
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] || len(k) != minKeyBytes {
			t.Fatal("racing starts ended with different keys")
		}
	}
	info, err := os.Stat(cfg.KeyFile)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
	left, err := os.ReadDir(filepath.Dir(cfg.KeyFile))
	if err != nil || len(left) != 1 {
		t.Errorf("files left behind: %v %v", left, err)
	}
}

func TestMemoryOfFingerprintsIsBoundedAndHoldsNoSecret(t *testing.T) {
	r := newResolver(t, func(c *Config) { c.CacheEntries = 10 })
	for i := range 1000 {
		r.Resolve(Presented{KindAPIKey, fmt.Sprintf("planted-secret-%d", i)})
	}
	if n := len(r.young) + len(r.old); n > 10 {
		t.Errorf("%d entries", n)
	}
	if s := fmt.Sprintf("%+v %+v", r.young, r.old); strings.Contains(s, "planted") {
		t.Error("a secret is in memory of the cache")
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"credential.key:":                       func(c *Config) { c.Key = secret.New("abcd") },
		"credential.key_file":                   func(c *Config) { c.Key, c.KeyFile = secret.Secret{}, "" },
		"credential.cache_entries":              func(c *Config) { c.CacheEntries = -1 },
		"credential.jwt.fingerprint_claims":     func(c *Config) { c.JWT.FingerprintClaims = nil },
		"credential.jwt: a claim name must not": func(c *Config) { c.JWT.Claims = []string{""} },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func FuzzResolveNeverPanics(f *testing.F) {
	f.Add("Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4IiwiaXNzIjoieSJ9.", "key=a")
	f.Add("AWS4-HMAC-SHA256 Credential=/", "X-Amz-Credential=%zz")
	cfg := DefaultConfig()
	cfg.Key = secret.New(testKey)
	r, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, auth, query string) {
		for _, p := range []Presented{Extract(http.Header{"Authorization": {auth}}, query), Extract(http.Header{}, query)} {
			if c := r.Resolve(p); c.Kind == "" || len(c.Last4) > 4 {
				t.Errorf("%v", c)
			}
		}
	})
}

func BenchmarkResolve(b *testing.B) {
	cfg := DefaultConfig()
	cfg.Key = secret.New(testKey)
	r, err := New(cfg)
	if err != nil {
		b.Fatal(err)
	}
	h := http.Header{"Authorization": {"Bearer sk-proj-0123456789abcdef0123456789abcdef"}}
	b.ReportAllocs()
	for b.Loop() {
		r.Resolve(Extract(h, ""))
	}
}
