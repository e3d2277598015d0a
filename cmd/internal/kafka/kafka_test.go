package kafka

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/modeltrail/modeltrail/schemas/secret"

	"github.com/modeltrail/modeltrail/schemas/tlsclient"
)

func start(t *testing.T, opts ...kfake.Opt) Config {
	t.Helper()
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	cfg := DefaultConfig()
	cfg.Brokers = cluster.ListenAddrs()
	return cfg
}

func reach(t *testing.T, cfg Config, timeout time.Duration) error {
	t.Helper()
	client, err := NewClient(cfg, zerolog.Nop())
	if err != nil {
		return err
	}
	defer client.Close()
	return cfg.Reach(context.Background(), client, timeout)
}

func TestReach_OfAClosedPort_NamesTheSettingWithinItsTimeout(t *testing.T) {
	cfg := DefaultConfig()
	cfg.Brokers = []string{"127.0.0.1:9"}
	started := time.Now()
	err := reach(t, cfg, 500*time.Millisecond)
	if err == nil || !strings.Contains(err.Error(), "kafka.brokers [127.0.0.1:9]") {
		t.Errorf("error is %v", err)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

func TestEnsureTopics_CreatesWhatIsMissing_AndLeavesTheRest(t *testing.T) {
	cfg := start(t)
	cfg.Topics.Partitions = 3
	client, err := NewClient(cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	admin := kadm.NewClient(client)
	if _, err := admin.CreateTopics(ctx, 7, 1, nil, cfg.Topics.Envelopes); err != nil {
		t.Fatal(err)
	}
	for range 2 { // a repeat changes nothing
		if err := cfg.EnsureTopics(ctx, client); err != nil {
			t.Fatal(err)
		}
	}
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]int{
		cfg.Topics.Envelopes: 7, cfg.Topics.Events: 3, cfg.Topics.Findings: 1, cfg.Topics.DeadLetters: 1, cfg.Topics.Directory: 1,
	} {
		if got := len(topics[name].Partitions); got != want {
			t.Errorf("%s has %d partitions; want %d", name, got, want)
		}
	}
	described, err := admin.DescribeTopicConfigs(ctx, cfg.Topics.Events, cfg.Topics.Directory)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]map[string]string{
		cfg.Topics.Events:    {"message.timestamp.type": "LogAppendTime", "retention.ms": "604800000"},
		cfg.Topics.Directory: {"message.timestamp.type": "LogAppendTime", "retention.ms": "-1"},
	} {
		resource, err := described.On(name, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range resource.Configs {
			if value, asked := want[c.Key]; asked && c.MaybeValue() != value {
				t.Errorf("%s: %s is %q; want %q", name, c.Key, c.MaybeValue(), value)
			}
		}
	}
}

func TestSASL_WithTheRightPasswordOnly(t *testing.T) {
	for _, mechanism := range []string{"PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"} {
		t.Run(mechanism, func(t *testing.T) {
			cfg := start(t, kfake.EnableSASL(), kfake.Superuser(mechanism, "anna", "right"))
			cfg.SASL = SASL{Mechanism: mechanism, User: "anna", Password: secret.New("right")}
			if err := reach(t, cfg, 10*time.Second); err != nil {
				t.Errorf("with the password: %v", err)
			}
			cfg.SASL.Password = secret.New("wrong-password")
			err := reach(t, cfg, 2*time.Second)
			if err == nil {
				t.Fatal("a wrong password is accepted")
			}
			if strings.Contains(err.Error(), "wrong-password") {
				t.Errorf("the error shows the password: %v", err)
			}
		})
	}
}

// certificate writes a self-signed certificate for 127.0.0.1 and returns its files.
func certificate(t *testing.T) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "broker"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	encoded, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for file, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: der}, keyFile: {Type: "PRIVATE KEY", Bytes: encoded}} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func TestTLS_TrustsTheNamedAuthorityOnly(t *testing.T) {
	certFile, keyFile := certificate(t)
	pair, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		t.Fatal(err)
	}
	cfg := start(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}, MinVersion: tls.VersionTLS12}))
	cfg.TLS = tlsclient.Config{Enabled: true, CAFile: certFile}
	if err := reach(t, cfg, 10*time.Second); err != nil {
		t.Errorf("with the authority: %v", err)
	}
	cfg.TLS.CAFile = ""
	if err := reach(t, cfg, 2*time.Second); err == nil || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without the authority: %v", err)
	}
	cfg.TLS = tlsclient.Config{Enabled: true, InsecureSkipVerify: true}
	if err := reach(t, cfg, 10*time.Second); err != nil {
		t.Errorf("without verification: %v", err)
	}
	cfg.TLS = tlsclient.Config{Enabled: true, CAFile: keyFile}
	if _, err := NewClient(cfg, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "holds no certificate") {
		t.Errorf("with a file that is no certificate: %v", err)
	}
	cfg.TLS = tlsclient.Config{Enabled: true, CAFile: "/nonexistent"}
	if _, err := NewClient(cfg, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "kafka.tls: read ca_file") {
		t.Errorf("with a file that is not there: %v", err)
	}
}

func TestValidate_SASL(t *testing.T) {
	for name, c := range map[string]struct {
		sasl SASL
		want string
	}{
		"none":              {SASL{}, ""},
		"complete":          {SASL{Mechanism: "PLAIN", User: "u", Password: secret.New("p")}, ""},
		"unknown mechanism": {SASL{Mechanism: "GSSAPI"}, "kafka.sasl.mechanism"},
		"no password":       {SASL{Mechanism: "SCRAM-SHA-512", User: "u"}, "user and password"},
		"no token":          {SASL{Mechanism: "OAUTHBEARER"}, "kafka.sasl.token"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := DefaultConfig()
			cfg.SASL = c.sasl
			err := cfg.Validate()
			if (err == nil) != (c.want == "") || (err != nil && !strings.Contains(err.Error(), c.want)) {
				t.Errorf("error is %v; want %q", err, c.want)
			}
		})
	}
}
