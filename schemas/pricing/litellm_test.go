package pricing_test

import (
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/pricing"
)

const litellmSample = `{
 "sample_spec": {"input_cost_per_token": 0.0, "max_tokens": "text here", "litellm_provider": "one of"},
 "claude-like": {"litellm_provider": "anthropic", "mode": "chat", "input_cost_per_token": 3e-06, "output_cost_per_token": 1.5e-05,
  "cache_creation_input_token_cost": 3.75e-06, "cache_creation_input_token_cost_above_1hr": 6e-06, "cache_read_input_token_cost": 3e-07,
  "input_cost_per_token_above_200k_tokens": 6e-06, "output_cost_per_token_above_200k_tokens": 2.25e-05,
  "input_cost_per_token_batches": 1.5e-06, "output_cost_per_token_batches": 7.5e-06,
  "search_context_cost_per_query": {"search_context_size_low": 0.01, "search_context_size_medium": 0.01, "search_context_size_high": 0.01}},
 "anthropic/claude-like": {"litellm_provider": "anthropic", "input_cost_per_token": 9, "output_cost_per_token": 9},
 "azure/gpt-x": {"litellm_provider": "azure", "input_cost_per_token": "2.0000000000000002e-07", "output_cost_per_token": 1e-06,
  "input_cost_per_token_priority": 4e-07, "output_cost_per_token_priority": 2e-06,
  "input_cost_per_token_above_272k_tokens_priority": 8e-07},
 "us.amazon.nova-x": {"litellm_provider": "bedrock_converse", "input_cost_per_token": 1e-06, "output_cost_per_token": null},
 "rerank-x": {"litellm_provider": "cohere", "input_cost_per_query": 0.002, "input_cost_per_token": 0.0},
 "free-x": {"litellm_provider": "gemini", "input_cost_per_token": 0.0, "output_cost_per_token": 0},
 "image-x": {"litellm_provider": "gemini", "input_cost_per_token": 1e-06, "output_cost_per_token": 1e-06, "output_cost_per_image_token": 3e-05},
 "whisper-x": {"litellm_provider": "openai", "input_cost_per_second": 0.0001, "output_cost_per_second": 0.0001},
 "mistral/embed-x": {"litellm_provider": "mistral", "mode": "embedding", "input_cost_per_token": 1e-07},
 "dashscope/qwen-x": {"litellm_provider": "dashscope", "tiered_pricing": [
   {"range": [0, 256000.0], "input_cost_per_token": 5e-08, "output_cost_per_token": 4e-07},
   {"range": [256000.0, 1e6], "input_cost_per_token": 2.5e-07, "output_cost_per_token": 2e-06}]},
 "deepseek/ds-x": {"litellm_provider": "deepseek", "input_cost_per_token": 3e-07, "output_cost_per_token": 1.2e-06,
  "off_peak_pricing": {"input_cost_per_token": 1.5e-07, "windows": [{"hours_utc": ["22:00-01:00"], "weekdays": [5]}, {"hours_utc": "00:00-00:00", "weekdays": [7]}]}}
}`

func usd(t *testing.T, tb *pricing.Table, provider, model, tier, at string, in, out, context int64) string {
	t.Helper()
	start := date(at[:10])
	if len(at) > 10 {
		start = date(at[:10]).Add(mustClock(t, at[11:]))
	}
	p, _ := tb.Find(provider, model, start)
	if p == nil {
		return "absent"
	}
	u := pricing.Usage{ContextTokens: context}
	u.Tokens[pricing.Input], u.Tokens[pricing.Output] = in, out
	a, problem, unit := p.Cost(&u, tier, start)
	if problem != pricing.Priced {
		return "unpriced " + unit
	}
	return decInt(a.Total).Shift(-12).String()
}

func TestLiteLLMPriceMap(t *testing.T) {
	tb, err := pricing.LoadLiteLLM([]byte(litellmSample), date("2026-11-01"), "litellm@00035b69")
	if err != nil {
		t.Fatal(err)
	}
	if tb.Version() != "litellm@00035b69" {
		t.Errorf("version %s", tb.Version())
	}
	for _, c := range []struct {
		provider, model, tier, at string
		in, out, context          int64
		want                      string
	}{
		{"anthropic", "claude-like", "", "2026-11-02", 1_000_000, 1_000_000, 1, "18"},
		{"anthropic", "claude-like", "", "2026-11-02", 1_000_000, 1_000_000, 200_001, "28.5"},
		{"anthropic", "claude-like", "batch", "2026-11-02", 1_000_000, 1_000_000, 1, "9"},
		{"anthropic", "claude-like", "priority", "2026-11-02", 1, 1, 1, "unpriced service_tier"},
		{"anthropic", "claude-like", "", "2026-10-31", 1, 1, 1, "absent"},
		{"azure.ai.openai", "gpt-x", "", "2026-11-02", 1_000_000, 0, 1, "0.2"},
		{"azure.ai.openai", "gpt-x", "priority", "2026-11-02", 1_000_000, 0, 272_001, "0.8"},
		{"aws.bedrock", "us.amazon.nova-x", "", "2026-11-02", 1, 1, 1, "unpriced output"},
		{"mistral_ai", "embed-x", "", "2026-11-02", 10, 0, 10, "0.000001"},
		{"dashscope", "qwen-x", "", "2026-11-02", 1_000_000, 0, 256_000, "0.05"},
		{"dashscope", "qwen-x", "", "2026-11-02", 1_000_000, 0, 256_001, "0.25"},
		{"deepseek", "ds-x", "", "2026-11-02 12:00", 1_000_000, 0, 1, "0.3"},
		{"deepseek", "ds-x", "", "2026-11-06 23:00", 1_000_000, 0, 1, "0.15"}, // Friday night
		{"deepseek", "ds-x", "", "2026-11-07 00:30", 1_000_000, 0, 1, "0.15"}, // and after midnight
		{"deepseek", "ds-x", "", "2026-11-07 01:00", 1_000_000, 0, 1, "0.3"},
		{"deepseek", "ds-x", "", "2026-11-08 13:00", 1_000_000, 1_000_000, 1, "1.35"}, // Sunday; output keeps its price
		{"cohere", "rerank-x", "", "2026-11-02", 1, 0, 1, "absent"},
		{"gcp.gemini", "free-x", "", "2026-11-02", 1, 0, 1, "absent"},
		{"gcp.gemini", "image-x", "", "2026-11-02", 1, 0, 1, "absent"},
	} {
		if got := usd(t, tb, c.provider, c.model, c.tier, c.at, c.in, c.out, c.context); got != c.want {
			t.Errorf("%s/%s %q %s: %s USD, want %s", c.provider, c.model, c.tier, c.at, got, c.want)
		}
	}
	p, _ := tb.Find("openai", "whisper-x", date("2026-11-02"))
	if a, problem, _ := p.Cost(&pricing.Usage{AudioMilliseconds: 90_000}, "", date("2026-11-02")); problem != pricing.Priced || a.Total != 9_000_000_000 {
		t.Errorf("90 s of audio: %d", a.Total)
	}
	var skipped []string
	for _, s := range tb.Skipped() {
		skipped = append(skipped, s.Key)
	}
	if got := strings.Join(skipped, " "); got != "anthropic/claude-like free-x image-x rerank-x" {
		t.Errorf("skipped %s", got)
	}
}

func TestLiteLLMRefusesOtherFiles(t *testing.T) {
	for _, text := range []string{"", "{}", "[]", `{"a": 1}`, `{"sample_spec": {}}`, litellmSample + "{}", `{"a": {"litellm_provider": "x"}}`} {
		if _, err := pricing.LoadLiteLLM([]byte(text), date("2026-11-01"), ""); err == nil {
			t.Errorf("%.30q: accepted", text)
		}
	}
}

func FuzzLoadLiteLLM(f *testing.F) {
	f.Add([]byte(litellmSample))
	f.Add([]byte(`{"a":{"litellm_provider":"x","input_cost_per_token":1e-99999}}`))
	f.Add([]byte(`{"a":{"litellm_provider":"x","input_cost_per_token_above_9k_tokens":1,"tiered_pricing":[{"range":[1e300]}]}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		table, err := pricing.LoadLiteLLM(b, date("2026-11-01"), "")
		if err != nil {
			return
		}
		var u pricing.Usage
		u.Tokens[pricing.Input], u.Tokens[pricing.Output] = 1<<53, 1<<53
		for _, row := range table.Rows() {
			p, _ := table.Find(row.Provider, row.Model, date("2026-11-02"))
			if p == nil {
				t.Fatalf("%s is not found", row.ID())
			}
			if a, problem, _ := p.Cost(&u, "", date("2026-11-02")); problem == pricing.Priced && (a.Total < 0 || a.Total < a.Input || a.Total < a.Output) {
				t.Fatalf("%s: %+v", row.ID(), a)
			}
		}
	})
}
