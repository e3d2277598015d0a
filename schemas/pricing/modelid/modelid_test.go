package modelid_test

import (
	"testing"

	"github.com/modeltrail/modeltrail/schemas/pricing/modelid"
)

func TestBaseStripsOnlyDocumentedDateSuffixes(t *testing.T) {
	for id, want := range map[string]string{
		"gpt-5.5-2026-05-01":         "gpt-5.5",
		"claude-sonnet-4-5-20250929": "claude-sonnet-4-5",
		"claude-opus-4-1@20250805":   "claude-opus-4-1",
		"gpt-5.5":                    "gpt-5.5",
		"mistral-large-2411":         "mistral-large-2411",
		"gpt-4-0613":                 "gpt-4-0613",
		"model-20261301":             "model-20261301", // no thirteenth month
		"model-2026-02-3x":           "model-2026-02-3x",
		"2026-05-01":                 "2026-05-01",
		"-2026-05-01":                "-2026-05-01",
		"anthropic.claude-sonnet-4-5-20250929-v1:0": "anthropic.claude-sonnet-4-5-20250929-v1:0",
		"": "",
	} {
		if got, dated := modelid.Base(id); got != want || dated != (got != id) {
			t.Errorf("Base(%q) = %q, %v; want %q", id, got, dated, want)
		}
	}
}

func TestWithoutRegionStripsOnlyKnownPrefixes(t *testing.T) {
	for id, want := range map[string]string{
		"us.amazon.nova-pro-v1:0":     "amazon.nova-pro-v1:0",
		"global.anthropic.claude-x":   "anthropic.claude-x",
		"apac.amazon.nova-lite-v1:0":  "amazon.nova-lite-v1:0",
		"amazon.nova-pro-v1:0":        "amazon.nova-pro-v1:0",
		"us.model":                    "us.model",
		"mars.anthropic.claude-x":     "mars.anthropic.claude-x",
		"meta.llama3-1-8b-instruct-v": "meta.llama3-1-8b-instruct-v",
	} {
		if got, regional := modelid.WithoutRegion(id); got != want || regional != (got != id) {
			t.Errorf("WithoutRegion(%q) = %q, %v; want %q", id, got, regional, want)
		}
	}
}

func TestFromARN(t *testing.T) {
	for id, want := range map[string]string{
		"arn:aws:bedrock:us-east-1:123456789012:inference-profile/us.anthropic.claude-x": "us.anthropic.claude-x",
		"arn:aws:bedrock:eu-west-1::foundation-model/amazon.nova-lite-v1:0":              "amazon.nova-lite-v1:0",
		"arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123":               "arn:aws:bedrock:us-east-1:1:application-inference-profile/abc123",
		"gpt-5.5": "gpt-5.5",
	} {
		if got := modelid.FromARN(id); got != want {
			t.Errorf("FromARN(%q) = %q, want %q", id, got, want)
		}
	}
}
