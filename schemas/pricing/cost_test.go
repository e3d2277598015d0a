package pricing_test

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/pricing"
)

func date(text string) time.Time {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return t
}

func dec(text string) decimal.Decimal { return decimal.RequireFromString(text) }

func null(text string) decimal.NullDecimal { return decimal.NewNullDecimal(dec(text)) }

func table(t *testing.T, rows ...pricing.Row) *pricing.Table {
	t.Helper()
	tb, err := pricing.NewTable(rows)
	if err != nil {
		t.Fatal(err)
	}
	return tb
}

func sonnet() pricing.Row {
	return pricing.Row{
		Provider: "anthropic", Model: "claude-sonnet-5", EffectiveFrom: date("2026-06-01"),
		Rates: pricing.Rates{"input": dec("3"), "cache_read": dec("0.3"), "output": dec("15")},
	}
}

func TestCachedPromptIsNotPricedAtTheFullRate(t *testing.T) {
	p, _ := table(t, sonnet()).Find("anthropic", "claude-sonnet-5", date("2026-08-24"))
	var u pricing.Usage
	u.Tokens[pricing.Input], u.Tokens[pricing.CacheRead], u.Tokens[pricing.Output] = 330, 1500, 212
	got, problem, unit := p.Cost(&u, "", date("2026-08-24"))
	if problem != pricing.Priced {
		t.Fatalf("problem %d %s", problem, unit)
	}
	// 330*3e-6 + 1500*3e-7 + 212*1.5e-5 = 0.00462 USD
	if got.Total != 4_620_000_000 || got.Input != 1_440_000_000 || got.Output != 3_180_000_000 {
		t.Errorf("cost = %+v", got)
	}
	if p.ID != "anthropic/claude-sonnet-5@2026-06-01" {
		t.Errorf("id = %s", p.ID)
	}
}

// TestCostEqualsDecimalArithmetic compares random prices and counts with exact decimal arithmetic, rounded half to even once.
func TestCostEqualsDecimalArithmetic(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	names := pricing.Units()
	for range 3000 {
		row := pricing.Row{Provider: "p", Model: "m", EffectiveFrom: date("2026-01-01"), Rates: pricing.Rates{}}
		var u pricing.Usage
		in, out := decimal.Zero, decimal.Zero
		for i, name := range names {
			price := decimal.New(rng.Int64N(9_000_000), -int32(rng.IntN(13)))
			row.Rates[name] = price
			u.Tokens[i] = rng.Int64N(1 << rng.IntN(22))
			part := price.Shift(-6).Mul(decimal.NewFromInt(u.Tokens[i]))
			if pricing.Unit(i) >= pricing.Output {
				out = out.Add(part)
			} else {
				in = in.Add(part)
			}
		}
		extra := decimal.Zero
		row.WebSearch, u.WebSearches = null("12.345"), rng.Int64N(50)
		extra = extra.Add(dec("0.012345").Mul(decimal.NewFromInt(u.WebSearches)))
		row.Image, u.Images = null("0.0421"), rng.Int64N(9)
		extra = extra.Add(dec("0.0421").Mul(decimal.NewFromInt(u.Images)))
		wantTotal := in.Add(out).Add(extra)
		if rng.IntN(2) == 0 {
			row.AudioPerMinute, u.AudioMilliseconds = null("0.0043"), rng.Int64N(10_000_000)
			wantTotal = wantTotal.Add(dec("0.0043").Mul(decimal.NewFromInt(u.AudioMilliseconds)).DivRound(decimal.NewFromInt(60_000), 40))
		}
		p, _ := table(t, row).Find("p", "m", date("2026-02-01"))
		got, problem, unit := p.Cost(&u, "", date("2026-02-01"))
		if wantTotal.GreaterThan(dec("999999")) {
			continue
		}
		if problem != pricing.Priced {
			t.Fatalf("problem %d %s", problem, unit)
		}
		for _, c := range []struct {
			what string
			got  int64
			want decimal.Decimal
		}{{"total", got.Total, wantTotal}, {"input", got.Input, in}, {"output", got.Output, out}} {
			if want := c.want.Shift(12).RoundBank(0); !decimal.NewFromInt(c.got).Equal(want) {
				t.Fatalf("%s = %d, want %s", c.what, c.got, want)
			}
		}
	}
}

func TestAbsurdCountsAreRefusedNotWrapped(t *testing.T) {
	row := sonnet()
	row.Rates["input"] = dec("9000000")
	row.AudioPerMinute = null("9")
	p, _ := table(t, row).Find("anthropic", "claude-sonnet-5", date("2026-08-24"))
	for _, n := range []int64{math.MaxInt64, 1 << 62, 1 << 53, 112_000, -1} {
		var u pricing.Usage
		u.Tokens[pricing.Input] = n
		if _, problem, _ := p.Cost(&u, "", date("2026-08-24")); problem != pricing.CostTooLarge {
			t.Errorf("%d tokens at 9 USD: problem %d", n, problem)
		}
		u = pricing.Usage{AudioMilliseconds: n}
		if n > 1<<40 {
			if _, problem, _ := p.Cost(&u, "", date("2026-08-24")); problem != pricing.CostTooLarge {
				t.Errorf("%d ms: problem %d", n, problem)
			}
		}
	}
	var u pricing.Usage
	u.Tokens[pricing.Input] = 111_111
	if a, problem, _ := p.Cost(&u, "", date("2026-08-24")); problem != pricing.Priced || a.Total != 999_999_000_000_000_000 {
		t.Errorf("just below the limit: %+v, problem %d", a, problem)
	}
}

func TestContextStepMovesTheWholeRequest(t *testing.T) {
	row := sonnet()
	row.Steps = []pricing.Step{
		{Above: 200_000, Rates: pricing.Rates{"input": dec("6"), "output": dec("22.5")}},
		{Above: 500_000, Rates: pricing.Rates{"input": dec("9")}},
	}
	row.Tiers = map[string]pricing.Tier{
		"batch": {Multiplier: null("0.5")},
		"flex":  {Rates: pricing.Rates{"input": dec("1")}},
	}
	p, _ := table(t, row).Find("anthropic", "claude-sonnet-5", date("2026-08-24"))
	for _, c := range []struct {
		context int64
		tier    string
		want    int64 // pico-USD for 1 M input and 1 M output tokens, in whole USD
	}{
		{200_000, "", 18}, {200_001, "", 28}, {500_001, "standard", 31}, {200_001, "BATCH", 14}, {1, "batch", 9},
	} {
		u := pricing.Usage{ContextTokens: c.context}
		u.Tokens[pricing.Input] = 1_000_000
		u.Tokens[pricing.Reasoning] = 1_000_000 // follows output through steps and tiers
		a, problem, unit := p.Cost(&u, c.tier, date("2026-08-24"))
		want := c.want*1_000_000_000_000 + map[int64]int64{28: 500_000_000_000, 31: 500_000_000_000, 14: 250_000_000_000}[c.want]
		if problem != pricing.Priced || a.Total != want {
			t.Errorf("%d %q: %d %d %s, want %d", c.context, c.tier, a.Total, problem, unit, want)
		}
	}
	u := pricing.Usage{}
	u.Tokens[pricing.Output] = 1
	if _, problem, unit := p.Cost(&u, "flex", date("2026-08-24")); problem != pricing.UnpricedUnit || unit != "output" {
		t.Errorf("own tier rates inherited a price: %d %s", problem, unit)
	}
	u = pricing.Usage{ContextTokens: 200_001}
	u.Tokens[pricing.Input] = 1
	if _, problem, unit := p.Cost(&u, "flex", date("2026-08-24")); problem != pricing.UnpricedUnit || unit != "input" {
		t.Errorf("a tier without steps was priced above the row's step: %d %s", problem, unit)
	}
	if _, problem, unit := p.Cost(&u, "scale", date("2026-08-24")); problem != pricing.UnpricedTier || unit != "service_tier" {
		t.Errorf("unknown tier: %d %s", problem, unit)
	}
}

func TestOffPeakHoursAreUTC(t *testing.T) {
	tb, err := pricing.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	u := pricing.Usage{}
	u.Tokens[pricing.Input] = 1_000_000
	for at, want := range map[string]int64{
		"2026-10-26T01:00:00Z":      300_000_000_000, // Monday, peak
		"2026-10-26T03:59:59Z":      300_000_000_000,
		"2026-10-26T04:00:00Z":      150_000_000_000,
		"2026-10-26T23:59:59Z":      150_000_000_000,
		"2026-10-24T07:00:00Z":      150_000_000_000, // Saturday
		"2026-10-26T09:00:00+02:00": 300_000_000_000,
	} {
		start, _ := time.Parse(time.RFC3339, at)
		p, _ := tb.Find("deepseek", "deepseek-flash", start)
		if a, problem, _ := p.Cost(&u, "", start); problem != pricing.Priced || a.Total != want {
			t.Errorf("%s: %d, want %d", at, a.Total, want)
		}
	}
}

func TestRowInForceAtTheTimeOfTheCall(t *testing.T) {
	first, second := sonnet(), sonnet()
	first.Aliases = []string{"sonnet"}
	second.EffectiveFrom, second.EffectiveTo = date("2026-09-01"), date("2026-12-01")
	tb := table(t, second, first)
	for _, c := range []struct{ model, at, want string }{
		{"claude-sonnet-5", "2026-05-31", "none"}, {"claude-sonnet-5", "2026-06-01", "2026-06-01"},
		{"claude-sonnet-5", "2026-08-31", "2026-06-01"}, {"claude-sonnet-5", "2026-09-01", "2026-09-01"},
		{"claude-sonnet-5", "2026-12-01", "none"}, {"sonnet", "2026-10-01", "2026-06-01"}, {"claude-sonnet", "2026-10-01", "unknown"},
	} {
		p, known := tb.Find("anthropic", c.model, date(c.at))
		got := "unknown"
		switch {
		case p != nil:
			got = p.ID[strings.Index(p.ID, "@")+1:]
		case known:
			got = "none"
		}
		if got != c.want {
			t.Errorf("%s at %s: %s, want %s", c.model, c.at, got, c.want)
		}
	}
}

func TestFaultyRowsAreRefused(t *testing.T) {
	for name, change := range map[string]func(*pricing.Row){
		"too many decimals": func(r *pricing.Row) { r.Rates["input"] = dec("0.0000000000001") },
		"negative":          func(r *pricing.Row) { r.Rates["input"] = dec("-1") },
		"too large":         func(r *pricing.Row) { r.Rates["input"] = dec("10000000") },
		"unknown unit":      func(r *pricing.Row) { r.Rates["inputs"] = dec("1") },
		"no price":          func(r *pricing.Row) { r.Rates = nil },
		"ends before":       func(r *pricing.Row) { r.EffectiveTo = r.EffectiveFrom },
		"no date":           func(r *pricing.Row) { r.EffectiveFrom = time.Time{} },
		"falling steps": func(r *pricing.Row) {
			r.Steps = []pricing.Step{{Above: 2}, {Above: 1}}
		},
		"standard tier": func(r *pricing.Row) { r.Tiers = map[string]pricing.Tier{"default": {Multiplier: null("1")}} },
	} {
		row := sonnet()
		change(&row)
		if _, err := pricing.NewTable([]pricing.Row{row}); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	a, b := sonnet(), sonnet()
	b.Model, b.Aliases = "other", []string{"claude-sonnet-5"}
	if _, err := pricing.NewTable([]pricing.Row{a, b}); err == nil {
		t.Error("an alias that collides with a model: accepted")
	}
}

func TestOverlayReplacesWholeModels(t *testing.T) {
	list, own := sonnet(), sonnet()
	list.Aliases = []string{"sonnet"}
	own.EffectiveFrom, own.Rates = date("2026-07-01"), pricing.Rates{"input": dec("1"), "output": dec("2")}
	other := sonnet()
	other.Model = "claude-opus-5"
	base := table(t, list, other)
	merged, err := base.Overlay(table(t, own))
	if err != nil {
		t.Fatal(err)
	}
	if p, _ := merged.Find("anthropic", "claude-sonnet-5", date("2026-07-02")); p == nil || p.Charges(pricing.CacheRead) {
		t.Error("the negotiated row does not hold")
	}
	if p, _ := merged.Find("anthropic", "claude-sonnet-5", date("2026-06-02")); p != nil {
		t.Error("the list row survived")
	}
	if p, _ := merged.Find("anthropic", "claude-opus-5", date("2026-06-02")); p == nil {
		t.Error("another model was lost")
	}
	if merged.Version() == base.Version() {
		t.Error("versions are equal")
	}
}

func BenchmarkCost(b *testing.B) {
	tb, err := pricing.Builtin()
	if err != nil {
		b.Fatal(err)
	}
	at := date("2026-10-20")
	var u pricing.Usage
	u.Tokens[pricing.Input], u.Tokens[pricing.CacheRead], u.Tokens[pricing.Output] = 330, 1500, 212
	u.ContextTokens = 1830
	b.ReportAllocs()
	for b.Loop() {
		p, _ := tb.Find("openai", "gpt-5.5", at)
		if _, problem, _ := p.Cost(&u, "default", at); problem != pricing.Priced {
			b.Fatal(problem)
		}
	}
}
