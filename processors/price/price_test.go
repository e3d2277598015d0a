package price_test

import (
	"sync"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/price"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

const table = `
currency: USD
retrieved: 2026-11-23
prices:
  - {provider: anthropic, model: claude-sonnet-5, effective_from: 2026-06-30, source: https://example.test,
     per_million: {input: "3", cache_read: "0.3", cache_write_5m: "3.75", cache_write_1h: "6", output: "15"}, web_search_per_1k: "10",
     context_steps: [{above: 200000, per_million: {input: "6", output: "22.5"}}], tiers: {batch: {multiplier: "0.5"}}}
  - {provider: openai, model: gpt-5.5, aliases: [gpt-latest], effective_from: 2026-04-23, source: https://example.test,
     per_million: {input: "5", cache_read: "0.5", output: "30", audio_in: "40"}}
  - {provider: openai, model: gpt-image, effective_from: 2026-01-01, image_each: "0.04", source: https://example.test}
  - {provider: openai, model: whisper, effective_from: 2026-01-01, audio_per_minute: "0.006", source: https://example.test}
  - {provider: openai, model: embed, effective_from: 2026-01-01, per_million: {input: "0.02"}, source: https://example.test}
  - {provider: aws.bedrock, model: amazon.nova-pro-v1:0, effective_from: 2024-12-03, per_million: {input: "0.8", output: "3.2"}, source: https://example.test}
`

var start = time.Date(2026, 8, 24, 10, 0, 0, 0, time.UTC)

func step(t testing.TB) *price.Step {
	t.Helper()
	tb, err := pricing.Parse([]byte(table))
	if err != nil {
		t.Fatal(err)
	}
	var tl timeline.Timeline[*pricing.Table]
	tl.Add(time.Unix(0, 0), tb.Version(), tb)
	return price.New(&tl)
}

func n(v int64) *int64 { return &v }

func record(provider, asked, answered string, u *event.Usage) *batch.Record {
	return &batch.Record{
		IngestedAt: start.Add(time.Minute),
		Envelope:   &event.Envelope{Phase: event.Phase_PHASE_RESPONSE, Provider: provider},
		Event: &event.Event{
			Phase: event.Phase_PHASE_RESPONSE, StartedUnixNano: uint64(start.UnixNano()), HttpStatus: 200,
			Call: &event.Call{Provider: provider, RequestModel: asked, ResponseModel: answered}, Usage: u,
		},
	}
}

func cached() *event.Usage {
	return &event.Usage{
		Source:  event.UsageSource_USAGE_SOURCE_PROVIDER,
		InTotal: n(1830), InUncached: n(330), InCacheRead: n(1500), OutTotal: n(212), OutText: n(212),
	}
}

type want struct {
	status event.CostStatus
	total  int64 // pico-USD; -1: none
	detail string
	id     string
}

func check(t *testing.T, name string, r *batch.Record, w want) {
	t.Helper()
	if v := step(t).Process(r); v != (processors.Verdict{}) {
		t.Fatalf("%s: verdict %+v", name, v)
	}
	c := r.Event.Cost
	got := int64(-1)
	if c.TotalPicoUsd != nil {
		got = *c.TotalPicoUsd
	}
	if (c.TotalPicoUsd == nil) != (c.InputPicoUsd == nil) || (c.TotalPicoUsd == nil) != (c.OutputPicoUsd == nil) {
		t.Errorf("%s: some figures are missing: %v", name, c)
	}
	if c.Status != w.status || got != w.total || c.Detail != w.detail || c.PriceId != w.id || c.PriceVersion == "" {
		t.Errorf("%s:\n got  %s %d %q %q\n want %s %d %q %q", name, c.Status, got, c.Detail, c.PriceId, w.status, w.total, w.detail, w.id)
	}
}

const (
	priced   = event.CostStatus_COST_STATUS_PRICED
	unknown  = event.CostStatus_COST_STATUS_UNKNOWN_MODEL
	noUsage  = event.CostStatus_COST_STATUS_NO_USAGE
	unpriced = event.CostStatus_COST_STATUS_UNPRICED_UNIT
	unbilled = event.CostStatus_COST_STATUS_NOT_BILLED

	sonnetID = "anthropic/claude-sonnet-5@2026-06-30"
	gptID    = "openai/gpt-5.5@2026-04-23"
	novaID   = "aws.bedrock/amazon.nova-pro-v1:0@2024-12-03"
)

func TestModelIsFoundByWrittenRulesOnly(t *testing.T) {
	oneIn := func() *event.Usage { return &event.Usage{InTotal: n(1), InUncached: n(1), OutTotal: n(0)} }
	for name, c := range map[string]struct {
		provider, asked, answered string
		w                         want
	}{
		"exact":                   {"openai", "gpt-5.5", "gpt-5.5", want{priced, 5_000_000, "", gptID}},
		"alias":                   {"openai", "gpt-latest", "", want{priced, 5_000_000, "", gptID}},
		"dated response":          {"openai", "gpt-5.5", "gpt-5.5-2026-04-23", want{priced, 5_000_000, "dated_snapshot", gptID}},
		"deployment name":         {"openai", "my-deployment", "gpt-5.5", want{priced, 5_000_000, "", gptID}},
		"unknown response":        {"openai", "gpt-5.5", "gpt-5.5-secret", want{priced, 5_000_000, "request_model", gptID}},
		"dated request":           {"openai", "gpt-5.5-20260423", "router", want{priced, 5_000_000, "dated_snapshot,request_model", gptID}},
		"near name":               {"openai", "gpt-5.5-pro", "gpt-5.5-pro", want{unknown, -1, "unknown_model", ""}},
		"other case":              {"openai", "GPT-5.5", "", want{unknown, -1, "unknown_model", ""}},
		"other provider":          {"azure.ai.openai", "gpt-5.5", "gpt-5.5", want{unknown, -1, "unknown_model", ""}},
		"no model":                {"openai", "", "", want{unknown, -1, "no_model", ""}},
		"inference profile":       {"aws.bedrock", "us.amazon.nova-pro-v1:0", "", want{priced, 800_000, "region_prefix", novaID}},
		"profile ARN":             {"aws.bedrock", "arn:aws:bedrock:eu-west-1:1:inference-profile/eu.amazon.nova-pro-v1:0", "", want{priced, 800_000, "region_prefix", novaID}},
		"model ARN":               {"aws.bedrock", "arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-pro-v1:0", "", want{priced, 800_000, "", novaID}},
		"prefix off Bedrock":      {"openai", "us.amazon.nova-pro-v1:0", "", want{unknown, -1, "unknown_model", ""}},
		"embedding has no output": {"openai", "embed", "embed", want{priced, 20_000, "", "openai/embed@2026-01-01"}},
	} {
		check(t, name, record(c.provider, c.asked, c.answered, oneIn()), c.w)
	}
}

func TestUsageBecomesMoney(t *testing.T) {
	for name, c := range map[string]struct {
		usage *event.Usage
		tier  string
		w     want
	}{
		"cached prompt": {cached(), "", want{priced, 4_620_000_000, "", sonnetID}},
		"batch":         {cached(), "batch", want{priced, 2_310_000_000, "", sonnetID}},
		"unknown tier":  {cached(), "priority", want{unpriced, -1, "unpriced:service_tier", sonnetID}},
		"no usage":      {nil, "", want{noUsage, -1, "no_usage", sonnetID}},
		"empty usage":   {&event.Usage{Source: event.UsageSource_USAGE_SOURCE_NONE}, "", want{noUsage, -1, "no_usage", sonnetID}},
		"output only":   {&event.Usage{OutTotal: n(3)}, "", want{noUsage, -1, "input_unknown", sonnetID}},
		"input only":    {&event.Usage{InTotal: n(3)}, "", want{noUsage, -1, "output_unknown", sonnetID}},
		"known zero":    {&event.Usage{InTotal: n(0), OutTotal: n(0)}, "", want{priced, 0, "", sonnetID}},
		"totals only":   {&event.Usage{InTotal: n(10), OutTotal: n(10)}, "", want{priced, 180_000_000, "input_not_split", sonnetID}},
		"write of unknown lifetime": {
			&event.Usage{InUncached: n(0), InCacheWriteUnknown: n(4), InCacheWrite_1H: n(1), OutText: n(0)}, "",
			want{priced, 21_000_000, "cache_write_ttl_unknown", sonnetID},
		},
		"reasoning costs as output": {&event.Usage{InTotal: n(0), OutTotal: n(10), OutText: n(4), OutReasoning: n(6)}, "", want{priced, 150_000_000, "", sonnetID}},
		"searches":                  {&event.Usage{InTotal: n(0), OutTotal: n(0), WebSearches: n(3)}, "", want{priced, 30_000_000_000, "", sonnetID}},
		"long context":              {&event.Usage{InTotal: n(200_001), InUncached: n(1), InCacheRead: n(200_000), OutTotal: n(0)}, "", want{priced, 60_006_000_000, "", sonnetID}},
		"broken stream": {
			&event.Usage{Source: event.UsageSource_USAGE_SOURCE_PARTIAL, InUncached: n(1), InTotal: n(1), OutTotal: n(1)}, "",
			want{priced, 18_000_000, "partial_usage", sonnetID},
		},
		"estimate":      {&event.Usage{Source: event.UsageSource_USAGE_SOURCE_ESTIMATED, InUncached: n(1), OutText: n(1)}, "", want{priced, 18_000_000, "estimated_usage", sonnetID}},
		"unpriced unit": {&event.Usage{InTotal: n(5), InUncached: n(3), InAudio: n(2), OutTotal: n(1)}, "", want{unpriced, -1, "unpriced:audio_in", sonnetID}},
		"negative":      {&event.Usage{InTotal: n(-5), OutTotal: n(1)}, "", want{noUsage, -1, "count_out_of_range", sonnetID}},
		"absurd":        {&event.Usage{InTotal: n(1 << 53), InUncached: n(1 << 53), OutTotal: n(1)}, "", want{unpriced, -1, "cost_too_large", sonnetID}},
	} {
		r := record("anthropic", "claude-sonnet-5", "", c.usage)
		r.Event.Call.ServiceTier = c.tier
		check(t, name, r, c.w)
	}
}

func TestPiecesAndMinutes(t *testing.T) {
	check(t, "images", record("openai", "gpt-image", "", &event.Usage{Images: n(2)}), want{priced, 80_000_000_000, "", "openai/gpt-image@2026-01-01"})
	check(t, "minutes", record("openai", "whisper", "", &event.Usage{AudioMilliseconds: n(90_000)}), want{priced, 9_000_000_000, "", "openai/whisper@2026-01-01"})
	check(t, "images of a token model", record("openai", "gpt-5.5", "", &event.Usage{InTotal: n(1), InUncached: n(1), OutTotal: n(0), Images: n(1)}), want{priced, 5_000_000, "", gptID})
	check(t, "images without tokens", record("openai", "gpt-5.5", "", &event.Usage{Images: n(1)}), want{unpriced, -1, "unpriced:image", gptID})
}

func TestErrorsAreNotBilledAndRequestsHaveNoCost(t *testing.T) {
	r := record("anthropic", "claude-sonnet-5", "", cached())
	r.Event.HttpStatus = 429
	check(t, "429", r, want{unbilled, -1, "http_error", ""})
	r = record("anthropic", "claude-sonnet-5", "", nil)
	r.Event.Phase, r.Envelope.Phase = event.Phase_PHASE_REQUEST, event.Phase_PHASE_REQUEST
	step(t).Process(r)
	if r.Event.Cost != nil {
		t.Errorf("a request costs %v", r.Event.Cost)
	}
}

func TestPriceIsThatOfTheDayOfTheCall(t *testing.T) {
	r := record("openai", "gpt-5.5", "gpt-5.5", cached())
	r.Event.StartedUnixNano = uint64(time.Date(2026, 4, 22, 23, 59, 59, 0, time.UTC).UnixNano())
	check(t, "before the release", r, want{unknown, -1, "no_price_in_force", ""})
	r = record("openai", "gpt-5.5", "", cached())
	price.New(&timeline.Timeline[*pricing.Table]{}).Process(r)
	if r.Event.Cost.Detail != price.DetailNoTable || r.Event.Cost.Status != unknown {
		t.Errorf("without a table: %v", r.Event.Cost)
	}
	check(t, "empty record", &batch.Record{Event: &event.Event{Phase: event.Phase_PHASE_RESPONSE}}, want{unknown, -1, "no_model", ""})
}

func TestStepIsSafeForConcurrentUse(t *testing.T) {
	s := step(t)
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			r := record("anthropic", "claude-sonnet-5", "", cached())
			for range 500 {
				s.Process(r)
				if *r.Event.Cost.TotalPicoUsd != 4_620_000_000 {
					t.Errorf("cost %v", r.Event.Cost)
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkProcess(b *testing.B) {
	s := step(b)
	for name, r := range map[string]*batch.Record{
		"exact":    record("anthropic", "claude-sonnet-5", "claude-sonnet-5", cached()),
		"snapshot": record("openai", "gpt-5.5", "gpt-5.5-2026-04-23", cached()),
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				s.Process(r)
			}
		})
	}
}

func TestAStatedCostWinsOverTheTable(t *testing.T) {
	stated := int64(42)
	r := &batch.Record{Envelope: &event.Envelope{Phase: event.Phase_PHASE_RESPONSE}, Event: &event.Event{
		Phase: event.Phase_PHASE_RESPONSE, HttpStatus: 200, Call: &event.Call{ResponseModel: "gpt-5.5", StatedPicoUsd: &stated}, Usage: &event.Usage{},
	}}
	price.New(&timeline.Timeline[*pricing.Table]{}).Process(r)
	if c := r.Event.Cost; c.Status != event.CostStatus_COST_STATUS_PRICED || c.GetTotalPicoUsd() != 42 || c.InputPicoUsd != nil || c.Detail != price.DetailStated {
		t.Errorf("cost %v", c)
	}
}
