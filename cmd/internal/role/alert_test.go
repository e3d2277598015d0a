package role

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/alert"
	"github.com/modeltrail/modeltrail/sinks/alert/jsonl"
	"github.com/modeltrail/modeltrail/sinks/alert/webhook"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// inbox is a webhook receiver that counts keys and answers by key.
type inbox struct {
	mu     sync.Mutex
	got    map[string]int
	answer func(key string, attempt int) int
}

func (i *inbox) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := r.Header.Get(webhook.HeaderDelivery)
	i.got[key]++
	if i.answer != nil {
		w.WriteHeader(i.answer(key, i.got[key]))
	}
}

func (i *inbox) counts() map[string]int {
	i.mu.Lock()
	defer i.mu.Unlock()
	out := map[string]int{}
	for k, n := range i.got {
		out[k] = n
	}
	return out
}

func newInbox(t *testing.T, answer func(string, int) int) (*inbox, string) {
	t.Helper()
	i := &inbox{got: map[string]int{}, answer: answer}
	server := httptest.NewServer(i)
	t.Cleanup(server.Close)
	return i, server.URL
}

func webhookSink(url string) AlertSinkConfig {
	return AlertSinkConfig{Name: "soc", Type: SinkWebhook, Webhook: webhook.Config{URL: secret.New(url)},
		Retry: alert.RetryConfig{InitialPause: time.Millisecond, MaxPause: 10 * time.Millisecond, AttemptTimeout: time.Second, GiveUpAfter: 1200 * time.Millisecond}}
}

func newTestAlert(t *testing.T, c *cluster, reg *prometheus.Registry, sinks ...AlertSinkConfig) *Alert {
	t.Helper()
	letters, err := dlq.New(c.client, dlq.Settings{Topic: "dlq", Version: "test", Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	cfg := DefaultAlertConfig()
	cfg.Sinks = sinks
	a, err := NewAlert(cfg, AlertSettings{Dial: c.dial, Findings: "findings", DeadLetters: letters, Logger: zerolog.Nop(), Registerer: reg})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAlertNotifiesOncePerKeyAcrossRestarts(t *testing.T) {
	c := newCluster(t, "findings", "dlq")
	in, url := newInbox(t, nil)
	for range 3 {
		c.produce(findingRecord("a"), findingRecord("b"), findingRecord("a"))
		stop := start(t, newTestAlert(t, c, prometheus.NewRegistry(), webhookSink(url)).Run)
		c.settle("modeltrail.alert.soc", "findings")
		stop()
	}
	if diff := cmp.Diff(map[string]int{"a": 1, "b": 1}, in.counts()); diff != "" {
		t.Error(diff)
	}
}

func TestAlertKeepsWhatAReceiverRefusesAndGoesOn(t *testing.T) {
	c := newCluster(t, "findings", "dlq")
	in, url := newInbox(t, func(key string, attempt int) int {
		switch {
		case key == "refused":
			return http.StatusUnprocessableEntity
		case key == "poison":
			return http.StatusInternalServerError
		case key == "flaky" && attempt < 3:
			return http.StatusServiceUnavailable
		}
		return http.StatusOK
	})
	reg := prometheus.NewRegistry()
	stop := start(t, newTestAlert(t, c, reg, webhookSink(url)).Run)
	c.produce(findingRecord("refused"), findingRecord("poison"), findingRecord("flaky"), findingRecord("ok"), &kgo.Record{Topic: "findings", Key: []byte("junk"), Value: []byte("junk")})
	c.settle("modeltrail.alert.soc", "findings")
	stop()
	got := in.counts()
	if got["refused"] != 1 || got["flaky"] != 3 || got["ok"] != 1 || got["poison"] < 3 {
		t.Errorf("requests %v", got)
	}
	reasons := map[string]string{}
	for _, rec := range c.read("dlq", 3) {
		for _, h := range rec.Headers {
			if h.Key == dlq.HeaderReason {
				reasons[string(rec.Key)] = string(h.Value)
			}
			if h.Key == dlq.HeaderStage && string(h.Value) != "alert.soc" {
				t.Errorf("stage %s", h.Value)
			}
		}
	}
	if diff := cmp.Diff(map[string]string{"refused": "permanent_failure", "poison": "gave_up", "junk": "unreadable"}, reasons); diff != "" {
		t.Error(diff)
	}
	if n := counterSum(t, reg, "modeltrail_alert_undelivered_findings_total"); n != 3 {
		t.Errorf("%v undelivered", n)
	}
}

func TestOneDeadReceiverHoldsBackNoOtherSink(t *testing.T) {
	c := newCluster(t, "findings", "dlq")
	_, url := newInbox(t, func(string, int) int { return http.StatusBadGateway })
	dead := webhookSink(url)
	dead.Retry.GiveUpAfter = time.Hour
	path := filepath.Join(t.TempDir(), "alerts.jsonl")
	file := AlertSinkConfig{Name: "file", Type: SinkJSONL, JSONL: jsonl.Config{Path: path}}
	a := newTestAlert(t, c, prometheus.NewRegistry(), dead, file)
	stop := start(t, a.Run)
	for i := range 20 {
		c.produce(findingRecord(fmt.Sprint(i)))
	}
	c.settle("modeltrail.alert.file", "findings")
	a.Reopen()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	var m alert.Message
	if len(lines) != 20 || json.Unmarshal(lines[0], &m) != nil {
		t.Errorf("%d lines", len(lines))
	}
	begin := time.Now()
	stop()
	if took := time.Since(begin); took > 25*time.Second {
		t.Errorf("stopping took %s", took)
	}
}

func TestStaleFindingsDoNotFloodANewSink(t *testing.T) {
	c := newCluster(t, "findings", "dlq")
	in, url := newInbox(t, nil)
	old := findingRecord("old")
	old.Timestamp = time.Now().Add(-25 * time.Hour)
	c.produce(old, findingRecord("new"))
	stop := start(t, newTestAlert(t, c, prometheus.NewRegistry(), webhookSink(url)).Run)
	c.settle("modeltrail.alert.soc", "findings")
	stop()
	if diff := cmp.Diff(map[string]int{"new": 1}, in.counts()); diff != "" {
		t.Error(diff)
	}
}

func TestAlertConfigFaultsNameTheirKey(t *testing.T) {
	cfg := DefaultAlertConfig()
	cfg.Sinks = []AlertSinkConfig{
		{Name: "Not Good", Type: "pager", MinSeverity: "loud", Parallel: 1000},
		{Name: "a", Type: SinkWebhook}, {Name: "a", Type: SinkJSONL},
	}
	err := cfg.Validate()
	for _, want := range []string{"alert.sinks[0].name", "alert.sinks[0].type", "alert.sinks[0].min_severity", "alert.sinks[0].parallel",
		"alert.sinks[1].webhook.url", "alert.sinks[2].name", "alert.sinks[2].jsonl.path"} {
		if err == nil || !strings.Contains(err.Error(), want+":") {
			t.Errorf("%s is not named in %v", want, err)
		}
	}
}
