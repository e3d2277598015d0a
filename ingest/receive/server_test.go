package receive

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/tlstest"
)

// serve runs a whole Server and returns what stops it.
func serve(t *testing.T, cfg Config) (r *rig, addr string, stop func() error) {
	t.Helper()
	cfg.Listen = "127.0.0.1:0"
	r = &rig{store: &store{}, t: t, registry: prometheus.NewRegistry()}
	server, err := Listen(cfg, Settings{
		Publisher: r, DeadLetters: r, Formats: []Format{ModelTrail{}}, Topic: event.TopicEnvelopes,
		Logger: zerolog.New(zerolog.NewTestWriter(t)), Registerer: r.registry,
	})
	if err != nil {
		t.Fatal(err)
	}
	r.receiver = server.receiver
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- server.Run(ctx) }()
	stopped := false
	stop = func() error {
		stopped = true
		cancel()
		return <-done
	}
	t.Cleanup(func() {
		if !stopped {
			_ = stop()
		}
	})
	return r, server.Addr(), stop
}

func client(t *testing.T, trust *tlstest.Authority, pairs ...tls.Certificate) *http.Client {
	t.Helper()
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: trust.Pool(), Certificates: pairs, MinVersion: tls.VersionTLS12}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 10 * time.Second}
}

func TestMTLS_ByNameAddressAndKey_NeverByAnotherAuthorityOrAfterItsTime(t *testing.T) {
	ours, theirs := tlstest.New(t, "ours"), tlstest.New(t, "theirs")
	server := ours.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}})
	byName := ours.Issue(tlstest.Leaf{Name: "tap-1"})
	bySAN := ours.Issue(tlstest.Leaf{URI: "spiffe://org/tap-2"})
	byKey := ours.Issue(tlstest.Leaf{Name: "whatever"})
	stranger := ours.Issue(tlstest.Leaf{Name: "stranger"})
	forged := theirs.Issue(tlstest.Leaf{Name: "tap-1"})
	expired := ours.Issue(tlstest.Leaf{Name: "tap-1", NotAfter: time.Now().Add(-time.Minute)})
	cfg := config(
		Source{Name: "one", MTLS: MTLS{CommonNames: []string{"tap-1"}}},
		Source{Name: "two", MTLS: MTLS{SANs: []string{"spiffe://org/tap-2"}}},
		Source{Name: "three", MTLS: MTLS{SPKISHA256: []string{strings.ToUpper(byKey.SPKI)}}},
		bearer("four", tokenA),
	)
	cfg.TLS.CertFile, cfg.TLS.KeyFile, cfg.TLS.ClientCAFile = server.CertFile, server.KeyFile, ours.File
	cfg.FailuresPerMinute = 100
	r, addr, _ := serve(t, cfg)
	r.url = "https://" + addr + "/v1/envelopes"
	plain := header{"Content-Type": MediaJSON}
	for name, c := range map[string]struct {
		pairs  []tls.Certificate
		h      header
		want   int
		source string
	}{
		"by common name":               {[]tls.Certificate{byName.TLS}, plain, 200, "one"},
		"by alternative name":          {[]tls.Certificate{bySAN.TLS}, plain, 200, "two"},
		"by key":                       {[]tls.Certificate{byKey.TLS}, plain, 200, "three"},
		"by token, without":            {nil, token(tokenA), 200, "four"},
		"unknown":                      {[]tls.Certificate{stranger.TLS}, plain, 401, unknownSource},
		"none":                         {nil, plain, 401, unknownSource},
		"a right one, a wrong token":   {[]tls.Certificate{byName.TLS}, token(tokenB), 401, unknownSource},
		"an unknown one, a good token": {[]tls.Certificate{stranger.TLS}, token(tokenA), 200, "four"},
	} {
		before := r.metric("modeltrail_receive_requests_total", "source="+c.source)
		if got := postTo(t, client(t, ours, c.pairs...), r.url, c.h, bytes.NewReader(one(t, "call"))); got.status != c.want {
			t.Errorf("%s: %+v", name, got)
		}
		if n := r.metric("modeltrail_receive_requests_total", "source="+c.source); n != before+1 {
			t.Errorf("%s: not counted for %s", name, c.source)
		}
	}
	for reason, pair := range map[string]tls.Certificate{"certificate_untrusted": forged.TLS, "certificate_expired": expired.TLS} {
		// The client sends what it has, whatever the server's list of authorities says.
		sender := client(t, ours)
		sender.Transport.(*http.Transport).TLSClientConfig.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		response, err := sender.Post(r.url, MediaJSON, bytes.NewReader(one(t, "call")))
		if err == nil {
			_ = response.Body.Close()
			t.Errorf("%s: answered %s", reason, response.Status)
		}
		if n := r.metric("modeltrail_receive_denied_requests_total", "reason="+reason); n < 1 {
			t.Errorf("%s: not counted", reason)
		}
	}
}

func TestCertificates_AreReplacedWithoutARestart_AndFaultyOnesChangeNothing(t *testing.T) {
	ours := tlstest.New(t, "ours")
	files := ours.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}, Serial: 11})
	renew := func(serial int64) {
		ours.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}, Serial: serial}).Copy(t, files.CertFile, files.KeyFile)
	}
	cfg := config(bearer("a", tokenA))
	cfg.TLS.CertFile, cfg.TLS.KeyFile, cfg.TLS.ReloadInterval = files.CertFile, files.KeyFile, time.Millisecond
	_, addr, _ := serve(t, cfg)
	serial := func() int64 {
		t.Helper()
		conn, err := tls.Dial("tcp", addr, &tls.Config{RootCAs: ours.Pool(), MinVersion: tls.VersionTLS12})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		return conn.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	await := func(want int64) {
		t.Helper()
		for range 200 {
			if serial() == want {
				return
			}
			time.Sleep(5 * time.Millisecond)
		}
		t.Fatalf("the certificate %d is not in force", want)
	}
	await(11)
	renew(22)
	await(22)
	if err := os.WriteFile(files.CertFile, []byte("nonsense"), 0o600); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond)
	await(22)
	renew(333)
	await(333)
	if _, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}); err == nil {
		t.Error("TLS 1.1 is accepted")
	}
}

func TestSlowSenders_AreCutOff(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.ReadTimeout = 600 * time.Millisecond
	r, addr, _ := serve(t, cfg)
	for name, text := range map[string]string{
		"header": "POST /v1/envelopes HTTP/1.1\r\nHost: x\r\nX-Slow: ",
		"body":   "POST /v1/envelopes HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer " + tokenA + "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", addr)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if _, err := io.WriteString(conn, text); err != nil {
				t.Fatal(err)
			}
			drip := time.NewTicker(100 * time.Millisecond)
			defer drip.Stop()
			closed := make(chan string, 1)
			go func() {
				all, _ := io.ReadAll(conn)
				closed <- string(all)
			}()
			started := time.Now()
			for {
				select {
				case got := <-closed:
					if name == "body" && !strings.Contains(got, " 408 ") {
						t.Errorf("answer is %q", got)
					}
					if took := time.Since(started); took > 3*time.Second {
						t.Errorf("took %s", took)
					}
					return
				case <-drip.C:
					_, _ = io.WriteString(conn, "a")
				case <-time.After(10 * time.Second):
					t.Fatal("the connection stays open")
				}
			}
		})
	}
	if n := r.receiver.budget.used.Load(); n != 0 || len(r.receiver.slots) != 0 {
		t.Errorf("%d bytes, %d slots are still taken", n, len(r.receiver.slots))
	}
}

func TestHeader_IsBounded(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.MaxHeaderBytes = 4 << 10
	_, addr, _ := serve(t, cfg)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		_, _ = io.WriteString(conn, "POST /v1/envelopes HTTP/1.1\r\nHost: x\r\nX-Long: "+strings.Repeat("a", 64<<10)+"\r\n\r\n")
	}()
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("answer is %s", response.Status)
	}
}

func TestConnections_AreBounded_AndFreedWhenTheyEnd(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.MaxConcurrent, cfg.MaxConnections = 2, 2
	_, addr, _ := serve(t, cfg)
	var idle []net.Conn
	for range 2 {
		conn, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		idle = append(idle, conn)
	}
	time.Sleep(50 * time.Millisecond)
	ask := func() error {
		transport := &http.Transport{DisableKeepAlives: true}
		response, err := (&http.Client{Transport: transport, Timeout: 300 * time.Millisecond}).Get("http://" + addr + "/healthz")
		if err == nil {
			err = response.Body.Close()
		}
		return err
	}
	if err := ask(); err == nil {
		t.Error("a third connection is served")
	}
	for _, conn := range idle {
		_ = conn.Close()
	}
	var err error
	for range 100 {
		if err = ask(); err == nil {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Errorf("after the others have gone: %v", err)
}

func TestStop_FinishesRunningRequests(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.DurableTimeout = time.Minute
	r, addr, stop := serve(t, cfg)
	r.hold = make(chan struct{})
	answered := make(chan int, 1)
	go func() {
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		got := postTo(t, &http.Client{Transport: transport}, "http://"+addr+"/v1/envelopes", token(tokenA), bytes.NewReader(one(t, "call")))
		answered <- got.status
	}()
	for len(r.receiver.slots) == 0 {
		time.Sleep(time.Millisecond)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	time.Sleep(100 * time.Millisecond)
	close(r.hold)
	if status := <-answered; status != 200 {
		t.Errorf("the running request was answered %d", status)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if len(r.envelopes) != 1 {
		t.Errorf("%d envelopes", len(r.envelopes))
	}
}

func TestStop_AtItsDeadline_SaysSo(t *testing.T) {
	cfg := config(bearer("a", tokenA))
	cfg.DurableTimeout, cfg.DrainTimeout = time.Minute, 50*time.Millisecond
	r, addr, stop := serve(t, cfg)
	r.hold = make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		transport := &http.Transport{}
		defer transport.CloseIdleConnections()
		request, _ := http.NewRequest(http.MethodPost, "http://"+addr+"/v1/envelopes", bytes.NewReader(one(t, "call")))
		request.Header.Set("Authorization", "Bearer "+tokenA)
		request.Header.Set("Content-Type", MediaJSON)
		if response, err := (&http.Client{Transport: transport}).Do(request); err == nil {
			_ = response.Body.Close()
			t.Errorf("answered %s", response.Status)
		}
	}()
	for len(r.receiver.slots) == 0 {
		time.Sleep(time.Millisecond)
	}
	if err := stop(); err == nil || !strings.Contains(err.Error(), ErrDrain.Error()) {
		t.Errorf("error is %v", err)
	}
	<-gone
}

func TestListen_NamesTheSettingThatIsWrong(t *testing.T) {
	s := &store{}
	set := Settings{Publisher: s, DeadLetters: s, Formats: []Format{ModelTrail{}}, Logger: zerolog.Nop()}
	for want, change := range map[string]func(*Config){
		"receive.listen: name":         func(c *Config) { c.Listen = "" },
		"without TLS":                  func(c *Config) { c.Listen = "0.0.0.0:0" },
		"anybody could write":          func(c *Config) { c.Listen, c.Sources = ":0", nil },
		"receive.tls: cert_file":       func(c *Config) { c.TLS.CertFile, c.TLS.KeyFile = "/nonexistent", "/nonexistent" },
		"receive.tls.client_ca_file":   func(c *Config) { c.TLS.ClientCAFile = "x" },
		"receive.sources[0].mtls":      func(c *Config) { c.Sources[0].MTLS.CommonNames = []string{"a"} },
		"receive.sources[0].bearer[0]": func(c *Config) { c.Sources = []Source{bearer("a", "short")} },
		"belongs to one source":        func(c *Config) { c.Sources = []Source{bearer("a", tokenA), bearer("b", tokenA)} },
		"expires":                      func(c *Config) { c.Sources[0].Bearer[0].Expires = "tomorrow" },
		"receive.max_in_flight_bytes":  func(c *Config) { c.MaxInFlightBytes = 1 },
		"receive.max_capture":          func(c *Config) { c.MaxCapture = "all" },
	} {
		cfg := config(bearer("a", tokenA))
		cfg.Listen = "127.0.0.1:0"
		change(&cfg)
		server, err := Listen(cfg, set)
		if err == nil {
			_ = server.Close()
		}
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), tokenA) {
			t.Errorf("error is %v; want %q", err, want)
		}
	}
	cfg := config()
	cfg.Listen, cfg.Insecure = "0.0.0.0:0", true
	server, err := Listen(cfg, set)
	if err != nil {
		t.Fatalf("with insecure: %v", err)
	}
	if err := server.Close(); err != nil {
		t.Error(err)
	}
}
