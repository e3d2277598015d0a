package directory

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // hours must mean the same on hosts without a time zone database

	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

func (p *parsing) policy(n strictyaml.Node) *Policy {
	m := n.Map("id", "version", "description", "applies_to", "allow", "deny", "hours", "require_known_credential")
	pol := &Policy{
		ID: p.id(m.Need("id"), "policy"), Description: m.Get("description").Text(),
		RequireKnownCredential: m.Get("require_known_credential").Bool(),
	}
	rules := [dimensions]*Rule{}
	allow := m.Get("allow").Map("providers", "models", "operations", "tools")
	deny := m.Get("deny").Map("providers", "models", "operations", "tools")
	for _, dim := range []struct {
		key     string
		d       Dimension
		to, not *[]string
	}{
		{"providers", Providers, &pol.Allow.Providers, &pol.Deny.Providers},
		{"models", Models, &pol.Allow.Models, &pol.Deny.Models},
		{"operations", Operations, &pol.Allow.Operations, &pol.Deny.Operations},
		{"tools", Tools, &pol.Allow.Tools, &pol.Deny.Tools},
	} {
		a, d := compile(allow.Get(dim.key), dim.d, dim.to), compile(deny.Get(dim.key), dim.d, dim.not)
		if a != nil || d != nil {
			rules[dim.d] = &Rule{Policy: pol, allow: a, deny: d}
		}
	}
	for _, item := range m.Get("hours").Items() {
		if w, ok := window(item); ok {
			pol.Hours = append(pol.Hours, w)
		}
	}
	if len(pol.Hours) > 0 {
		rules[Hours] = &Rule{Policy: pol, hours: pol.Hours}
	}
	if pol.RequireKnownCredential {
		rules[Credentials] = &Rule{Policy: pol}
	}
	if rules == [dimensions]*Rule{} {
		n.Fault("states no rule; add allow, deny, hours or require_known_credential")
	}
	p.scope(m.Need("applies_to"), pol, &rules)
	p.policyVersion(m.Get("version"), pol)
	return pol
}

// policyVersion takes the version as written, or names the policy by the hash of its content.
func (p *parsing) policyVersion(n strictyaml.Node, pol *Policy) {
	pol.Version = n.Text()
	if len(pol.Version) > 64 {
		n.Fault("is longer than 64 characters; shorten it")
	}
	if pol.Version == "" {
		hash, err := contentHash(pol)
		if err != nil {
			n.Fault("cannot be derived: %v", err)
		}
		pol.Version = hash
	}
}

func (p *parsing) scope(n strictyaml.Node, pol *Policy, rules *[dimensions]*Rule) {
	m := n.Map("teams", "apps", "credentials", "everyone")
	pol.AppliesTo = Scope{
		Teams: p.references(m.Get("teams"), "team"), Apps: p.references(m.Get("apps"), "app"),
		Credentials: p.references(m.Get("credentials"), "credential"), Everyone: m.Get("everyone").Bool(),
	}
	s := &pol.AppliesTo
	if n.Present() && len(s.Teams)+len(s.Apps)+len(s.Credentials) == 0 && !s.Everyone {
		n.Fault("names nobody; add teams, apps, credentials or everyone: true")
	}
	for _, id := range s.Teams {
		p.govern(m.Get("teams"), p.d.teamLayers, id, "team", pol, rules)
	}
	for _, id := range s.Apps {
		p.govern(m.Get("apps"), p.d.appLayers, id, "app", pol, rules)
	}
	for _, id := range s.Credentials {
		p.govern(m.Get("credentials"), p.d.credentialLayers, id, "credential", pol, rules)
	}
	if s.Everyone {
		all := map[string]*layer{"": p.d.everyone}
		p.govern(m.Get("everyone"), all, "", "everyone", pol, rules)
		p.d.everyone = all[""]
	}
}

var dimensionNames = [dimensions]string{"require_known_credential", "hours", "providers", "operations", "models", "tools"}

// govern adds a policy's rules to the layer of one subject. Two policies may share a subject as long as they do
// not state the same dimension: which of them wins would be a matter of file order.
func (p *parsing) govern(n strictyaml.Node, layers map[string]*layer, id, kind string, pol *Policy, rules *[dimensions]*Rule) {
	l := layers[id]
	if l == nil {
		l = &layer{first: pol}
		layers[id] = l
	}
	for d, r := range rules {
		if r == nil {
			continue
		}
		if l.rules[d] != nil {
			n.Fault("policies %q and %q both state %s for %s; keep it in one of them",
				l.rules[d].Policy.ID, pol.ID, dimensionNames[d], strings.TrimSpace(kind+" "+id))
			continue
		}
		l.rules[d] = r
	}
}

// compile reads a list of values and prefixes. An absent list compiles to nil.
func compile(n strictyaml.Node, d Dimension, into *[]string) *matcher {
	if !n.Present() {
		return nil
	}
	m := &matcher{exact: map[string]struct{}{}, pairs: map[pair]struct{}{}}
	items := n.Items()
	for _, item := range items {
		text := item.Text()
		prefix, glob := strings.CutSuffix(text, "*")
		if text == "" || strings.ContainsAny(prefix, "*?[]{} \t") {
			item.Fault("%q is not a pattern; write a whole name, or a prefix with one * at its end", text)
			continue
		}
		*into = append(*into, text)
		server, name, paired := strings.Cut(prefix, "/")
		switch paired = paired && d == Tools; {
		case paired && glob:
			m.servers = append(m.servers, pair{server, name})
		case paired:
			m.pairs[pair{server, name}] = struct{}{}
		case glob:
			m.prefixes = append(m.prefixes, prefix)
		default:
			m.exact[text] = struct{}{}
		}
	}
	if len(items) == 0 {
		n.Fault("is an empty list; name at least one value or remove the key")
	}
	return m
}

var weekdays = [7]string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}

func window(n strictyaml.Node) (Window, bool) {
	m := n.Map("days", "from", "to", "timezone")
	w := Window{From: m.Need("from").Text(), To: m.Need("to").Text(), Timezone: m.Need("timezone").Text()}
	days := m.Get("days")
	if !days.Present() {
		for i, name := range weekdays {
			w.days[i], w.Days = true, append(w.Days, name)
		}
	}
	for _, item := range days.Items() {
		w.Days = append(w.Days, item.Text())
		if err := w.addDays(item.Text()); err != nil {
			item.Fault("%v", err)
		}
	}
	var err error
	if w.from, err = minuteOfDay(w.From); err != nil {
		m.Get("from").Fault("%v", err)
	}
	if w.to, err = minuteOfDay(w.To); err != nil {
		m.Get("to").Fault("%v", err)
	}
	if w.From != "" && w.From == w.To {
		m.Get("to").Fault("equals from; for the whole day write from: \"00:00\" and to: \"24:00\"")
	}
	if w.location, err = zone(w.Timezone); err != nil {
		m.Get("timezone").Fault("%v", err)
	}
	return w, w.location != nil
}

func zone(name string) (*time.Location, error) {
	if name == "" {
		return time.UTC, nil // its absence is a fault of its own
	}
	loc, err := time.LoadLocation(name)
	if err != nil || name == "Local" {
		return nil, fmt.Errorf("%q is not a time zone; write a name such as Europe/Berlin or UTC", name)
	}
	return loc, nil
}

// addDays adds "mon" or a range such as "mon-fri".
func (w *Window) addDays(text string) error {
	first, last, ranged := strings.Cut(strings.ToLower(text), "-")
	if !ranged {
		last = first
	}
	from, to := -1, -1
	for i, name := range weekdays {
		if name == first {
			from = i
		}
		if name == last {
			to = i
		}
	}
	if from < 0 || to < 0 {
		return fmt.Errorf("%q is not a day; write mon, tue, wed, thu, fri, sat, sun or a range such as mon-fri", text)
	}
	for i := from; ; i = (i + 1) % 7 {
		w.days[i] = true
		if i == to {
			return nil
		}
	}
}

func minuteOfDay(text string) (int, error) {
	if text == "24:00" {
		return 24 * 60, nil
	}
	t, err := time.Parse("15:04", text)
	if err != nil && text != "" {
		return 0, fmt.Errorf("%q is not a time of day; write it as \"07:30\"", text)
	}
	return t.Hour()*60 + t.Minute(), nil
}
