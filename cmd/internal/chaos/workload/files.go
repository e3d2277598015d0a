package workload

import (
	"fmt"
	"strings"
)

// Directory is the directory file that knows the callers. Policies: team 0 may use everything but o4-mini, team 1 only
// Anthropic's models, team 2 may not have send_mail called, team 3 has no policy.
func (w *Workload) Directory() string {
	var s strings.Builder
	s.WriteString("teams:\n")
	for t := range Teams {
		fmt.Fprintf(&s, "  - {id: team-%d, owner: owner-%d@example.com, cost_center: CC-%d}\n", t, t, t)
	}
	s.WriteString("apps:\n")
	for a := range Apps {
		fmt.Fprintf(&s, "  - {id: app-%d, team: team-%d, purpose: purpose %d}\n", a, a%Teams, a)
	}
	s.WriteString("credentials:\n")
	for _, c := range w.callers {
		switch c.Status {
		case "active":
			fmt.Fprintf(&s, "  - {id: %s, fingerprint: %q, app: app-%d}\n", c.ID, c.Fingerprint, c.App)
		case "revoked":
			fmt.Fprintf(&s, "  - {id: %s, fingerprint: %q, app: app-%d, status: revoked}\n", c.ID, c.Fingerprint, c.App)
		}
	}
	s.WriteString(`policies:
  - {id: policy-0, version: "1", applies_to: {teams: [team-0]}, deny: {models: [o4-mini]}}
  - {id: policy-1, version: "1", applies_to: {teams: [team-1]}, allow: {models: ["claude-*"]}}
  - {id: policy-2, version: "1", applies_to: {teams: [team-2]}, deny: {tools: [send_mail]}}
`)
	return s.String()
}

// Rate is the price of a model in whole units of 1e-12 USD for one token.
type Rate struct {
	Provider, Model                            string
	Input, CacheRead, Write5m, Write1h, Output int64
}

// Rates are the prices of the workload's models. gpt-unpriced has none.
func Rates() []Rate {
	return []Rate{
		{"openai", "gpt-5.5", 1_250_000, 125_000, 0, 0, 10_000_000},
		{"openai", "gpt-5.5-mini", 250_000, 25_000, 0, 0, 2_000_000},
		{"openai", "gpt-4.1", 2_000_000, 500_000, 0, 0, 8_000_000},
		{"openai", "o4-mini", 1_100_000, 275_000, 0, 0, 4_400_000},
		{"openai", "text-embedding-3-large", 130_000, 0, 0, 0, 0},
		{"openai", MarkedModel, 1_000_000, 100_000, 0, 0, 1_000_000},
		{"anthropic", "claude-sonnet-5", 3_000_000, 300_000, 3_750_000, 6_000_000, 15_000_000},
		{"anthropic", "claude-opus-4-1", 15_000_000, 1_500_000, 18_750_000, 30_000_000, 75_000_000},
		{"anthropic", "claude-haiku-4-5", 1_000_000, 100_000, 1_250_000, 2_000_000, 5_000_000},
	}
}

// Prices is the price file that holds Rates.
func (w *Workload) Prices() string {
	var s strings.Builder
	s.WriteString("currency: USD\nretrieved: 2026-01-01\nprices:\n")
	for _, r := range Rates() {
		fmt.Fprintf(&s, "  - provider: %s\n    model: %s\n    effective_from: 2026-01-01\n    source: contract:chaos\n    per_million: {input: %q", r.Provider, r.Model, perMillion(r.Input))
		for _, unit := range []struct {
			name string
			pico int64
		}{{"cache_read", r.CacheRead}, {"cache_write_5m", r.Write5m}, {"cache_write_1h", r.Write1h}, {"output", r.Output}} {
			if unit.pico > 0 {
				fmt.Fprintf(&s, ", %s: %q", unit.name, perMillion(unit.pico))
			}
		}
		s.WriteString("}\n")
	}
	return s.String()
}

// perMillion writes 1e-12 USD for one token as USD for a million.
func perMillion(pico int64) string {
	return fmt.Sprintf("%d.%06d", pico/1_000_000, pico%1_000_000)
}
