package querycmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// broker is a Kafka broker with the two topics and a producer.
func broker(t *testing.T) (*kgo.Client, OpenStream) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEvents, event.TopicFindings))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	return producer, func(context.Context) (Stream, error) {
		client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...))
		return Stream{Client: client, Events: event.TopicEvents, Findings: event.TopicFindings}, err
	}
}

func send(t *testing.T, producer *kgo.Client, topic string, at time.Time, m interface{ MarshalVT() ([]byte, error) }) {
	t.Helper()
	value, err := m.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Value: value, Timestamp: at}).FirstErr(); err != nil {
		t.Fatal(err)
	}
}

func ptr[T any](v T) *T { return &v }

func call(id, team, app, model string, decision event.PolicyDecision) *event.Event {
	return &event.Event{
		CallId: id, Phase: event.Phase_PHASE_RESPONSE, HttpStatus: 200,
		ObservedUnixNano: uint64(time.Date(2026, 3, 1, 10, 20, 30, 5e6, time.UTC).UnixNano()), //nolint:gosec // after 1970
		Identity:         &event.Identity{TeamId: team, AppId: app},
		Call:             &event.Call{Provider: "openai", RequestModel: model, Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, TimeToFirstTokenNs: ptr(int64(230e6))},
		Usage:            &event.Usage{InTotal: ptr(int64(1200)), OutTotal: ptr(int64(34))},
		Cost:             &event.Cost{TotalPicoUsd: ptr(int64(1234500000))},
		Policy:           &event.Policy{Decision: decision, Rule: "models.allow"},
	}
}

func TestTailShowsOneLineForEachCallAndFilters(t *testing.T) {
	producer, open := broker(t)
	now := time.Now()
	allow, deny := event.PolicyDecision_POLICY_DECISION_ALLOW, event.PolicyDecision_POLICY_DECISION_DENY
	send(t, producer, event.TopicEvents, now, call("c1", "payments", "checkout", "gpt-5.5", allow))
	send(t, producer, event.TopicEvents, now, call("c2", "research", "note\x1b[2Jbook", "claude-x", deny))
	asked := call("c3", "payments", "checkout", "gpt-5.5", allow)
	asked.Phase = event.Phase_PHASE_REQUEST
	send(t, producer, event.TopicEvents, now, asked)
	unknown := call("c4", "payments", "refund", "gpt-5.5-mini", allow)
	unknown.Usage, unknown.Cost, unknown.HttpStatus = nil, nil, 0
	unknown.Call.TimeToFirstTokenNs, unknown.Call.Outcome = nil, event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE
	send(t, producer, event.TopicEvents, now, unknown)
	send(t, producer, event.TopicFindings, now, &event.Finding{Key: "f", Detector: "cost_spike", Severity: event.Severity_SEVERITY_HIGH, Title: "Spend is up", TeamId: "payments", CallId: "c1"})
	for name, c := range map[string]struct {
		args  []string
		lines int
		want  []string
	}{
		"all calls":       {[]string{"-n", "3"}, 3, []string{"10:20:30.005  payments", "openai/gpt-5.5 ", "    1200 in      34 out", "$0.001235", "DENY models.allow", "ttft    230 ms", `note\u001b[2Jbo…`, "no answer", "- in       - out"}},
		"one team":        {[]string{"--team", "research", "-n", "1"}, 1, []string{"c2"}},
		"denied":          {[]string{"--denied", "-n", "1"}, 1, []string{"c2"}},
		"family of model": {[]string{"--model", "gpt-5.5*", "--app", "refund", "-n", "1"}, 1, []string{"c4"}},
		"requests":        {[]string{"--requests", "--app", "checkout", "-n", "2"}, 2, []string{"c3", "asked"}},
		"findings":        {[]string{"findings", "-n", "1"}, 1, []string{"high", "cost_spike", "Spend is up"}},
		"everything":      {[]string{"all", "-n", "4"}, 4, []string{"cost_spike", "c1"}},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := execute(t, NewTail(open), "", append(c.args, "--from", "10m")...)
			if err != nil {
				t.Fatal(err)
			}
			if n := strings.Count(got, "\n"); n != c.lines {
				t.Errorf("%d lines, want %d:\n%s", n, c.lines, got)
			}
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("output lacks %q:\n%s", want, got)
				}
			}
			if strings.Contains(got, "\x1b") {
				t.Errorf("an escape sequence reached the terminal: %q", got)
			}
		})
	}
	got, err := execute(t, NewTail(open), "", "--json", "-n", "1", "--from", "10m", "--denied")
	var e struct {
		CallID   string `json:"call_id"`
		Identity struct {
			TeamID string `json:"team_id"`
		} `json:"identity"`
	}
	if err != nil || json.Unmarshal([]byte(got), &e) != nil || e.CallID != "c2" || e.Identity.TeamID != "research" {
		t.Errorf("JSON is %s (%v)", got, err)
	}
	if colored, err := execute(t, NewTail(open), "", "--color", "always", "-n", "1", "--from", "10m", "--denied"); err != nil || !strings.Contains(colored, "\x1b[") {
		t.Errorf("no colour: %q (%v)", colored, err)
	}
}

func TestTailBeginsNowAndStopsWithTheContext(t *testing.T) {
	producer, open := broker(t)
	send(t, producer, event.TopicEvents, time.Now(), call("before", "a", "b", "m", 0))
	ctx, cancel := context.WithCancel(t.Context())
	out := &lines{first: make(chan struct{})}
	done := make(chan error, 1)
	started := make(chan struct{})
	slow := func(ctx context.Context) (Stream, error) { defer close(started); return open(ctx) }
	go func() { done <- runTail(ctx, out, "calls", tailFlags{color: "never"}, slow) }()
	<-started
	// Positions are taken right after the connection; records until then are not shown, so one is sent until seen.
	for seen := false; !seen; {
		send(t, producer, event.TopicEvents, time.Now(), call("after", "a", "b", "m", 0))
		select {
		case <-out.first:
			seen = true
		case <-time.After(50 * time.Millisecond):
		}
	}
	cancel()
	if err := <-done; err != nil {
		t.Errorf("tail ended with %v", err)
	}
	if strings.Contains(out.buffer.String(), "before") {
		t.Errorf("an old record was shown:\n%s", out.buffer.String())
	}
}

// lines is a writer that tells of its first line. Only the tail writes; the test reads after it has ended.
type lines struct {
	buffer bytes.Buffer
	first  chan struct{}
	told   bool
}

func (l *lines) Write(p []byte) (int, error) {
	if !l.told {
		l.told = true
		close(l.first)
	}
	return l.buffer.Write(p)
}

func TestTailRefusesWhatItCannotMean(t *testing.T) {
	_, open := broker(t)
	for _, args := range [][]string{{"--from", "yesterday"}, {"--color", "maybe"}} {
		if _, err := execute(t, NewTail(open), "", args...); !errors.Is(err, ErrUsage) {
			t.Errorf("%v: error is %v, want ErrUsage", args, err)
		}
	}
	if _, err := execute(t, NewTail(open), "", "prompts"); err == nil {
		t.Error("an unknown stream passed")
	}
}

func TestTailNamesTheRecordItCannotDecode(t *testing.T) {
	producer, open := broker(t)
	if err := producer.ProduceSync(t.Context(), &kgo.Record{Topic: event.TopicEvents, Value: []byte{0xff}}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	if _, err := execute(t, NewTail(open), "", "--from", "10m"); err == nil || !strings.Contains(err.Error(), "decode event at modeltrail.events/") {
		t.Errorf("error is %v", err)
	}
}
