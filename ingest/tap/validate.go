package tap

import (
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"net/url"
	"strings"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/event"
)

const minInFlightBytes = 1 << 20

// captureModes maps the configuration's words.
var captureModes = map[string]event.CaptureMode{
	"metadata": event.CaptureMode_CAPTURE_MODE_METADATA,
	"hash":     event.CaptureMode_CAPTURE_MODE_HASH,
	"redacted": event.CaptureMode_CAPTURE_MODE_REDACTED,
	"full":     event.CaptureMode_CAPTURE_MODE_FULL,
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf("tap."+format, args...)) }
	if _, _, err := net.SplitHostPort(c.Listen); c.Listen != "" && err != nil {
		fault("listen: %q is not host:port", c.Listen)
	}
	if c.MaxBodyBytes < 0 {
		fault("max_body_bytes: must be 0 or more")
	}
	if c.MaxInFlightBytes < minInFlightBytes {
		fault("max_in_flight_bytes: must be %d or more", minInFlightBytes)
	}
	if c.Workers < 1 || c.Workers > 64 {
		fault("workers: must be from 1 to 64")
	}
	if c.ConnectTimeout <= 0 {
		fault("connect_timeout: must be above 0s")
	}
	if c.DrainTimeout < 0 {
		fault("drain_timeout: must be 0s or more")
	}
	errs = append(errs, c.validateCapture("tap", c.Capture), validateKeeping("tap", c.Durability, c.OnAuditFailure))
	for _, name := range c.Headers {
		if err := checkKeptHeader(name); err != nil {
			fault("headers: %w", err)
		}
	}
	prefixes := map[string]int{}
	for i, r := range c.Routes {
		errs = append(errs, c.validateRoute(fmt.Sprintf("tap.routes[%d]", i), r))
		if other, taken := prefixes[r.Prefix]; taken {
			fault("routes[%d].prefix: %q is also the prefix of routes[%d]", i, r.Prefix, other)
		}
		prefixes[r.Prefix] = i
	}
	for _, err := range []error{c.Credential.Validate(), c.Redact.Validate()} {
		if err != nil {
			errs = append(errs, fmt.Errorf("tap: %w", err))
		}
	}
	return errors.Join(errs...)
}

func (c Config) validateCapture(key, mode string) error {
	m, known := captureModes[mode]
	switch {
	case !known:
		return fmt.Errorf("%s.capture: %q is not metadata, hash, redacted or full", key, mode)
	case m != event.CaptureMode_CAPTURE_MODE_FULL:
		return nil
	case c.EncryptionKey.IsZero():
		return fmt.Errorf("%s.capture: full needs tap.encryption_key; make one with `openssl rand -hex 32`", key)
	case c.EncryptionKeyID == "":
		return fmt.Errorf("%s.capture: full needs tap.encryption_key_id", key)
	}
	if _, err := encryptionKey(c.EncryptionKey.Value()); err != nil {
		return fmt.Errorf("tap.encryption_key: %w", err)
	}
	return nil
}

func (c Config) validateRoute(key string, r Route) error {
	var errs []error
	fault := func(format string, args ...any) { errs = append(errs, fmt.Errorf(key+"."+format, args...)) }
	if !strings.HasPrefix(r.Prefix, "/") || strings.ContainsAny(r.Prefix, "?#% ") {
		fault("prefix: %q must begin with / and hold no ?, #, %% or blank", r.Prefix)
	}
	if u, err := url.Parse(r.Upstream); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		fault("upstream: must be an http or https URL such as https://api.openai.com")
	} else if u.RawQuery != "" || u.Fragment != "" || u.User != nil {
		fault("upstream: must hold no query, fragment or password; use set_headers for a credential")
	}
	if r.Capture != "" {
		errs = append(errs, c.validateCapture(key, r.Capture))
	}
	errs = append(errs, validateKeeping(key, r.Durability, r.OnAuditFailure))
	if r.MaxBodyBytes < 0 || r.ConnectTimeout < 0 || r.ResponseTimeout < 0 {
		fault("max_body_bytes, connect_timeout, response_timeout: must not be negative")
	}
	for _, h := range r.SetHeaders {
		if !validToken(h.Name) {
			fault("set_headers: %q is not a header name", h.Name)
		}
		if strings.ContainsAny(h.Value+h.Secret.Value(), "\r\n\x00") {
			fault("set_headers: the value of %s holds a line break", h.Name)
		}
	}
	for _, name := range r.RemoveHeaders {
		if !validToken(name) {
			fault("remove_headers: %q is not a header name", name)
		}
	}
	return errors.Join(errs...)
}

// validateKeeping checks what is said about envelopes that Kafka does not have yet.
func validateKeeping(key, durability, onFailure string) error {
	var errs []error
	if _, err := publish.ParseDurability(durability); err != nil {
		errs = append(errs, fmt.Errorf("%s.durability: %w", key, err))
	}
	if onFailure != "" && onFailure != auditOpen && onFailure != auditClosed {
		errs = append(errs, fmt.Errorf("%s.on_audit_failure: %q is not open or closed", key, onFailure))
	}
	return errors.Join(errs...)
}

// checkKeptHeader refuses names that would put credentials or cookies into envelopes.
func checkKeptHeader(name string) error {
	bare := strings.ToLower(strings.TrimSuffix(name, "*"))
	if !validToken(bare) {
		return fmt.Errorf("%q is not a header name", name)
	}
	for _, secret := range credentialHeaders {
		secret = strings.ToLower(secret)
		if bare == secret || (bare != name && strings.HasSuffix(name, "*") && strings.HasPrefix(secret, bare)) {
			return fmt.Errorf("%q would keep %s, which carries a secret", name, secret)
		}
	}
	return nil
}

// validToken reports an RFC 9110 token.
func validToken(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return true
}

// encryptionKey decodes a 32-byte AES key from hex or base64.
func encryptionKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	key, err := hex.DecodeString(text)
	if err != nil {
		key, err = base64.RawStdEncoding.DecodeString(strings.TrimRight(text, "="))
	}
	if err != nil || len(key) != 32 {
		return nil, errors.New("must be hex or base64 of exactly 32 bytes; make one with `openssl rand -hex 32`")
	}
	return key, nil
}
