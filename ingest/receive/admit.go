package receive

import (
	"bytes"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
)

// gate decides what of an envelope may be kept. It is safe for concurrent use.
type gate struct {
	redactor *redact.Redactor
	most     event.CaptureMode
	maxBytes int
	reduced  func(reason string) // counts bodies left out
}

// Why a body was left out.
const (
	reducedPolicy    = "policy"    // max_capture keeps none of its mode
	reducedRedaction = "redaction" // it could not be redacted
	reducedSize      = "too_large" // the record would not fit a broker
)

func reductions() []string { return []string{reducedPolicy, reducedRedaction, reducedSize} }

// admit makes an envelope of s fit to be kept, or refuses it. reduced tells that a body was left out.
func (g *gate) admit(s *source, env *event.Envelope) (reduced bool, err error) {
	if err := checkNames(s, env); err != nil {
		return false, err
	}
	if err := checkCredential(env.GetCredential()); err != nil {
		return false, err
	}
	if err := checkAttributes(env); err != nil {
		return false, err
	}
	if s.TrustedRedaction {
		err = checkText(env)
	} else {
		g.clean(env)
	}
	if err != nil {
		return false, err
	}
	for _, p := range payloads(env) {
		reduced = g.capture(s, env, p) || reduced
	}
	env.CaptureMode = min(env.CaptureMode, g.most)
	if env.SizeVT() > g.maxBytes {
		for _, p := range payloads(env) {
			reduced = g.strip(p, reducedSize, event.PayloadState_PAYLOAD_STATE_TRUNCATED) || reduced
		}
		if size := env.SizeVT(); size > g.maxBytes {
			return false, &Refusal{ReasonTooLarge, "the envelope is larger than receive.max_record_bytes even without its body"}
		}
	}
	return reduced, nil
}

func payloads(env *event.Envelope) []*event.Payload {
	var out []*event.Payload
	for _, p := range []*event.Payload{env.GetRequest().GetPayload(), env.GetResponse().GetPayload()} {
		if p != nil {
			out = append(out, p)
		}
	}
	return out
}

var (
	callID        = regexp.MustCompile(`^[!-~]{1,128}$`)
	fingerprint   = regexp.MustCompile(`^mt1:[0-9a-f]{32}$`)
	attributeName = regexp.MustCompile(`^[!-~]{1,256}$`)
)

func checkNames(s *source, env *event.Envelope) error {
	switch mode := env.CaptureMode; {
	case !callID.MatchString(env.CallId):
		return &Refusal{ReasonInvalidField, "call_id must be 1 to 128 printable ASCII characters without blanks"}
	case mode < event.CaptureMode_CAPTURE_MODE_UNSPECIFIED || mode > event.CaptureMode_CAPTURE_MODE_FULL:
		return &Refusal{ReasonInvalidField, "capture_mode is none that is known"}
	case numbered(env) && !s.relays(env.Source.Instance):
		return &Refusal{ReasonForeignSource, "receive.sources[].instances does not let this sender relay for the instance in source"}
	}
	if mode := env.CaptureMode; mode == event.CaptureMode_CAPTURE_MODE_UNSPECIFIED {
		for _, p := range payloads(env) {
			if len(p.Body) > 0 {
				return &Refusal{ReasonInvalidField, "capture_mode must be set where there is a body"}
			}
		}
	}
	return nil
}

// kinds of credentials that ingest/credential writes.
var kinds = []string{"", "bearer", "api_key", "basic", "aws_sigv4", "query_key", "none"}

// checkCredential refuses everything that could be a credential instead of its fingerprint.
func checkCredential(c *event.Credential) error {
	switch {
	case c == nil:
		return nil
	case c.Fingerprint != "" && !fingerprint.MatchString(c.Fingerprint):
		return &Refusal{ReasonRawCredential, "credential.fingerprint must be mt1: and 32 hex digits, never the credential itself"}
	case len(c.Last4) > 4:
		return &Refusal{ReasonRawCredential, "credential.last4 must have four characters at most"}
	case !slices.Contains(kinds, c.Kind):
		return &Refusal{ReasonRawCredential, "credential.kind must be bearer, api_key, basic, aws_sigv4, query_key or none"}
	}
	return nil
}

// credentialHeaders carry secrets; a sender must not have kept them.
var credentialHeaders = []string{
	"authorization", "proxy-authorization", "x-api-key", "api-key", "apikey", "x-goog-api-key", "ocp-apim-subscription-key",
	"x-amz-security-token", "cookie", "set-cookie",
}

func checkAttributes(env *event.Envelope) error {
	for _, list := range [][]*event.Attribute{env.GetRequest().GetHeaders(), env.GetResponse().GetHeaders(), env.GetResponse().GetTrailers()} {
		for _, a := range list {
			if slices.Contains(credentialHeaders, strings.ToLower(a.Key)) {
				return &Refusal{ReasonRawCredential, "a header that carries a credential must not be kept"}
			}
		}
	}
	for _, a := range attributes(env) {
		if !attributeName.MatchString(a.Key) {
			return &Refusal{ReasonInvalidField, "the name of a header or claim must be 1 to 256 printable ASCII characters without blanks"}
		}
	}
	return nil
}

func attributes(env *event.Envelope) []*event.Attribute {
	return slices.Concat(env.GetRequest().GetHeaders(), env.GetResponse().GetHeaders(), env.GetResponse().GetTrailers(), env.GetCredential().GetClaims())
}

// texts returns every free text of env but the call id, query, client address and bodies.
func texts(env *event.Envelope) []*string {
	out := []*string{&env.Gateway, &env.Route, &env.Provider, &env.Dialect}
	if s := env.Source; s != nil {
		out = append(out, &s.Kind, &s.Instance, &s.Version)
	}
	if c := env.Credential; c != nil {
		out = append(out, &c.Last4)
	}
	if r := env.Request; r != nil {
		out = append(out, &r.Method, &r.Host, &r.Path, &r.HttpVersion, &r.UserAgent, &r.RequestId, &r.Traceparent)
	}
	if r := env.Response; r != nil {
		out = append(out, &r.ErrorClass)
	}
	for _, p := range payloads(env) {
		out = append(out, &p.ContentType, &p.ContentEncoding, &p.KeyId)
		for _, r := range p.Redactions {
			out = append(out, &r.Rule)
		}
	}
	for _, a := range attributes(env) {
		out = append(out, &a.Key, &a.Value)
	}
	return out
}

// checkText refuses text that is not UTF-8: later readers rely on it. What is not trusted passes the redactor instead.
func checkText(env *event.Envelope) error {
	for _, text := range texts(env) {
		if !utf8.ValidString(*text) {
			return &Refusal{ReasonInvalidField, "a text is not UTF-8"}
		}
	}
	if r := env.GetRequest(); !utf8.ValidString(r.GetQuery()) || !utf8.ValidString(r.GetClientAddress()) {
		return &Refusal{ReasonInvalidField, "a text is not UTF-8"}
	}
	return nil
}

// clean redacts every text. The redactor lets a last character pass that is cut short; later readers do not.
func (g *gate) clean(env *event.Envelope) {
	clean := func(text *string) {
		out, _ := g.redactor.String(*text)
		*text = strings.ToValidUTF8(out, "")
	}
	for _, text := range texts(env) {
		clean(text)
	}
	if r := env.GetRequest(); r != nil {
		r.Query = strings.ToValidUTF8(g.redactor.Query(r.Query), "")
		if addr, err := netip.ParseAddr(r.ClientAddress); err != nil || addr.Zone() != "" {
			clean(&r.ClientAddress)
		}
	}
}

// capture keeps of a payload what its mode and the policy allow, redacted. True means that a body was left out.
func (g *gate) capture(s *source, env *event.Envelope, p *event.Payload) (reduced bool) {
	mode := min(env.CaptureMode, g.most)
	if !s.TrustedRedaction {
		p.Outline = g.cleanOutline(p.Outline)
	}
	if mode <= event.CaptureMode_CAPTURE_MODE_METADATA {
		p.Digest = nil
	}
	switch {
	case len(p.Body) == 0:
		return false
	case env.CaptureMode == event.CaptureMode_CAPTURE_MODE_FULL:
		// Ciphertext: it can be kept or left out, not redacted, nor can an outline be made of it.
		if mode == event.CaptureMode_CAPTURE_MODE_FULL && sealed(p) {
			return false
		}
		return g.strip(p, reducedPolicy, event.PayloadState_PAYLOAD_STATE_ABSENT)
	case mode != event.CaptureMode_CAPTURE_MODE_REDACTED:
		g.outlineOf(s, p)
		return g.strip(p, reducedPolicy, event.PayloadState_PAYLOAD_STATE_ABSENT)
	case s.TrustedRedaction:
		return false
	}
	out, counts, err := g.redactor.Body(p.ContentType, p.Body)
	if err != nil {
		return g.strip(p, reducedRedaction, event.PayloadState_PAYLOAD_STATE_UNDECODABLE)
	}
	p.Body, p.Redactions = out, add(p.Redactions, counts)
	return false
}

// sealedOverhead is the nonce and the tag of AES-256-GCM, in bytes.
const sealedOverhead = 12 + 16

// sealed reports that a body can be the ciphertext it is said to be: text that a sender forgot to encrypt is not.
func sealed(p *event.Payload) bool {
	return p.KeyId != "" && len(p.Body) > sealedOverhead && !utf8.Valid(p.Body)
}

// strip takes a body out; what decoders need stays in the outline.
func (g *gate) strip(p *event.Payload, reason string, state event.PayloadState) bool {
	if len(p.Body) == 0 {
		return false
	}
	if reason == reducedSize && p.KeyId == "" {
		g.outlineOf(&source{}, p)
	}
	p.Body, p.KeyId, p.Redactions, p.State = nil, "", nil, state
	g.reduced(reason)
	return true
}

// outlineOf makes the skeleton of a body that is about to be left out, where the sender relied on the body.
func (g *gate) outlineOf(s *source, p *event.Payload) {
	if len(p.Outline) > 0 {
		return
	}
	p.Outline = outline.Append(nil, p.ContentType, p.Body)
	if !s.TrustedRedaction {
		p.Outline = g.cleanOutline(p.Outline)
	}
}

func (g *gate) cleanOutline(skeleton []byte) []byte {
	if len(skeleton) == 0 {
		return nil
	}
	kind := "text/event-stream" // an outline is JSON, or a stream of events that carry JSON
	if bytes.IndexByte([]byte("{[n"), skeleton[0]) >= 0 {
		kind = "application/json"
	}
	out, _, err := g.redactor.Body(kind, skeleton)
	if err != nil {
		return nil
	}
	return out
}

// add sums counts by rule, sorted as the redactor sorts them.
func add(have, more []*event.Redaction) []*event.Redaction {
	for _, m := range more {
		i, found := slices.BinarySearchFunc(have, m, func(a, b *event.Redaction) int { return strings.Compare(a.Rule, b.Rule) })
		if found {
			have[i].Count += m.Count
			continue
		}
		have = slices.Insert(have, i, m)
	}
	return have
}
