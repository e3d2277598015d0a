package detect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// nameOutOfScope is the detector name of calls outside their policy.
const nameOutOfScope = "out_of_scope"

// outOfScope reports calls that policy denies. The request alone is enough, so the finding goes out while the
// model is still answering; the response adds only what the request could not show, such as tools called.
type outOfScope struct {
	cfg   OutOfScopeConfig
	yield bool // another detector reports credentials that the directory refuses
	seen  *windowSet
	stats *Stats
}

func newOutOfScope(cfg OutOfScopeConfig, yield bool, stats *Stats) *outOfScope {
	return &outOfScope{cfg: cfg, yield: yield, seen: newWindowSet(cfg.DedupWindow, cfg.MaxModels, cfg.MaxKeys), stats: stats}
}

// Name implements Detector.
func (d *outOfScope) Name() string { return nameOutOfScope }

// StateBytes implements Detector.
func (d *outOfScope) StateBytes() int64 { return d.seen.bytes() }

// Observe implements Detector.
func (d *outOfScope) Observe(e *event.Event, emit func(*event.Finding)) {
	if e.GetPolicy().GetDecision() != event.PolicyDecision_POLICY_DECISION_DENY {
		return
	}
	if d.yield && refusedCredential(e) && credentialRule(e.GetPolicy().GetRule()) {
		return
	}
	team, app := e.GetIdentity().GetTeamId(), e.GetIdentity().GetAppId()
	fingerprint, rule, model := e.GetCredential().GetFingerprint(), e.GetPolicy().GetRule(), modelOf(e)
	at := eventTime(e)
	parent := d.seen.hash(team, app, fingerprint, rule)
	result, before := d.seen.note(at, d.seen.hash(team, app, fingerprint, rule, model), parent)
	window := strconv.FormatInt(d.seen.index(at), 10)
	switch result {
	case outcomeFirst:
		key := Key(nameOutOfScope, team, app, fingerprint, rule, model, window)
		emit(d.finding(e, key, before))
	case outcomeOverflow:
		key := Key(nameOutOfScope, "many", team, app, fingerprint, rule, window)
		emit(d.many(e, key))
	case outcomeDropped:
		d.stats.Suppressed++
	case outcomeRepeat:
	}
}

func (d *outOfScope) finding(e *event.Event, key string, before uint32) *event.Finding {
	f := newFinding(nameOutOfScope, key, ruleSeverity(e.GetPolicy().GetRule()), e)
	f.Title = scopeTitle(e)
	f.Description = scopeDescription(e)
	scopeEvidence(f, e, d.cfg.DedupWindow)
	if before > 0 {
		attribute(f, "calls_in_previous_window", strconv.FormatUint(uint64(before), 10))
	}
	return f
}

// many stands for every further model of one credential under one rule within the window: a caller that tries
// model after model is one incident.
func (d *outOfScope) many(e *event.Event, key string) *event.Finding {
	f := newFinding(nameOutOfScope, key, event.Severity_SEVERITY_HIGH, e)
	f.Title = fmt.Sprintf("Many models out of scope: %s tried more than %d", orUnknown(e.GetIdentity().GetAppId()), d.cfg.MaxModels)
	f.Description = fmt.Sprintf("%s More than %d different models were refused by the same rule within %s; further ones are not reported one by one. "+
		"This is what a model list being tried out, or a misconfigured client, looks like.", who(e), d.cfg.MaxModels, span(d.cfg.DedupWindow))
	scopeEvidence(f, e, d.cfg.DedupWindow)
	attribute(f, "models_reported", strconv.Itoa(d.cfg.MaxModels))
	return f
}

func scopeEvidence(f *event.Finding, e *event.Event, window time.Duration) {
	attribute(f, "phase", phaseName(e.GetPhase()))
	attribute(f, "rule", clean(e.GetPolicy().GetRule()))
	attribute(f, "policy_version", clean(e.GetPolicy().GetPolicyVersion()))
	attribute(f, "directory_version", clean(e.GetIdentity().GetDirectoryVersion()))
	attribute(f, "request_model", labelOrEmpty(e.GetCall().GetRequestModel()))
	attribute(f, "response_model", labelOrEmpty(e.GetCall().GetResponseModel()))
	attribute(f, "operation", clean(e.GetCall().GetOperation()))
	attribute(f, "tools_called", toolNames(e))
	attribute(f, "purpose", clean(e.GetIdentity().GetPurpose()))
	attribute(f, "owner", clean(e.GetIdentity().GetOwner()))
	attribute(f, "client_address", clean(e.GetClientAddress()))
	attribute(f, "dedup_window", span(window))
}

func scopeTitle(e *event.Event) string {
	app, model := orUnknown(e.GetIdentity().GetAppId()), label(modelOf(e))
	switch ruleFamily(e.GetPolicy().GetRule()) {
	case "models":
		return fmt.Sprintf("Model out of scope: %s used %s", app, model)
	case "providers":
		return fmt.Sprintf("Provider out of scope: %s used %s", app, orUnknown(e.GetCall().GetProvider()))
	case "tools":
		if tools := toolNames(e); tools != "" {
			return fmt.Sprintf("Tool out of scope: %s called %s", app, tools)
		}
		return fmt.Sprintf("Tool out of scope: %s offered tools to %s", app, model)
	case "hours":
		return fmt.Sprintf("Call outside allowed hours: %s used %s", app, model)
	}
	return fmt.Sprintf("Call out of scope: %s broke %s with %s", app, orUnknown(e.GetPolicy().GetRule()), model)
}

func scopeDescription(e *event.Event) string {
	var b strings.Builder
	b.WriteString(who(e))
	fmt.Fprintf(&b, " Policy %s (version %s) does not allow it: ", orUnknown(e.GetPolicy().GetPolicyId()),
		orUnknown(e.GetPolicy().GetPolicyVersion()))
	if reason := strings.TrimRight(sentence(e.GetPolicy().GetReason()), "."); reason != "" {
		b.WriteString(reason)
	} else {
		b.WriteString("rule " + orUnknown(e.GetPolicy().GetRule()))
	}
	b.WriteString(". The call was recorded, not stopped. Ask ")
	if owner := e.GetIdentity().GetOwner(); owner != "" && owner != event.Unknown {
		b.WriteString(clean(owner))
	} else {
		b.WriteString("the team")
	}
	b.WriteString(" whether it was meant: if so, widen the policy; if not, rotate the credential and enforce the rule at the gateway.")
	return b.String()
}

// who says which identity used which model when.
func who(e *event.Event) string {
	id := e.GetIdentity()
	return fmt.Sprintf("App %s of team %s (principal %s, credential %s) called model %s at %s.",
		orUnknown(id.GetAppId()), orUnknown(id.GetTeamId()), orUnknown(id.GetPrincipal()),
		credentialName(e), label(modelOf(e)), clockTime(eventTime(e)))
}

// credentialName prefers the directory's id and never holds more of the secret than its fingerprint.
func credentialName(e *event.Event) string {
	if id := e.GetIdentity().GetCredentialId(); id != "" {
		return clean(id)
	}
	if f := e.GetCredential().GetFingerprint(); f != "" {
		return clean(f)
	}
	return "none"
}

func ruleFamily(rule string) string {
	family, _, _ := strings.Cut(rule, ".")
	return family
}

// ruleSeverity: what was reached (a model, a provider, a tool) weighs more than when or how much.
func ruleSeverity(rule string) event.Severity {
	switch ruleFamily(rule) {
	case "models", "providers", "tools", "operations":
		return event.Severity_SEVERITY_HIGH
	}
	if credentialRule(rule) {
		return event.Severity_SEVERITY_HIGH
	}
	return event.Severity_SEVERITY_MEDIUM
}

// toolNames lists up to five tools the model asked for.
func toolNames(e *event.Event) string {
	const most = 5
	calls := e.GetCall().GetToolCalls()
	names := make([]string, 0, min(len(calls), most+1))
	for _, call := range calls {
		if len(names) == most {
			names = append(names, "…")
			break
		}
		if call.GetName() != "" {
			names = append(names, label(call.GetName()))
		}
	}
	return strings.Join(names, ", ")
}

func phaseName(p event.Phase) string {
	switch p {
	case event.Phase_PHASE_REQUEST:
		return "request"
	case event.Phase_PHASE_RESPONSE:
		return "response"
	case event.Phase_PHASE_UNSPECIFIED:
	}
	return event.Unknown
}
