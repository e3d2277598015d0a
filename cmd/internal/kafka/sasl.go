package kafka

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/oauth"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/clientcredentials"

	"github.com/modeltrail/modeltrail/schemas/tlsclient"
)

// mechanism returns how connections log in, nil when they do not. Secrets that are named by file are read anew at each
// log-in, so that a rotation needs no restart.
func (s SASL) mechanism() sasl.Mechanism {
	switch s.Mechanism {
	case "PLAIN":
		return plain.Plain(func(context.Context) (plain.Auth, error) {
			password, err := s.password()
			return plain.Auth{User: s.User, Pass: password}, err
		})
	case "SCRAM-SHA-256":
		return scram.Sha256(s.scram)
	case "SCRAM-SHA-512":
		return scram.Sha512(s.scram)
	case "OAUTHBEARER":
		if s.OAuth.TokenURL != "" {
			source := &tokens{cfg: s.OAuth}
			return bearer{oauth.Oauth(source.auth), "kafka.sasl.oauth", source.forget}
		}
		return bearer{oauth.Oauth(s.token), "kafka.sasl.token", func() {}}
	}
	return nil
}

func (s SASL) token(context.Context) (oauth.Auth, error) {
	token, err := s.Token.Current()
	if err != nil {
		return oauth.Auth{}, &SettingError{"kafka.sasl.token", "cannot be read", err}
	}
	return oauth.Auth{Token: token}, nil
}

// bearer is OAUTHBEARER with an error that says what a refusal is: brokers answer it with a challenge (RFC 7628, 3.2.3).
type bearer struct {
	sasl.Mechanism
	key     string // of the configuration
	refused func()
}

// Authenticate implements sasl.Mechanism.
func (b bearer) Authenticate(ctx context.Context, host string) (sasl.Session, []byte, error) {
	session, first, err := b.Mechanism.Authenticate(ctx, host)
	return bearerSession{session, b}, first, err
}

type bearerSession struct {
	sasl.Session
	bearer bearer
}

// Challenge implements sasl.Session.
func (s bearerSession) Challenge(response []byte) (bool, []byte, error) {
	if len(response) > 0 {
		s.bearer.refused()
		return false, nil, &SettingError{s.bearer.key, "the broker refuses the token; it may have expired, or be for another audience", nil}
	}
	return s.Session.Challenge(response)
}

func (s SASL) scram(context.Context) (scram.Auth, error) {
	password, err := s.password()
	return scram.Auth{User: s.User, Pass: password}, err
}

func (s SASL) password() (string, error) {
	password, err := s.Password.Current()
	if err != nil {
		return "", &SettingError{"kafka.sasl.password", "cannot be read", err}
	}
	return password, nil
}

const (
	tokenTimeout = 10 * time.Second
	// tokenMargin is how long before its end a token is replaced.
	tokenMargin = 30 * time.Second
	// unknownLifetime is how long a token is used whose end the endpoint does not tell.
	unknownLifetime = 5 * time.Minute
)

// tokens fetches tokens with client credentials and keeps the last one. It is safe for concurrent use.
type tokens struct {
	cfg OAuth

	mu    sync.Mutex
	token string
	until time.Time
}

func (t *tokens) auth(ctx context.Context) (oauth.Auth, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.token != "" && time.Now().Before(t.until) {
		return oauth.Auth{Token: t.token}, nil
	}
	token, err := t.fetch(ctx)
	if err != nil {
		return oauth.Auth{}, err
	}
	t.token, t.until = token.AccessToken, time.Now().Add(unknownLifetime)
	if !token.Expiry.IsZero() {
		t.until = token.Expiry.Add(-tokenMargin)
	}
	return oauth.Auth{Token: t.token}, nil
}

// forget makes the next log-in fetch a token.
func (t *tokens) forget() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.token = ""
}

func (t *tokens) fetch(ctx context.Context) (*oauth2.Token, error) {
	secret, err := t.cfg.ClientSecret.Current()
	if err != nil {
		return nil, &SettingError{"kafka.sasl.oauth.client_secret", "cannot be read", err}
	}
	conf, err := tlsclient.Config{Enabled: true, CAFile: t.cfg.CAFile}.Client()
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl.oauth: %w", err)
	}
	transport := &http.Transport{Proxy: http.ProxyFromEnvironment, TLSClientConfig: conf, DisableKeepAlives: true}
	ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
	defer cancel()
	ctx = context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: transport})
	flow := clientcredentials.Config{ClientID: t.cfg.ClientID, ClientSecret: secret, TokenURL: t.cfg.TokenURL, Scopes: t.cfg.Scopes}
	token, err := flow.Token(ctx)
	if err != nil {
		return nil, explainToken(err)
	}
	return token, nil
}

// explainToken leaves out the endpoint's own words: they can repeat what was sent.
func explainToken(err error) error {
	var refused *oauth2.RetrieveError
	var explained *tlsclient.Error
	switch {
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_client", errors.As(err, &refused) && refused.Response.StatusCode == http.StatusUnauthorized:
		return &SettingError{"kafka.sasl.oauth.client_secret", "the token endpoint refuses client_id or client_secret", nil}
	case errors.As(err, &refused) && refused.ErrorCode == "invalid_scope":
		return &SettingError{"kafka.sasl.oauth.scopes", "the token endpoint refuses them", nil}
	case errors.As(err, &refused):
		return fmt.Errorf("fetch a token from kafka.sasl.oauth.token_url: the endpoint answered with status %d", refused.Response.StatusCode)
	case errors.As(tlsclient.Explain(err), &explained):
		return &SettingError{"kafka.sasl.oauth." + explained.Key, explained.Hint, err}
	}
	return fmt.Errorf("fetch a token from kafka.sasl.oauth.token_url: %w", err)
}
