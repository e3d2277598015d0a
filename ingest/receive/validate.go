package receive

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"net"
	"regexp"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// captureModes maps the configuration's words, in the order of what they keep.
var captureModes = map[string]event.CaptureMode{
	"metadata": event.CaptureMode_CAPTURE_MODE_METADATA,
	"hash":     event.CaptureMode_CAPTURE_MODE_HASH,
	"redacted": event.CaptureMode_CAPTURE_MODE_REDACTED,
	"full":     event.CaptureMode_CAPTURE_MODE_FULL,
}

// Bounds of what one process can serve.
const (
	maxSources     = 1000
	maxCredentials = 8 // per source and method
	minSecret      = 32
	messageFactor  = 3 // memory of envelopes, per decompressed byte, beside the body itself
)

// faults collects errors that begin with keys of the section.
type faults struct{ errs []error }

func (f *faults) when(wrong bool, format string, args ...any) {
	if wrong {
		f.errs = append(f.errs, fmt.Errorf("receive."+format, args...))
	}
}

// Validate reports every fault of the section.
func (c Config) Validate() error {
	var f faults
	_, known := captureModes[c.MaxCapture]
	f.when(!known, "max_capture: %q is not metadata, hash, redacted or full", c.MaxCapture)
	if err := c.TLS.Validate(); err != nil {
		f.when(true, "tls.%w", err)
	}
	if err := c.Redact.Validate(); err != nil {
		f.when(true, "redact.%w", err)
	}
	c.validateBounds(&f)
	c.validateSources(&f)
	c.validateListen(&f)
	return errors.Join(f.errs...)
}

func (c Config) validateBounds(f *faults) {
	f.when(c.MaxBodyBytes < 1<<10 || c.MaxBodyBytes > 1<<30, "max_body_bytes: must be from 1024 to 1073741824")
	f.when(c.MaxDecodedBytes < c.MaxBodyBytes || c.MaxDecodedBytes > 1<<30, "max_decoded_bytes: must be from max_body_bytes to 1073741824")
	f.when(c.MaxRecords < 1 || c.MaxRecords > 1_000_000, "max_records: must be from 1 to 1000000")
	f.when(c.MaxRecordBytes < 16<<10, "max_record_bytes: must be 16384 or more")
	f.when(c.MaxConcurrent < 1 || c.MaxConcurrent > 10_000, "max_concurrent: must be from 1 to 10000")
	f.when(c.MaxConnections < c.MaxConcurrent, "max_connections: must be max_concurrent or more")
	need := c.MaxBodyBytes + (1+messageFactor)*c.MaxDecodedBytes
	f.when(c.MaxInFlightBytes < need, "max_in_flight_bytes: must be %d or more, which is one largest request: max_body_bytes + %d x max_decoded_bytes", need, 1+messageFactor)
	f.when(c.MaxHeaderBytes < 4<<10 || c.MaxHeaderBytes > 1<<20, "max_header_bytes: must be from 4096 to 1048576")
	f.when(c.ReadTimeout <= 0, "read_timeout: must be above 0s")
	f.when(c.DurableTimeout <= 0, "durable_timeout: must be above 0s")
	f.when(c.IdleTimeout <= 0, "idle_timeout: must be above 0s")
	f.when(c.DrainTimeout <= 0, "drain_timeout: must be above 0s")
	f.when(c.SignatureTolerance < time.Second || c.SignatureTolerance > time.Hour, "signature_tolerance: must be from 1s to 1h")
	f.when(c.MaxSignatures < 1, "max_signatures: must be 1 or more")
	f.when(c.FailuresPerMinute < 1, "failures_per_minute: must be 1 or more")
}

// validateListen refuses an address that strangers reach in clear or without proof of who they are.
func (c Config) validateListen(f *faults) {
	if c.Listen == "" {
		return
	}
	host, _, err := net.SplitHostPort(c.Listen)
	f.when(err != nil, "listen: %q is not host:port", c.Listen)
	if err != nil || c.Insecure {
		return
	}
	ip := net.ParseIP(host)
	loopback := host == "localhost" || (ip != nil && ip.IsLoopback())
	f.when(!loopback && !c.TLS.Enabled(), "listen: %s is reachable from other hosts without TLS; set receive.tls.cert_file and key_file, listen on 127.0.0.1, or set receive.insecure: true", c.Listen)
	f.when(!loopback && len(c.Sources) == 0, "listen: %s is reachable from other hosts and receive.sources is empty, so that anybody could write; name the senders, listen on 127.0.0.1, or set receive.insecure: true", c.Listen)
}

var sourceName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$`)

func (c Config) validateSources(f *faults) {
	f.when(len(c.Sources) > maxSources, "sources: %d are too many; %d at most", len(c.Sources), maxSources)
	owner := map[string]string{} // of a proof
	for i, s := range c.Sources {
		key := fmt.Sprintf("sources[%d]", i)
		f.when(!sourceName.MatchString(s.Name), "%s.name: %q must be letters, digits, dot, dash and underscore, 64 at most", key, s.Name)
		own := func(what, value, where string) {
			at := what + value
			f.when(owner[at] != "", "%s.%s: is also at %s; every proof belongs to one source", key, where, owner[at])
			owner[at] = "receive." + key + "." + where
		}
		own("name ", s.Name, "name")
		f.when(len(s.Bearer)+len(s.HMAC)+s.MTLS.size() == 0, "%s: needs bearer, hmac or mtls", key)
		f.when(s.MTLS.size() > 0 && c.TLS.ClientCAFile == "", "%s.mtls: needs receive.tls.client_ca_file", key)
		for j, credential := range s.Bearer {
			credential.validate(f, fmt.Sprintf("%s.bearer[%d]", key, j))
			own("token ", credential.Secret.Value(), fmt.Sprintf("bearer[%d]", j))
		}
		for j, credential := range s.HMAC {
			credential.validate(f, fmt.Sprintf("%s.hmac[%d]", key, j))
		}
		f.when(len(s.Bearer) > maxCredentials || len(s.HMAC) > maxCredentials, "%s: has more than %d tokens or keys", key, maxCredentials)
		for kind, names := range map[string][]string{"common_names": s.MTLS.CommonNames, "sans": s.MTLS.SANs, "spki_sha256": s.MTLS.SPKISHA256} {
			for _, name := range names {
				f.when(name == "", "%s.mtls.%s: holds an empty name", key, kind)
				own(kind+" ", name, "mtls."+kind)
			}
		}
		for _, hash := range s.MTLS.SPKISHA256 {
			raw, err := hex.DecodeString(hash)
			f.when(err != nil || len(raw) != 32, "%s.mtls.spki_sha256: %q is not the hex of a SHA-256", key, hash)
		}
		validateRate(f, key, "records", s.RecordsPerSecond, s.BurstRecords)
		validateRate(f, key, "bytes", s.BytesPerSecond, s.BurstBytes)
	}
}

func validateRate(f *faults, key, what string, perSecond float64, burst int) {
	f.when(perSecond < 0 || math.IsNaN(perSecond) || math.IsInf(perSecond, 0), "%s.%s_per_second: must be 0 or more", key, what)
	f.when(burst < 0, "%s.burst_%s: must be 0 or more", key, what)
	f.when(burst > 0 && perSecond == 0, "%s.burst_%s: needs %s_per_second", key, what, what)
}

func (m MTLS) size() int { return len(m.CommonNames) + len(m.SANs) + len(m.SPKISHA256) }

func (c Credential) validate(f *faults, key string) {
	f.when(len(c.Secret.Value()) < minSecret, "%s.secret: must have %d characters or more; make one with `openssl rand -hex 32`", key, minSecret)
	_, err := c.expires()
	f.when(err != nil, "%s.expires: %q is not an RFC 3339 time such as 2027-01-15T00:00:00Z", key, c.Expires)
}

// expires returns the zero time for a credential that does not.
func (c Credential) expires() (time.Time, error) {
	if c.Expires == "" {
		return time.Time{}, nil
	}
	return time.Parse(time.RFC3339, c.Expires)
}
