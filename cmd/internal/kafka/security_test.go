package kafka

import (
	"context"
	"crypto/tls"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/tlsclient"
	"github.com/modeltrail/modeltrail/schemas/tlstest"
)

// names checks that err names the setting, is final, and tells no secret.
func names(t *testing.T, err error, want ...string) {
	t.Helper()
	var setting *SettingError
	if !errors.As(err, &setting) {
		t.Errorf("error is %v; want one that names a setting", err)
		return
	}
	for _, part := range want {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("error %q lacks %q", err, part)
		}
	}
	if strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("the error shows the password: %v", err)
	}
}

func TestTLS_EveryFaultNamesItsKey_WithoutWaiting(t *testing.T) {
	ours, theirs := tlstest.New(t, "ours"), tlstest.New(t, "theirs")
	server := ours.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}})
	named := ours.Issue(tlstest.Leaf{Hosts: []string{"kafka.internal"}})
	old := ours.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}, NotAfter: time.Now().Add(-time.Minute)})
	client := ours.Issue(tlstest.Leaf{Name: "store"})
	forged := theirs.Issue(tlstest.Leaf{Name: "store"})
	expired := ours.Issue(tlstest.Leaf{Name: "store", NotAfter: time.Now().Add(-time.Minute)})
	for name, c := range map[string]struct {
		server  tlstest.Pair
		mutual  bool
		tls     tlsclient.Config
		want    string // "" for success
		earlier bool   // the client cannot even be made
	}{
		"right authority":               {server, false, tlsclient.Config{Enabled: true, CAFile: ours.File}, "", false},
		"wrong authority":               {server, false, tlsclient.Config{Enabled: true, CAFile: theirs.File}, "kafka.tls.ca_file", false},
		"name differs from the address": {named, false, tlsclient.Config{Enabled: true, CAFile: ours.File}, "kafka.tls.server_name", false},
		"name is overridden":            {named, false, tlsclient.Config{Enabled: true, CAFile: ours.File, ServerName: "kafka.internal"}, "", false},
		"server's time is over":         {old, false, tlsclient.Config{Enabled: true, CAFile: ours.File}, "has expired", false},
		"client certificate":            {server, true, tlsclient.Config{Enabled: true, CAFile: ours.File, CertFile: client.CertFile, KeyFile: client.KeyFile}, "", false},
		"none where one is wanted":      {server, true, tlsclient.Config{Enabled: true, CAFile: ours.File}, "kafka.tls.cert_file", false},
		"one of a stranger":             {server, true, tlsclient.Config{Enabled: true, CAFile: ours.File, CertFile: forged.CertFile, KeyFile: forged.KeyFile}, "kafka.tls.cert_file", false},
		"one whose time is over":        {server, true, tlsclient.Config{Enabled: true, CAFile: ours.File, CertFile: expired.CertFile, KeyFile: expired.KeyFile}, "cert_file: the client certificate", true},
		"key of another certificate":    {server, true, tlsclient.Config{Enabled: true, CAFile: ours.File, CertFile: client.CertFile, KeyFile: forged.KeyFile}, "cert_file and key_file", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conf := &tls.Config{Certificates: []tls.Certificate{c.server.TLS}, MinVersion: tls.VersionTLS12}
			if c.mutual {
				conf.ClientAuth, conf.ClientCAs = tls.RequireAndVerifyClientCert, ours.Pool()
			}
			cfg := start(t, kfake.TLS(conf))
			cfg.TLS = c.tls
			started := time.Now()
			err := reach(t, cfg, 20*time.Second)
			switch {
			case c.want == "" && err != nil:
				t.Error(err)
			case c.want != "" && c.earlier && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("error is %v; want %q", err, c.want)
			case c.want != "" && !c.earlier:
				names(t, err, c.want)
			}
			if took := time.Since(started); took > 15*time.Second {
				t.Errorf("took %s", took)
			}
		})
	}
}

func TestTLS_RenewedFilesCountFromTheNextConnectionOn(t *testing.T) {
	first, second := tlstest.New(t, "first"), tlstest.New(t, "second")
	var renewed atomic.Bool
	servers := map[bool]tlstest.Pair{false: first.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}}), true: second.Issue(tlstest.Leaf{Hosts: []string{"127.0.0.1"}})}
	authorities := map[bool]*tlstest.Authority{false: first, true: second}
	cfg := start(t, kfake.TLS(&tls.Config{MinVersion: tls.VersionTLS12, GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) {
		return &tls.Config{
			Certificates: []tls.Certificate{servers[renewed.Load()].TLS}, MinVersion: tls.VersionTLS12,
			ClientAuth: tls.RequireAndVerifyClientCert, ClientCAs: authorities[renewed.Load()].Pool(),
		}, nil
	}}))
	mine := first.Issue(tlstest.Leaf{Name: "store"})
	cfg.TLS = tlsclient.Config{Enabled: true, CAFile: first.File, CertFile: mine.CertFile, KeyFile: mine.KeyFile}
	client, err := NewClient(cfg, zerolog.Nop(), kgo.ConnIdleTimeout(time.Second))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := cfg.Reach(context.Background(), client, 10*time.Second); err != nil {
		t.Fatal(err)
	}
	renewed.Store(true)
	second.Issue(tlstest.Leaf{Name: "store"}).Copy(t, mine.CertFile, mine.KeyFile)
	if err := os.WriteFile(first.File, second.PEM, 0o600); err != nil {
		t.Fatal(err)
	}
	again, err := NewClient(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer again.Close()
	if err := cfg.Reach(context.Background(), again, 10*time.Second); err != nil {
		t.Errorf("a new client: %v", err)
	}
	time.Sleep(2500 * time.Millisecond) // the first client's connections are idle and closed
	if err := cfg.Reach(context.Background(), client, 10*time.Second); err != nil {
		t.Errorf("the client from before: %v", err)
	}
}

func TestSASL_FaultsNameTheirKey(t *testing.T) {
	cfg := start(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "anna", "right"))
	cfg.SASL = SASL{Mechanism: "OAUTHBEARER", Token: secret.New("wrong-password")}
	names(t, reach(t, cfg, 20*time.Second), "kafka.sasl.mechanism", "OAUTHBEARER")
	// kfake breaks the connection off, as old brokers do; Apache Kafka gives a reason (apachekafka's tests).
	cfg.SASL = SASL{Mechanism: "SCRAM-SHA-256", User: "anna", Password: secret.New("wrong-password")}
	if err := reach(t, cfg, 2*time.Second); err == nil || !strings.Contains(err.Error(), "kafka.sasl") || strings.Contains(err.Error(), "wrong-password") {
		t.Errorf("error is %v", err)
	}
}

// fileSecret is a secret as the configuration names it.
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

func TestSASL_PasswordFileIsReadAtEveryLogin(t *testing.T) {
	cfg := start(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "anna", "new-password"))
	file := filepath.Join(t.TempDir(), "password")
	cfg.SASL = SASL{Mechanism: "SCRAM-SHA-512", User: "anna", Password: fileSecret(t, file, "wrong-password")}
	client, err := NewClient(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if err := cfg.Reach(context.Background(), client, time.Second); err == nil {
		t.Error("a wrong password is accepted")
	}
	fileSecret(t, file, "new-password")
	if err := cfg.Reach(context.Background(), client, 10*time.Second); err != nil {
		t.Errorf("after the rotation: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	names(t, reach(t, cfg, 10*time.Second), "kafka.sasl.password", "cannot be read")
}

func TestACLs_ARefusalNamesUserRightAndTopic(t *testing.T) {
	cfg := start(t, kfake.EnableSASL(), kfake.EnableACLs(), kfake.SeedTopics(1, "allowed", "forbidden"),
		kfake.Superuser("SCRAM-SHA-256", "admin", "right"),
		kfake.User("SCRAM-SHA-256", "tap", "right", kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: "allowed", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: kmsg.ACLOperationAll, Allow: true,
		}))
	cfg.SASL = SASL{Mechanism: "SCRAM-SHA-256", User: "tap", Password: secret.New("right")}
	client, err := NewClient(cfg, zerolog.Nop(), kgo.DisableIdempotentWrite(), kgo.RequiredAcks(kgo.LeaderAck()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := client.ProduceSync(ctx, &kgo.Record{Topic: "allowed", Value: []byte("v")}).FirstErr(); err != nil {
		t.Errorf("allowed: %v", err)
	}
	err = client.ProduceSync(ctx, &kgo.Record{Topic: "forbidden", Value: []byte("v")}).FirstErr()
	names(t, cfg.ExplainTopic(err, "forbidden", "write"), `"tap"`, "not authorised to write topic forbidden", "ACL")
	names(t, cfg.EnsureTopics(ctx, client), "create topic modeltrail.envelopes", `"tap"`)
}

func TestValidate_OAuth(t *testing.T) {
	flow := OAuth{TokenURL: "https://idp.example/token", ClientID: "c", ClientSecret: secret.New("s")}
	for name, c := range map[string]struct {
		change func(*SASL)
		want   string
	}{
		"flow":                {func(*SASL) {}, ""},
		"token beside a flow": {func(s *SASL) { s.Token = secret.New("t") }, "kafka.sasl.token"},
		"clear text":          {func(s *SASL) { s.OAuth.TokenURL = "http://idp.example/token" }, "https"},
		"on this host":        {func(s *SASL) { s.OAuth.TokenURL = "http://127.0.0.1:9/token" }, ""},
		"no URL":              {func(s *SASL) { s.OAuth.TokenURL = "idp" }, "token_url"},
		"no secret":           {func(s *SASL) { s.OAuth.ClientSecret = secret.Secret{} }, "client_secret"},
		"nothing":             {func(s *SASL) { s.OAuth = OAuth{} }, "kafka.sasl.token"},
	} {
		cfg := DefaultConfig()
		cfg.SASL = SASL{Mechanism: "OAUTHBEARER", OAuth: flow}
		c.change(&cfg.SASL)
		err := cfg.Validate()
		if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: %v; want %q", name, err, c.want)
		}
	}
}
