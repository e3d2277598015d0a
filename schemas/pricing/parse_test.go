package pricing_test

import (
	"os"
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/pricing"
)

func TestParseReportsAllFaultsWithLineAndRemedy(t *testing.T) {
	_, err := pricing.Parse([]byte(`currency: EUR
retrieved: 2026-11-23
prices:
  - provider: openai
    model: gpt-*
    effective_from: 2026-02-30
    per_million: {input: "5", outputs: "30"}
    source: http://example.test
  - provider: openai
    model: b
    effective_from: 2026-01-01
    per_million: {input: five}
    sauce: https://example.test
    tiers:
      batch: {multiplier: "0"}
    context_steps:
      - {above: 1.5, per_million: {input: "1"}}
    off_peak:
      hours_utc:
        - {days: [monday], from: "10:00", to: "09:00"}
      per_million: {input: "1"}
`))
	if err == nil {
		t.Fatal("accepted")
	}
	for _, want := range []string{
		"line 1: currency: must be USD", "line 5: prices[0].model", `line 6: prices[0].effective_from: "2026-02-30"`,
		"prices[0].per_million.outputs: unknown unit", "line 8: prices[0].source: must be", `prices[1].per_million.input: "five" is not a decimal`,
		"prices[1].sauce: unknown key", "prices[1].source: is missing", "multiplier must be above zero", "prices[1].context_steps[0].above",
		"prices[1].off_peak.hours_utc[0].days[0]: is not a day", "hours_utc[0]: to must be later",
	} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("missing %q in:\n%v", want, err)
		}
	}
}

func TestVersionIgnoresLayoutAndComments(t *testing.T) {
	one, err := pricing.Parse([]byte("currency: USD\nretrieved: 2026-11-23\nprices:\n  - {provider: a, model: m, effective_from: 2026-01-01, per_million: {input: \"1.50\"}, source: https://example.test}\n"))
	if err != nil {
		t.Fatal(err)
	}
	two, err := pricing.Parse([]byte("# a comment\nretrieved: 2026-11-23\ncurrency: USD\nprices:\n- model: m\n  provider: a\n  source: https://example.test\n  effective_from: 2026-01-01\n  per_million:\n    input: 1.50\n"))
	if err != nil {
		t.Fatal(err)
	}
	if one.Version() != two.Version() || !strings.HasPrefix(one.Version(), "sha256:") || len(one.Version()) != len("sha256:")+12 {
		t.Errorf("versions %s and %s", one.Version(), two.Version())
	}
}

func TestDocumentedExampleParses(t *testing.T) {
	doc, err := os.ReadFile("../../docs/prices.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(doc), "```yaml\n")
	example, _, ok2 := strings.Cut(rest, "```")
	if !ok || !ok2 {
		t.Fatal("docs/prices.md holds no yaml example")
	}
	if _, err := pricing.Parse([]byte(example)); err != nil {
		t.Fatal(err)
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte("currency: USD\nretrieved: 2026-11-23\nprices:\n  - {provider: a, model: m, effective_from: 2026-01-01, per_million: {input: \"1\"}, source: https://example.test}\n"))
	f.Add([]byte("prices: [{tiers: {batch: {multiplier: 1e9}}, context_steps: [{above: 1}], off_peak: {hours_utc: [{}]}}]"))
	f.Add([]byte("a: &a [*a]"))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := pricing.Parse(b)
		if err != nil {
			return
		}
		again, err := pricing.NewTable(table.Rows())
		if err != nil || again.Version() != table.Version() {
			t.Fatalf("a parsed table does not survive: %v", err)
		}
	})
}
