package e2e

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

// canaries stand in every secret of the configuration. Some must be hex to be a key.
const (
	canary    = "canary-5ec2e7-0123456789abcdef0123456789"
	canaryHex = "ca9a2f5ec2e70123456789abcdefca9a2f5ec2e70123456789abcdefca9a2f5e"
)

// everySecret is a configuration in which every secret is set. sasl is what stands in kafka.sasl.
func everySecret(t *testing.T, brokers, clickhouse, sasl string) string {
	return fmt.Sprintf(`
data_dir: %q
log: {level: debug, format: json}
admin: {listen: %q}
tap:
  listen: %q
  encryption_key: %s
  capture: full
  credential: {key: %s}
  routes: [{name: a, prefix: /a, upstream: "http://127.0.0.1:1", set_headers: [{name: authorization, value: "Bearer ", secret: %s-header}]}]
receive:
  listen: %q
  durable_timeout: 1s
  sources:
    - {name: a, bearer: [{secret: %s-bearer}], hmac: [{secret: %s-hmac}]}
kafka:
  brokers: [%q]
  sasl: %s
clickhouse: {addr: [%q], protocol: http, user: u, password: %s-clickhouse}
engine: {admin_password: %s-admin, read_password: %s-read}
alert:
  sinks:
    - {name: soc, type: webhook, webhook: {url: "http://127.0.0.1:1/%s-url", secret: "whsec_%s-webhook", authorization: "Bearer %s-authorization"}}
`, t.TempDir(), FreeAddress(t), FreeAddress(t), canaryHex, canaryHex, canary, FreeAddress(t), canary, canary, brokers, sasl, clickhouse,
		canary, canary, canary, canary, canary, canary)
}

// unset returns the secrets of the configuration's type that cfg leaves empty: the test must hold a canary for each.
func unset(path string, v reflect.Value) (keys []string) {
	switch {
	case v.Type() == reflect.TypeFor[secret.Secret]():
		if v.Interface().(secret.Secret).IsZero() {
			return []string{path}
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				keys = append(keys, unset(path+"."+v.Type().Field(i).Name, v.Field(i))...)
			}
		}
	case v.Kind() == reflect.Slice && v.Len() == 0 && v.Type().Elem().Kind() == reflect.Struct:
		return unset(path+"[]", reflect.Zero(v.Type().Elem()))
	case v.Kind() == reflect.Slice && v.Len() > 0:
		for i := range v.Len() {
			keys = append(keys, unset(fmt.Sprintf("%s[%d]", path, i), v.Index(i))...)
		}
	}
	return keys
}

func TestSecrets_StandInNoOutputOfAnyCommand(t *testing.T) {
	t.Parallel()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.EnableSASL(), kfake.Superuser("PLAIN", "u", canary+"-kafka"),
		kfake.SeedTopics(1, event.TopicEnvelopes, event.TopicEvents, event.TopicFindings, event.TopicDeadLetters, event.TopicDirectory))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	refusing := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-ClickHouse-Exception-Code", "516")
		http.Error(w, "Code: 516. DB::Exception: u: Authentication failed", http.StatusForbidden)
	}))
	t.Cleanup(refusing.Close)
	address := strings.TrimPrefix(refusing.URL, "http://")
	password := "{mechanism: PLAIN, user: u, password: " + canary + "-kafka}"
	token := "{mechanism: OAUTHBEARER, token: " + canary + "-token}"
	flow := "{mechanism: OAUTHBEARER, oauth: {token_url: \"http://127.0.0.1:1/\", client_id: c, client_secret: " + canary + "-client}}"
	missing := map[string]int{}
	files := map[string]string{}
	for name, sasl := range map[string]string{"password": password, "token": token, "flow": flow} {
		text := everySecret(t, cluster.ListenAddrs()[0], address, sasl)
		cfg := config.Default()
		if err := config.Parse([]byte(text), &cfg); err != nil {
			t.Fatal(err)
		}
		for _, key := range unset("", reflect.ValueOf(cfg)) {
			missing[key]++
		}
		files[name] = filepath.Join(t.TempDir(), name+".yaml")
		if err := os.WriteFile(files[name], []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for key, times := range missing {
		if times == 3 {
			t.Errorf("no canary stands in %s: add one to this test", key)
		}
	}
	for name, damage := range map[string]func(string) string{
		"unknown key beside a secret": func(s string) string { return strings.Replace(s, "user: u, password", "usr: u, password", 2) },
		"a list for a secret":         func(s string) string { return strings.Replace(s, canary+"-clickhouse", "["+canary+"-clickhouse]", 1) },
		"no YAML":                     func(s string) string { return strings.Replace(s, canary+"-kafka}", canary+"-kafka", 1) },
		"too short a key":             func(s string) string { return strings.ReplaceAll(s, canaryHex, canaryHex[:30]) },
	} {
		good, err := os.ReadFile(files["password"])
		if err != nil {
			t.Fatal(err)
		}
		files[name] = filepath.Join(t.TempDir(), "broken.yaml")
		if err := os.WriteFile(files[name], []byte(damage(string(good))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var wait sync.WaitGroup
	limit := make(chan struct{}, 4)
	for name, file := range files {
		commands := [][]string{{"config", "check"}, {"config", "check", "--all"}}
		if name == "password" {
			commands = append(commands, []string{"config", "reference"}, []string{"config", "schema"}, []string{"migrate", "--dry-run"},
				[]string{"migrate", "--print-grants"}, []string{"migrate"}, []string{"store"}, []string{"enrich"}, []string{"detect"}, []string{"alert"},
				[]string{"query", "completeness"})
		}
		if name == "password" || name == "token" || name == "flow" {
			commands = append(commands, []string{"tap"}, []string{"receive"})
		}
		for _, command := range commands {
			wait.Go(func() {
				limit <- struct{}{}
				defer func() { <-limit }()
				out := observe(t, file, command)
				for _, secret := range []string{canary, canary[:20], canaryHex[:20], canaryHex[len(canaryHex)-20:]} {
					if at := strings.Index(out, secret); at >= 0 {
						t.Errorf("%s, %v shows a secret: ...%s", name, command, out[max(0, at-200):min(len(out), at+60)])
					}
				}
				if command[0] == "receive" && !strings.Contains(out, "did not prove who it is") {
					t.Errorf("%s: the receiver met no wrong credential, which proves nothing:\n%s", name, out)
				}
				if len(out) == 0 {
					t.Errorf("%s, %v printed nothing, which proves nothing", name, command)
				}
			})
		}
	}
	wait.Wait()
}

// observe runs a command for a few seconds, sends it what makes it fail, and returns all it printed and its metrics.
func observe(t *testing.T, file string, command []string) string {
	var out lockedBuffer
	ran := exec.Command(Binary(t), append(command, "--config", file, "--log-level", "debug")...)
	ran.Dir, ran.Stdout, ran.Stderr = t.TempDir(), &out, &out
	text, err := os.ReadFile(file)
	if err != nil {
		t.Error(err)
		return ""
	}
	// Roles run at once beside each other: each needs addresses of its own.
	own := filepath.Join(ran.Dir, "own.yaml")
	cfg := config.Default()
	changed := string(text)
	admin := ""
	if config.Parse(text, &cfg) == nil {
		admin = FreeAddress(t)
		changed = strings.ReplaceAll(changed, cfg.Admin.Listen, admin)
		changed = strings.ReplaceAll(changed, cfg.Tap.Listen, FreeAddress(t))
	}
	if err := os.WriteFile(own, []byte(changed), 0o600); err != nil {
		t.Error(err)
		return ""
	}
	ran.Args[len(command)+2] = own
	if err := ran.Start(); err != nil {
		t.Error(err)
		return ""
	}
	ended := make(chan struct{})
	go func() { _ = ran.Wait(); close(ended) }()
	select {
	case <-ended:
		return out.String()
	case <-time.After(2 * time.Second):
	}
	if command[0] == "receive" || command[0] == "tap" {
		provoke(cfg)
	}
	if response, err := http.Get("http://" + admin + "/metrics"); err == nil {
		_, _ = io.Copy(&out, response.Body)
		_ = response.Body.Close()
	}
	_ = ran.Process.Signal(syscall.SIGTERM)
	select {
	case <-ended:
	case <-time.After(40 * time.Second):
		_ = ran.Process.Kill()
		<-ended
	}
	return out.String()
}

// provoke sends good and bad requests with secrets in them to the receiver.
func provoke(cfg config.Config) {
	client := &http.Client{Timeout: 3 * time.Second}
	defer client.CloseIdleConnections()
	for _, authorization := range []string{"Bearer " + canary + "-bearer", "Bearer " + canary + "-wrong", "Basic " + canary} {
		for _, body := range []string{"{", `{"callId":"` + canary + `"}`, `[{"schemaVersion":1,"callId":"c","phase":1,"request":{},"credential":{"fingerprint":"` + canary + `"}}]`} {
			request, err := http.NewRequest(http.MethodPost, "http://"+cfg.Receive.Listen+"/v1/envelopes", strings.NewReader(body))
			if err != nil {
				return
			}
			request.Header.Set("Authorization", authorization)
			request.Header.Set("Content-Type", "application/json")
			if response, err := client.Do(request); err == nil {
				_ = response.Body.Close()
			}
		}
	}
}

// lockedBuffer collects the output of a process.
type lockedBuffer struct {
	mu   sync.Mutex
	text strings.Builder
}

// Write implements io.Writer.
func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.text.String()
}
