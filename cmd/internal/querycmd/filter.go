package querycmd

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// filter says which events `modeltrail tail` shows. Empty patterns match everything.
type filter struct {
	team, app, model string
	denied           bool
}

func (f filter) event(e *event.Event) bool {
	if f.denied && e.GetPolicy().GetDecision() != event.PolicyDecision_POLICY_DECISION_DENY {
		return false
	}
	return matches(f.team, e.GetIdentity().GetTeamId()) && matches(f.app, e.GetIdentity().GetAppId()) &&
		(matches(f.model, e.GetCall().GetRequestModel()) || matches(f.model, e.GetCall().GetResponseModel()))
}

// finding ignores denied: a finding is not a call.
func (f filter) finding(x *event.Finding) bool {
	return matches(f.team, x.GetTeamId()) && matches(f.app, x.GetAppId()) && matches(f.model, x.GetModel())
}

func matches(pattern, value string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok {
		return strings.HasPrefix(value, prefix)
	}
	return pattern == "" || pattern == value
}
