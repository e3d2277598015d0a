package publish

import (
	"context"
	"crypto/rand"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/schemas/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const topic = event.TopicEnvelopes

func newBroker(t *testing.T) *kfake.Cluster {
	t.Helper()
	c, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, topic))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func newPublisher(t *testing.T, cfg Config, brokers ...string) *Publisher {
	t.Helper()
	client, err := kgo.NewClient(append(cfg.Options(), kgo.SeedBrokers(brokers...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p, err := New(client, cfg, Settings{Topic: topic, Logger: zerolog.New(zerolog.NewTestWriter(t)), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = closed(t, p, 10*time.Millisecond) })
	return p
}

func envelope(id string, phase event.Phase, body []byte) *event.Envelope {
	e := &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: id, Phase: phase,
		Source:          &event.Source{Kind: "tap", Instance: "host-1", Sequence: 7},
		StartedUnixNano: 1_700_000_000_000_000_000, ObservedUnixNano: 1_700_000_001_123_000_000,
		Request: &event.Request{Method: "POST", Payload: &event.Payload{
			State: event.PayloadState_PAYLOAD_STATE_FULL, WireBytes: int64(len(body)), CapturedBytes: int64(len(body)),
		}},
	}
	if phase == event.Phase_PHASE_RESPONSE {
		e.Response = &event.Response{Payload: &event.Payload{State: event.PayloadState_PAYLOAD_STATE_FULL, Body: body}}
		return e
	}
	e.Request.Payload.Body = body
	return e
}

func read(t *testing.T, cluster *kfake.Cluster, n int) []*kgo.Record {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	var out []*kgo.Record
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d records: %v", len(out), n, err)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func closed(t *testing.T, p *Publisher, timeout time.Duration) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	return p.Close(ctx)
}

func count(t *testing.T, c prometheus.Counter) float64 {
	t.Helper()
	var m dto.Metric
	if err := c.Write(&m); err != nil {
		t.Fatal(err)
	}
	return m.GetCounter().GetValue()
}

func balanced(t *testing.T, p *Publisher) {
	t.Helper()
	var dropped float64
	for _, c := range p.metrics.byReason {
		dropped += count(t, c)
	}
	accepted, published := count(t, p.metrics.accepted), count(t, p.metrics.published)
	if accepted != published+dropped+float64(p.InFlight()) {
		t.Errorf("accepted %v != published %v + dropped %v + in flight %d", accepted, published, dropped, p.InFlight())
	}
}

func TestEnvelopesArriveWithTheirHeaders(t *testing.T) {
	cluster := newBroker(t)
	p := newPublisher(t, DefaultConfig(), cluster.ListenAddrs()...)
	sent := []*event.Envelope{
		envelope("call-1", event.Phase_PHASE_REQUEST, []byte(`{"a":1}`)),
		envelope("call-1", event.Phase_PHASE_RESPONSE, []byte(`{"b":2}`)),
	}
	for _, e := range sent {
		if err := p.Publish(e); err != nil {
			t.Fatal(err)
		}
	}
	if err := closed(t, p, 5*time.Second); err != nil {
		t.Fatal(err)
	}
	for i, r := range read(t, cluster, 2) {
		got := &event.Envelope{}
		if err := got.UnmarshalVT(r.Value); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(sent[i], got, protocmp.Transform()); diff != "" {
			t.Error(diff)
		}
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		phase, kind := "/request", event.TypeRequest
		if i == 1 {
			phase, kind = "/response", event.TypeResponse
		}
		want := map[string]string{
			"ce_specversion": "1.0", "ce_id": "call-1" + phase, "ce_type": kind, "ce_source": "/tap/host-1",
			"ce_time": "2023-11-14T22:13:21.123Z", "content-type": event.ContentType,
		}
		if diff := cmp.Diff(want, headers); diff != "" {
			t.Error(diff)
		}
		if string(r.Key) != "call-1" {
			t.Errorf("key %q", r.Key)
		}
	}
	balanced(t, p)
}

func TestRecordOverTheBrokersLimitIsSentOnceMoreWithoutItsBody(t *testing.T) {
	cluster := newBroker(t)
	p := newPublisher(t, DefaultConfig(), cluster.ListenAddrs()...)
	noise := make([]byte, 1200<<10) // does not compress: over the broker's 1 MiB, under the client's 1.25 MiB
	_, _ = rand.Read(noise)
	huge := make([]byte, 3<<20) // over the client's limit
	for i, body := range [][]byte{noise, huge, []byte("small")} {
		if err := p.Publish(envelope(string(rune('a'+i)), event.Phase_PHASE_RESPONSE, body)); err != nil {
			t.Fatal(err)
		}
	}
	if err := closed(t, p, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for r, c := range p.metrics.byReason {
		t.Log(r, count(t, c))
	}
	states := map[string]event.PayloadState{}
	for _, r := range read(t, cluster, 3) {
		got := &event.Envelope{}
		if err := got.UnmarshalVT(r.Value); err != nil {
			t.Fatal(err)
		}
		states[got.CallId] = got.Response.Payload.State
		if got.CallId != "c" && len(got.Response.Payload.Body) != 0 {
			t.Errorf("%s kept %d bytes", got.CallId, len(got.Response.Payload.Body))
		}
	}
	want := map[string]event.PayloadState{
		"a": event.PayloadState_PAYLOAD_STATE_TRUNCATED, "b": event.PayloadState_PAYLOAD_STATE_TRUNCATED,
		"c": event.PayloadState_PAYLOAD_STATE_FULL,
	}
	if diff := cmp.Diff(want, states); diff != "" {
		t.Error(diff)
	}
	if n := count(t, p.metrics.stripped); n != 2 {
		t.Errorf("%v bodies stripped", n)
	}
	balanced(t, p)
}

func TestSmallRecordsDoNotLoseTheirBodyForABigNeighbour(t *testing.T) {
	cluster := newBroker(t)
	first := true
	cluster.ControlKey(int16(kmsg.Produce), func(r kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		if !first {
			return nil, nil, false
		}
		first = false
		request := r.(*kmsg.ProduceRequest)
		response := request.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range request.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.MessageTooLarge.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			response.Topics = append(response.Topics, rt)
		}
		return response, nil, true
	})
	p := newPublisher(t, DefaultConfig(), cluster.ListenAddrs()...)
	for range 5 {
		if err := p.Publish(envelope("same-key", event.Phase_PHASE_REQUEST, []byte("small"))); err != nil {
			t.Fatal(err)
		}
	}
	if err := closed(t, p, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	for _, r := range read(t, cluster, 5) {
		got := &event.Envelope{}
		if err := got.UnmarshalVT(r.Value); err != nil {
			t.Fatal(err)
		}
		if string(got.Request.Payload.Body) != "small" {
			t.Errorf("body %q", got.Request.Payload.Body)
		}
	}
	balanced(t, p)
}

func TestUnreachableBrokerNeverBlocksAndMemoryStaysBounded(t *testing.T) {
	for name, addr := range map[string]string{"refused": refusing(t), "blackholed": blackhole(t)} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.MaxBufferedBytes, cfg.MaxRecordBytes = 256<<10, 64<<10
			p := newPublisher(t, cfg, addr)
			refused, start := 0, time.Now()
			for range 1000 {
				switch err := p.Publish(envelope("id", event.Phase_PHASE_REQUEST, make([]byte, 4<<10))); {
				case errors.Is(err, ErrRefused):
					refused++
				case err != nil:
					t.Fatal(err)
				}
			}
			if d := time.Since(start); d > time.Second {
				t.Errorf("1000 envelopes took %v", d)
			}
			if refused < 900 || refused == 1000 || p.held.Load() > int64(cfg.MaxBufferedBytes) {
				t.Errorf("%d refused, %d bytes wait", refused, p.held.Load())
			}
			balanced(t, p)
			if err := closed(t, p, 200*time.Millisecond); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("close: %v", err)
			}
			if p.Lost() != uint64(1000-refused) || p.InFlight() != 0 {
				t.Errorf("lost %d of %d, %d in flight", p.Lost(), 1000-refused, p.InFlight())
			}
			balanced(t, p)
			if err := p.Publish(envelope("id", event.Phase_PHASE_REQUEST, nil)); !errors.Is(err, ErrRefused) {
				t.Errorf("publish after close: %v", err)
			}
		})
	}
}

func TestWithoutRoomABodyGoesBeforeItsEnvelope(t *testing.T) {
	cfg := DefaultConfig()
	cfg.MaxBufferedBytes, cfg.MaxRecordBytes = 256<<10, 64<<10
	p := newPublisher(t, cfg, refusing(t))
	for range 5 {
		env := envelope("id", event.Phase_PHASE_REQUEST, make([]byte, 60<<10))
		if err := p.Publish(env); err != nil {
			t.Fatal(err)
		}
	}
	if n := count(t, p.metrics.stripped); n != 2 {
		t.Errorf("%v bodies left out", n)
	}
	_ = closed(t, p, 10*time.Millisecond)
	balanced(t, p)
}

func TestDeliveryResumesWhenTheBrokerComesBack(t *testing.T) {
	cluster := newBroker(t)
	g := &gate{open: true}
	client, err := kgo.NewClient(append(DefaultConfig().Options(), kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(g.dial))...)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p, err := New(client, DefaultConfig(), Settings{Topic: topic, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	g.set(false)
	for range 10 {
		if err := p.Publish(envelope("id", event.Phase_PHASE_REQUEST, []byte("body"))); err != nil {
			t.Fatal(err)
		}
	}
	time.Sleep(300 * time.Millisecond)
	if p.InFlight() != 10 {
		t.Fatalf("%d in flight", p.InFlight())
	}
	g.set(true)
	if err := closed(t, p, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	if n := len(read(t, cluster, 10)); n != 10 {
		t.Errorf("%d records", n)
	}
}

func TestValidateNamesTheKey(t *testing.T) {
	for key, change := range map[string]func(*Config){
		"publish.max_record_bytes":     func(c *Config) { c.MaxRecordBytes = 1 },
		"publish.max_buffered_bytes":   func(c *Config) { c.MaxBufferedBytes = 1 },
		"publish.max_buffered_records": func(c *Config) { c.MaxBufferedRecords = 0 },
		"publish.linger":               func(c *Config) { c.Linger = -1 },
		"publish.spill_after":          func(c *Config) { c.SpillAfter = 0 },
		"publish.delivery_timeout":     func(c *Config) { c.DeliveryTimeout = time.Millisecond },
	} {
		cfg := DefaultConfig()
		change(&cfg)
		if err := cfg.Validate(); err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestWithoutBodyKeepsEverythingElse(t *testing.T) {
	env := envelope("x", event.Phase_PHASE_RESPONSE, []byte("body"))
	env.Response.Payload.Outline, env.Response.StatusCode = []byte("{}"), 200
	value, err := env.MarshalVT()
	if err != nil {
		t.Fatal(err)
	}
	stripped, _, err := withoutBody(value)
	if err != nil {
		t.Fatal(err)
	}
	want := proto.CloneOf(env)
	want.Response.Payload.Body, want.Response.Payload.State = nil, event.PayloadState_PAYLOAD_STATE_TRUNCATED
	got := &event.Envelope{}
	if err := got.UnmarshalVT(stripped); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
		t.Error(diff)
	}
}

// refusing returns an address where nobody listens.
func refusing(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// blackhole returns an address that accepts connections and never answers.
func blackhole(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l.Addr().String()
}
