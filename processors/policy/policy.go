// Package policy judges every call against the directory's policies: it fills Event.policy. It records and never
// blocks; the gateway enforces. It runs after identity and reads what identity wrote.
package policy

import (
	"time"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

// Values of Policy.rule. A list rule is named after the list that decided: "models.allow" means that the allow
// list does not name the model, "models.deny" that the deny list does. The ".unjudged" rules accompany an allowed
// call in which the value to be judged was not visible.
const (
	RuleNoDirectory         = "directory.absent"
	RuleUngoverned          = "ungoverned"
	RuleCredentialRevoked   = "credential.revoked"
	RuleCredentialExpired   = "credential.expired"
	RuleCredentialUnknown   = "credential.unknown"
	RuleCredentialNone      = "credential.none"
	RuleHours               = "hours"
	RuleProvidersAllow      = "providers.allow"
	RuleProvidersDeny       = "providers.deny"
	RuleProvidersUnjudged   = "providers.unjudged"
	RuleOperationsAllow     = "operations.allow"
	RuleOperationsDeny      = "operations.deny"
	RuleOperationsUnjudged  = "operations.unjudged"
	RuleModelsAllow         = "models.allow"
	RuleModelsDeny          = "models.deny"
	RuleModelsUnjudged      = "models.unjudged"
	RuleToolsAllow          = "tools.allow"
	RuleToolsDeny           = "tools.deny"
	reasonUngoverned        = "no policy governs this call"
	reasonNoDirectory       = "no directory was published before this call"
	reasonCredentialRevoked = "the credential was revoked before this call"
	reasonCredentialExpired = "the credential had expired before this call"
)

// Step implements processors.Step. It is safe for concurrent use.
type Step struct {
	directories *timeline.Timeline[*directory.Directory]
}

// New returns a Step that uses the policies in force when the broker took the envelope.
func New(directories *timeline.Timeline[*directory.Directory]) *Step {
	return &Step{directories: directories}
}

// Name implements processors.Step.
func (*Step) Name() string { return "policy" }

// Process implements processors.Step. It writes r.Event.Policy and nothing else. A request is judged by what was
// asked for and offered; a response by what was asked for, what answered and which tools the model called.
func (s *Step) Process(r *batch.Record) processors.Verdict {
	out := r.Event.GetPolicy()
	if out == nil {
		out = &event.Policy{}
		r.Event.Policy = out
	} else { // field by field: Reset costs more than the judgement of a short list
		out.PolicyId, out.PolicyVersion, out.Rule, out.Reason = "", "", "", ""
		out.Decision = event.PolicyDecision_POLICY_DECISION_UNSPECIFIED
	}
	d, ok := s.directories.At(r.IngestedAt)
	if !ok {
		out.Decision, out.Rule, out.Reason = event.PolicyDecision_POLICY_DECISION_NO_POLICY, RuleNoDirectory, reasonNoDirectory
		return processors.Verdict{}
	}
	id := r.Event.GetIdentity()
	j := judge{r: r, out: out}
	j.rules = d.Govern(id.GetCredentialId(), id.GetAppId(), id.GetTeamId())
	j.decide(d.Ungoverned())
	return processors.Verdict{}
}

// judge is the judgement of one call.
type judge struct {
	r     *batch.Record
	rules directory.Governing
	out   *event.Policy
}

func (j *judge) decide(ungoverned event.PolicyDecision) {
	if j.credential() {
		return
	}
	if j.rules.First == nil {
		j.out.Decision, j.out.Reason = ungoverned, reasonUngoverned
		if ungoverned != event.PolicyDecision_POLICY_DECISION_NO_POLICY {
			j.out.Rule = RuleUngoverned
		}
		return
	}
	if j.hours() || j.provider() || j.operation() || j.model() || j.tools() {
		return
	}
	j.out.Decision = event.PolicyDecision_POLICY_DECISION_ALLOW
	j.out.PolicyId, j.out.PolicyVersion = j.rules.First.ID, j.rules.First.Version
}

// deny records the verdict of p; p is nil when the directory itself, not a policy, forbids the call.
func (j *judge) deny(p *directory.Policy, rule, reason string) bool {
	j.out.Decision, j.out.Rule, j.out.Reason = event.PolicyDecision_POLICY_DECISION_DENY, rule, reason
	if p == nil {
		p = j.rules.First
	}
	if p != nil {
		j.out.PolicyId, j.out.PolicyVersion = p.ID, p.Version
	}
	return true
}

// unjudged notes that a rule exists and the call did not show what it judges. A denial found later replaces it.
func (j *judge) unjudged(rule, reason string) bool {
	if j.out.Rule == "" {
		j.out.Rule, j.out.Reason = rule, reason
	}
	return false
}

func (j *judge) credential() bool {
	status := j.r.Event.GetIdentity().GetCredentialStatus()
	switch status {
	case directory.StatusRevoked:
		return j.deny(nil, RuleCredentialRevoked, reasonCredentialRevoked)
	case directory.StatusExpired:
		return j.deny(nil, RuleCredentialExpired, reasonCredentialExpired)
	}
	rule := j.rules.Rule(directory.Credentials)
	if rule == nil {
		return false
	}
	switch status {
	case directory.StatusUnknown:
		return j.deny(rule.Policy, RuleCredentialUnknown, "policy "+rule.Policy.ID+" requires a credential that the directory holds")
	case directory.StatusNone:
		return j.deny(rule.Policy, RuleCredentialNone, "policy "+rule.Policy.ID+" requires a credential and the call carried none")
	default:
		return false
	}
}

func (j *judge) hours() bool {
	rule := j.rules.Rule(directory.Hours)
	if rule == nil || rule.Open(j.callTime()) {
		return false
	}
	return j.deny(rule.Policy, RuleHours, "the call started outside the hours of policy "+rule.Policy.ID)
}

func (j *judge) callTime() time.Time {
	if ns := j.r.Envelope.GetStartedUnixNano(); ns != 0 {
		return time.Unix(0, int64(ns))
	}
	return j.r.IngestedAt
}

func (j *judge) provider() bool {
	rule := j.rules.Rule(directory.Providers)
	if rule == nil {
		return false
	}
	name := j.r.Event.GetCall().GetProvider()
	if name == "" {
		name = j.r.Envelope.GetProvider()
	}
	if name == "" {
		return j.unjudged(RuleProvidersUnjudged, "the provider of this call is not known")
	}
	return j.outcome(rule, rule.Decide(name), "provider ", name, RuleProvidersAllow, RuleProvidersDeny)
}

func (j *judge) operation() bool {
	rule := j.rules.Rule(directory.Operations)
	if rule == nil {
		return false
	}
	name := j.r.Event.GetCall().GetOperation()
	if name == "" {
		return j.unjudged(RuleOperationsUnjudged, "the operation of this call is not known")
	}
	return j.outcome(rule, rule.Decide(name), "operation ", name, RuleOperationsAllow, RuleOperationsDeny)
}

func (j *judge) model() bool {
	rule := j.rules.Rule(directory.Models)
	if rule == nil {
		return false
	}
	call := j.r.Event.GetCall()
	asked, answered := call.GetRequestModel(), ""
	if j.response() {
		answered = call.GetResponseModel()
	}
	if asked == "" && answered == "" {
		return j.unjudged(RuleModelsUnjudged, "the model of this call is not known")
	}
	if asked != "" && j.outcome(rule, rule.DecideModel(asked), "model ", asked, RuleModelsAllow, RuleModelsDeny) {
		return true
	}
	return answered != "" && answered != asked &&
		j.outcome(rule, rule.DecideModel(answered), "response model ", answered, RuleModelsAllow, RuleModelsDeny)
}

func (j *judge) tools() bool {
	rule := j.rules.Rule(directory.Tools)
	if rule == nil {
		return false
	}
	call := j.r.Event.GetCall()
	if j.response() {
		for _, t := range call.GetToolCalls() {
			if j.outcome(rule, rule.DecideTool(t.GetServer(), t.GetName()), "called tool ", t.GetName(), RuleToolsAllow, RuleToolsDeny) {
				return true
			}
		}
		return false
	}
	for _, name := range call.GetToolsOffered() {
		if j.outcome(rule, rule.DecideTool("", name), "offered tool ", name, RuleToolsAllow, RuleToolsDeny) {
			return true
		}
	}
	return false
}

func (j *judge) response() bool {
	return j.r.Envelope.GetPhase() == event.Phase_PHASE_RESPONSE || j.r.Event.GetPhase() == event.Phase_PHASE_RESPONSE
}

func (j *judge) outcome(rule *directory.Rule, o directory.Outcome, what, value, allow, deny string) bool {
	switch o {
	case directory.NotAllowed:
		return j.deny(rule.Policy, allow, what+bounded(value)+" is outside "+allow+" of policy "+rule.Policy.ID)
	case directory.Denied:
		return j.deny(rule.Policy, deny, what+bounded(value)+" is in "+deny+" of policy "+rule.Policy.ID)
	default:
		return false
	}
}

const maxQuoted = 80

// bounded returns a name that the caller chose if it looks like a name: a reason must not carry free text.
func bounded(name string) string {
	if len(name) > maxQuoted {
		return "(overlong name)"
	}
	for i := range len(name) {
		switch c := name[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9':
		case c == '.' || c == '_' || c == '-' || c == ':' || c == '/' || c == '@':
		default:
			return "(irregular name)"
		}
	}
	return name
}
