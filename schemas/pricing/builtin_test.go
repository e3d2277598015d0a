package pricing_test

import (
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/pricing"
)

func TestBuiltinTableCoversTheProvidersWithASourcePerRow(t *testing.T) {
	table, err := pricing.Builtin()
	if err != nil {
		t.Fatal(err)
	}
	models := map[string]int{}
	embeddings := 0
	seen := map[string]bool{}
	for _, row := range table.Rows() {
		if row.Source == "" || row.Retrieved.IsZero() {
			t.Errorf("%s: no source or no date", row.ID())
		}
		if !seen[row.Provider+row.Model] {
			seen[row.Provider+row.Model] = true
			models[row.Provider]++
			if strings.Contains(row.Model, "embed") {
				embeddings++
			}
		}
	}
	for _, provider := range []string{"openai", "anthropic", "gcp.gemini", "mistral_ai", "deepseek", "cohere", "x_ai", "aws.bedrock"} {
		if models[provider] < 4 {
			t.Errorf("%s: %d models", provider, models[provider])
		}
	}
	if len(seen) < 40 || embeddings < 8 {
		t.Errorf("%d models, %d of them for embeddings", len(seen), embeddings)
	}
	t.Logf("%d rows, %d models, version %s", table.Len(), len(seen), table.Version())
}
