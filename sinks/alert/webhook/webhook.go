// Package webhook delivers findings as signed JSON by HTTP POST. docs/alerts.md is its contract with receivers.
package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
	"unicode"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/alert"
)

// maxResponse is how many bytes of an answer are read, so that the connection can be used again.
const maxResponse = 64 << 10

// Config is the section of one webhook.
type Config struct {
	URL           secret.Secret `yaml:"url" json:"url" jsonschema_description:"Address to POST to, http or https; a secret, because many receivers put a token into it. Required."`
	Secret        secret.Secret `yaml:"secret" json:"secret" jsonschema_description:"Key of the HMAC-SHA-256 signature, at least 16 bytes. Default empty, which sends unsigned requests."`
	Authorization secret.Secret `yaml:"authorization" json:"authorization" jsonschema_description:"Value of the Authorization request header. Default empty, which sends none."`
	CAFile        string        `yaml:"ca_file" json:"ca_file" jsonschema_description:"PEM file of the authorities that sign the receiver's certificate. Default the system's."`
	DialTimeout   time.Duration `yaml:"dial_timeout" json:"dial_timeout" jsonschema_description:"Time limit of connecting. Default 5s."`
}

// DefaultConfig returns the defaults. URL has none.
func DefaultConfig() Config { return Config{DialTimeout: 5 * time.Second} }

// minSecretBytes keeps signatures from resting on a key that can be guessed.
const minSecretBytes = 16

// Validate reports every value that cannot work. Messages begin with the key relative to the section and never
// hold the URL.
func (c Config) Validate() error {
	var errs []error
	if _, err := c.parse(); err != nil {
		errs = append(errs, err)
	}
	if !c.Secret.IsZero() && len(c.Secret.Value()) < minSecretBytes {
		errs = append(errs, fmt.Errorf("secret: must have at least %d bytes", minSecretBytes))
	}
	if strings.ContainsFunc(c.Authorization.Value(), unicode.IsControl) {
		errs = append(errs, errors.New("authorization: must not hold line breaks or other control characters"))
	}
	if c.DialTimeout <= 0 {
		errs = append(errs, errors.New("dial_timeout: must be positive"))
	}
	return errors.Join(errs...)
}

func (c Config) parse() (*url.URL, error) {
	u, err := url.Parse(c.URL.Value())
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, errors.New("url: must be an absolute http or https address")
	}
	return u, nil
}

// Notifier posts findings. It is safe for concurrent use.
type Notifier struct {
	name   string
	cfg    Config
	host   string
	client *http.Client
	now    func() time.Time
}

// New returns a notifier under a name, which labels metrics and logs. The error is that of Config.Validate or of
// reading ca_file.
func New(name string, cfg Config) (*Notifier, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure webhook %s: %w", name, err)
	}
	u, err := cfg.parse()
	if err != nil {
		return nil, err
	}
	transport := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: cfg.DialTimeout}).DialContext,
		TLSHandshakeTimeout:   cfg.DialTimeout,
		MaxIdleConnsPerHost:   4,
		IdleConnTimeout:       time.Minute,
		ForceAttemptHTTP2:     true,
		TLSClientConfig:       &tls.Config{MinVersion: tls.VersionTLS12},
		ExpectContinueTimeout: time.Second,
	}
	if cfg.CAFile != "" {
		pem, err := os.ReadFile(cfg.CAFile)
		if err != nil {
			return nil, fmt.Errorf("read ca_file: %w", err)
		}
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(pem) {
			return nil, errors.New("read ca_file: no certificate found")
		}
		transport.TLSClientConfig.RootCAs = pool
	}
	client := &http.Client{
		Transport: transport,
		// A redirect would repeat the signed body towards an address nobody configured.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	return &Notifier{name: name, cfg: cfg, host: u.Host, client: client, now: time.Now}, nil
}

// Name implements alert.Notifier.
func (n *Notifier) Name() string { return n.name }

// Host is the receiver's host and port: the part of the address that may be logged.
func (n *Notifier) Host() string { return n.host }

// Close drops idle connections.
func (n *Notifier) Close() error {
	n.client.CloseIdleConnections()
	return nil
}

// Notify implements alert.Notifier with one POST. Errors name the host, never the address.
func (n *Notifier) Notify(ctx context.Context, f *event.Finding) error {
	body, err := alert.NewMessage(f).Encode()
	if err != nil {
		return alert.Permanent(err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, n.cfg.URL.Value(), bytes.NewReader(body))
	if err != nil {
		return alert.Permanent(fmt.Errorf("build request to %s: %w", n.host, withoutURL(err)))
	}
	if !n.cfg.Authorization.IsZero() {
		req.Header.Set("Authorization", n.cfg.Authorization.Value())
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "modeltrail-alert/1")
	req.Header.Set(HeaderDelivery, f.GetKey())
	if !n.cfg.Secret.IsZero() {
		req.Header.Set(HeaderSignature, Sign(n.cfg.Secret, body, n.now()))
	}
	resp, err := n.client.Do(req)
	if err != nil {
		return fmt.Errorf("post to %s: %w", n.host, withoutURL(err))
	}
	defer resp.Body.Close()
	if err := classify(resp.StatusCode, resp.Header, n.now()); err != nil {
		drain(resp.Body)
		return fmt.Errorf("post to %s: %w", n.host, err)
	}
	drain(resp.Body)
	return nil
}

// drain reads the rest of a short answer; the answer's content does not matter.
func drain(body io.Reader) { _, _ = io.CopyN(io.Discard, body, maxResponse) }

// withoutURL unwraps the error of net/http, whose text quotes the address.
func withoutURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
