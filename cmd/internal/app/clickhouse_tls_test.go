package app

import (
	"context"
	"crypto/tls"
	"io"
	"log"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/tlsclient"
	"github.com/modeltrail/modeltrail/schemas/tlstest"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// secured stands before the engine as a ClickHouse server with TLS does: it demands a client certificate of the
// authority in force.
type secured struct {
	addr    string
	renewed atomic.Bool
	old     *tlstest.Authority
	next    *tlstest.Authority
}

func newSecured(t *testing.T, engine string) *secured {
	t.Helper()
	s := &secured{old: tlstest.New(t, "old"), next: tlstest.New(t, "next")}
	pairs := map[bool]tlstest.Pair{}
	for renewed, authority := range map[bool]*tlstest.Authority{false: s.old, true: s.next} {
		pairs[renewed] = authority.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1", "clickhouse.internal"}})
	}
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: engine})
	server := httptest.NewUnstartedServer(proxy)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		renewed := s.renewed.Load()
		authority := s.old
		if renewed {
			authority = s.next
		}
		return &tls.Config{
			Certificates: []tls.Certificate{pairs[renewed].TLS}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authority.Pool(),
		}, nil
	}}
	server.StartTLS()
	t.Cleanup(server.Close)
	s.addr = server.Listener.Addr().String()
	return s
}

func TestClickHouse_OverTLSWithClientCertificateAndUser(t *testing.T) {
	run := enginetest.Start(t)
	admin, _ := run.Users()
	s := newSecured(t, run.HTTPAddr())
	stranger := tlstest.New(t, "stranger")
	mine := s.old.Issue(tlstest.Leaf{Name: "store"})
	theirs := stranger.Issue(tlstest.Leaf{Name: "store"})
	expired := s.old.Issue(tlstest.Leaf{Name: "store", NotAfter: time.Now().Add(-time.Minute)})
	good := clickhouse.DefaultConfig()
	good.Addr, good.Protocol, good.Database = []string{s.addr}, clickhouse.ProtocolHTTP, "default"
	good.User, good.Password = admin.Name, admin.Password
	good.TLS = tlsclient.Config{Enabled: true, CAFile: s.old.File, CertFile: mine.CertFile, KeyFile: mine.KeyFile}
	open := func(cfg clickhouse.Config) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
		defer cancel()
		conn, err := OpenClickHouse(ctx, cfg)
		if err != nil {
			return "", err
		}
		defer conn.Close()
		var user string
		if err := conn.QueryRow(ctx, "SELECT 'as ' || toString(1)").Scan(&user); err != nil {
			return "", err
		}
		return user, nil
	}
	if got, err := open(good); err != nil || got != "as 1" {
		t.Fatalf("with certificate and password: %q, %v", got, err)
	}
	for name, c := range map[string]struct {
		change func(*clickhouse.Config)
		want   string
	}{
		"wrong authority":      {func(c *clickhouse.Config) { c.TLS.CAFile = stranger.File }, "clickhouse.tls.ca_file"},
		"wrong server name":    {func(c *clickhouse.Config) { c.TLS.ServerName = "elsewhere.internal" }, "clickhouse.tls.server_name"},
		"no certificate":       {func(c *clickhouse.Config) { c.TLS.CertFile, c.TLS.KeyFile = "", "" }, "clickhouse.tls.cert_file"},
		"stranger certificate": {func(c *clickhouse.Config) { c.TLS.CertFile, c.TLS.KeyFile = theirs.CertFile, theirs.KeyFile }, "clickhouse.tls.cert_file"},
		"expired certificate":  {func(c *clickhouse.Config) { c.TLS.CertFile, c.TLS.KeyFile = expired.CertFile, expired.KeyFile }, "clickhouse.tls: cert_file"},
		"wrong password":       {func(c *clickhouse.Config) { c.Password = secret.New("wrong-password") }, "clickhouse.password"},
	} {
		cfg := good
		c.change(&cfg)
		started := time.Now()
		_, err := open(cfg)
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "wrong-password") {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
		if took := time.Since(started); took > 10*time.Second {
			t.Errorf("%s: took %s", name, took)
		}
	}
	named := good
	named.TLS.ServerName = "clickhouse.internal"
	if _, err := open(named); err != nil {
		t.Errorf("server name override: %v", err)
	}
	// A pool that is open learns of renewed files with its next connection.
	conn, err := clickhouse.Open(good)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.renewed.Store(true)
	s.next.Issue(tlstest.Leaf{Name: "store"}).Copy(t, mine.CertFile, mine.KeyFile)
	if err := os.WriteFile(s.old.File, s.next.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := conn.Ping(t.Context()); err != nil {
		t.Errorf("after the renewal: %v", err)
	}
}
