package role

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// cluster is a broker that lives as long as the test.
type cluster struct {
	t       *testing.T
	brokers []string
	client  *kgo.Client
}

func newCluster(t *testing.T, topics ...string) *cluster {
	t.Helper()
	fake, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, topics...), kfake.GroupMinSessionTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(fake.Close)
	c := &cluster{t: t, brokers: fake.ListenAddrs()}
	if c.client, err = c.dial(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	return c
}

func (c *cluster) dial(opts ...kgo.Opt) (*kgo.Client, error) {
	return kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(c.brokers...)}, opts...)...)
}

func (c *cluster) produce(records ...*kgo.Record) {
	c.t.Helper()
	if err := c.client.ProduceSync(c.t.Context(), records...).FirstErr(); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the first n records of a topic, or what came within a few seconds.
func (c *cluster) read(topic string, n int) []*kgo.Record {
	c.t.Helper()
	client, err := c.dial(kgo.ConsumeTopics(topic), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		c.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(c.t.Context(), 8*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n && ctx.Err() == nil {
		out = append(out, client.PollFetches(ctx).Records()...)
	}
	return out
}

// settle waits until the group has committed everything a topic holds.
func (c *cluster) settle(group, topic string) {
	c.t.Helper()
	p := past{dial: c.dial, topic: topic}
	for range 200 {
		at, err := p.committed(c.t.Context(), c.client, group)
		end, err2 := p.since(c.t.Context(), c.client, time.Now().Add(time.Hour))
		if err == nil && err2 == nil && at == end {
			return
		}
		time.Sleep(25 * time.Millisecond)
	}
	c.t.Fatalf("group %s did not reach the end of %s", group, topic)
}

// start runs a role until the returned function is called.
func start(t *testing.T, run func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		select {
		case err := <-done:
			if err != nil {
				t.Errorf("role ended with %v", err)
			}
		case <-time.After(30 * time.Second):
			t.Error("role did not stop")
		}
	}
	t.Cleanup(stop)
	return stop
}

func counterSum(t *testing.T, reg *prometheus.Registry, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, family := range families {
		if family.GetName() == name {
			for _, m := range family.GetMetric() {
				sum += m.GetCounter().GetValue()
			}
		}
	}
	return sum
}

// spendEvent is one priced answer.
func spendEvent(id int, at time.Time, usd float64) *event.Event {
	pico := int64(usd * 1e12)
	return &event.Event{
		SchemaVersion: 1, CallId: fmt.Sprint("call-", id), Phase: event.Phase_PHASE_RESPONSE,
		ObservedUnixNano: uint64(at.UnixNano()), IngestedUnixNano: uint64(at.UnixNano()),
		Identity: &event.Identity{TeamId: "research", AppId: "agent", CredentialStatus: "active"},
		Call:     &event.Call{RequestModel: "gpt-5.5"},
		Policy:   &event.Policy{Decision: event.PolicyDecision_POLICY_DECISION_ALLOW},
		Cost:     &event.Cost{Status: event.CostStatus_COST_STATUS_PRICED, TotalPicoUsd: &pico},
	}
}

func denial(id int, at time.Time, model string) *event.Event {
	e := spendEvent(id, at, 0)
	e.Phase = event.Phase_PHASE_REQUEST
	e.Call.RequestModel = model
	e.Policy = &event.Policy{Decision: event.PolicyDecision_POLICY_DECISION_DENY, Rule: "models.allow"}
	return e
}

func eventRecord(e *event.Event) *kgo.Record {
	return &kgo.Record{
		Topic: "events", Key: []byte(e.GetIdentity().GetTeamId()), Value: wire.MarshalEvent(nil, e),
		Timestamp: time.Unix(0, int64(e.GetIngestedUnixNano())),
	}
}

func findingRecord(key string) *kgo.Record {
	return &kgo.Record{Topic: "findings", Key: []byte(key), Value: wire.MarshalFinding(nil, &event.Finding{
		SchemaVersion: 1, Key: key, Detector: "out_of_scope", Severity: event.Severity_SEVERITY_HIGH, Title: "t", CallId: "c",
	})}
}
