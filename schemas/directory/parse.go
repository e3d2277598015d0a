package directory

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

// Parse reads and checks a directory file. The error lists every fault of the file, each with its line, its path
// and what to do; a Directory is returned only when there is none.
func Parse(b []byte) (*Directory, error) {
	p := &parsing{
		faults: &strictyaml.Faults{}, seen: map[string]map[string]strictyaml.Node{},
		d: &Directory{
			teams: map[string]*Team{}, apps: map[string]*App{}, users: map[string]*User{},
			credentials: map[string]*Credential{}, byFingerprint: map[string]*Credential{},
			byGatewayKey: map[string]*Credential{}, byClaim: map[Claim]*Credential{},
			teamLayers: map[string]*layer{}, appLayers: map[string]*layer{}, credentialLayers: map[string]*layer{},
		},
	}
	root, err := strictyaml.Parse(b, p.faults)
	if err != nil {
		return nil, err
	}
	p.read(root.Map("teams", "apps", "users", "credentials", "identity", "policies", "ungoverned"))
	if err := p.faults.Err(); err != nil {
		return nil, err
	}
	p.d.version, err = contentHash(p.d.file)
	if err != nil {
		return nil, err
	}
	return p.d, nil
}

// contentHash names a value by the hash of its canonical JSON.
func contentHash(v any) (string, error) {
	b, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("hash directory: %w", err)
	}
	sum := sha256.Sum256(b)
	return "sha256:" + hex.EncodeToString(sum[:6]), nil
}

// parsing is the state of one Parse.
type parsing struct {
	faults *strictyaml.Faults
	d      *Directory
	seen   map[string]map[string]strictyaml.Node // kind -> id -> first place
	later  []func()                              // checks that need the whole file
}

func (p *parsing) read(m strictyaml.Map) {
	f := &p.d.file
	for _, n := range m.Get("teams").Items() {
		f.Teams = append(f.Teams, p.team(n))
	}
	for _, n := range m.Get("apps").Items() {
		f.Apps = append(f.Apps, p.app(n))
	}
	for _, n := range m.Get("users").Items() {
		f.Users = append(f.Users, p.user(n))
	}
	for _, n := range m.Get("credentials").Items() {
		f.Credentials = append(f.Credentials, p.credential(n))
	}
	f.Sources = p.sources(m.Get("identity"))
	for _, n := range m.Get("policies").Items() {
		f.Policies = append(f.Policies, p.policy(n))
	}
	f.Ungoverned = p.choice(m.Get("ungoverned"), "no_policy", "allow", "deny")
	for _, check := range p.later {
		check()
	}
}

// unique records id as taken by kind and reports a second use with the place of the first.
func (p *parsing) unique(n strictyaml.Node, kind, id string) {
	if id == "" {
		return
	}
	ids := p.seen[kind]
	if ids == nil {
		ids = map[string]strictyaml.Node{}
		p.seen[kind] = ids
	}
	if first, taken := ids[id]; taken {
		n.Fault("%s %q is used already at line %d (%s); choose another", kind, id, first.Line(), first.Path())
		return
	}
	ids[id] = n
}

const maxID = 128

// id reads an identifier of kind and checks that it is usable and unique.
func (p *parsing) id(n strictyaml.Node, kind string) string {
	id := n.Text()
	switch {
	case id == "":
	case id == event.Unknown || id == StatusNone:
		n.Fault("%q is reserved for calls that nothing identifies; choose another id", id)
	case len(id) > maxID || strings.IndexFunc(id, badInID) >= 0:
		n.Fault("%q is not an id; use up to %d letters, digits and . _ : @ / + -", id, maxID)
	default:
		p.unique(n, kind, id)
	}
	return id
}

func badInID(r rune) bool {
	switch {
	case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
		return false
	default:
		return !strings.ContainsRune("._:@/+-", r)
	}
}

// reference reads the id of a team, app or credential and checks later that it exists.
func (p *parsing) reference(n strictyaml.Node, kind string) string {
	id := n.Text()
	if id != "" {
		p.later = append(p.later, func() {
			if _, ok := p.seen[kind][id]; !ok {
				n.Fault("there is no %s %q; add it under %ss or correct the name", kind, id, kind)
			}
		})
	}
	return id
}

func (p *parsing) references(n strictyaml.Node, kind string) []string {
	items := n.Items()
	ids := make([]string, 0, len(items))
	for _, item := range items {
		id := p.reference(item, kind)
		if id == "" || slices.Contains(ids, id) {
			item.Fault("is empty or stands twice; remove it")
			continue
		}
		ids = append(ids, id)
	}
	return ids
}

// choice reads one of several words; absent is the first.
func (p *parsing) choice(n strictyaml.Node, words ...string) string {
	text := n.Text()
	if !n.Present() || text == "" {
		return words[0]
	}
	if !slices.Contains(words, text) {
		n.Fault("%q is not one of %s", text, strings.Join(words, ", "))
		return words[0]
	}
	return text
}

func (p *parsing) team(n strictyaml.Node) *Team {
	m := n.Map("id", "name", "owner", "cost_center", "monthly_budget_usd", "contacts")
	t := &Team{
		ID: p.id(m.Need("id"), "team"), Name: m.Get("name").Text(), Owner: m.Need("owner").Text(),
		CostCenter: m.Get("cost_center").Text(), Contacts: m.Get("contacts").Texts(),
	}
	budget := m.Get("monthly_budget_usd")
	if v, ok := budget.Decimal(); ok {
		if v.IsNegative() || v.GreaterThan(decimal.New(1, 12)) {
			budget.Fault("must be between 0 and 1000000000000 USD")
		}
		t.MonthlyBudgetUSD = decimal.NewNullDecimal(v)
	}
	p.d.teams[t.ID] = t
	return t
}

func (p *parsing) app(n strictyaml.Node) *App {
	m := n.Map("id", "name", "team", "owner", "purpose", "environment")
	a := &App{
		ID: p.id(m.Need("id"), "app"), Name: m.Get("name").Text(), Team: p.reference(m.Need("team"), "team"),
		Owner: m.Get("owner").Text(), Purpose: m.Get("purpose").Text(), Environment: m.Get("environment").Text(),
	}
	p.d.apps[a.ID] = a
	return a
}

func (p *parsing) user(n strictyaml.Node) *User {
	m := n.Map("id", "name", "team", "kind", "aliases")
	u := &User{
		ID: p.id(m.Need("id"), "user"), Name: m.Get("name").Text(), Team: p.reference(m.Get("team"), "team"),
		Kind: p.choice(m.Get("kind"), KindUser, KindService), Aliases: m.Get("aliases").Texts(),
	}
	for _, alias := range u.Aliases {
		p.unique(m.Get("aliases"), "user", alias)
		p.d.users[alias] = u
	}
	p.d.users[u.ID] = u
	return u
}
