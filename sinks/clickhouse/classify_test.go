package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
)

func TestClassify(t *testing.T) {
	code := func(n int32) error { return &clickhousego.Exception{Code: n, Message: "text is never read"} }
	for _, c := range []struct {
		err  error
		want Class
	}{
		{code(60), ClassConfig}, {code(516), ClassConfig}, {code(16), ClassConfig}, {code(115), ClassConfig}, {code(497), ClassConfig},
		{code(241), ClassTransient}, {code(252), ClassTransient}, {code(202), ClassTransient}, {code(159), ClassTransient},
		{code(210), ClassTransient}, {code(999), ClassTransient}, {code(319), ClassTransient}, {code(33), ClassTransient},
		{code(407), ClassPermanent}, {code(691), ClassPermanent}, {code(117), ClassPermanent}, {errTooLarge, ClassPermanent},
		{code(123456), ClassTransient},
		{io.ErrUnexpectedEOF, ClassTransient}, {context.DeadlineExceeded, ClassTransient},
		{&net.OpError{Op: "dial", Err: errors.New("refused")}, ClassTransient},
		{&clickhousego.HTTPError{StatusCode: 500, Err: code(60)}, ClassConfig},
		{&clickhousego.HTTPError{StatusCode: 502, Err: errors.New("bad gateway")}, ClassTransient},
	} {
		if got := Classify(fmt.Errorf("insert: %w", c.err)); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestConfig_DefaultsAreValidAndMistakesAreNamed(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
	bad := DefaultConfig()
	bad.Addr, bad.Protocol, bad.Compression, bad.Database = []string{"nowhere"}, "grpc", "rar", "a`b"
	if err := bad.Validate(); err == nil {
		t.Error("an impossible config is accepted")
	}
}

func TestGuarantee_ReadsTheWindowsAndNamesWhatIsShort(t *testing.T) {
	asks := Guarantee{Window: 10_000, Seconds: 604_800}
	for _, c := range []struct {
		engine, create string
		asks           Guarantee
		short          string // the setting that is too small; "engine"; "" when all is well
	}{
		{"MergeTree", "... SETTINGS index_granularity = 8192", Guarantee{}, "non_replicated_deduplication_window = 10000"},
		{"MergeTree", "... SETTINGS non_replicated_deduplication_window = 0, x = 1", Guarantee{}, "non_replicated_deduplication_window = 10000"},
		{"MergeTree", "... SETTINGS non_replicated_deduplication_window = 10000", asks, ""},
		{"MergeTree", "... SETTINGS non_replicated_deduplication_window = 9999", asks, "non_replicated_deduplication_window = 10000"},
		{"MergeTree", "... SETTINGS replicated_deduplication_window = 10000", Guarantee{}, "non_replicated_deduplication_window = 10000"},
		{"ReplicatedMergeTree", "...", Guarantee{}, ""},
		{"ReplicatedMergeTree", "...", asks, "replicated_deduplication_window_seconds = 604800"},
		{"ReplicatedMergeTree", "... SETTINGS replicated_deduplication_window = 0", Guarantee{}, "replicated_deduplication_window = 10000"},
		{"ReplicatedMergeTree", "... SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800", asks, ""},
		{"Memory", "...", Guarantee{}, "Memory"},
	} {
		err := c.asks.check(c.engine, c.create)
		if c.short == "" {
			if err != nil {
				t.Errorf("%s %s: %v", c.engine, c.create, err)
			}
			continue
		}
		if !errors.Is(err, ErrNoDeduplication) || !strings.Contains(mend(err, "db", "calls").Error(), c.short) {
			t.Errorf("%s %s: %v, want %s", c.engine, c.create, mend(err, "db", "calls"), c.short)
		}
	}
}

func TestSettable_NamesWhatTheServerLacks(t *testing.T) {
	known := map[string]uint8{}
	var names []string
	for name := range insertSettings("t") {
		names = append(names, name)
		known[name] = 0
	}
	if err := settable(names, known); err != nil {
		t.Error(err)
	}
	delete(known, "deduplicate_blocks_in_dependent_materialized_views")
	known["insert_deduplicate"] = 1
	err := settable(names, known)
	if !errors.Is(err, ErrSettings) || !strings.Contains(err.Error(), "does not know deduplicate_blocks_in_dependent_materialized_views") ||
		!strings.Contains(err.Error(), "may not change insert_deduplicate") {
		t.Errorf("got %v", err)
	}
}
