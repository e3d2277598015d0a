package alert

import (
	"encoding/json"
	"flag"
	"os"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/event"
)

var update = flag.Bool("update", false, "rewrite golden files")

func sample() *event.Finding {
	impact := int64(7_000_000_000_001)
	return &event.Finding{
		SchemaVersion: 1, Key: "0f1e2d3c4b5a69788796a5b4c3d2e1f0", Detector: "out_of_scope", DetectorVersion: "1",
		Severity: event.Severity_SEVERITY_HIGH, Title: "Model out of scope: support-bot used claude-opus-5",
		Description: "App support-bot called <claude-opus-5> & more.", TeamId: "research", AppId: "support-bot",
		CredentialFingerprint: "mt1:0123456789abcdef0123456789abcdef", Principal: "svc", Provider: "anthropic", Model: "claude-opus-5",
		PolicyId: "standard", PolicyRule: "models.allow", CallId: "01J9ZQ4W7N",
		FirstSeenUnixNano: uint64(time.Date(2026, 10, 5, 10, 0, 0, 1000, time.UTC).UnixNano()),
		LastSeenUnixNano:  uint64(time.Date(2026, 10, 5, 10, 0, 0, 1000, time.UTC).UnixNano()),
		DetectedUnixNano:  uint64(time.Date(2026, 10, 5, 10, 0, 1, 0, time.UTC).UnixNano()),
		Evidence:          []*event.Attribute{{Key: "rule", Value: "models.allow"}, {Key: "phase", Value: "request"}},
		ImpactPicoUsd:     &impact,
	}
}

func TestMessageKeepsItsForm(t *testing.T) {
	const golden = "testdata/message.json"
	got, err := NewMessage(sample()).Encode()
	if err != nil {
		t.Fatal(err)
	}
	if *update {
		if err := os.WriteFile(golden, append(got, '\n'), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), string(got)+"\n"); diff != "" {
		t.Errorf("message changed; receivers depend on it:\n%s", diff)
	}
}

func TestUnknownImpactIsAbsentAndEmptyFieldsArePresent(t *testing.T) {
	got, err := NewMessage(&event.Finding{Key: "k"}).Encode()
	if err != nil {
		t.Fatal(err)
	}
	var m map[string]any
	if err := json.Unmarshal(got, &m); err != nil {
		t.Fatal(err)
	}
	if _, ok := m["impact_usd"]; ok {
		t.Error("unknown impact is written as a figure")
	}
	for _, key := range []string{"schema_version", "type", "severity", "identity", "target", "policy", "evidence", "call_id", "query"} {
		if _, ok := m[key]; !ok {
			t.Errorf("%s is missing", key)
		}
	}
}

func TestQueryHintQuotesHostileIds(t *testing.T) {
	for id, want := range map[string]string{
		"":              "",
		"01J9-x_y":      "modeltrail query call -p id=01J9-x_y",
		"a; rm -rf /":   "modeltrail query call -p id='a; rm -rf /'",
		"a'$(whoami)'b": `modeltrail query call -p id='a'\''$(whoami)'\''b'`,
	} {
		if got := queryHint(id); got != want {
			t.Errorf("%q: %s", id, got)
		}
	}
}
