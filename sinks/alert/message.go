package alert

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// MessageVersion is the value of schema_version in every message. It grows only when the meaning of an existing
// field changes; new fields keep it.
const MessageVersion = 1

// MessageType is the value of type in a message about a finding.
const MessageType = "modeltrail.finding"

// Message is the JSON that receivers get; docs/alerts.md describes every field. Fields that do not apply are empty
// strings, never absent, except impact_usd and evidence entries: absent there means unknown.
type Message struct {
	SchemaVersion   int               `json:"schema_version"`
	Type            string            `json:"type"`
	Key             string            `json:"key"`
	Detector        string            `json:"detector"`
	DetectorVersion string            `json:"detector_version"`
	Severity        string            `json:"severity"`
	SeverityID      int               `json:"severity_id"` // OCSF severity_id, 1 to 5
	Title           string            `json:"title"`
	Description     string            `json:"description"`
	FirstSeenAt     string            `json:"first_seen_at"` // RFC 3339, UTC
	LastSeenAt      string            `json:"last_seen_at"`
	DetectedAt      string            `json:"detected_at"`
	Identity        MessageIdentity   `json:"identity"`
	Target          MessageTarget     `json:"target"`
	Policy          MessagePolicy     `json:"policy"`
	CallID          string            `json:"call_id"`
	ImpactUSD       string            `json:"impact_usd,omitempty"` // decimal, exact
	Evidence        map[string]string `json:"evidence"`
	Query           string            `json:"query"`
}

// MessageIdentity says who called.
type MessageIdentity struct {
	TeamID                string `json:"team_id"`
	AppID                 string `json:"app_id"`
	Principal             string `json:"principal"`
	CredentialFingerprint string `json:"credential_fingerprint"`
}

// MessageTarget says what was called.
type MessageTarget struct {
	Provider string `json:"provider"`
	Model    string `json:"model"`
}

// MessagePolicy says which rule decided.
type MessagePolicy struct {
	ID   string `json:"id"`
	Rule string `json:"rule"`
}

// NewMessage converts a finding.
func NewMessage(f *event.Finding) Message {
	m := Message{
		SchemaVersion: MessageVersion, Type: MessageType,
		Key: f.GetKey(), Detector: f.GetDetector(), DetectorVersion: f.GetDetectorVersion(),
		Severity: SeverityName(f.GetSeverity()), SeverityID: int(f.GetSeverity()),
		Title: f.GetTitle(), Description: f.GetDescription(),
		FirstSeenAt: timestamp(f.GetFirstSeenUnixNano()), LastSeenAt: timestamp(f.GetLastSeenUnixNano()),
		DetectedAt: timestamp(f.GetDetectedUnixNano()),
		Identity: MessageIdentity{
			TeamID: f.GetTeamId(), AppID: f.GetAppId(), Principal: f.GetPrincipal(),
			CredentialFingerprint: f.GetCredentialFingerprint(),
		},
		Target:   MessageTarget{Provider: f.GetProvider(), Model: f.GetModel()},
		Policy:   MessagePolicy{ID: f.GetPolicyId(), Rule: f.GetPolicyRule()},
		CallID:   f.GetCallId(),
		Evidence: make(map[string]string, len(f.GetEvidence())),
		Query:    queryHint(f.GetCallId()),
	}
	for _, a := range f.GetEvidence() {
		m.Evidence[a.GetKey()] = a.GetValue()
	}
	if f.ImpactPicoUsd != nil {
		m.ImpactUSD = decimal.New(f.GetImpactPicoUsd(), -12).String()
	}
	return m
}

// Encode returns the message as one line of JSON without a line break. Equal findings give equal bytes, so a
// repeated delivery carries the same body. Characters such as < and & stay as they are.
func (m Message) Encode() ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(m); err != nil {
		return nil, fmt.Errorf("encode alert message: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// SeverityName returns the lower-case name of a severity as it stands in messages and in the store.
func SeverityName(s event.Severity) string {
	switch s {
	case event.Severity_SEVERITY_INFORMATIONAL:
		return "informational"
	case event.Severity_SEVERITY_LOW:
		return "low"
	case event.Severity_SEVERITY_MEDIUM:
		return "medium"
	case event.Severity_SEVERITY_HIGH:
		return "high"
	case event.Severity_SEVERITY_CRITICAL:
		return "critical"
	case event.Severity_SEVERITY_UNSPECIFIED:
	}
	return event.Unknown
}

// queryHint is the command that shows the call. The id comes from outside: it is quoted unless it is plain.
func queryHint(callID string) string {
	if callID == "" {
		return ""
	}
	return "modeltrail query call -p id=" + shellQuote(callID)
}

func shellQuote(s string) string {
	plain := true
	for _, r := range s {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_', r == '.', r == ':':
		default:
			plain = false
		}
	}
	if plain {
		return s
	}
	return "'" + string(bytes.ReplaceAll([]byte(s), []byte("'"), []byte(`'\''`))) + "'"
}

func timestamp(nanos uint64) string {
	if nanos == 0 {
		return ""
	}
	return time.Unix(0, int64(nanos)).UTC().Format(time.RFC3339Nano)
}
