package receive

import (
	"time"

	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/tlsserver"
)

// Config is the `receive` section of the configuration.
type Config struct {
	Listen             string           `yaml:"listen" json:"listen" jsonschema_description:"Address of the receiver, host:port. Empty leaves it out of 'modeltrail up'."`
	Instance           string           `yaml:"instance" json:"instance" jsonschema_description:"Stable name of this receiver in envelopes that it numbers. Default the host name."`
	Insecure           bool             `yaml:"insecure" json:"insecure" jsonschema_description:"Accept an address that other hosts reach without TLS, or no sources at all. For closed networks and tests. Default false."`
	TLS                tlsserver.Config `yaml:"tls" json:"tls" jsonschema_description:"Encryption, and the authorities of client certificates."`
	Sources            []Source         `yaml:"sources" json:"sources" jsonschema_description:"Who may send, and how each proves who it is."`
	MaxCapture         string           `yaml:"max_capture" json:"max_capture" jsonschema:"enum=metadata,enum=hash,enum=redacted,enum=full" jsonschema_description:"Most that is kept of bodies: metadata, hash, redacted or full; a body beyond it is left out. Default redacted."`
	Redact             redact.Config    `yaml:"redact" json:"redact" jsonschema_description:"What is removed from the text of sources that are not trusted with redaction."`
	MaxBodyBytes       int64            `yaml:"max_body_bytes" json:"max_body_bytes" jsonschema_description:"Largest body as it arrives, in bytes. Default 8388608."`
	MaxDecodedBytes    int64            `yaml:"max_decoded_bytes" json:"max_decoded_bytes" jsonschema_description:"Largest body after decompression, in bytes. Default 16777216."`
	MaxRecords         int              `yaml:"max_records" json:"max_records" jsonschema_description:"Records of one request, as a number. Default 10000."`
	MaxRecordBytes     int              `yaml:"max_record_bytes" json:"max_record_bytes" jsonschema_description:"Largest envelope in bytes; a larger one loses its body, and is refused when that does not help. Default 983040, below what a Kafka broker takes."`
	MaxConcurrent      int              `yaml:"max_concurrent" json:"max_concurrent" jsonschema_description:"Requests at work at once, as a number. Default 32."`
	MaxConnections     int              `yaml:"max_connections" json:"max_connections" jsonschema_description:"Open connections, as a number; more wait to be accepted. Default 1024."`
	MaxInFlightBytes   int64            `yaml:"max_in_flight_bytes" json:"max_in_flight_bytes" jsonschema_description:"Memory for the bodies of all requests at work, in bytes: as they arrive, decompressed, and as envelopes. Default 134217728."`
	MaxHeaderBytes     int              `yaml:"max_header_bytes" json:"max_header_bytes" jsonschema_description:"Largest request header in bytes. Default 16384."`
	ReadTimeout        time.Duration    `yaml:"read_timeout" json:"read_timeout" jsonschema_description:"Limit for a whole request to arrive; its header has a third of it. Default 30s."`
	DurableTimeout     time.Duration    `yaml:"durable_timeout" json:"durable_timeout" jsonschema_description:"How long a request may wait for Kafka or the spool before it is answered with 503. Default 10s."`
	IdleTimeout        time.Duration    `yaml:"idle_timeout" json:"idle_timeout" jsonschema_description:"How long a connection may lie idle between requests. Default 2m."`
	DrainTimeout       time.Duration    `yaml:"drain_timeout" json:"drain_timeout" jsonschema_description:"How long running requests may take at shutdown. Default 20s."`
	SignatureTolerance time.Duration    `yaml:"signature_tolerance" json:"signature_tolerance" jsonschema_description:"How far the time of a signature may lie from this host's clock. Default 5m."`
	MaxSignatures      int              `yaml:"max_signatures" json:"max_signatures" jsonschema_description:"Accepted signatures that are remembered against replay, as a number; when it is full, signed requests get 429. Default 200000."`
	FailuresPerMinute  int              `yaml:"failures_per_minute" json:"failures_per_minute" jsonschema_description:"Failed log-ins per minute and address (IPv6: per /64); beyond it the address gets 429 whatever it presents. Default 30."`
}

// Source is one sender and the ways it may prove who it is; one of them suffices.
type Source struct {
	Name             string       `yaml:"name" json:"name" jsonschema_description:"Name of the sender in metrics, logs and dead letters; signed requests tell it in X-ModelTrail-Source."`
	Bearer           []Credential `yaml:"bearer" json:"bearer" jsonschema_description:"Bearer tokens; several while one replaces another."`
	HMAC             []Credential `yaml:"hmac" json:"hmac" jsonschema_description:"Keys of X-ModelTrail-Signature; several while one replaces another."`
	MTLS             MTLS         `yaml:"mtls" json:"mtls" jsonschema_description:"Client certificates signed by receive.tls.client_ca_file; one match suffices."`
	Formats          []string     `yaml:"formats" json:"formats" jsonschema_description:"Formats that the source may send, by name. Default empty, all."`
	Instances        []string     `yaml:"instances" json:"instances" jsonschema_description:"Source instances for which it may relay numbered envelopes, a trailing * matches a prefix. Default empty, all."`
	TrustedRedaction bool         `yaml:"trusted_redaction" json:"trusted_redaction" jsonschema_description:"Keep its text as it comes, because it redacts itself, as ModelTrail's tap does. Default false."`
	RecordsPerSecond float64      `yaml:"records_per_second" json:"records_per_second" jsonschema_description:"Records per second in the long run. Default 0, unlimited."`
	BurstRecords     int          `yaml:"burst_records" json:"burst_records" jsonschema_description:"Records at once after a pause, as a number. Default the larger of records_per_second and receive.max_records."`
	BytesPerSecond   float64      `yaml:"bytes_per_second" json:"bytes_per_second" jsonschema_description:"Decompressed bytes per second in the long run. Default 0, unlimited."`
	BurstBytes       int          `yaml:"burst_bytes" json:"burst_bytes" jsonschema_description:"Decompressed bytes at once after a pause. Default the larger of bytes_per_second and receive.max_decoded_bytes."`
}

// Credential is one token or key of a source.
type Credential struct {
	Secret  secret.Secret `yaml:"secret" json:"secret" jsonschema_description:"The token or key, 32 characters or more; make one with 'openssl rand -hex 32'."`
	Expires string        `yaml:"expires" json:"expires" jsonschema_description:"Time from which it is refused, RFC 3339, for example 2027-01-15T00:00:00Z. Default empty, never."`
}

// MTLS names the client certificates of a source.
type MTLS struct {
	CommonNames []string `yaml:"common_names" json:"common_names" jsonschema_description:"Common names of the subject, whole."`
	SANs        []string `yaml:"sans" json:"sans" jsonschema_description:"Subject alternative names, whole: DNS names, URIs such as spiffe://org/tap, e-mail or IP addresses."`
	SPKISHA256  []string `yaml:"spki_sha256" json:"spki_sha256" jsonschema_description:"SHA-256 of the public key (SubjectPublicKeyInfo) in hex."`
}

// DefaultConfig returns the defaults: no address, no source.
func DefaultConfig() Config {
	return Config{
		TLS: tlsserver.DefaultConfig(), MaxCapture: "redacted", Redact: redact.DefaultConfig(),
		MaxBodyBytes: 8 << 20, MaxDecodedBytes: 16 << 20, MaxRecords: 10_000, MaxRecordBytes: 960 << 10,
		MaxConcurrent: 32, MaxConnections: 1024, MaxInFlightBytes: 128 << 20, MaxHeaderBytes: 16 << 10,
		ReadTimeout: 30 * time.Second, DurableTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute,
		DrainTimeout: 20 * time.Second, SignatureTolerance: 5 * time.Minute, MaxSignatures: 200_000, FailuresPerMinute: 30,
	}
}
