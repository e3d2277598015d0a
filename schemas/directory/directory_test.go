package directory_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
)

func example(t testing.TB) []byte {
	t.Helper()
	doc, err := os.ReadFile("../../docs/directory.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "```yaml\n")
	text, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/directory.md holds no yaml example")
	}
	return []byte(text)
}

func parse(t testing.TB, text []byte) *directory.Directory {
	t.Helper()
	d, err := directory.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDocumentedExampleIsIndexed(t *testing.T) {
	d := parse(t, example(t))
	c, ok := d.ByFingerprint("mt1:0123456789abcdef0123456789abcdef")
	if !ok || c.ID != "invoice-bot-2026" || c.Team != "finance" {
		t.Fatalf("by fingerprint: %+v", c)
	}
	if c, ok := d.ByGatewayKey("0f4dd0d2-31b6-4b0e-9d63-0d8f4f7a1c55"); !ok || c.ID != "helpdesk-gateway-key" {
		t.Errorf("by gateway key: %+v", c)
	}
	if c, ok := d.ByClaims([]*event.Attribute{{Key: "sub", Value: "x"}, {Key: "azp", Value: "helpdesk-web"}}); !ok || c.ID != "helpdesk-client" {
		t.Errorf("by claim: %+v", c)
	}
	if u, ok := d.User("auth0|5f7c8ec7"); !ok || u.ID != "anna@example.com" {
		t.Errorf("by alias: %+v", u)
	}
	team, _ := d.Team("finance")
	if !team.MonthlyBudgetUSD.Valid || team.MonthlyBudgetUSD.Decimal.String() != "2500" {
		t.Errorf("budget %v", team.MonthlyBudgetUSD)
	}
	if team, _ := d.Team("support"); team.MonthlyBudgetUSD.Valid {
		t.Error("a budget that nobody set")
	}
	if len(d.Teams()) != 2 || len(d.Apps()) != 2 || len(d.Users()) != 2 || len(d.Credentials()) != 4 || len(d.Policies()) != 4 {
		t.Error("something is missing from the lists")
	}
	if v := d.Version(); !strings.HasPrefix(v, "sha256:") || len(v) != len("sha256:")+12 {
		t.Errorf("version %s", v)
	}
}

func TestStatusFollowsTheTimeOfTheCall(t *testing.T) {
	d := parse(t, example(t))
	for _, c := range []struct{ id, at, want string }{
		{"invoice-bot-2026", "2027-01-14T23:59:59Z", "active"}, {"invoice-bot-2026", "2027-01-15T00:00:00Z", "expired"},
		{"invoice-bot-2025", "2026-02-01T08:59:59Z", "active"}, {"invoice-bot-2025", "2026-02-01T09:00:00Z", "revoked"},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		if cred, _ := d.Credential(c.id); cred.StatusAt(at) != c.want {
			t.Errorf("%s at %s: %s, want %s", c.id, c.at, cred.StatusAt(at), c.want)
		}
	}
}

func TestMostSpecificPolicyDecidesMatterByMatter(t *testing.T) {
	d := parse(t, example(t))
	g := d.Govern("invoice-bot-2026", "invoice-bot", "finance")
	for dim, want := range map[directory.Dimension]string{
		directory.Models: "invoice-key", directory.Tools: "finance-models", directory.Hours: "finance-hours",
		directory.Providers: "everyone", directory.Operations: "everyone", directory.Credentials: "everyone",
	} {
		if r := g.Rule(dim); r == nil || r.Policy.ID != want {
			t.Errorf("dimension %d: %v, want %s", dim, r, want)
		}
	}
	if g.First.ID != "invoice-key" {
		t.Errorf("first is %s", g.First.ID)
	}
	if g := d.Govern("", "unknown", "unknown"); g.First.ID != "everyone" || g.Rule(directory.Tools) != nil {
		t.Errorf("a stranger is governed by %+v", g)
	}
}

func TestRulesMatchExactlyOrByPrefix(t *testing.T) {
	d := parse(t, example(t))
	g := d.Govern("", "invoice-bot", "finance")
	models := g.Rule(directory.Models)
	for model, want := range map[string]directory.Outcome{
		"gpt-5.5": directory.Allowed, "gpt-5.5-2026-05-01": directory.Allowed, "gpt-5.5-pro": directory.NotAllowed,
		"gpt-5": directory.NotAllowed, "claude-sonnet-4-6": directory.Allowed, "us.claude-sonnet-x": directory.NotAllowed, "": directory.NotAllowed,
	} {
		if got := models.DecideModel(model); got != want {
			t.Errorf("model %q: %d, want %d", model, got, want)
		}
	}
	everyone := d.Govern("", "", "support")
	if got := everyone.Rule(directory.Models).DecideModel("gpt-3.5-turbo"); got != directory.Denied {
		t.Errorf("a denied prefix: %d", got)
	}
	tools := g.Rule(directory.Tools)
	for _, c := range []struct {
		server, name string
		want         directory.Outcome
	}{
		{"", "lookup_invoice", directory.Allowed}, {"any", "lookup_invoice", directory.Allowed}, {"erp", "read", directory.Allowed},
		{"", "erp/read", directory.Allowed}, {"crm", "read", directory.NotAllowed}, {"", "read", directory.NotAllowed},
	} {
		if got := tools.DecideTool(c.server, c.name); got != c.want {
			t.Errorf("tool %s/%s: %d, want %d", c.server, c.name, got, c.want)
		}
	}
}

func TestHoursRespectZoneDaysAndMidnight(t *testing.T) {
	d := parse(t, []byte(`
teams: [{id: a, owner: o}, {id: b, owner: o}]
policies:
  - {id: day, applies_to: {teams: [a]}, hours: [{days: [mon-fri], from: "07:00", to: "20:00", timezone: Europe/Berlin}]}
  - {id: night, applies_to: {teams: [b]}, hours: [{days: [fri], from: "22:00", to: "06:00", timezone: UTC}]}
`))
	for _, c := range []struct {
		team, at string
		want     bool
	}{
		{"a", "2026-01-12T06:00:00Z", true}, // 07:00 in winter
		{"a", "2026-01-12T05:59:59Z", false},
		{"a", "2026-07-13T05:00:00Z", true}, // 07:00 in summer
		{"a", "2026-01-12T19:00:00Z", false},
		{"a", "2026-01-11T10:00:00Z", false}, // Sunday
		{"b", "2026-01-16T22:00:00Z", true},
		{"b", "2026-01-17T05:59:00Z", true}, // Saturday morning belongs to Friday night
		{"b", "2026-01-17T06:00:00Z", false},
		{"b", "2026-01-16T05:00:00Z", false},
	} {
		at, _ := time.Parse(time.RFC3339, c.at)
		g := d.Govern("", "", c.team)
		if got := g.Rule(directory.Hours).Open(at); got != c.want {
			t.Errorf("%s at %s: %v", c.team, c.at, got)
		}
	}
}

func TestVersionIgnoresCommentsLayoutAndKeyOrder(t *testing.T) {
	one := parse(t, []byte("teams:\n  - id: a\n    owner: o\n"))
	two := parse(t, []byte("# comment\nteams: [{owner: \"o\", id: 'a'}]\nungoverned: no_policy\n"))
	three := parse(t, []byte("teams: [{owner: p, id: a}]"))
	if one.Version() != two.Version() || one.Version() == three.Version() {
		t.Errorf("versions %s %s %s", one.Version(), two.Version(), three.Version())
	}
}

func TestPolicyVersionDefaultsToItsOwnContent(t *testing.T) {
	head := "teams: [{id: a, owner: o}]\npolicies:\n  - {id: p, applies_to: {teams: [a]}, allow: {models: [x]}}\n"
	one, two := parse(t, []byte(head)), parse(t, []byte(head+"  - {id: q, applies_to: {everyone: true}, deny: {models: [y]}}\n"))
	if a, b := one.Policies()[0].Version, two.Policies()[0].Version; a != b || !strings.HasPrefix(a, "sha256:") {
		t.Errorf("policy versions %s and %s", a, b)
	}
}
