// Package kafka builds franz-go clients from the configuration: addresses, TLS, SASL, logging, metrics and the
// topics' names and creation. It is the only place that knows how to reach the brokers.
package kafka

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/tlsclient"
)

// Config is the `kafka` section of the configuration.
type Config struct {
	Brokers     []string         `yaml:"brokers" json:"brokers" jsonschema_description:"Seed brokers as host:port. Empty means the embedded broker of 'modeltrail up'."`
	ClientID    string           `yaml:"client_id" json:"client_id" jsonschema_description:"Client id shown by the brokers. Default modeltrail."`
	Cluster     string           `yaml:"cluster" json:"cluster" jsonschema_description:"Name of the Kafka cluster in insert tokens. Never change it while batches are in flight. Default main."`
	Topics      Topics           `yaml:"topics" json:"topics" jsonschema_description:"Names, partitions and replication of the topics."`
	TLS         tlsclient.Config `yaml:"tls" json:"tls" jsonschema_description:"Encryption toward the brokers."`
	SASL        SASL             `yaml:"sasl" json:"sasl" jsonschema_description:"Authentication toward the brokers."`
	DialTimeout time.Duration    `yaml:"dial_timeout" json:"dial_timeout" jsonschema_description:"Limit of one connection attempt. Default 10s."`
}

// Topics names the topics and says how missing ones are created.
type Topics struct {
	Envelopes         string        `yaml:"envelopes" json:"envelopes" jsonschema_description:"Topic of envelopes. Default modeltrail.envelopes."`
	Events            string        `yaml:"events" json:"events" jsonschema_description:"Topic of enriched events. Default modeltrail.events."`
	Findings          string        `yaml:"findings" json:"findings" jsonschema_description:"Topic of findings. Default modeltrail.findings."`
	DeadLetters       string        `yaml:"dead_letters" json:"dead_letters" jsonschema_description:"Topic of dead letters. Default modeltrail.dlq."`
	Directory         string        `yaml:"directory" json:"directory" jsonschema_description:"Topic that carries every version of the directory and of the price table. Default modeltrail.directory."`
	Sources           string        `yaml:"sources" json:"sources" jsonschema_description:"Topic of the signed statements of sources. Default modeltrail.sources."`
	Partitions        int32         `yaml:"partitions" json:"partitions" jsonschema_description:"Partitions of a topic that is created. Default 2; a cluster wants one per consumer core."`
	ReplicationFactor int16         `yaml:"replication_factor" json:"replication_factor" jsonschema_description:"Copies of a topic that is created. Default 1; a cluster wants 3."`
	Retention         time.Duration `yaml:"retention" json:"retention" jsonschema_description:"How long a created topic keeps records; the directory topic keeps all. Default 168h."`
}

// SASL is the authentication toward the brokers.
type SASL struct {
	Mechanism string        `yaml:"mechanism" json:"mechanism" jsonschema_description:"One of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER, or empty for none." jsonschema:"enum=,enum=PLAIN,enum=SCRAM-SHA-256,enum=SCRAM-SHA-512,enum=OAUTHBEARER"`
	User      string        `yaml:"user" json:"user" jsonschema_description:"User of PLAIN and SCRAM."`
	Password  secret.Secret `yaml:"password" json:"password" jsonschema_description:"Password of PLAIN and SCRAM; a file is read anew at every log-in."`
	Token     secret.Secret `yaml:"token" json:"token" jsonschema_description:"Bearer token of OAUTHBEARER; a file is read anew at every log-in."`
	OAuth     OAuth         `yaml:"oauth" json:"oauth" jsonschema_description:"Where OAUTHBEARER gets its tokens, instead of token."`
}

// OAuth is the client credentials flow of RFC 6749, section 4.4.
type OAuth struct {
	TokenURL     string        `yaml:"token_url" json:"token_url" jsonschema_description:"Token endpoint, https. Empty means the flow is not used."`
	ClientID     string        `yaml:"client_id" json:"client_id" jsonschema_description:"Client id at the token endpoint."`
	ClientSecret secret.Secret `yaml:"client_secret" json:"client_secret" jsonschema_description:"Client secret; a file is read anew for every token."`
	Scopes       []string      `yaml:"scopes" json:"scopes" jsonschema_description:"Scopes that are asked for. Default empty, none."`
	CAFile       string        `yaml:"ca_file" json:"ca_file" jsonschema_description:"PEM file of the authorities that sign the token endpoint. Empty means the system's."`
}

// Mechanisms are the accepted values of SASL.Mechanism.
func Mechanisms() []string {
	return []string{"", "PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"}
}

// DefaultConfig returns the configuration of the embedded broker.
func DefaultConfig() Config {
	return Config{
		ClientID: "modeltrail", Cluster: "main", DialTimeout: 10 * time.Second,
		Topics: Topics{
			Envelopes: event.TopicEnvelopes, Events: event.TopicEvents, Findings: event.TopicFindings,
			DeadLetters: event.TopicDeadLetters, Directory: event.TopicDirectory, Sources: event.TopicSources,
			Partitions: 2, ReplicationFactor: 1, Retention: 7 * 24 * time.Hour,
		},
	}
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var errs []error
	for i, b := range c.Brokers {
		if _, _, err := net.SplitHostPort(b); err != nil {
			errs = append(errs, fmt.Errorf("kafka.brokers[%d]: %q is not host:port", i, b))
		}
	}
	if c.Cluster == "" {
		errs = append(errs, errors.New("kafka.cluster: must not be empty; it is part of every insert token"))
	}
	if c.DialTimeout <= 0 {
		errs = append(errs, errors.New("kafka.dial_timeout: must be above 0s"))
	}
	errs = append(errs, c.Topics.validate(), c.SASL.validate())
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("kafka.tls: %w", err))
	}
	return errors.Join(errs...)
}

func (t Topics) validate() error {
	var errs []error
	names := map[string]string{}
	for _, n := range []struct{ key, name string }{
		{"envelopes", t.Envelopes}, {"events", t.Events}, {"findings", t.Findings},
		{"dead_letters", t.DeadLetters}, {"directory", t.Directory}, {"sources", t.Sources},
	} {
		switch other, taken := names[n.name]; {
		case n.name == "":
			errs = append(errs, fmt.Errorf("kafka.topics.%s: must not be empty", n.key))
		case taken:
			errs = append(errs, fmt.Errorf("kafka.topics.%s: %q is also the topic of %s", n.key, n.name, other))
		}
		names[n.name] = n.key
	}
	if t.Partitions < 1 {
		errs = append(errs, errors.New("kafka.topics.partitions: must be 1 or more"))
	}
	if t.ReplicationFactor < 1 {
		errs = append(errs, errors.New("kafka.topics.replication_factor: must be 1 or more"))
	}
	return errors.Join(errs...)
}

func (s SASL) validate() error {
	switch {
	case !slices.Contains(Mechanisms(), s.Mechanism):
		return fmt.Errorf("kafka.sasl.mechanism: %q is not one of PLAIN, SCRAM-SHA-256, SCRAM-SHA-512, OAUTHBEARER", s.Mechanism)
	case s.Mechanism == "OAUTHBEARER":
		return s.validateOAuth()
	case s.Mechanism != "" && s.Mechanism != "OAUTHBEARER" && (s.User == "" || s.Password.IsZero()):
		return fmt.Errorf("kafka.sasl: %s needs user and password", s.Mechanism)
	}
	return nil
}

func (s SASL) validateOAuth() error {
	if s.OAuth.TokenURL == "" {
		if s.Token.IsZero() {
			return errors.New("kafka.sasl.token: OAUTHBEARER needs token, or oauth.token_url to fetch one")
		}
		return nil
	}
	var errs []error
	if !s.Token.IsZero() {
		errs = append(errs, errors.New("kafka.sasl.token: has no effect beside oauth.token_url; remove one of them"))
	}
	u, err := url.Parse(s.OAuth.TokenURL)
	if err != nil || u.Host == "" || u.User != nil || (u.Scheme != "https" && !loopback(u.Hostname())) {
		errs = append(errs, errors.New("kafka.sasl.oauth.token_url: must be an https URL without a password in it"))
	}
	if s.OAuth.ClientID == "" || s.OAuth.ClientSecret.IsZero() {
		errs = append(errs, errors.New("kafka.sasl.oauth: token_url needs client_id and client_secret"))
	}
	return errors.Join(errs...)
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
