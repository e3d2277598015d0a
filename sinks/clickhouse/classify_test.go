package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
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

func TestDeduplicates_ReadsTheWindow(t *testing.T) {
	for _, c := range []struct {
		engine, create string
		want           bool
	}{
		{"MergeTree", "... SETTINGS index_granularity = 8192", false},
		{"MergeTree", "... SETTINGS non_replicated_deduplication_window = 0, x = 1", false},
		{"MergeTree", "... SETTINGS non_replicated_deduplication_window = 10000", true},
		{"MergeTree", "... SETTINGS replicated_deduplication_window = 10000", false},
		{"ReplicatedMergeTree", "...", true},
		{"ReplicatedMergeTree", "... SETTINGS replicated_deduplication_window = 0", false},
		{"ReplicatedMergeTree", "... SETTINGS replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800", true},
	} {
		if got := deduplicates(c.engine, c.create); got != c.want {
			t.Errorf("%s %s: %v", c.engine, c.create, got)
		}
	}
}
