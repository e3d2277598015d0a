package tap

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/event"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// bench is a whole path: clients, proxy, provider, broker.
type bench struct {
	t         *testing.T
	cluster   *kfake.Cluster
	client    *kgo.Client
	publisher *publish.Publisher
	tap       *Tap
	proxy     *Proxy
	registry  *prometheus.Registry
	url       string // of the proxy
	drained   bool
}

type benchOptions struct {
	upstream string
	brokers  []string // nil: a fresh broker
	tls      *tls.Config
	config   func(*Config)
	publish  func(*publish.Config)
}

func newBench(t *testing.T, o benchOptions) *bench {
	t.Helper()
	b := &bench{t: t, registry: prometheus.NewRegistry()}
	if o.brokers == nil {
		cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEnvelopes))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Close)
		b.cluster, o.brokers = cluster, cluster.ListenAddrs()
	}
	pub := publish.DefaultConfig()
	pub.Linger = time.Millisecond
	if o.publish != nil {
		o.publish(&pub)
	}
	var err error
	if b.client, err = kgo.NewClient(append(pub.Options(), kgo.SeedBrokers(o.brokers...))...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	b.publisher, err = publish.New(b.client, pub, publish.Settings{
		Topic: event.TopicEnvelopes, Logger: zerolog.Nop(), Registerer: b.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	b.start(o)
	t.Cleanup(func() { b.drain(100 * time.Millisecond) })
	return b
}

func (b *bench) start(o benchOptions) {
	b.t.Helper()
	cfg := testConfig(b.t, o.upstream)
	if o.config != nil {
		o.config(&cfg)
	}
	var err error
	b.tap, err = New(cfg, Settings{Publisher: b.publisher, Version: "test", Logger: zerolog.Nop(), Registerer: b.registry})
	if err != nil {
		b.t.Fatal(err)
	}
	b.proxy = NewProxy(b.tap, o.tls)
	b.url = serveOn(b.t, b.proxy)
	b.t.Cleanup(b.proxy.Close)
}

func testConfig(t *testing.T, upstream string) Config {
	cfg := DefaultConfig()
	cfg.Instance = "test-tap"
	cfg.Credential.KeyFile = filepath.Join(t.TempDir(), "key")
	if upstream != "" {
		cfg.Routes = []Route{{Prefix: "/openai", Upstream: upstream, Provider: "openai", Dialect: "openai.chat"}}
	}
	return cfg
}

// serveOn serves h as the binaries do and returns its URL.
func serveOn(t *testing.T, h http.Handler) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := NewServer(context.Background(), h)
	done := make(chan struct{})
	go func() { defer close(done); _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close(); <-done })
	return "http://" + l.Addr().String()
}

func upstream(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// newClient is a client without keep-alive leftovers.
func newClient(t *testing.T) *http.Client {
	t.Helper()
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func (b *bench) drain(timeout time.Duration) {
	if b.drained {
		return
	}
	b.drained = true
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	_ = b.tap.Close(ctx)
	_ = b.publisher.Close(ctx)
}

// envelopes waits for n envelopes in Kafka and returns them by sequence.
func (b *bench) envelopes(n int) []*event.Envelope {
	b.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(b.cluster.ListenAddrs()...), kgo.ConsumeTopics(event.TopicEnvelopes),
		kgo.FetchMaxWait(50*time.Millisecond))
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(b.t.Context(), 30*time.Second)
	defer cancel()
	var out []*event.Envelope
	for len(out) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			b.t.Fatalf("%d of %d envelopes: %v", len(out), n, err)
		}
		for _, r := range fetches.Records() {
			e := &event.Envelope{}
			if err := e.UnmarshalVT(r.Value); err != nil {
				b.t.Fatal(err)
			}
			out = append(out, e)
		}
	}
	if len(out) != n {
		b.t.Fatalf("%d envelopes, want %d", len(out), n)
	}
	slices.SortFunc(out, func(x, y *event.Envelope) int { return int(x.Source.Sequence) - int(y.Source.Sequence) })
	return out
}

// pair waits for the two envelopes of the only call.
func (b *bench) pair() (request, response *event.Envelope) {
	b.t.Helper()
	all := b.envelopes(2)
	request, response = all[0], all[1]
	if request.Phase != event.Phase_PHASE_REQUEST || response.Phase != event.Phase_PHASE_RESPONSE ||
		request.CallId != response.CallId || request.Response != nil {
		b.t.Fatalf("not a pair: %v %v", request, response)
	}
	return request, response
}

// metric sums the values of a counter over its labels.
func (b *bench) metric(name string) float64 {
	b.t.Helper()
	families, err := b.registry.Gather()
	if err != nil {
		b.t.Fatal(err)
	}
	var sum float64
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, m := range f.GetMetric() {
			sum += value(m)
		}
	}
	return sum
}

func value(m *dto.Metric) float64 {
	return m.GetCounter().GetValue() + m.GetGauge().GetValue()
}

func attributeMap(list []*event.Attribute) map[string]string {
	out := map[string]string{}
	for _, a := range list {
		out[a.Key] = a.Value
	}
	return out
}
