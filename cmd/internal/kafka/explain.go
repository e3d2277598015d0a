package kafka

import (
	"errors"
	"fmt"
	"io"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/tlsclient"
)

// SettingError is a failure that repeating does not mend: a key of the configuration, or a right on the cluster, has
// to change.
type SettingError struct {
	Key  string // as in the file, with its section
	Hint string // what is wrong and what to do
	Err  error  // the cause; nil where the hint says it all
}

// Error implements error.
func (e *SettingError) Error() string {
	if e.Err == nil {
		return e.Key + ": " + e.Hint
	}
	return e.Key + ": " + e.Hint + ": " + e.Err.Error()
}

// Unwrap returns the cause.
func (e *SettingError) Unwrap() error { return e.Err }

// Explain wraps the error of a client in a *SettingError where a key of the section is behind it, and returns any
// other error as it is.
func (c Config) Explain(err error) error {
	var setting *SettingError
	var secured *tlsclient.Error
	var closed *kgo.ErrFirstReadEOF
	switch {
	case err == nil, errors.As(err, &setting):
		return err
	case errors.As(tlsclient.Explain(err), &secured):
		return &SettingError{"kafka.tls." + secured.Key, secured.Hint, err}
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		if c.SASL.Mechanism == "OAUTHBEARER" {
			return &SettingError{c.tokenKey(), "the broker refuses the token; it may have expired, or be for another audience", err}
		}
		return &SettingError{"kafka.sasl.password", fmt.Sprintf("the broker refuses kafka.sasl.user %q with this password by %s", c.SASL.User, c.SASL.Mechanism), err}
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return &SettingError{"kafka.sasl.mechanism", fmt.Sprintf("the broker does not offer %s at this address", c.SASL.Mechanism), err}
	case errors.Is(err, kerr.IllegalSaslState):
		return &SettingError{"kafka.sasl.mechanism", "the broker expects no log-in at this address", err}
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return &SettingError{"kafka.topics", c.principal() + " has no right to a topic; grant it with an ACL", err}
	case errors.Is(err, kerr.GroupAuthorizationFailed):
		return &SettingError{"stream.group", c.principal() + " has no right to the consumer group; grant READ on it with an ACL", err}
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return &SettingError{"kafka.sasl.user", c.principal() + " has no right to do this on the cluster; grant it with an ACL, or create the topics beforehand", err}
	case errors.As(err, &closed):
		return fmt.Errorf("kafka.tls.enabled or kafka.sasl.mechanism may not be what the broker expects: %w", err) // or it restarts
	case c.SASL.Mechanism != "" && errors.Is(err, io.EOF): // brokers before 1.0, or one that restarts
		return fmt.Errorf("the broker closed the connection; kafka.sasl.mechanism, user or password may not be what it expects: %w", err)
	}
	return err
}

func (c Config) tokenKey() string {
	if c.SASL.OAuth.TokenURL != "" {
		return "kafka.sasl.oauth"
	}
	return "kafka.sasl.token"
}

// principal says who the brokers take this client for.
func (c Config) principal() string {
	switch {
	case c.SASL.User != "":
		return fmt.Sprintf("kafka.sasl.user %q", c.SASL.User)
	case c.SASL.Mechanism == "OAUTHBEARER":
		return "the subject of the token"
	case c.TLS.CertFile != "":
		return "the subject of kafka.tls.cert_file"
	}
	return "a client without log-in"
}

// ExplainTopic is Explain for an error that concerns one topic, whose name it tells.
func (c Config) ExplainTopic(err error, topic, right string) error {
	if !errors.Is(err, kerr.TopicAuthorizationFailed) {
		return c.Explain(err)
	}
	return &SettingError{"kafka.topics", fmt.Sprintf("%s is not authorised to %s topic %s; grant it with an ACL", c.principal(), right, topic), err}
}
