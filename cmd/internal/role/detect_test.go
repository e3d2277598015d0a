package role

import (
	"context"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/detect"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

func newTestDetect(t *testing.T, c *cluster, reg prometheus.Registerer, change func(*DetectConfig, *DetectSettings)) *Detect {
	t.Helper()
	cfg := DefaultDetectConfig()
	cfg.Stream.FlushInterval = 20 * time.Millisecond
	set := DetectSettings{Dial: c.dial, Events: "events", Findings: "findings", Logger: zerolog.Nop(), Registerer: reg}
	if change != nil {
		change(&cfg, &set)
	}
	d, err := NewDetect(cfg, set)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func readFindings(t *testing.T, records []*kgo.Record) []*event.Finding {
	t.Helper()
	var out []*event.Finding
	for _, rec := range records {
		f := &event.Finding{}
		if err := wire.UnmarshalFinding(rec.Value, f); err != nil {
			t.Fatal(err)
		}
		if string(rec.Key) != f.GetKey() {
			t.Fatalf("record key %q of finding %q", rec.Key, f.GetKey())
		}
		out = append(out, f)
	}
	return out
}

func TestDetectRaisesAFindingWithinASecondOfTheRequest(t *testing.T) {
	c := newCluster(t, "events", "findings")
	start(t, newTestDetect(t, c, prometheus.NewRegistry(), nil).Run)
	c.produce(eventRecord(spendEvent(0, time.Now(), 1)))
	c.settle("modeltrail.detect", "events")
	begin := time.Now()
	c.produce(eventRecord(denial(1, time.Now(), "claude-opus-5")))
	found := readFindings(t, c.read("findings", 1))
	if len(found) != 1 || found[0].GetTitle() != "Model out of scope: agent used claude-opus-5" {
		t.Fatalf("findings %v", found)
	}
	if took := time.Since(begin); took > time.Second {
		t.Errorf("took %s", took)
	}
}

func TestDetectRestartedAnywhereGivesTheSameFindings(t *testing.T) {
	c := newCluster(t, "events", "findings")
	at := time.Now().Add(-10 * time.Hour).Truncate(5 * time.Minute)
	var events []*event.Event
	for i := range 60 { // five hours of $2 per bucket
		events = append(events, spendEvent(i, at.Add(time.Duration(i)*5*time.Minute), 2))
	}
	for i := range 40 { // a spike of more than three hours
		events = append(events, spendEvent(100+i, at.Add(5*time.Hour+time.Duration(i)*5*time.Minute), 30))
	}
	events = append(events, denial(200, at.Add(9*time.Hour), "o9"), denial(201, at.Add(9*time.Hour+time.Minute), "o9"))
	step := len(events) / 5
	replayed := 0.0
	for from := 0; from < len(events); from += step {
		for _, e := range events[from:min(from+step, len(events))] {
			c.produce(eventRecord(e))
		}
		reg := prometheus.NewRegistry()
		stop := start(t, newTestDetect(t, c, reg, nil).Run)
		c.settle("modeltrail.detect", "events")
		stop()
		replayed += counterSum(t, reg, "modeltrail_detect_replayed_events_total")
		if n := counterSum(t, reg, "modeltrail_detect_incomplete_replays_total"); n != 0 {
			t.Errorf("%v replays were incomplete", n)
		}
	}
	found := readFindings(t, c.read("findings", 3))
	byDetector := map[string]int{}
	for _, f := range found {
		byDetector[f.GetDetector()]++
	}
	if byDetector["cost_spike"] != 1 || byDetector["out_of_scope"] != 1 || len(found) != 2 {
		t.Errorf("findings after six starts: %v", byDetector)
	}
	if replayed < 100 {
		t.Errorf("only %v events were replayed", replayed)
	}
}

func TestDetectCountsSpendFromBeforeTheTopicAgainstTheBudget(t *testing.T) {
	c := newCluster(t, "events", "findings")
	now := time.Now()
	asked := 0
	change := func(cfg *DetectConfig, set *DetectSettings) {
		cfg.Detectors.CostSpike.ColdStartUSD = 0
		set.Budget = func(string, time.Time) (detect.Amount, bool) { return detect.Amount{USD: 1000}, true }
		set.History = func(_ context.Context, since, before time.Time) ([]detect.HourlySpend, error) {
			asked++
			if !since.Before(before) || since.Day() != 1 && before.Sub(since) < 7*24*time.Hour {
				t.Errorf("asked for %s to %s", since, before)
			}
			return []detect.HourlySpend{{TeamID: "research", Hour: now.Truncate(time.Hour), PicoUSD: 799e12}}, nil
		}
	}
	// Old records are gone and the group has finished what is left of them: the head of the topic is history.
	c.produce(eventRecord(spendEvent(1, now.Add(-8*time.Hour), 5)), eventRecord(spendEvent(2, now.Add(-7*time.Hour), 5)))
	stop := start(t, newTestDetect(t, c, prometheus.NewRegistry(), change).Run)
	c.settle("modeltrail.detect", "events")
	stop()
	if asked != 0 {
		t.Errorf("history was asked although the topic is whole")
	}
	c.produce(eventRecord(spendEvent(3, now.Add(-time.Minute), 0.1)))
	stop = start(t, newTestDetect(t, c, prometheus.NewRegistry(), change).Run)
	c.settle("modeltrail.detect", "events")
	stop()
	stop = start(t, newTestDetect(t, c, prometheus.NewRegistry(), change).Run)
	c.produce(eventRecord(spendEvent(4, now, 2)))
	c.settle("modeltrail.detect", "events")
	stop()
	found := readFindings(t, c.read("findings", 1))
	if len(found) != 1 || found[0].GetDetector() != "budget" || asked == 0 {
		t.Errorf("findings %v, history asked %d times", found, asked)
	}
}

func TestDetectSkipsRecordsThatAreNoEvents(t *testing.T) {
	c := newCluster(t, "events", "findings")
	reg := prometheus.NewRegistry()
	c.produce(&kgo.Record{Topic: "events", Value: []byte("junk")}, &kgo.Record{Topic: "events"}, eventRecord(denial(1, time.Now(), "o9")))
	stop := start(t, newTestDetect(t, c, reg, nil).Run)
	c.settle("modeltrail.detect", "events")
	stop()
	if n := len(c.read("findings", 1)); n != 1 {
		t.Errorf("%d findings", n)
	}
	if n := counterSum(t, reg, "modeltrail_detect_unreadable_events_total"); n != 2 {
		t.Errorf("%v unreadable", n)
	}
}
