package detect

import (
	"fmt"
	"strconv"

	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// nameUnknownCredential is the detector name of credentials that should not be in use.
const nameUnknownCredential = "unknown_credential"

// unknownCredential reports credentials that the directory does not hold, or holds as expired or revoked.
type unknownCredential struct {
	cfg   UnknownCredentialConfig
	seen  *windowSet
	stats *Stats
}

func newUnknownCredential(cfg UnknownCredentialConfig, stats *Stats) *unknownCredential {
	return &unknownCredential{cfg: cfg, seen: newWindowSet(cfg.DedupWindow, cfg.MaxCredentials, cfg.MaxKeys), stats: stats}
}

// Name implements Detector.
func (d *unknownCredential) Name() string { return nameUnknownCredential }

// StateBytes implements Detector.
func (d *unknownCredential) StateBytes() int64 { return d.seen.bytes() }

// Observe implements Detector.
func (d *unknownCredential) Observe(e *event.Event, emit func(*event.Finding)) {
	if !refusedCredential(e) {
		return
	}
	status, fingerprint := e.GetIdentity().GetCredentialStatus(), e.GetCredential().GetFingerprint()
	at := eventTime(e)
	team := e.GetIdentity().GetTeamId()
	result, before := d.seen.note(at, d.seen.hash(fingerprint, status), d.seen.hash(team, status))
	window := strconv.FormatInt(d.seen.index(at), 10)
	switch result {
	case outcomeFirst:
		f := newFinding(nameUnknownCredential, Key(nameUnknownCredential, status, fingerprint, window), credentialSeverity(status), e)
		d.describe(f, e, status)
		if before > 0 {
			attribute(f, "calls_in_previous_window", strconv.FormatUint(uint64(before), 10))
		}
		emit(f)
	case outcomeOverflow:
		f := newFinding(nameUnknownCredential, Key(nameUnknownCredential, "many", status, team, window), event.Severity_SEVERITY_HIGH, e)
		f.Title = fmt.Sprintf("Many %s credentials: more than %d in %s", status, d.cfg.MaxCredentials, span(d.cfg.DedupWindow))
		f.Description = fmt.Sprintf("More than %d different credentials with status %q called through gateway %s; the newest is %s from %s at %s. "+
			"Further ones are not reported one by one. This is what keys being tried out, or a directory that lost its credentials, looks like: "+
			"check the directory first, then block the addresses.", d.cfg.MaxCredentials, status, orUnknown(e.GetGateway()),
			clean(fingerprint), orUnknown(e.GetClientAddress()), clockTime(at))
		d.evidence(f, e, status)
		emit(f)
	case outcomeDropped:
		d.stats.Suppressed++
	case outcomeRepeat:
	}
}

func (d *unknownCredential) describe(f *event.Finding, e *event.Event, status string) {
	id := e.GetIdentity()
	switch status {
	case directory.StatusUnknown:
		f.Title = fmt.Sprintf("Unknown credential: %s called %s", shortFingerprint(e), label(modelOf(e)))
		f.Description = fmt.Sprintf("A credential that the directory does not hold (%s) called model %s through gateway %s, route %s, from %s at %s. "+
			"Nobody owns its cost or its content. Find its holder at the gateway, then register the credential with a team and an app, or revoke it.",
			clean(e.GetCredential().GetFingerprint()), label(modelOf(e)), orUnknown(e.GetGateway()), orUnknown(e.GetRoute()),
			orUnknown(e.GetClientAddress()), clockTime(eventTime(e)))
	default:
		f.Title = fmt.Sprintf("Credential %s is %s but in use: %s", credentialName(e), status, orUnknown(id.GetAppId()))
		f.Description = fmt.Sprintf("Credential %s of app %s, team %s, is %s in the directory and called model %s from %s at %s. "+
			"Disable it at the gateway. If it should still work, correct its validity in the directory.",
			credentialName(e), orUnknown(id.GetAppId()), orUnknown(id.GetTeamId()), status, label(modelOf(e)),
			orUnknown(e.GetClientAddress()), clockTime(eventTime(e)))
	}
	d.evidence(f, e, status)
}

func (d *unknownCredential) evidence(f *event.Finding, e *event.Event, status string) {
	attribute(f, "credential_status", status)
	attribute(f, "credential_kind", clean(e.GetCredential().GetKind()))
	attribute(f, "credential_last4", clean(e.GetCredential().GetLast4()))
	attribute(f, "gateway", clean(e.GetGateway()))
	attribute(f, "route", clean(e.GetRoute()))
	attribute(f, "client_address", clean(e.GetClientAddress()))
	attribute(f, "user_agent", clean(e.GetUserAgent()))
	attribute(f, "directory_version", clean(e.GetIdentity().GetDirectoryVersion()))
	attribute(f, "dedup_window", span(d.cfg.DedupWindow))
}

// refusedCredential reports whether a call carried a credential that the directory does not hold as valid.
func refusedCredential(e *event.Event) bool {
	switch e.GetIdentity().GetCredentialStatus() {
	case directory.StatusUnknown, directory.StatusExpired, directory.StatusRevoked:
		return e.GetCredential().GetFingerprint() != ""
	}
	return false
}

// credentialRule reports whether a policy rule is about the credential itself.
func credentialRule(rule string) bool {
	family := ruleFamily(rule)
	return family == "credential" || family == "credentials" || family == "require_known_credential"
}

// shortFingerprint is the fingerprint's head, enough to tell keys apart in a title.
func shortFingerprint(e *event.Event) string {
	const head = 12
	name := clean(e.GetCredential().GetFingerprint())
	if len(name) > head {
		return name[:head]
	}
	return name
}

func credentialSeverity(status string) event.Severity {
	if status == directory.StatusRevoked {
		return event.Severity_SEVERITY_HIGH
	}
	return event.Severity_SEVERITY_MEDIUM
}
