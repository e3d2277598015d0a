package stream

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

func TestParsePlan_ReadsOnlyItsOwnMetadata(t *testing.T) {
	for metadata, want := range map[string]int64{
		"v1;99": 99, "v1;10": 10, "v1;9": none, "": none, "v1;": none, "v1;x": none, "v2;99": none,
		"kgo-3a9f": none, "v1;99;": none, "v1;-1": none, "v1;99999999999999999999": none, "v1;99;a;b": 99,
	} {
		if got, note := parsePlan(10, metadata); got != want || (note != "") != (metadata == "v1;99;a;b") {
			t.Errorf("parsePlan(10, %q) = %d %q, want %d", metadata, got, note, want)
		}
	}
	for _, note := range []string{"", "s", "a;b;"} {
		if last, got := parsePlan(7, formatPlan(1<<62, note)); last != 1<<62 || got != note {
			t.Errorf("a plan does not survive its own format: %d %q", last, got)
		}
	}
}

func FuzzParsePlan_NeverReturnsAnEndBeforeTheStart(f *testing.F) {
	f.Add(int64(0), "v1;99")
	f.Add(int64(0), "v1;99;note")
	f.Fuzz(func(t *testing.T, offset int64, metadata string) {
		if offset < 0 {
			return
		}
		if last, note := parsePlan(offset, metadata); last != none && (last < offset || len(note) >= len(metadata)) {
			t.Errorf("plan %q at %d ends at %d", metadata, offset, last)
		}
	})
}

func TestClassifyCommit(t *testing.T) {
	for _, c := range []struct {
		err  error
		want string
	}{
		{kerr.RebalanceInProgress, commitRebalance},
		{kerr.IllegalGeneration, commitFenced},
		{kerr.UnknownMemberID, commitFenced},
		{kerr.FencedInstanceID, commitFenced},
		{kerr.StaleMemberEpoch, commitFenced},
		{kerr.GroupAuthorizationFailed, commitDenied},
		{kerr.OffsetMetadataTooLarge, commitDenied},
		{kerr.NotCoordinator, commitTransient},
		{context.DeadlineExceeded, commitTransient},
		{context.Canceled, commitCanceled},
		{kgo.ErrClientClosed, commitCanceled},
		{fmt.Errorf("anything else"), commitTransient},
	} {
		if got := classifyCommit(fmt.Errorf("wrapped: %w", c.err)); got != c.want {
			t.Errorf("%v: %s, want %s", c.err, got, c.want)
		}
	}
}

func TestBackoff_GrowsToItsLimit(t *testing.T) {
	low, high := 100*time.Millisecond, 30*time.Second
	for attempt := 1; attempt < 200; attempt++ {
		if wait := backoff(low, high, attempt); wait < low/2 || wait > high+1 {
			t.Fatalf("attempt %d waits %s", attempt, wait)
		}
	}
	if wait := backoff(low, high, 100); wait < high/2 {
		t.Errorf("a late attempt waits only %s", wait)
	}
}

func TestConfig_DefaultsAreValidAndMistakesAreNamed(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Group, cfg.Topics = "g", []string{"t"}
	if err := cfg.Validate(); err != nil {
		t.Error(err)
	}
	if err := (Config{}).Validate(); err == nil {
		t.Error("an empty config is accepted")
	}
}
