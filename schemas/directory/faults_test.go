package directory_test

import (
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/directory"
)

func TestAllFaultsAreReportedWithLineAndRemedy(t *testing.T) {
	_, err := directory.Parse([]byte(`teams:
  - id: finance
    owner: o
    monthly_budget_usd: -5
  - id: finance
    owner: o
    colour: red
  - id: unknown
apps:
  - {id: bot, team: finanse}
credentials:
  - id: k1
    app: bot
    team: finance
    fingerprint: sk-live-123
  - {id: k2, app: gone, fingerprint: "mt1:00000000000000000000000000000000", expires: 2026-01-01, created: 2026-02-01}
  - {id: k3, app: bot, fingerprint: "mt1:00000000000000000000000000000000", revoked_at: 2026-01-01}
  - {id: k4}
identity:
  order: [credential, cookie, credential]
  headers:
    - {team: [X-Team]}
policies:
  - id: p
    applies_to: {teams: [finance, nobody]}
    allow: {models: ["gpt-*-mini"], tools: []}
    hours:
      - {days: [mon, funday], from: "25:00", to: "08:00", timezone: Mars/Olympus}
  - {id: q, applies_to: {teams: [finance]}, deny: {models: [x]}}
  - {id: r, applies_to: {}, deny: {models: [x]}}
  - {id: s, applies_to: {everyone: true}}
ungoverned: maybe
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"line 4: teams[0].monthly_budget_usd: must be between", `line 5: teams[1].id: team "finance" is used already at line 2`,
		"line 7: teams[1].colour: unknown key; known keys here are id", `line 8: teams[2].id: "unknown" is reserved`, "teams[2].owner: is missing",
		`line 10: apps[0].team: there is no team "finanse"`, "line 15: credentials[0].fingerprint: is not a fingerprint",
		`line 16: credentials[1].app: there is no app "gone"`, "credentials[1].expires: is not after created",
		`credentials[2].fingerprint: fingerprint "mt1:00000000000000000000000000000000" is used already at line 16`,
		"credentials[2].revoked_at: is set but status is active", "credentials[3]: names neither app nor team", "credentials[3]: can match no call",
		`identity.order: "cookie" is not a source`, `identity.order: "credential" stands twice`, "identity.headers[0]: names neither gateways nor routes",
		`identity.headers[0].team: "X-Team" is not a header name`, `policies[0].applies_to.teams[1]: there is no team "nobody"`,
		`policies[0].allow.models[0]: "gpt-*-mini" is not a pattern`, "policies[0].allow.tools: is an empty list", `policies[0].hours[0].days[1]: "funday"`,
		`policies[0].hours[0].from: "25:00"`, `policies[0].hours[0].timezone: "Mars/Olympus"`, `policies "p" and "q" both state models for team finance`,
		"policies[2].applies_to: names nobody", "policies[3]: states no rule", `ungoverned: "maybe" is not one of no_policy, allow, deny`,
		`credentials[0].team: is "finance" but app "bot" belongs to team "finanse"`,
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing: %s", want)
		}
	}
	if strings.Contains(err.Error(), "sk-live-123") {
		t.Error("the report quotes what may be a secret")
	}
	if t.Failed() {
		t.Log(err)
	}
}

func TestUnusableFilesAreRefused(t *testing.T) {
	for name, text := range map[string]string{
		"empty": "", "comment only": "# nothing", "list": "- a", "scalar": "a", "two documents": "teams: []\n---\nteams: []\n",
		"broken": "teams: [", "anchor": "teams: &t []\napps: *t\n", "duplicate key": "teams: []\nteams: []\n", "merge": "<<: {teams: []}\n",
		"control": "teams: [{id: \"a\\u0000\", owner: o}]", "tagged": "teams: !!binary YQ==\n",
	} {
		if _, err := directory.Parse([]byte(text)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add(example(f))
	f.Add([]byte("teams: [{id: a, owner: o}]\npolicies: [{id: p, applies_to: {everyone: true}, hours: [{from: '1:00', to: '24:00', timezone: UTC}]}]"))
	f.Add([]byte("a: &a [*a]\n? b\n: - c"))
	f.Fuzz(func(t *testing.T, b []byte) {
		d, err := directory.Parse(b)
		if err != nil {
			if d != nil {
				t.Fatal("a directory beside an error")
			}
			return
		}
		again, err := directory.Parse(b)
		if err != nil || again.Version() != d.Version() {
			t.Fatalf("versions differ: %v", err)
		}
	})
}
