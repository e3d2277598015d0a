package apachekafka_test

import (
	"context"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/e2e/apachekafka"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/tlsclient"
	"github.com/modeltrail/modeltrail/schemas/tlstest"
)

const (
	allowed   = "allowed"
	forbidden = "forbidden"
)

// token is an unsecured JSON web token of the user tap.
func token(lifetime time.Duration) string {
	encode := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	now := time.Now()
	claims := fmt.Sprintf(`{"sub":%q,"iat":%d,"exp":%d}`, apachekafka.User, now.Add(-time.Hour).Unix(), now.Add(lifetime).Unix())
	return encode(`{"alg":"none"}`) + "." + encode(claims) + "."
}

// prepare makes the topics and gives every principal of the test the right to one of them.
func prepare(t *testing.T, s apachekafka.Secure) {
	t.Helper()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = []string{s.Plain}
	client, err := kafka.NewClient(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(ctx, 1, 1, nil, allowed, forbidden); err != nil {
		t.Fatal(err)
	}
	for _, resource := range []*kadm.ACLBuilder{
		kadm.NewACLs().Topics(allowed).Operations(kadm.OpRead, kadm.OpWrite, kadm.OpDescribe),
		kadm.NewACLs().Groups("readers").Operations(kadm.OpRead),
	} {
		acl := resource.ResourcePatternType(kadm.ACLPatternLiteral).Allow("User:"+apachekafka.User, "User:CN=store").AllowHosts("*")
		created, err := admin.CreateACLs(ctx, acl)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range created {
			if c.Err != nil {
				t.Fatal(c.Err)
			}
		}
	}
}

// exchange produces a record and consumes it again through clients of cfg, and checks what is forbidden.
func exchange(t *testing.T, cfg kafka.Config) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	value := fmt.Sprintf("%s %d", t.Name(), time.Now().UnixNano())
	client, err := kafka.NewClient(cfg, zerolog.Nop(), kgo.ConsumeTopics(allowed), kgo.ConsumerGroup("readers"), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := cfg.Reach(ctx, client, 20*time.Second); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: allowed, Value: []byte(value)}).FirstErr(); err != nil {
		t.Fatalf("produce: %v", err)
	}
	for found := false; !found; {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("consume: %v", err)
		}
		fetches.EachRecord(func(r *kgo.Record) { found = found || string(r.Value) == value })
	}
	err = client.ProduceSync(ctx, &kgo.Record{Topic: forbidden, Value: []byte(value)}).FirstErr()
	if err = cfg.ExplainTopic(err, forbidden, "write"); err == nil || !strings.Contains(err.Error(), "not authorised to write topic forbidden") {
		t.Errorf("forbidden topic: %v", err)
	}
}

// refused checks that cfg cannot log in and that the error says why.
func refused(t *testing.T, cfg kafka.Config, want string) {
	t.Helper()
	client, err := kafka.NewClient(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	started := time.Now()
	err = cfg.Reach(context.Background(), client, 20*time.Second)
	var setting *kafka.SettingError
	if !errors.As(err, &setting) || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "wrong-secret") {
		t.Errorf("after %s: %v; want %q", time.Since(started), err, want)
	}
}

func TestApacheKafka_TakesAndRefusesEveryWayOfLoggingIn(t *testing.T) {
	if !apachekafka.Available() {
		t.Fatal("Java 17 and Maven are not on PATH: they run the real Apache Kafka")
	}
	s := apachekafka.StartSecure(t)
	prepare(t, s)
	stranger := tlstest.New(t, "stranger")
	config := func(addr string) kafka.Config {
		cfg := kafka.DefaultConfig()
		cfg.Brokers = []string{addr}
		cfg.TLS = tlsclient.Config{Enabled: true, CAFile: s.CA.File}
		return cfg
	}
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := config(s.SASL)
			cfg.SASL = kafka.SASL{Mechanism: mechanism, User: apachekafka.User, Password: secret.New(apachekafka.Password)}
			exchange(t, cfg)
			cfg.SASL.Password = secret.New("wrong-secret")
			refused(t, cfg, "kafka.sasl.password")
			cfg.TLS.CAFile = stranger.File
			refused(t, cfg, "kafka.tls.ca_file")
		})
	}
	t.Run("server name", func(t *testing.T) {
		cfg := config(s.SASL)
		cfg.SASL = kafka.SASL{Mechanism: "SCRAM-SHA-256", User: apachekafka.User, Password: secret.New(apachekafka.Password)}
		cfg.TLS.ServerName = "kafka.internal"
		exchange(t, cfg)
		cfg.TLS.ServerName = "elsewhere.internal"
		refused(t, cfg, "kafka.tls.server_name")
	})
	t.Run("client certificate", func(t *testing.T) {
		cfg := config(s.Mutual)
		mine := s.CA.Issue(tlstest.Leaf{Name: "store"})
		cfg.TLS.CertFile, cfg.TLS.KeyFile = mine.CertFile, mine.KeyFile
		exchange(t, cfg)
		theirs := stranger.Issue(tlstest.Leaf{Name: "store"})
		cfg.TLS.CertFile, cfg.TLS.KeyFile = theirs.CertFile, theirs.KeyFile
		refused(t, cfg, "kafka.tls.cert_file")
		cfg.TLS.CertFile, cfg.TLS.KeyFile = "", ""
		refused(t, cfg, "kafka.tls.cert_file")
	})
	t.Run("token in a file", func(t *testing.T) {
		cfg := config(s.OAuth)
		file := filepath.Join(t.TempDir(), "token")
		cfg.SASL = kafka.SASL{Mechanism: "OAUTHBEARER", Token: fileSecret(t, file, token(time.Hour))}
		exchange(t, cfg)
		fileSecret(t, file, token(-time.Minute)) // the same setting, another content: read at the next log-in
		refused(t, cfg, "kafka.sasl.token")
		fileSecret(t, file, token(time.Hour))
		exchange(t, cfg)
		cfg.SASL = kafka.SASL{Mechanism: "SCRAM-SHA-256", User: apachekafka.User, Password: secret.New(apachekafka.Password)}
		refused(t, cfg, "kafka.sasl.mechanism")
	})
	t.Run("client credentials", func(t *testing.T) { clientCredentials(t, config(s.OAuth)) })
}

func fileSecret(t *testing.T, file, value string) secret.Secret {
	t.Helper()
	if err := os.WriteFile(file, []byte(value+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	var s secret.Secret
	if err := yaml.Unmarshal([]byte("{file: "+file+"}"), &s); err != nil {
		t.Fatal(err)
	}
	return s
}

func clientCredentials(t *testing.T, cfg kafka.Config) {
	var fetched atomic.Int32
	endpoint := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, key, _ := r.BasicAuth()
		w.Header().Set("Content-Type", "application/json")
		switch {
		case r.FormValue("grant_type") != "client_credentials" || r.FormValue("scope") != "kafka audit":
			w.WriteHeader(http.StatusBadRequest)
			fmt.Fprint(w, `{"error":"invalid_scope","error_description":"wrong-secret"}`)
		case id != "modeltrail" || key != "client-secret":
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprintf(w, `{"error":"invalid_client","error_description":"not %s"}`, key)
		default:
			fetched.Add(1)
			fmt.Fprintf(w, `{"access_token":%q,"token_type":"Bearer","expires_in":3600}`, token(time.Hour))
		}
	}))
	endpoint.Config.ErrorLog = log.New(io.Discard, "", 0)
	endpoint.StartTLS()
	defer endpoint.Close()
	ca := filepath.Join(t.TempDir(), "idp.pem")
	if err := os.WriteFile(ca, pemOf(endpoint.Certificate().Raw), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg.SASL = kafka.SASL{Mechanism: "OAUTHBEARER", OAuth: kafka.OAuth{
		TokenURL: endpoint.URL, ClientID: "modeltrail", ClientSecret: secret.New("client-secret"), Scopes: []string{"kafka", "audit"}, CAFile: ca,
	}}
	exchange(t, cfg)
	if n := fetched.Load(); n != 1 {
		t.Errorf("%d tokens fetched for the connections of one client; want 1", n)
	}
	wrong := cfg
	wrong.SASL.OAuth.ClientSecret = secret.New("wrong-secret")
	refused(t, wrong, "kafka.sasl.oauth.client_secret")
	wrong = cfg
	wrong.SASL.OAuth.Scopes = nil
	refused(t, wrong, "kafka.sasl.oauth.scopes")
	wrong = cfg
	wrong.SASL.OAuth.CAFile = cfg.TLS.CAFile
	refused(t, wrong, "kafka.sasl.oauth.ca_file")
}

func pemOf(der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
}
