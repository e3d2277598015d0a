package tap

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/ingest/publish"
)

// choosy takes envelopes of some durabilities.
type choosy struct {
	marshalling
	takes map[publish.Durability]bool
}

func (c *choosy) Takes(how publish.Durability) bool { return c.takes[how] }

func TestOnlyClosedRoutesRefuseCallsThatCannotBeAudited(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) })
	cfg := testConfig(t, "")
	cfg.Durability, cfg.OnAuditFailure = "spill", "closed"
	cfg.Routes = []Route{
		{Prefix: "/closed", Upstream: up.URL + "/closed"},
		{Prefix: "/open", Upstream: up.URL + "/open", OnAuditFailure: "open"},
		{Prefix: "/memory", Upstream: up.URL + "/memory", Durability: "memory"},
	}
	made, err := New(cfg, Settings{Publisher: &choosy{takes: map[publish.Durability]bool{publish.Memory: true}}, Logger: zerolog.Nop()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = made.Close(t.Context()) }()
	proxy := NewProxy(made, nil)
	defer proxy.Close()
	passed := made.Middleware(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	for path, want := range map[string]int{"/closed/x": 503, "/open/x": 204, "/memory/x": 204} {
		for form, h := range map[string]http.Handler{"proxy": proxy, "middleware": passed} {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, strings.NewReader("{}")))
			if w.Code != want {
				t.Errorf("%s %s: %d", form, path, w.Code)
			}
			if want == 503 && (w.Header().Get("Retry-After") != "5" || !strings.Contains(w.Body.String(), "audit_unavailable")) {
				t.Errorf("%s: %v %s", form, w.Header(), w.Body)
			}
		}
		transport := &http.Transport{}
		response, err := (&http.Client{Transport: made.RoundTripper(transport)}).Post(up.URL+path, "", strings.NewReader("{}"))
		var unavailable *UnavailableError
		if errors.As(err, &unavailable) != (want == 503) || unavailable != nil && unavailable.Route != "closed" {
			t.Errorf("transport %s: %v", path, err)
		}
		if err == nil {
			response.Body.Close()
		}
		transport.CloseIdleConnections()
	}
}

func TestValidateKnowsTheWordsOfKeeping(t *testing.T) {
	cfg := testConfig(t, "http://127.0.0.1:1")
	cfg.Durability, cfg.OnAuditFailure = "disk", "shut"
	cfg.Routes[0].Durability = "later"
	err := cfg.Validate()
	for _, key := range []string{"tap.durability", "tap.on_audit_failure", "tap.routes[0].durability"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}
