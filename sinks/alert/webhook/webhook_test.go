package webhook

import (
	"context"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/alert"
)

var key = secret.New("0123456789abcdef0123456789abcdef")

func finding() *event.Finding {
	return &event.Finding{Key: "0f1e2d3c", Detector: "out_of_scope", Severity: event.Severity_SEVERITY_HIGH, Title: "Model out of scope", CallId: "c1"}
}

func notifier(t *testing.T, address string) *Notifier {
	t.Helper()
	cfg := DefaultConfig()
	cfg.URL, cfg.Secret, cfg.Authorization = secret.New(address), key, secret.New("Bearer receiver-token")
	n, err := New("soc", cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func serve(t *testing.T, h http.HandlerFunc) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

func TestReceiverGetsSignedJSONWithIdempotencyKey(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if err := Verify(key, r.Header.Get(HeaderSignature), body, time.Now(), time.Minute); err != nil {
			t.Errorf("verify: %v", err)
		}
		var m alert.Message
		if err := json.Unmarshal(body, &m); err != nil || m.Key != "0f1e2d3c" || m.Severity != "high" {
			t.Errorf("body %s: %v", body, err)
		}
		for name, want := range map[string]string{
			HeaderDelivery: "0f1e2d3c", "Content-Type": "application/json", "Authorization": "Bearer receiver-token",
		} {
			if got := r.Header.Get(name); got != want {
				t.Errorf("%s: %q", name, got)
			}
		}
		if r.Method != http.MethodPost || r.URL.RawQuery != "token=t0ps3cret" {
			t.Errorf("%s %s", r.Method, r.URL)
		}
		w.WriteHeader(http.StatusAccepted)
	})
	if err := notifier(t, server.URL+"/hook?token=t0ps3cret").Notify(t.Context(), finding()); err != nil {
		t.Fatal(err)
	}
}

func TestRetryTableOverEveryStatus(t *testing.T) {
	var status atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://127.0.0.1:1/elsewhere")
		w.WriteHeader(int(status.Load()))
	})
	n := notifier(t, server.URL)
	for code := 200; code < 1000; code++ {
		status.Store(int64(code))
		err := n.Notify(t.Context(), finding())
		transient := code == 408 || code == 425 || code == 429 || code >= 500
		switch {
		case code < 300 && err != nil:
			t.Errorf("%d: %v", code, err)
		case code >= 300 && err == nil:
			t.Errorf("%d counts as delivered", code)
		case code >= 300 && alert.IsPermanent(err) == transient:
			t.Errorf("%d: permanent is %t", code, alert.IsPermanent(err))
		}
	}
}

func TestRedirectsAreNotFollowed(t *testing.T) {
	var hits atomic.Int64
	target := serve(t, func(http.ResponseWriter, *http.Request) { hits.Add(1) })
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, target.URL, http.StatusTemporaryRedirect)
	})
	if err := notifier(t, server.URL).Notify(t.Context(), finding()); !alert.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
	if hits.Load() != 0 {
		t.Error("the signed body went to another address")
	}
}

func TestRetryAfterIsHonouredInBothForms(t *testing.T) {
	now := time.Date(2026, 10, 5, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0": 0, "-3": 0, "soon": 0, "99999999999999": 0,
		now.Add(90 * time.Second).Format(http.TimeFormat): 90 * time.Second,
		now.Add(-time.Hour).Format(http.TimeFormat):       0,
	} {
		err := classify(429, http.Header{"Retry-After": {value}}, now)
		if got := alert.PauseOf(err); got != want || alert.IsPermanent(err) {
			t.Errorf("%q: pause %s, permanent %t", value, got, alert.IsPermanent(err))
		}
	}
}

func TestReceiverThatRecoversGetsTheFindingOnceMore(t *testing.T) {
	var hits atomic.Int64
	server := serve(t, func(w http.ResponseWriter, _ *http.Request) {
		if hits.Add(1) < 3 {
			w.WriteHeader(http.StatusInternalServerError)
		}
	})
	cfg := alert.DefaultRetryConfig()
	cfg.InitialPause, cfg.MaxPause = time.Millisecond, 5*time.Millisecond
	if err := alert.Retry(notifier(t, server.URL), cfg, zerolog.Nop(), nil).Notify(t.Context(), finding()); err != nil {
		t.Fatal(err)
	}
	if hits.Load() != 3 {
		t.Errorf("%d requests", hits.Load())
	}
}

func TestSlowReceiverEndsWithTheAttempt(t *testing.T) {
	release := make(chan struct{})
	server := serve(t, func(http.ResponseWriter, *http.Request) { <-release })
	t.Cleanup(func() { close(release) })
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	err := notifier(t, server.URL).Notify(ctx, finding())
	if !errors.Is(err, context.DeadlineExceeded) || alert.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}

func TestCutConnectionIsTransient(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Read(make([]byte, 100))
			_, _ = conn.Write([]byte("HTTP/1.1 200 OK\r\nContent-Le"))
			_ = conn.Close()
		}
	}()
	err = notifier(t, "http://"+listener.Addr().String()).Notify(t.Context(), finding())
	if err == nil || alert.IsPermanent(err) {
		t.Errorf("error %v", err)
	}
}

func TestEndlessAnswerIsNotReadToItsEnd(t *testing.T) {
	server := serve(t, func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 32<<10)); err != nil {
				return
			}
		}
	})
	done := make(chan error, 1)
	go func() { done <- notifier(t, server.URL).Notify(t.Context(), finding()) }()
	select {
	case err := <-done:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("still reading")
	}
}

func TestTLSReceiverIsVerified(t *testing.T) {
	server := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	t.Cleanup(server.Close)
	server.Config.ErrorLog = nil
	if err := notifier(t, server.URL).Notify(t.Context(), finding()); err == nil || alert.IsPermanent(err) {
		t.Errorf("unknown authority: %v", err)
	}
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg := DefaultConfig()
	cfg.URL, cfg.CAFile = secret.New(server.URL), ca
	n, err := New("soc", cfg)
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Notify(t.Context(), finding()); err != nil {
		t.Error(err)
	}
}

func TestErrorsNeverHoldTheAddress(t *testing.T) {
	for _, address := range []string{"http://127.0.0.1:1/hook/t0ps3cret?token=t0ps3cret", "http://user:t0ps3cret@127.0.0.1:1/"} {
		err := notifier(t, address).Notify(t.Context(), finding())
		if err == nil || strings.Contains(err.Error(), "t0ps3cret") || !strings.Contains(err.Error(), "127.0.0.1:1") {
			t.Errorf("error %v", err)
		}
	}
	for _, address := range []string{"ftp://t0ps3cret/", "http://\x7f/t0ps3cret", "t0ps3cret", "http:///t0ps3cret", ""} {
		cfg := DefaultConfig()
		cfg.URL, cfg.Secret = secret.New(address), secret.New("short")
		err := cfg.Validate()
		if err == nil || strings.Contains(err.Error(), "t0ps3cret") || !strings.Contains(err.Error(), "secret:") {
			t.Errorf("%q: error %v", address, err)
		}
		if strings.Contains(fmt.Sprintf("%v %+v %#v", cfg, cfg, cfg), "t0ps3cret") {
			t.Error("configuration prints the address")
		}
	}
}

func TestSignatureChecks(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	body := []byte(`{"a":1}`)
	good := Sign(key, body, now)
	other := Sign(secret.New("another key of good length"), body, now)
	rotated := good + ",v1=" + strings.TrimPrefix(other[strings.Index(other, ",")+1:], "v1=")
	for _, c := range []struct {
		name, header string
		key          secret.Secret
		body         []byte
		at           time.Time
		want         error
	}{
		{"good", good, key, body, now, nil},
		{"within tolerance", good, key, body, now.Add(5 * time.Minute), nil},
		{"clock behind", good, key, body, now.Add(-5 * time.Minute), nil},
		{"too old", good, key, body, now.Add(5*time.Minute + time.Second), ErrExpired},
		{"from the future", good, key, body, now.Add(-6 * time.Minute), ErrExpired},
		{"other body", good, key, []byte(`{"a":2}`), now, ErrMismatch},
		{"other key", other, key, body, now, ErrMismatch},
		{"empty key", Sign(secret.Secret{}, body, now), secret.Secret{}, body, now, ErrMismatch},
		{"rotated, second matches", "t=1790000000,v1=" + strings.Repeat("0", 64) + good[strings.Index(good, ",v1="):], key, body, now, nil},
		{"rotated, first matches", rotated, key, body, now, nil},
		{"unknown scheme ignored", good + ",v2=xyz", key, body, now, nil},
		{"time changed", "t=1790000001" + good[strings.Index(good, ","):], key, body, now, ErrMismatch},
		{"empty", "", key, body, now, ErrMalformed},
		{"no signature", "t=1790000000", key, body, now, ErrMalformed},
		{"no time", good[strings.Index(good, ",")+1:], key, body, now, ErrMalformed},
		{"two times", "t=1," + good, key, body, now, ErrMalformed},
		{"short signature", "t=1790000000,v1=abcd", key, body, now, ErrMalformed},
		{"not hex", "t=1790000000,v1=" + strings.Repeat("z", 64), key, body, now, ErrMalformed},
		{"flood", good + strings.Repeat(",v1="+strings.Repeat("0", 64), 100), key, body, now, ErrMalformed},
	} {
		if err := Verify(c.key, c.header, c.body, c.at, 5*time.Minute); !errors.Is(err, c.want) || (err == nil) != (c.want == nil) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
	if err := Verify(key, good, body, now.Add(time.Hour), 0); err != nil {
		t.Errorf("without tolerance: %v", err)
	}
	// The vector of docs/alerts.md, computed with openssl.
	const vector = "t=1790000000,v1=8eb87d529bb1d4c49429ce59588314525d2137eba68e90724cc68e30f41bbe86"
	if got := Sign(secret.New("0123456789abcdef"), []byte(`{"key":"k"}`), now); got != vector {
		t.Errorf("vector %s", got)
	}
}

func FuzzVerify(f *testing.F) {
	f.Add("t=1,v1="+strings.Repeat("a", 64), []byte("body"))
	f.Add("", []byte(nil))
	f.Fuzz(func(t *testing.T, header string, body []byte) {
		if Verify(key, header, body, time.Unix(1, 0), time.Minute) == nil {
			t.Fatalf("forged %q", header)
		}
	})
}
