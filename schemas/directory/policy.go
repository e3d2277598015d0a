package directory

import (
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/schemas/pricing/modelid"
)

// Scope names whom a policy governs. Everyone is the default for calls that nothing more specific governs.
type Scope struct {
	Teams       []string `json:"teams"`
	Apps        []string `json:"apps"`
	Credentials []string `json:"credentials"`
	Everyone    bool     `json:"everyone"`
}

// Lists are the values that a policy allows or denies. A value is exact, or a prefix that ends in *.
type Lists struct {
	Providers  []string `json:"providers"`
	Models     []string `json:"models"`
	Operations []string `json:"operations"`
	Tools      []string `json:"tools"` // a name, or server/name for a tool of an MCP server
}

// Window is a time of the week in which calls are allowed.
type Window struct {
	Days     []string `json:"days"` // "mon" ... "sun"
	From     string   `json:"from"` // "07:00"
	To       string   `json:"to"`   // "20:00"; not after From: the window ends the next day
	Timezone string   `json:"timezone"`

	days     [7]bool // by time.Weekday
	from, to int     // minutes since midnight
	location *time.Location
}

// open reports whether at lies in the window.
func (w *Window) open(at time.Time) bool {
	at = at.In(w.location)
	minute, day := at.Hour()*60+at.Minute(), at.Weekday()
	if w.from < w.to {
		return w.days[day] && minute >= w.from && minute < w.to
	}
	yesterday := (day + 6) % 7
	return w.days[day] && minute >= w.from || w.days[yesterday] && minute < w.to
}

// Policy is one set of rules.
type Policy struct {
	ID                     string   `json:"id"`
	Version                string   `json:"version"` // as written, or the hash of the policy's own content
	Description            string   `json:"description"`
	AppliesTo              Scope    `json:"applies_to"`
	Allow                  Lists    `json:"allow"`
	Deny                   Lists    `json:"deny"`
	Hours                  []Window `json:"hours"`
	RequireKnownCredential bool     `json:"require_known_credential"`
}

// Dimension is one aspect of a call that policies judge.
type Dimension uint8

// The dimensions, in the order in which they are judged.
const (
	Credentials Dimension = iota
	Hours
	Providers
	Operations
	Models
	Tools
	dimensions
)

// Governing is the rules that govern one caller: for every dimension those of the most specific policy that
// states it. First is the most specific policy that applies at all; nil when nothing governs.
type Governing struct {
	First *Policy
	rules [dimensions]*Rule
}

// Rule returns the rule of a dimension, or nil when no policy states it.
func (g *Governing) Rule(d Dimension) *Rule { return g.rules[d] }

// layer is what the policies of one level say of one subject.
type layer struct {
	first *Policy
	rules [dimensions]*Rule
}

// Govern returns the rules for a caller: the policies of the credential beat those of the app, these the team's,
// these everyone's, dimension by dimension. Ids that are unknown or empty add nothing.
func (d *Directory) Govern(credential, app, team string) (g Governing) {
	for _, l := range [...]*layer{d.credentialLayers[credential], d.appLayers[app], d.teamLayers[team], d.everyone} {
		if l == nil {
			continue
		}
		if g.First == nil {
			g.First = l.first
		}
		for i, r := range l.rules {
			if g.rules[i] == nil {
				g.rules[i] = r
			}
		}
	}
	return g
}

// Outcome is how a rule judges a value.
type Outcome uint8

// The outcomes.
const (
	Allowed    Outcome = iota
	NotAllowed         // an allow list exists and does not name it
	Denied             // the deny list names it
)

// Rule is one dimension of one policy. It is immutable.
type Rule struct {
	Policy      *Policy
	allow, deny *matcher
	hours       []Window
}

// Decide judges a provider or operation.
func (r *Rule) Decide(value string) Outcome {
	switch {
	case r.deny != nil && r.deny.match(value):
		return Denied
	case r.allow != nil && !r.allow.match(value):
		return NotAllowed
	default:
		return Allowed
	}
}

// DecideModel judges a model id. A dated snapshot counts as its model, and a Bedrock inference profile as the
// model it routes to (package modelid), so allowing or denying a model covers its documented spellings.
func (r *Rule) DecideModel(id string) Outcome {
	id = modelid.FromARN(id)
	switch {
	case r.deny != nil && r.deny.matchModel(id):
		return Denied
	case r.allow != nil && !r.allow.matchModel(id):
		return NotAllowed
	default:
		return Allowed
	}
}

// DecideTool judges a tool by its name and, for tools of an MCP server, the server's label.
func (r *Rule) DecideTool(server, name string) Outcome {
	if server == "" {
		if before, after, ok := strings.Cut(name, "/"); ok {
			server, name = before, after
		}
	}
	switch {
	case r.deny != nil && r.deny.matchTool(server, name):
		return Denied
	case r.allow != nil && !r.allow.matchTool(server, name):
		return NotAllowed
	default:
		return Allowed
	}
}

// Open judges the time of a call.
func (r *Rule) Open(at time.Time) bool {
	for i := range r.hours {
		if r.hours[i].open(at) {
			return true
		}
	}
	return false
}

// matcher is a compiled list. Values with a server part are kept apart, so that matching joins no strings.
type matcher struct {
	exact    map[string]struct{}
	prefixes []string
	pairs    map[pair]struct{}
	servers  []pair // the name is a prefix
}

type pair struct{ server, name string }

func (m *matcher) match(value string) bool {
	if _, ok := m.exact[value]; ok {
		return true
	}
	for _, p := range m.prefixes {
		if strings.HasPrefix(value, p) {
			return true
		}
	}
	return false
}

// matchModel tries the id, then the model it is a snapshot of, then the model behind an inference profile.
func (m *matcher) matchModel(id string) bool {
	if m.match(id) {
		return true
	}
	if base, dated := modelid.Base(id); dated && m.match(base) {
		return true
	}
	local, regional := modelid.WithoutRegion(id)
	return regional && m.match(local)
}

func (m *matcher) matchTool(server, name string) bool {
	if m.match(name) {
		return true
	}
	if server == "" {
		return false
	}
	if _, ok := m.pairs[pair{server, name}]; ok {
		return true
	}
	for _, p := range m.servers {
		if p.server == server && strings.HasPrefix(name, p.name) {
			return true
		}
	}
	return false
}
