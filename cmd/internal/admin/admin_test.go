package admin

import (
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func get(t *testing.T, url string) (int, string) {
	t.Helper()
	response, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func start(t *testing.T, cfg Config) *Server {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(prometheus.NewCounter(prometheus.CounterOpts{Name: "modeltrail_test_total"}))
	s, err := Start(cfg, registry)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close(context.Background()) })
	return s
}

func TestReadyNamesThePartThatIsNot(t *testing.T) {
	s := start(t, Config{Listen: "127.0.0.1:0"})
	base := "http://" + s.Addr()
	if code, _ := get(t, base+"/readyz"); code != http.StatusOK {
		t.Fatalf("ready without checks: %d", code)
	}
	s.AddCheck("kafka", func(context.Context) error { return errors.New("no broker answers") })
	code, body := get(t, base+"/readyz")
	if code != http.StatusServiceUnavailable || !strings.Contains(body, "kafka: no broker answers") {
		t.Fatalf("got %d %q", code, body)
	}
	if code, _ := get(t, base+"/healthz"); code != http.StatusOK {
		t.Fatalf("health must not depend on checks: %d", code)
	}
}

func TestMetricsAreServedAndProfilesAreNot(t *testing.T) {
	s := start(t, Config{Listen: "127.0.0.1:0"})
	if _, body := get(t, "http://"+s.Addr()+"/metrics"); !strings.Contains(body, "modeltrail_test_total 0") {
		t.Fatalf("metrics: %q", body)
	}
	if code, _ := get(t, "http://"+s.Addr()+"/debug/pprof/"); code != http.StatusNotFound {
		t.Fatalf("pprof is on by default: %d", code)
	}
	on := start(t, Config{Listen: "127.0.0.1:0", Pprof: true})
	if code, _ := get(t, "http://"+on.Addr()+"/debug/pprof/"); code != http.StatusOK {
		t.Fatalf("pprof is off although configured: %d", code)
	}
}

func TestPortInUseNamesTheSetting(t *testing.T) {
	s := start(t, Config{Listen: "127.0.0.1:0"})
	if _, err := Start(Config{Listen: s.Addr()}, prometheus.NewRegistry()); err == nil || !strings.Contains(err.Error(), "admin.listen") {
		t.Fatalf("got %v", err)
	}
}
