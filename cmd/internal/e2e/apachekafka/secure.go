package apachekafka

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/tlstest"
)

// Secure is a broker whose listeners ask for proof, with an authorizer: only an ACL lets anybody but the
// administrator do anything.
type Secure struct {
	Plain  string // no TLS, no log-in: the administrator's own
	SASL   string // TLS and PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512
	OAuth  string // TLS and OAUTHBEARER with unsecured JSON web tokens (RFC 7515, appendix A.5), which only tests accept
	Mutual string // TLS with client certificates
	CA     *tlstest.Authority
}

// User and Password are what SASL accepts. Its principal is User:tap, that of a client certificate User:CN=<name>, that
// of a token User:<sub>.
const (
	User     = "tap"
	Password = "tap-password"
)

// StartSecure runs such a broker until the test ends. It fails the test when it cannot.
func StartSecure(t testing.TB) Secure {
	t.Helper()
	s := Secure{CA: tlstest.New(t, "kafka-ca")}
	for _, addr := range []*string{&s.Plain, &s.SASL, &s.OAuth, &s.Mutual} {
		*addr = fmt.Sprintf("127.0.0.1:%d", freePort(t))
	}
	pair := s.CA.Issue(tlstest.Leaf{Name: "broker", Hosts: []string{"127.0.0.1", "kafka.internal"}})
	keystore := filepath.Join(t.TempDir(), "broker.pem")
	if err := os.WriteFile(keystore, append(pair.KeyPEM, pair.CertPEM...), 0o600); err != nil {
		t.Fatal(err)
	}
	const scram = "org.apache.kafka.common.security.scram.ScramLoginModule required;"
	lines := []string{
		"",
		fmt.Sprintf("listeners=PLAINTEXT://%s,SASL://%s,OAUTH://%s,MUTUAL://%s,CONTROLLER://%%[1]s", s.Plain, s.SASL, s.OAuth, s.Mutual),
		fmt.Sprintf("advertised.listeners=PLAINTEXT://%s,SASL://%s,OAUTH://%s,MUTUAL://%s", s.Plain, s.SASL, s.OAuth, s.Mutual),
		"listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SASL:SASL_SSL,OAUTH:SASL_SSL,MUTUAL:SSL",
		"inter.broker.listener.name=PLAINTEXT",
		"sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER",
		"ssl.keystore.type=PEM", "ssl.keystore.location=" + keystore,
		"ssl.truststore.type=PEM", "ssl.truststore.location=" + s.CA.File,
		"listener.name.mutual.ssl.client.auth=required",
		"listener.name.sasl.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512",
		"listener.name.sasl.scram-sha-256.sasl.jaas.config=" + scram,
		"listener.name.sasl.scram-sha-512.sasl.jaas.config=" + scram,
		fmt.Sprintf(`listener.name.sasl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_%s="%s";`, User, Password),
		"listener.name.oauth.sasl.enabled.mechanisms=OAUTHBEARER",
		`listener.name.oauth.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required unsecuredLoginStringClaim_sub="broker";`,
		"authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
		"super.users=User:ANONYMOUS",
		"allow.everyone.if.no.acl.found=false",
		"",
	}
	var users []string
	for _, mechanism := range []string{"SCRAM-SHA-256", "SCRAM-SHA-512"} {
		users = append(users, "--add-scram", fmt.Sprintf("%s=[name=%s,password=%s]", mechanism, User, Password))
	}
	run(t, s.Plain, users, strings.Join(lines, "\n"))
	return s
}
