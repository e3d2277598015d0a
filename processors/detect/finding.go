package detect

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// maxNameRunes bounds every name that a caller can choose (model, app, tool) where it enters a finding.
const maxNameRunes = 96

// Key returns the stable key of a conclusion: 32 hex digits of SHA-256 over the length-prefixed parts, so that
// no two lists of parts can collide by their borders.
func Key(parts ...string) string {
	h := sha256.New()
	var length [8]byte
	for _, part := range parts {
		binary.BigEndian.PutUint64(length[:], uint64(len(part)))
		h.Write(length[:])
		h.Write([]byte(part))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// newFinding fills what every finding takes from the event that triggered it. Strings are copied: a finding
// outlives its event.
func newFinding(detector, key string, severity event.Severity, e *event.Event) *event.Finding {
	at := eventTime(e)
	detected := e.GetIngestedUnixNano()
	if detected == 0 {
		detected = uint64(at)
	}
	return &event.Finding{
		SchemaVersion:         event.SchemaVersion,
		Key:                   key,
		Detector:              detector,
		DetectorVersion:       Version,
		Severity:              severity,
		TeamId:                clean(e.GetIdentity().GetTeamId()),
		AppId:                 clean(e.GetIdentity().GetAppId()),
		CredentialFingerprint: clean(e.GetCredential().GetFingerprint()),
		Principal:             clean(e.GetIdentity().GetPrincipal()),
		Provider:              clean(e.GetCall().GetProvider()),
		Model:                 labelOrEmpty(modelOf(e)),
		PolicyId:              clean(e.GetPolicy().GetPolicyId()),
		PolicyRule:            clean(e.GetPolicy().GetRule()),
		CallId:                clean(e.GetCallId()),
		FirstSeenUnixNano:     uint64(at),
		LastSeenUnixNano:      uint64(at),
		DetectedUnixNano:      detected,
	}
}

// attribute appends a figure unless its value is empty.
func attribute(f *event.Finding, key, value string) {
	if value != "" {
		f.Evidence = append(f.Evidence, &event.Attribute{Key: key, Value: value})
	}
}

// modelOf is the model the caller asked for, which is equal in both phases; the answering model only where the
// request named none.
func modelOf(e *event.Event) string {
	if m := e.GetCall().GetRequestModel(); m != "" {
		return m
	}
	return e.GetCall().GetResponseModel()
}

// clean copies a name, drops control and other unprintable characters and bounds its length: names are chosen by
// callers and end up in terminals, chats and tickets.
func clean(s string) string { return printable(s, maxNameRunes) }

// sentence is clean for the policy's reason, which is longer than a name.
func sentence(s string) string { return printable(s, 4*maxNameRunes) }

func printable(s string, most int) string {
	if s == "" {
		return ""
	}
	var b strings.Builder
	n := 0
	for _, r := range s {
		if n == most {
			b.WriteRune('…')
			break
		}
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			continue
		}
		b.WriteRune(r)
		n++
	}
	return b.String()
}

// label names a model or a tool in a finding. Such a name is whatever the caller sent: one that does not look like a
// name could be a piece of a prompt and is not repeated.
func label(s string) string {
	if s == "" {
		return event.Unknown
	}
	if len(s) > maxNameRunes {
		return "(overlong name)"
	}
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', strings.IndexByte("._-:/@", c) >= 0:
		default:
			return "(irregular name)"
		}
	}
	return strings.Clone(s)
}

// labelOrEmpty is label for a field that stays empty when nothing is known.
func labelOrEmpty(s string) string {
	if s == "" {
		return ""
	}
	return label(s)
}

// orUnknown names an identity in a sentence.
func orUnknown(s string) string {
	if s == "" {
		return event.Unknown
	}
	return clean(s)
}

// span prints a duration without its zero parts: 5m, not 5m0s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// clockTime prints an event time for people.
func clockTime(nanos int64) string {
	return time.Unix(0, nanos).UTC().Format("2006-01-02 15:04:05 UTC")
}
