package tap

import (
	"cmp"
	"time"

	"github.com/modeltrail/modeltrail/ingest/credential"
	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

// Config is the `tap` section of the configuration.
type Config struct {
	Listen            string            `yaml:"listen" json:"listen" jsonschema_description:"Address of the proxy, host:port. Default 127.0.0.1:8080."`
	Instance          string            `yaml:"instance" json:"instance" jsonschema_description:"Stable name of this tap in every envelope. Default the host name."`
	Gateway           string            `yaml:"gateway" json:"gateway" jsonschema_description:"Name of the gateway the tap belongs to. Default modeltrail-tap."`
	Routes            []Route           `yaml:"routes" json:"routes" jsonschema_description:"Where calls go, by path prefix; the longest prefix wins."`
	Capture           string            `yaml:"capture" json:"capture" jsonschema:"enum=metadata,enum=hash,enum=redacted,enum=full" jsonschema_description:"What is kept of bodies where a route does not say: metadata, hash, redacted or full. Default redacted."`
	MaxBodyBytes      int               `yaml:"max_body_bytes" json:"max_body_bytes" jsonschema_description:"Bytes kept of one body; of a longer one its beginning and its last 16384 bytes. The call itself is not limited, and each kept byte costs its time. Default 81920."`
	MaxInFlightBytes  int               `yaml:"max_in_flight_bytes" json:"max_in_flight_bytes" jsonschema_description:"Captured bytes of all calls that are not published yet; from a quarter of it on bodies over 8 KiB give way to their outlines, beyond it bodies are left out, then envelopes. Default 12582912."`
	Workers           int               `yaml:"workers" json:"workers" jsonschema_description:"Goroutines that redact and publish, as a number. Default 1."`
	Headers           []string          `yaml:"headers" json:"headers" jsonschema_description:"Header names that are kept, a trailing * matches a prefix; all others are dropped. Default: client, correlation, rate limit and provider headers."`
	TrustForwardedFor bool              `yaml:"trust_forwarded_for" json:"trust_forwarded_for" jsonschema_description:"Take the client address from X-Forwarded-For, when a trusted gateway stands in front. Default false."`
	EncryptionKey     secret.Secret     `yaml:"encryption_key" json:"encryption_key" jsonschema_description:"Key of capture mode full, hex or base64 of 32 bytes. Required by that mode."`
	EncryptionKeyID   string            `yaml:"encryption_key_id" json:"encryption_key_id" jsonschema_description:"Name of the encryption key, written beside every encrypted body. Default key-1."`
	Durability        string            `yaml:"durability" json:"durability" jsonschema:"enum=,enum=memory,enum=spill,enum=spool-first" jsonschema_description:"What envelopes wait in until Kafka has them, where a route does not say: memory, spill (memory, and the spool when Kafka lags) or spool-first (the spool, then Kafka). Empty means spill when there is a spool, else memory."`
	OnAuditFailure    string            `yaml:"on_audit_failure" json:"on_audit_failure" jsonschema:"enum=open,enum=closed" jsonschema_description:"What becomes of calls while their envelopes cannot be kept, where a route does not say: open serves and counts what is dropped, closed answers 503. Default open."`
	ConnectTimeout    time.Duration     `yaml:"connect_timeout" json:"connect_timeout" jsonschema_description:"Limit of one connection attempt to an upstream where a route does not say. Default 10s."`
	DrainTimeout      time.Duration     `yaml:"drain_timeout" json:"drain_timeout" jsonschema_description:"How long running calls and unpublished envelopes may take at shutdown. Default 20s."`
	Credential        credential.Config `yaml:"credential" json:"credential" jsonschema_description:"How callers' credentials become fingerprints."`
	Redact            redact.Config     `yaml:"redact" json:"redact" jsonschema_description:"What is removed from kept text."`
}

// Route sends the calls below one path prefix to one provider.
type Route struct {
	Name            string           `yaml:"name" json:"name" jsonschema_description:"Name in every envelope. Default the prefix without its slashes."`
	Prefix          string           `yaml:"prefix" json:"prefix" jsonschema_description:"Path prefix, matched at whole segments, for example /openai."`
	Upstream        string           `yaml:"upstream" json:"upstream" jsonschema_description:"Base URL of the provider, for example https://api.openai.com."`
	Provider        string           `yaml:"provider" json:"provider" jsonschema_description:"Provider as an OpenTelemetry gen_ai.provider.name, for example openai. Default empty, found from the call."`
	Dialect         string           `yaml:"dialect" json:"dialect" jsonschema_description:"Wire format of the calls. Default empty, found from the path."`
	Capture         string           `yaml:"capture" json:"capture" jsonschema_description:"What is kept of bodies: metadata, hash, redacted or full. Default tap.capture."`
	Durability      string           `yaml:"durability" json:"durability" jsonschema_description:"What envelopes wait in: memory, spill or spool-first. Default tap.durability."`
	OnAuditFailure  string           `yaml:"on_audit_failure" json:"on_audit_failure" jsonschema_description:"What becomes of calls while their envelopes cannot be kept: open or closed. Default tap.on_audit_failure."`
	StripPrefix     *bool            `yaml:"strip_prefix" json:"strip_prefix" jsonschema_description:"Remove the prefix before the call goes upstream. Default true."`
	MaxBodyBytes    int              `yaml:"max_body_bytes" json:"max_body_bytes" jsonschema_description:"Bytes kept of one body. Default tap.max_body_bytes."`
	ConnectTimeout  time.Duration    `yaml:"connect_timeout" json:"connect_timeout" jsonschema_description:"Limit of one connection attempt. Default tap.connect_timeout."`
	ResponseTimeout time.Duration    `yaml:"response_timeout" json:"response_timeout" jsonschema_description:"Limit from the end of the request to the response head. Default 0s, none."`
	SetHeaders      []HeaderOverride `yaml:"set_headers" json:"set_headers" jsonschema_description:"Headers set on the way upstream, replacing the caller's."`
	RemoveHeaders   []string         `yaml:"remove_headers" json:"remove_headers" jsonschema_description:"Headers of the caller that do not go upstream."`
}

// HeaderOverride sets one header on the way upstream. With Secret the caller's credential headers are removed too.
type HeaderOverride struct {
	Name   string        `yaml:"name" json:"name" jsonschema_description:"Header name."`
	Value  string        `yaml:"value" json:"value" jsonschema_description:"Value, or what stands before the secret, for example 'Bearer '."`
	Secret secret.Secret `yaml:"secret" json:"secret" jsonschema_description:"Upstream credential that follows the value."`
}

// DefaultConfig returns the defaults, without routes.
func DefaultConfig() Config {
	return Config{
		Listen: "127.0.0.1:8080", Gateway: "modeltrail-tap", Capture: "redacted", OnAuditFailure: auditOpen,
		MaxBodyBytes: 80 << 10, MaxInFlightBytes: 12 << 20, Workers: 1, Headers: DefaultHeaders(),
		EncryptionKeyID: "key-1", ConnectTimeout: 10 * time.Second, DrainTimeout: 20 * time.Second,
		Credential: credential.DefaultConfig(), Redact: redact.DefaultConfig(),
	}
}

// Values of on_audit_failure.
const (
	auditOpen   = "open"
	auditClosed = "closed"
)

// Durabilities returns the configured words, the default of the routes first; "" stands for the default.
func (c Config) Durabilities() []string {
	words := []string{c.Durability}
	for _, r := range c.Routes {
		words = append(words, cmp.Or(r.Durability, c.Durability))
	}
	return words
}

// DefaultHeaders returns the headers that are kept by default: who calls, how calls correlate, limits, versions.
func DefaultHeaders() []string {
	return []string{
		"user-agent", "content-type", "content-encoding", "x-request-id", "x-correlation-id", "traceparent",
		"openai-organization", "openai-project", "openai-beta", "openai-version", "openai-processing-ms",
		"anthropic-version", "anthropic-beta", "anthropic-organization-id", "anthropic-ratelimit-*",
		"x-stainless-lang", "x-stainless-package-version", "x-stainless-retry-count",
		"x-modeltrail-team", "x-modeltrail-app", "x-modeltrail-purpose", "x-modeltrail-user",
		"x-amzn-requestid", "x-amzn-bedrock-*", "x-amzn-errortype", "x-goog-api-client", "apim-request-id",
		"retry-after", "x-ratelimit-*", "request-id", "cf-ray", "x-kong-request-id", "x-litellm-call-id",
	}
}
