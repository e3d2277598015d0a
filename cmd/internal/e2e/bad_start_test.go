package e2e

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

const goodDirectory = `
teams: [{id: finance, owner: fiona@example.com}]
apps: [{id: invoice-bot, team: finance}]
credentials: [{id: invoice-key, app: invoice-bot, fingerprint: "mt1:0123456789abcdef0123456789abcdef"}]
`

// occupied is an address that somebody listens on until the test ends.
func occupied(t *testing.T) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	return listener.Addr().String()
}

func writeFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestUp_WithAFaultyConfiguration_SaysWhichSettingAndEndsWithCode2 never gets as far as starting an engine.
func TestUp_WithAFaultyConfiguration_SaysWhichSettingAndEndsWithCode2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		config, directory string
		command           []string // empty is "up"
		want              []string
	}{
		"unknown key":           {config: "tap: {lissten: \"127.0.0.1:1\"}", want: []string{"lissten", "unknown"}},
		"unknown key in a list": {config: "tap: {routes: [{name: a, prefix: /a, upstream: \"http://x\", dialekt: y}]}", want: []string{"dialekt"}},
		"wrong type":            {config: "tap: {workers: many}", want: []string{"workers"}},
		"value out of range":    {config: "store: {envelopes: {max_batch_rows: 0}}", want: []string{"store.envelopes.max_batch_rows", "1..1000000"}},
		"address without port":  {config: "admin: {listen: localhost}", want: []string{"admin.listen", "host:port"}},
		"several faults": {config: "log: {level: loud}\nkafka: {topics: {partitions: 0}}", want: []string{
			"log.level", "kafka.topics.partitions",
		}},
		"secret from an unset variable": {config: "clickhouse: {password: {env: MODELTRAIL_E2E_UNSET}}", want: []string{"MODELTRAIL_E2E_UNSET"}},
		"secret from a missing file":    {config: "clickhouse: {password: {file: /nonexistent/password}}", want: []string{"/nonexistent/password"}},
		"directory file that is not there": {config: "directory: {file: /nonexistent/directory.yaml}", want: []string{
			"directory.file", "/nonexistent/directory.yaml",
		}},
		"malformed directory": {directory: "teams:\n  - id: finance\n    budget_typo: 3\n", want: []string{"directory.file", "budget_typo", "line"}},
		"directory with a reference to nothing": {directory: "teams: [{id: finance}]\napps: [{id: bot, team: sales}]\n", want: []string{
			"directory.file", "sales",
		}},
		"malformed price file":      {config: "prices: {file: " + writeFile(t, "prices: [\n") + "}", want: []string{"prices.file"}},
		"no route":                  {command: []string{"tap"}, config: "tap: {routes: []}", want: []string{"tap.routes"}},
		"route without an upstream": {config: "tap: {routes: [{name: a, prefix: /a}]}", want: []string{"tap.routes[0].upstream"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := Prepare(t, Setup{Config: c.config, Directory: c.directory, Command: c.command})
			n.Start()
			code := n.WaitExit(30 * time.Second)
			checkMessage(t, n.Log(), c.want)
			if code != 2 {
				t.Errorf("exit code is %d; want 2\n%s", code, n.Log())
			}
			if exists(filepath.Join(n.DataDir, "engine")) {
				t.Error("an engine was started before the fault was found")
			}
		})
	}
}

func TestConfigFileThatIsNotThere_EndsWithCode2(t *testing.T) {
	t.Parallel()
	n := Prepare(t, Setup{})
	if err := os.Remove(n.ConfigPath); err != nil {
		t.Fatal(err)
	}
	r := n.Run("up")
	checkMessage(t, r.Stderr, []string{n.ConfigPath, "does not exist", "modeltrail config example"})
	if r.Code != 2 {
		t.Errorf("exit code is %d; want 2", r.Code)
	}
}

// TestUp_WhenTheMachineRefuses_SaysWhichSettingAndEndsWithCode1 finds what only the machine can tell.
func TestUp_WhenTheMachineRefuses_SaysWhichSettingAndEndsWithCode1(t *testing.T) {
	t.Parallel()
	taken := occupied(t)
	file := writeFile(t, "")
	for name, c := range map[string]struct {
		config string
		want   []string
	}{
		"tap port in use":        {config: "tap: {listen: \"" + taken + "\"}", want: []string{"tap.listen", taken, "address already in use"}},
		"admin port in use":      {config: "admin: {listen: \"" + taken + "\"}", want: []string{"admin.listen", taken, "address already in use"}},
		"broker port in use":     {config: "broker: {listen: \"" + taken + "\"}", want: []string{"broker.listen", taken, "address already in use"}},
		"engine port in use":     {config: "engine: {listen: \"" + taken + "\"}", want: []string{"engine.listen", taken, "address already in use"}},
		"data_dir below a file":  {config: "data_dir: " + file + "/data", want: []string{"data_dir", file}},
		"clickhouse unreachable": {config: "clickhouse: {addr: [\"127.0.0.1:9\"]}", want: []string{"clickhouse.addr", "127.0.0.1:9", "refused"}},
		"kafka unreachable":      {config: "kafka: {brokers: [\"127.0.0.1:9\"]}", want: []string{"kafka.brokers", "127.0.0.1:9", "refused"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := Prepare(t, Setup{Config: c.config})
			n.Start()
			code := n.WaitExit(50 * time.Second)
			checkMessage(t, lastMessage(n.Log()), c.want)
			if code != 1 {
				t.Errorf("exit code is %d; want 1", code)
			}
		})
	}
}

// TestSecondProcess_NextToARunningOne shares one running node: each case is refused and does not disturb it.
func TestSecondProcess_NextToARunningOne(t *testing.T) {
	t.Parallel()
	first := Start(t, Setup{})
	e, err := first.endpoints()
	if err != nil {
		t.Fatal(err)
	}
	admin := first.AdminClickHouse()
	for _, statement := range []string{
		"CREATE DATABASE careless",
		"CREATE TABLE careless.envelopes AS modeltrail.envelopes ENGINE = MergeTree ORDER BY (topic, partition, offset)",
	} {
		if err := admin.Exec(context.Background(), statement); err != nil {
			t.Fatal(err)
		}
	}
	servers := func(user, password, database string) string {
		out, err := yaml.Marshal(map[string]any{
			"kafka":      map[string]any{"brokers": e.Brokers},
			"clickhouse": map[string]any{"addr": e.ClickHouseAddr, "protocol": "http", "user": user, "password": password, "database": database},
		})
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	password := strings.TrimSpace(read(t, filepath.Join(first.DataDir, "engine", "admin.password")))
	for name, c := range map[string]struct {
		setup Setup
		want  []string
	}{
		"same data_dir": {setup: Setup{Config: "data_dir: " + first.DataDir}, want: []string{"broker.data_dir", first.DataDir, "in use"}},
		"wrong ClickHouse password": {
			setup: Setup{Command: []string{"store"}, Config: servers("modeltrail", "not-the-password", "modeltrail")},
			want:  []string{"clickhouse.user", "clickhouse.password", "Authentication failed"},
		},
		"ClickHouse user that may not write": {
			setup: Setup{Command: []string{"migrate"}, Config: servers(e.User, e.Password, "modeltrail")},
			want:  []string{"migrate tables"},
		},
		"table that would store a repeated insert twice": {
			setup: Setup{Command: []string{"store"}, Config: servers("modeltrail", password, "careless")},
			want:  []string{"careless.envelopes", "could be stored twice", "non_replicated_deduplication_window", "careless.calls", "does not exist", "modeltrail migrate"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			n := Prepare(t, c.setup)
			n.Start()
			code := n.WaitExit(20 * time.Second)
			checkMessage(t, lastMessage(n.Log()), c.want)
			if strings.Contains(n.Log(), "not-the-password") || strings.Contains(n.Log(), password) {
				t.Error("a password stands in the log")
			}
			if code != 1 {
				t.Errorf("exit code is %d; want 1", code)
			}
		})
	}
	if err := first.Ready(); err != nil {
		t.Errorf("the first process is no longer ready: %v", err)
	}
	if code := first.Stop(); code != 0 {
		t.Errorf("stopped with code %d; want 0", code)
	}
}

// checkMessage fails the test for each want that the message lacks.
func checkMessage(t *testing.T, message string, want []string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(message, w) {
			t.Errorf("the message lacks %q:\n%s", w, message)
		}
	}
	if strings.Contains(message, "panic:") || strings.Contains(message, "goroutine ") {
		t.Errorf("the process panicked:\n%s", message)
	}
}

// lastMessage is what the program says at its end, after its log.
func lastMessage(log string) string {
	if at := strings.LastIndex(log, "\nmodeltrail: "); at >= 0 {
		return log[at+1:]
	}
	return log
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(fmt.Errorf("read: %w", err))
	}
	return string(data)
}
