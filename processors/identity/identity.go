// Package identity says who called: it fills Event.identity from the credential's fingerprint, from JWT claims and
// from headers of trusted gateways, in the order the directory names. A call that nothing identifies is kept as
// "unknown"; this step never rejects.
package identity

import (
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

// NoDirectory is the directory_version of calls taken before any directory was published.
const NoDirectory = "none"

// Step implements processors.Step. It is safe for concurrent use.
type Step struct {
	directories *timeline.Timeline[*directory.Directory]
}

// New returns a Step that uses the directory in force when the broker took the envelope.
func New(directories *timeline.Timeline[*directory.Directory]) *Step {
	return &Step{directories: directories}
}

// Name implements processors.Step.
func (*Step) Name() string { return "identity" }

// Process implements processors.Step. It writes r.Event.Identity and nothing else.
func (s *Step) Process(r *batch.Record) processors.Verdict {
	id := r.Event.GetIdentity()
	if id == nil {
		id = &event.Identity{}
		r.Event.Identity = id
	} else {
		id.Reset()
	}
	d, ok := s.directories.At(r.IngestedAt)
	if !ok {
		id.DirectoryVersion, id.Source = NoDirectory, directory.SourceNone
		complete(id, r.Envelope.GetCredential(), nil)
		return processors.Verdict{}
	}
	s.resolve(r, d, id)
	return processors.Verdict{}
}

// resolver gathers what the sources say of one call.
type resolver struct {
	d          *directory.Directory
	credential *directory.Credential
	app        *directory.App
	team       *directory.Team
	principal  string
	source     string // the first source that said anything
	keyUnknown bool   // a trusted gateway named a key that the directory does not hold
}

func (s *Step) resolve(r *batch.Record, d *directory.Directory, id *event.Identity) {
	env := r.Envelope
	res := resolver{d: d, source: directory.SourceNone}
	for _, source := range d.Sources().Order {
		var found bool
		switch source {
		case directory.SourceCredential:
			found = res.fromCredential(env.GetCredential())
		case directory.SourceJWT:
			found = res.fromClaims(env.GetCredential())
		case directory.SourceHeader:
			found = res.fromHeaders(env)
		}
		if found && res.source == directory.SourceNone {
			res.source = source
		}
	}
	res.write(id, callTime(r))
	id.DirectoryVersion, id.Source = d.Version(), res.source
	if res.credential == nil && res.keyUnknown {
		id.CredentialStatus = directory.StatusUnknown
	}
	complete(id, env.GetCredential(), res.credential)
}

func callTime(r *batch.Record) time.Time {
	if ns := r.Envelope.GetStartedUnixNano(); ns != 0 {
		return time.Unix(0, int64(ns))
	}
	return r.IngestedAt
}

func (res *resolver) fromCredential(c *event.Credential) bool {
	if c.GetFingerprint() == "" {
		return false
	}
	known, ok := res.d.ByFingerprint(c.GetFingerprint())
	return ok && res.use(known)
}

func (res *resolver) fromClaims(c *event.Credential) bool {
	claims, src := c.GetClaims(), &res.d.Sources().JWT
	if len(claims) == 0 || !c.GetClaimsVerified() && !src.AllowUnverified {
		return false
	}
	var found bool
	if known, ok := res.d.ByClaims(claims); ok {
		found = res.use(known)
	}
	return res.fill(&src.Mapping, claims) || found
}

func (res *resolver) fromHeaders(env *event.Envelope) bool {
	var found bool
	sources := res.d.Sources().Headers
	for i := range sources {
		src := &sources[i]
		if !src.Trusts(env.GetGateway(), env.GetRoute()) {
			continue
		}
		headers := env.GetRequest().GetHeaders()
		if key := first(headers, src.Credential); key != "" {
			if known, ok := res.d.ByGatewayKey(key); ok {
				found = res.use(known) || found
			} else {
				res.keyUnknown = true
			}
		}
		found = res.fill(&src.Mapping, headers) || found
	}
	return found
}

// use takes over a known credential unless an earlier source named one.
func (res *resolver) use(c *directory.Credential) bool {
	if res.credential != nil {
		return false
	}
	res.credential = c
	res.setApp(c.App)
	res.setTeam(c.Team)
	if res.principal == "" {
		res.principal = c.Principal
	}
	return true
}

// fill takes what is still unknown from claims or headers. The app comes first because it implies the team.
func (res *resolver) fill(m *directory.Mapping, attributes []*event.Attribute) (found bool) {
	if res.app == nil && len(m.App) > 0 {
		found = eachValue(first(attributes, m.App), m.Apps, res.setApp)
	}
	if res.team == nil && len(m.Team) > 0 {
		found = eachValue(first(attributes, m.Team), m.Teams, res.setTeam) || found
	}
	if res.principal == "" && len(m.Principal) > 0 {
		if name := first(attributes, m.Principal); name != "" {
			res.principal, found = name, true
		}
	}
	return found
}

// setApp accepts an app of the directory that does not contradict the team known so far.
func (res *resolver) setApp(id string) bool {
	app, ok := res.d.App(id)
	if !ok || res.app != nil || res.team != nil && res.team.ID != app.Team {
		return false
	}
	res.app = app
	res.setTeam(app.Team)
	return true
}

func (res *resolver) setTeam(id string) bool {
	team, ok := res.d.Team(id)
	if !ok || res.team != nil {
		return false
	}
	res.team = team
	return true
}

// first returns the first non-empty value among the named attributes, in the order of the names.
func first(attributes []*event.Attribute, names []string) string {
	for _, name := range names {
		for _, a := range attributes {
			if a.GetKey() == name && a.GetValue() != "" {
				return a.GetValue()
			}
		}
	}
	return ""
}

// eachValue offers a value, translated, to set; a claim with several values ("a,b" or ["a","b"]) is offered value
// by value until one is accepted.
func eachValue(value string, translate map[string]string, set func(string) bool) bool {
	if value == "" {
		return false
	}
	for part := range strings.SplitSeq(value, ",") {
		part = strings.Trim(part, " []\"")
		if id, ok := translate[part]; ok {
			part = id
		}
		if set(part) {
			return true
		}
	}
	return false
}

// write copies the result into id; what nobody named stays empty for complete.
func (res *resolver) write(id *event.Identity, at time.Time) {
	if u, ok := res.d.User(res.principal); ok && res.principal != "" {
		id.Principal, id.PrincipalKind = u.ID, u.Kind
		res.setTeam(u.Team)
	} else if res.principal != "" {
		id.Principal, id.PrincipalKind = res.principal, directory.KindUser
	}
	if c := res.credential; c != nil {
		id.CredentialId, id.CredentialStatus, id.Owner = c.ID, c.StatusAt(at), c.Owner
		switch {
		case id.Principal == "":
			id.Principal, id.PrincipalKind = c.ID, directory.KindService
		case id.Principal == c.Principal && id.PrincipalKind == directory.KindUser && !res.knownUser():
			id.PrincipalKind = directory.KindService
		}
	}
	if a := res.app; a != nil {
		id.AppId, id.Purpose = a.ID, a.Purpose
		id.Owner = either(id.Owner, a.Owner)
	}
	if t := res.team; t != nil {
		id.TeamId, id.CostCenter = t.ID, t.CostCenter
		id.Owner = either(id.Owner, t.Owner)
	}
}

func (res *resolver) knownUser() bool {
	_, ok := res.d.User(res.principal)
	return ok
}

// complete replaces what is empty: an identity can always be grouped by.
func complete(id *event.Identity, c *event.Credential, known *directory.Credential) {
	id.Principal = either(id.Principal, event.Unknown)
	id.PrincipalKind = either(id.PrincipalKind, event.Unknown)
	id.TeamId = either(id.TeamId, event.Unknown)
	id.AppId = either(id.AppId, event.Unknown)
	id.Owner = either(id.Owner, event.Unknown)
	id.Purpose = either(id.Purpose, event.Unknown)
	id.CostCenter = either(id.CostCenter, event.Unknown)
	if known != nil || id.CredentialStatus != "" {
		return
	}
	id.CredentialStatus = directory.StatusUnknown
	if c.GetFingerprint() == "" && (c.GetKind() == "" || c.GetKind() == directory.StatusNone) {
		id.CredentialStatus = directory.StatusNone
	}
}

func either(a, b string) string {
	if a != "" {
		return a
	}
	return b
}
