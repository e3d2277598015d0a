package config

import (
	"strings"
	"testing"
)

func TestEffective_PrintsWhatDiffers_AndAllWhenAsked(t *testing.T) {
	cfg := Default()
	text := `
kafka: {brokers: ["k:9092"], topics: {partitions: 12}, sasl: {mechanism: PLAIN, user: u, password: canary}}
tap: {routes: [{name: a, prefix: /a, upstream: "https://a.example", strip_prefix: false}]}
publish: {linger: 20ms}
`
	if err := Parse([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	short, err := cfg.Effective(false)
	if err != nil {
		t.Fatal(err)
	}
	want := `tap:
  routes:
  - name: a
    prefix: /a
    upstream: https://a.example
    strip_prefix: false
kafka:
  brokers:
  - k:9092
  topics:
    partitions: 12
  sasl:
    mechanism: PLAIN
    user: u
    password: <redacted>
`
	if string(short) != want {
		t.Errorf("got\n%s\nwant\n%s", short, want)
	}
	again := Default()
	if err := Parse(short, &again); err != nil {
		t.Errorf("what is printed cannot be read: %v", err)
	}
	long, err := cfg.Effective(true)
	if err != nil {
		t.Fatal(err)
	}
	if lines := strings.Count(string(long), "\n"); lines < 150 || strings.Contains(string(long), "canary") {
		t.Errorf("%d lines:\n%s", lines, long)
	}
	if standard, err := Default().Effective(false); err != nil || len(standard) != 0 {
		t.Errorf("the defaults differ from themselves: %q, %v", standard, err)
	}
}
