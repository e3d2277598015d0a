package main

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"

	"github.com/modeltrail/modeltrail/cmd/internal/tapserver"
)

func TestWrongUsageExitsWithTwo(t *testing.T) {
	bad := filepath.Join(t.TempDir(), "bad.yaml")
	if err := os.WriteFile(bad, []byte("tap: {listn: x, encryption_key: planted-secret}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, args := range map[string][]string{
		"no route": {"--brokers", "127.0.0.1:9092"}, "no broker": {"--upstream", "openai=https://api.openai.com"},
		"bad upstream": {"--upstream", "https://api.openai.com"}, "unknown flag": {"--nope"}, "unknown key": {"--config", bad},
		"missing file": {"--config", "/nonexistent"}, "bad level": {"--upstream", "o=http://x", "--brokers", "x:1", "--log-level", "loud"},
	} {
		if code := run(args); code != exitUsage {
			t.Errorf("%s: exit code %d", name, code)
		}
	}
	if code := run([]string{"version"}); code != exitOK {
		t.Errorf("version: exit code %d", code)
	}
	if _, err := (flags{config: bad}).load(); err == nil || strings.Contains(err.Error(), "planted") || !strings.Contains(err.Error(), "listn") {
		t.Errorf("error %v", err)
	}
}

func TestFlagsWinOverTheFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "tap.yaml")
	text := `
tap:
  listen: 127.0.0.1:1
  routes:
    - {prefix: /openai, upstream: "https://api.openai.com", provider: openai, capture: hash}
kafka: {brokers: ["a:1"]}
publish: {linger: 5ms}
`
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, err := flags{config: file, listen: "127.0.0.1:2", brokers: []string{"b:2"}, upstreams: []string{"anthropic=https://api.anthropic.com"}}.load()
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Tap.Listen != "127.0.0.1:2" || cfg.Kafka.Brokers[0] != "b:2" || len(cfg.Tap.Routes) != 2 || cfg.Tap.Routes[0].Capture != "hash" ||
		cfg.Tap.Routes[1].Provider != "anthropic" || cfg.Publish.Linger != 5*time.Millisecond || cfg.Tap.MaxBodyBytes != 80<<10 {
		t.Errorf("%+v", cfg)
	}
}

func address(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestServeAuditsAndDrains(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicEnvelopes))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	slow := make(chan struct{})
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		<-slow
	}))
	defer up.Close()
	cfg := defaultConfig()
	cfg.Tap.Listen, cfg.Admin.Listen, cfg.Kafka.Brokers = address(t), address(t), cluster.ListenAddrs()
	cfg.Tap.Credential.KeyFile = filepath.Join(t.TempDir(), "key")
	cfg.Ledger.StateDir, cfg.Ledger.SourceKeyFile = t.TempDir(), filepath.Join(t.TempDir(), "source.key")
	route, err := parseUpstream("openai=" + up.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tap.Routes = append(cfg.Tap.Routes, route)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, cfg, zerolog.Nop()) }()
	ready(t, "http://"+cfg.Admin.Listen+"/readyz")
	response, err := http.Get("http://" + cfg.Tap.Listen + "/openai/v1/x")
	if err != nil {
		t.Fatal(err)
	}
	stop() // while the call runs
	time.Sleep(50 * time.Millisecond)
	close(slow)
	if body, err := io.ReadAll(response.Body); string(body) != "part" || err != nil {
		t.Errorf("%q %v", body, err)
	}
	response.Body.Close()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(event.TopicEnvelopes))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	wait, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	for n := 0; n < 2; {
		fetches := client.PollFetches(wait)
		if fetches.Err0() != nil {
			t.Fatalf("%d of 2 envelopes", n)
		}
		n += fetches.NumRecords()
	}
}

func TestDeadlineOfTheDrainIsReported(t *testing.T) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(204) }))
	defer up.Close()
	cfg := defaultConfig()
	cfg.Tap.Listen, cfg.Admin.Listen, cfg.Kafka.Brokers = address(t), address(t), []string{"127.0.0.1:1"}
	cfg.Tap.Credential.KeyFile, cfg.Tap.DrainTimeout = filepath.Join(t.TempDir(), "key"), 200*time.Millisecond
	cfg.Ledger.StateDir, cfg.Ledger.SourceKeyFile = t.TempDir(), filepath.Join(t.TempDir(), "source.key")
	route, err := parseUpstream("openai=" + up.URL)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Tap.Routes = append(cfg.Tap.Routes, route)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- serve(ctx, cfg, zerolog.Nop()) }()
	ready(t, "http://"+cfg.Admin.Listen+"/healthz")
	response, err := http.Get("http://" + cfg.Tap.Listen + "/openai/v1/x")
	if err != nil {
		t.Fatal(err)
	}
	response.Body.Close()
	stop()
	if err := <-done; !errors.Is(err, tapserver.ErrDrain) {
		t.Errorf("%v", err)
	}
}

func ready(t *testing.T, url string) {
	t.Helper()
	for range 200 {
		if response, err := http.Get(url); err == nil {
			response.Body.Close()
			if response.StatusCode == 200 {
				return
			}
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatal("never ready")
}
