package receive

import (
	"crypto/sha256"
	"crypto/subtle"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"
)

// HeaderSource names the sender of a signed request. Other requests do without it.
const HeaderSource = "X-ModelTrail-Source"

// source is a configured sender, ready for use.
type source struct {
	Source
	bearer []proof
	hmac   []key
	rate   *allowance
}

// proof is the SHA-256 of a token.
type proof struct {
	hash    [sha256.Size]byte
	expires time.Time
}

// key is an HMAC key.
type key struct {
	secret  []byte
	expires time.Time
}

// unknownSource stands for senders that did not prove who they are, in metrics.
const unknownSource = "unknown"

// anyone is the sender where the configuration names none.
const anyone = "anyone"

// denial is a failed log-in. Only its status reaches the sender; the reason is counted.
type denial struct {
	source string // unknownSource, or a configured name
	reason string
}

// Reasons of a denial.
const (
	denyMissing     = "missing"
	denyToken       = "wrong_token" //nolint:gosec // a reason, not a token
	denyExpired     = "expired"
	denySignature   = "wrong_signature"
	denyMalformed   = "malformed_signature"
	denyTime        = "signature_time"
	denyReplay      = "replayed"
	denyCertificate = "unknown_certificate"
	denyFormat      = "format_not_allowed"
)

// directory finds the source of a request. It is read-only after newDirectory.
type directory struct {
	sources []*source
	byName  map[string]*source
	open    *source // who everybody is, where no source is configured
}

func newDirectory(cfg Config) (*directory, error) {
	d := &directory{byName: map[string]*source{}}
	for _, s := range cfg.Sources {
		made := &source{Source: s, rate: newAllowance(s, cfg)}
		for _, c := range s.Bearer {
			expires, err := c.expires()
			if err != nil {
				return nil, err
			}
			made.bearer = append(made.bearer, proof{sha256.Sum256([]byte(c.Secret.Value())), expires})
		}
		for _, c := range s.HMAC {
			expires, err := c.expires()
			if err != nil {
				return nil, err
			}
			made.hmac = append(made.hmac, key{[]byte(c.Secret.Value()), expires})
		}
		d.sources = append(d.sources, made)
		d.byName[s.Name] = made
	}
	if len(cfg.Sources) == 0 {
		d.open = &source{Source: Source{Name: anyone}, rate: newAllowance(Source{}, cfg)}
	}
	return d, nil
}

// identify finds who sends r from its header and its connection. With a signature the answer is provisional: check it
// against the body with signature.verify. What a request presents must be right: a wrong token is not made good by a
// right certificate.
func (d *directory) identify(r *http.Request, now time.Time) (*source, *signature, *denial) {
	switch token, bearer := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); {
	case d.open != nil:
		return d.open, nil, nil
	case bearer:
		s, deny := d.byToken(strings.TrimSpace(token), now)
		return s, nil, deny
	case r.Header.Get(HeaderSignature) != "":
		return d.bySignature(r)
	case r.TLS != nil && len(r.TLS.PeerCertificates) > 0:
		s, deny := d.byCertificate(r.TLS.PeerCertificates[0], now)
		return s, nil, deny
	}
	return nil, nil, &denial{unknownSource, denyMissing}
}

// byToken compares hashes of all tokens, found or not, so that the time tells nothing.
func (d *directory) byToken(token string, now time.Time) (*source, *denial) {
	presented := sha256.Sum256([]byte(token))
	var found *source
	var expires time.Time
	for _, s := range d.sources {
		for i := range s.bearer {
			if subtle.ConstantTimeCompare(presented[:], s.bearer[i].hash[:]) == 1 {
				found, expires = s, s.bearer[i].expires
			}
		}
	}
	switch {
	case found == nil:
		return nil, &denial{unknownSource, denyToken}
	case !expires.IsZero() && !now.Before(expires):
		return nil, &denial{found.Name, denyExpired}
	}
	return found, nil
}

func (d *directory) bySignature(r *http.Request) (*source, *signature, *denial) {
	name := unknownSource
	claimed := d.byName[r.Header.Get(HeaderSource)]
	if claimed != nil {
		name = claimed.Name
	}
	parsed, err := parseSignature(r.Header.Get(HeaderSignature))
	if err != nil {
		return nil, nil, &denial{name, denyMalformed}
	}
	if claimed == nil || len(claimed.hmac) == 0 {
		return nil, nil, &denial{name, denySignature}
	}
	return claimed, parsed, nil
}

// byCertificate matches a certificate whose chain and time the handshake has verified. A connection can outlive it.
func (d *directory) byCertificate(c *x509.Certificate, now time.Time) (*source, *denial) {
	spki := sha256.Sum256(c.RawSubjectPublicKeyInfo)
	hash := hex.EncodeToString(spki[:])
	names := alternativeNames(c)
	for _, s := range d.sources {
		known := slices.Contains(s.MTLS.CommonNames, c.Subject.CommonName) && c.Subject.CommonName != ""
		known = known || slices.ContainsFunc(s.MTLS.SANs, func(name string) bool { return slices.Contains(names, name) })
		known = known || slices.ContainsFunc(s.MTLS.SPKISHA256, func(h string) bool { return strings.EqualFold(h, hash) })
		switch {
		case known && now.After(c.NotAfter):
			return nil, &denial{s.Name, denyExpired}
		case known:
			return s, nil
		}
	}
	return nil, &denial{unknownSource, denyCertificate}
}

func alternativeNames(c *x509.Certificate) []string {
	names := slices.Concat(c.DNSNames, c.EmailAddresses)
	for _, uri := range c.URIs {
		names = append(names, uri.String())
	}
	for _, ip := range c.IPAddresses {
		names = append(names, ip.String())
	}
	return names
}

// allows reports whether the source may send a format.
func (s *source) allows(format string) bool {
	return len(s.Formats) == 0 || slices.Contains(s.Formats, format)
}

// relays reports whether the source may pass on envelopes that an instance has numbered.
func (s *source) relays(instance string) bool {
	if len(s.Instances) == 0 {
		return true
	}
	return slices.ContainsFunc(s.Instances, func(pattern string) bool {
		prefix, wild := strings.CutSuffix(pattern, "*")
		return pattern == instance || (wild && strings.HasPrefix(instance, prefix))
	})
}
