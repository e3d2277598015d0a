package pricing

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/internal/strictyaml"
)

// MaxLiteLLMBytes is the largest price map that LoadLiteLLM reads; the published file has 2 to 4 MB.
const MaxLiteLLMBytes = 64 << 20

// LoadLiteLLM reads LiteLLM's model_prices_and_context_window.json (github.com/BerriAI/litellm). That file knows no
// dates, so effectiveFrom says from when its prices hold; version names the table, best by the file's commit, and is
// derived from the content when empty. Providers get their OpenTelemetry names. Figures are taken from their text, and
// rounded half to even where binary noise goes past the 18th decimal of a unit price. Entries without a price for
// tokens, searches, images or time, or with one that the format cannot hold, are left out and listed by Skipped.
func LoadLiteLLM(b []byte, effectiveFrom time.Time, version string) (*Table, error) {
	entries, err := litellmEntries(b)
	if err != nil {
		return nil, fmt.Errorf("load litellm prices: %w", err)
	}
	from := effectiveFrom.UTC().Truncate(24 * time.Hour)
	var skipped []Skipped
	seen := map[modelKey]bool{}
	rows := make([]Row, 0, len(entries))
	for _, e := range entries {
		row, err := e.row(from)
		if err == nil {
			_, err = compile(&row)
		}
		k := modelKey{row.Provider, row.Model}
		switch {
		case err != nil:
			skipped = append(skipped, Skipped{Key: e.key, Reason: err.Error()})
		case seen[k]:
			skipped = append(skipped, Skipped{Key: e.key, Reason: "a shorter key has the same provider and model"})
		default:
			seen[k] = true
			rows = append(rows, row)
		}
	}
	if len(rows) == 0 {
		return nil, errors.New("load litellm prices: the file holds no price; is it the right file?")
	}
	t, err := NewTable(rows)
	if err != nil {
		return nil, fmt.Errorf("load litellm prices: %w", err)
	}
	sort.Slice(skipped, func(i, j int) bool { return skipped[i].Key < skipped[j].Key })
	t.skipped = skipped
	if version != "" {
		t.version = version
	}
	return t, nil
}

// sampleKey is the entry that documents the format.
const sampleKey = "sample_spec"

type litellmEntry struct {
	key    string
	fields map[string]json.RawMessage
}

// litellmEntries reads the entries, shortest key first, so that "gpt-x" wins over "openai/gpt-x".
func litellmEntries(b []byte) ([]litellmEntry, error) {
	if len(b) > MaxLiteLLMBytes {
		return nil, fmt.Errorf("the file is longer than %d bytes", MaxLiteLLMBytes)
	}
	dec := json.NewDecoder(bytes.NewReader(b))
	var all map[string]json.RawMessage
	if err := dec.Decode(&all); err != nil {
		return nil, fmt.Errorf("read json: %w", err)
	}
	if _, err := dec.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("read json: more than one value")
	}
	delete(all, sampleKey)
	entries := make([]litellmEntry, 0, len(all))
	for key, raw := range all {
		e := litellmEntry{key: key}
		if err := json.Unmarshal(raw, &e.fields); err != nil {
			return nil, fmt.Errorf("read entry %q: %w", key, err)
		}
		entries = append(entries, e)
	}
	slices.SortFunc(entries, func(a, b litellmEntry) int {
		if len(a.key) != len(b.key) {
			return len(a.key) - len(b.key)
		}
		return strings.Compare(a.key, b.key)
	})
	return entries, nil
}

func (e *litellmEntry) text(field string) string {
	var s string
	if json.Unmarshal(e.fields[field], &s) != nil {
		return ""
	}
	return s
}

// number reads a price from its text. JSON null counts as absent.
func (e *litellmEntry) number(field string) (decimal.Decimal, bool, error) {
	raw := strings.Trim(strings.TrimSpace(string(e.fields[field])), `"`)
	if raw == "" || raw == "null" {
		return decimal.Decimal{}, false, nil
	}
	d, ok := strictyaml.ParseDecimal(raw)
	if !ok {
		return decimal.Decimal{}, false, fmt.Errorf("%s is not a number", field)
	}
	return d.RoundBank(unitScale), true, nil
}

// providers maps litellm_provider to OpenTelemetry's gen_ai.provider.name; names that are absent stay as they are.
var providers = map[string]string{
	"azure": "azure.ai.openai", "azure_text": "azure.ai.openai", "azure_ai": "azure.ai.inference",
	"bedrock": "aws.bedrock", "bedrock_converse": "aws.bedrock", "gemini": "gcp.gemini", "mistral": "mistral_ai",
	"xai": "x_ai", "cohere_chat": "cohere", "watsonx": "ibm.watsonx.ai", "moonshot": "moonshot_ai",
	"text-completion-openai": "openai", "codestral": "mistral_ai",
}

func (e *litellmEntry) row(from time.Time) (Row, error) {
	foreign := e.text("litellm_provider")
	if foreign == "" {
		return Row{}, errors.New("litellm_provider is missing")
	}
	r := Row{Provider: foreign, Model: e.key, EffectiveFrom: from, Retrieved: from, Source: e.text("source")}
	switch name, ok := providers[foreign]; {
	case ok:
		r.Provider = name
	case strings.HasPrefix(foreign, "vertex_ai"):
		r.Provider, foreign = "gcp.vertex_ai", "vertex_ai"
	}
	for _, prefix := range []string{foreign, strings.TrimSuffix(foreign, "_converse"), strings.TrimSuffix(foreign, "_chat")} {
		if rest, ok := strings.CutPrefix(r.Model, prefix+"/"); ok && rest != "" {
			r.Model = rest
			break
		}
	}
	return r, e.prices(&r)
}

func (e *litellmEntry) prices(r *Row) (err error) {
	if r.Rates, err = e.rates("", ""); err != nil {
		return err
	}
	if r.Steps, err = e.steps(""); err != nil {
		return err
	}
	if _, tiered := e.fields["tiered_pricing"]; tiered {
		if err = e.tieredPricing(r); err != nil {
			return err
		}
	}
	for suffix, name := range tierSuffixes {
		t := Tier{}
		if t.Rates, err = e.rates("", suffix); err != nil {
			return err
		}
		if t.Steps, err = e.steps(suffix); err != nil {
			return err
		}
		if len(t.Rates) == 0 {
			continue
		}
		if r.Tiers == nil {
			r.Tiers = map[string]Tier{}
		}
		r.Tiers[name] = t
	}
	if err = e.singles(r); err != nil {
		return err
	}
	if err = e.offPeak(r); err != nil {
		return err
	}
	return e.check(r)
}

// tierSuffixes are the suffixes of prices in other service tiers.
var tierSuffixes = map[string]string{"_batches": "batch", "_flex": "flex", "_priority": "priority", "_ultrafast": "ultrafast"}

// litellmUnits maps a unit to its keys, the first one present wins.
var litellmUnits = []struct {
	unit Unit
	keys []string
}{
	{Input, []string{"input_cost_per_token"}},
	{CacheRead, []string{"cache_read_input_token_cost", "input_cost_per_token_cache_hit"}},
	{CacheWrite5m, []string{"cache_creation_input_token_cost"}},
	{CacheWrite1h, []string{"cache_creation_input_token_cost_above_1hr"}},
	{AudioIn, []string{"input_cost_per_audio_token"}},
	{ImageIn, []string{"input_cost_per_image_token"}},
	{Output, []string{"output_cost_per_token"}},
	{Reasoning, []string{"output_cost_per_reasoning_token"}},
	{AudioOut, []string{"output_cost_per_audio_token"}},
}

// rates reads the token prices under a context step ("_above_200k_tokens") and a tier suffix ("_priority").
func (e *litellmEntry) rates(step, tier string) (Rates, error) {
	var r Rates
	for _, u := range litellmUnits {
		for _, key := range u.keys {
			d, ok, err := e.number(key + step + tier)
			if err != nil {
				return nil, err
			}
			if ok {
				if r == nil {
					r = Rates{}
				}
				r[unitNames[u.unit]] = d.Shift(6)
				break
			}
		}
	}
	return r, nil
}

// steps finds the thresholds named in the keys of a tier, such as "_above_200k_tokens".
func (e *litellmEntry) steps(tier string) ([]Step, error) {
	var found []int64
	for key := range e.fields {
		rest, ok := strings.CutSuffix(key, "k_tokens"+tier)
		if !ok {
			continue
		}
		i := strings.LastIndex(rest, "_above_")
		if i < 0 {
			continue
		}
		k, err := strconv.ParseInt(rest[i+len("_above_"):], 10, 32)
		if err == nil && k > 0 && !slices.Contains(found, k) {
			found = append(found, k)
		}
	}
	slices.Sort(found)
	var steps []Step
	for _, k := range found {
		r, err := e.rates(fmt.Sprintf("_above_%dk_tokens", k), tier)
		if err != nil {
			return nil, err
		}
		if len(r) > 0 {
			steps = append(steps, Step{Above: k * 1000, Rates: r})
		}
	}
	return steps, nil
}

// tieredPricing reads tiered_pricing[], whose first range is the base and whose further ones are context steps.
func (e *litellmEntry) tieredPricing(r *Row) error {
	var ranges []map[string]json.RawMessage
	if err := json.Unmarshal(e.fields["tiered_pricing"], &ranges); err != nil {
		return fmt.Errorf("tiered_pricing: %w", err)
	}
	for i, fields := range ranges {
		part := litellmEntry{key: e.key, fields: fields}
		rates, err := part.rates("", "")
		if err != nil {
			return err
		}
		var span []float64
		if err := json.Unmarshal(fields["range"], &span); err != nil || len(span) == 0 {
			return errors.New("tiered_pricing: a range is missing")
		}
		if i == 0 && span[0] == 0 {
			r.Rates = rates
			continue
		}
		if span[0] < 1 || span[0] > 1e12 {
			return errors.New("tiered_pricing: a range is out of bounds")
		}
		r.Steps = append(r.Steps, Step{Above: int64(span[0]), Rates: rates})
	}
	return nil
}

// otherCharges are prices of units that calls are not counted in. A model that has one would come out too cheap.
var otherCharges = []string{
	"input_cost_per_query", "input_cost_per_request", "input_cost_per_pixel", "output_cost_per_pixel", "output_cost_per_video_per_second", "output_cost_per_audio_per_second", "ocr_cost_per_page",
	"ocr_cost_per_credit", "input_cost_per_text_message", "citation_cost_per_token", "input_dbu_cost_per_token",
}

// check refuses entries whose price would be wrong for some of their calls.
func (e *litellmEntry) check(r *Row) error {
	for _, key := range otherCharges {
		if d, ok, err := e.number(key); err != nil || ok && !d.IsZero() {
			return fmt.Errorf("%s is charged, which calls are not counted in", key)
		}
	}
	// Google's older models list characters beside tokens as another way to count the same text.
	if d, ok, err := e.number("input_cost_per_character"); err != nil || ok && !d.IsZero() && r.Rates["input"].IsZero() {
		return errors.New("input_cost_per_character is charged, which calls are not counted in")
	}
	second, ok, err := e.number("output_cost_per_second")
	if err != nil || ok && !second.IsZero() && !r.AudioPerMinute.Valid {
		return errors.New("output_cost_per_second is charged, which calls are not counted in")
	}
	image, ok, err := e.number("output_cost_per_image_token")
	if err != nil || ok && !image.Shift(6).Equal(r.Rates["output"]) {
		return errors.New("output_cost_per_image_token differs from output_cost_per_token, and counts do not tell them apart")
	}
	for _, d := range r.Rates {
		if !d.IsZero() {
			return nil
		}
	}
	if !r.Image.Decimal.IsZero() || !r.AudioPerMinute.Decimal.IsZero() {
		return nil
	}
	return errors.New("every price is zero, which the file also writes for unknown")
}

// singles reads what is not charged by the token.
func (e *litellmEntry) singles(r *Row) error {
	image, ok, err := e.number("output_cost_per_image")
	if err != nil {
		return err
	}
	r.Image = decimal.NullDecimal{Decimal: image, Valid: ok && r.Rates["output"].IsZero()}
	second, ok, err := e.number("input_cost_per_second")
	if err != nil {
		return err
	}
	r.AudioPerMinute = decimal.NullDecimal{Decimal: second.Mul(decimal.NewFromInt(60)), Valid: ok && len(r.Rates) == 0}
	var search map[string]json.RawMessage
	if raw, ok := e.fields["search_context_cost_per_query"]; ok && json.Unmarshal(raw, &search) == nil {
		part := litellmEntry{fields: search}
		low, ok1, err1 := part.number("search_context_size_low")
		high, ok2, err2 := part.number("search_context_size_high")
		// A price that depends on the context size cannot be told from a count of searches: it stays unknown.
		if err1 == nil && err2 == nil && ok1 && ok2 && low.Equal(high) {
			r.WebSearch = decimal.NullDecimal{Decimal: low.Shift(3), Valid: true}
		}
	}
	return nil
}
