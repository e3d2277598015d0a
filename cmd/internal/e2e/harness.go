package e2e

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/goccy/go-yaml"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
)

// Setup says what is started. The zero Setup is `modeltrail up` without a directory.
type Setup struct {
	Dir       string        // folder of everything; empty takes a temporary one
	Config    string        // YAML that is merged over the harness's: mappings key by key, everything else replaced
	Directory string        // text of the directory file; empty publishes none
	Upstream  string        // base URL of the provider behind /openai and /anthropic; empty is a closed port
	Command   []string      // empty is "up"
	Env       []string      // NAME=value, added to this process's environment
	Patience  time.Duration // how long WaitReady waits; 0 is 90 s, which includes an installation of the engine
}

// Node is one modeltrail process and the folder it lives in; it survives the process and can be started again. It
// is used by one goroutine, but for the Client and Count methods.
type Node struct {
	DataDir       string // data_dir
	ConfigPath    string
	DirectoryPath string // "" without Setup.Directory
	TapURL        string // http://127.0.0.1:port
	AdminURL      string

	t        testing.TB
	setup    Setup
	binary   string
	dir      string
	process  *exec.Cmd
	exited   chan struct{}
	exitCode int
	runs     int
}

// Prepare writes the configuration with free ports and starts nothing.
func Prepare(t testing.TB, setup Setup) *Node {
	t.Helper()
	n := &Node{t: t, setup: setup, binary: Binary(t), dir: setup.Dir}
	if n.dir == "" {
		n.dir = t.TempDir()
	}
	if len(setup.Command) == 0 {
		n.setup.Command = []string{"up"}
	}
	if setup.Patience == 0 {
		n.setup.Patience = 90 * time.Second
	}
	n.DataDir = filepath.Join(n.dir, "data")
	n.ConfigPath = filepath.Join(n.dir, "modeltrail.yaml")
	if setup.Directory != "" {
		n.DirectoryPath = filepath.Join(n.dir, "directory.yaml")
		n.WriteFile(n.DirectoryPath, setup.Directory)
	}
	n.configure()
	t.Cleanup(func() {
		n.Kill()
		if t.Failed() {
			t.Logf("last log lines of modeltrail:\n%s", tail(n.Log(), 40))
		}
	})
	return n
}

// Start prepares a node, starts it and waits until it is ready.
func Start(t testing.TB, setup Setup) *Node {
	t.Helper()
	n := Prepare(t, setup)
	n.Start()
	n.WaitReady()
	return n
}

// WriteFile replaces a file as an editor does: in one step.
func (n *Node) WriteFile(path, text string) {
	n.t.Helper()
	if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
		n.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		n.t.Fatal(err)
	}
}

func (n *Node) configure() {
	n.t.Helper()
	cache, err := cacheDir()
	if err != nil {
		n.t.Fatal(err)
	}
	tap, admin := FreeAddress(n.t), FreeAddress(n.t)
	n.TapURL, n.AdminURL = "http://"+tap, "http://"+admin
	upstream := n.setup.Upstream
	if upstream == "" {
		upstream = "http://" + FreeAddress(n.t)
	}
	base := fmt.Sprintf(`
data_dir: %q
log: {format: json}
admin: {listen: %q}
tap:
  listen: %q
  gateway: e2e
  routes:
    - {name: openai, prefix: /openai, upstream: %q, provider: openai}
    - {name: anthropic, prefix: /anthropic, upstream: %q, provider: anthropic}
broker: {listen: %q}
engine: {mode: library, listen: %q, native_listen: %q, install_dir: %q}
directory: {file: %q, reload_interval: 200ms, activation_delay: 500ms}
store:
  envelopes: {flush_interval: 200ms}
  findings: {flush_interval: 200ms}
`, n.DataDir, admin, tap, upstream, upstream, FreeAddress(n.t), FreeAddress(n.t), FreeAddress(n.t),
		filepath.Join(cache, "engine"), n.DirectoryPath)
	merged := map[string]any{}
	for _, text := range []string{base, n.setup.Config} {
		layer := map[string]any{}
		if err := yaml.Unmarshal([]byte(text), &layer); err != nil {
			n.t.Fatalf("read the test's configuration: %v\n%s", err, text)
		}
		merge(merged, layer)
	}
	out, err := yaml.Marshal(merged)
	if err != nil {
		n.t.Fatal(err)
	}
	n.WriteFile(n.ConfigPath, string(out))
}

func merge(into, from map[string]any) {
	for key, value := range from {
		below, isMap := value.(map[string]any)
		have, hasMap := into[key].(map[string]any)
		if isMap && hasMap {
			merge(have, below)
			continue
		}
		into[key] = value
	}
}

// FreeAddress returns a loopback address that nobody listens on. It lies below the ports that the system gives to
// outgoing connections, so that it is still free when the process under test wants it.
func FreeAddress(t testing.TB) string {
	t.Helper()
	for range 200 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000)))
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String()
	}
	t.Fatal("no free port below 32000")
	return ""
}

// Start starts the process. It does not wait.
func (n *Node) Start() {
	n.t.Helper()
	if n.Running() {
		n.t.Fatal("modeltrail runs already")
	}
	_ = os.Remove(filepath.Join(n.DataDir, "endpoints.yaml")) // a killed process leaves its own
	n.runs++
	stdout, stderr := n.open(fmt.Sprintf("stdout.%d", n.runs)), n.open(fmt.Sprintf("stderr.%d", n.runs))
	defer stdout.Close()
	defer stderr.Close()
	n.process = n.command(n.setup.Command...)
	n.process.Stdout, n.process.Stderr = stdout, stderr
	if err := n.process.Start(); err != nil {
		n.t.Fatalf("start modeltrail: %v", err)
	}
	process, exited := n.process, make(chan struct{})
	n.exited = exited
	go func() {
		_ = process.Wait()
		n.exitCode = process.ProcessState.ExitCode()
		close(exited)
	}()
}

func (n *Node) open(name string) *os.File {
	n.t.Helper()
	file, err := os.Create(filepath.Join(n.dir, name))
	if err != nil {
		n.t.Fatal(err)
	}
	return file
}

func (n *Node) command(args ...string) *exec.Cmd {
	cmd := exec.Command(n.binary, append(args, "--config", n.ConfigPath)...)
	cmd.Dir = n.dir
	cmd.Env = append(os.Environ(), n.setup.Env...)
	return cmd
}

// Running reports whether the process has been started and has not ended.
func (n *Node) Running() bool {
	if n.process == nil {
		return false
	}
	select {
	case <-n.exited:
		return false
	default:
		return true
	}
}

// WaitReady waits until /readyz says yes and, for `up`, until its endpoints are known.
func (n *Node) WaitReady() {
	n.t.Helper()
	started := time.Now()
	n.Eventually(n.setup.Patience, "modeltrail is ready", func() error {
		if !n.Running() {
			n.t.Fatalf("modeltrail ended with code %d while starting:\n%s", n.exitCode, tail(n.Log(), 20))
		}
		if err := n.Ready(); err != nil {
			return err
		}
		if n.setup.Command[0] != "up" {
			return nil
		}
		_, err := n.endpoints()
		return err
	})
	n.t.Logf("ready after %s", time.Since(started).Round(10*time.Millisecond))
}

// Ready asks /readyz once.
func (n *Node) Ready() error {
	response, err := (&http.Client{Timeout: 5 * time.Second}).Get(n.AdminURL + "/readyz")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("readyz: %s", response.Status)
	}
	return nil
}

func (n *Node) endpoints() (app.Endpoints, error) {
	return app.ReadEndpoints(config.Config{DataDir: n.DataDir})
}

// Kill ends the process at once, as a power loss does for it. It does nothing when none runs.
func (n *Node) Kill() {
	if n.Running() {
		_ = n.process.Process.Kill()
		<-n.exited
	}
}

// Stop asks the process to end and returns its exit code. It fails the test when the process is still there after a
// minute, twice the time that it allows itself.
func (n *Node) Stop() int {
	n.t.Helper()
	if !n.Running() {
		n.t.Fatal("modeltrail does not run")
	}
	if err := n.process.Process.Signal(syscall.SIGTERM); err != nil {
		n.t.Fatalf("stop modeltrail: %v", err)
	}
	started := time.Now()
	code := n.WaitExit(time.Minute)
	n.t.Logf("stopped after %s", time.Since(started).Round(10*time.Millisecond))
	return code
}

// WaitExit waits until the process has ended and returns its exit code.
func (n *Node) WaitExit(patience time.Duration) int {
	n.t.Helper()
	select {
	case <-n.exited:
		return n.exitCode
	case <-time.After(patience):
		_ = n.process.Process.Signal(syscall.SIGQUIT) // its goroutines stand in the log then
		time.Sleep(time.Second)
		n.t.Fatalf("modeltrail still runs after %s:\n%s", patience, tail(n.Log(), 200))
		return -1
	}
}

// Restart starts the process again on the same folder and waits until it is ready.
func (n *Node) Restart() {
	n.t.Helper()
	n.Kill()
	n.Start()
	n.WaitReady()
}

// Log returns what all processes of this node have written to standard error.
func (n *Node) Log() string { return n.read("stderr") }

// Output returns what all processes of this node have written to standard output.
func (n *Node) Output() string { return n.read("stdout") }

func (n *Node) read(name string) string {
	var text strings.Builder
	for run := 1; run <= n.runs; run++ {
		data, _ := os.ReadFile(filepath.Join(n.dir, fmt.Sprintf("%s.%d", name, run)))
		text.Write(data)
	}
	return text.String()
}

// Result is how a command ended.
type Result struct {
	Stdout, Stderr string
	Code           int
}

// Run runs another command of the program with the same configuration, at most for a minute.
func (n *Node) Run(args ...string) Result {
	n.t.Helper()
	var stdout, stderr strings.Builder
	cmd := n.command(args...)
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		n.t.Fatalf("run modeltrail %v: %v", args, err)
	}
	timer := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	err := cmd.Wait()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		n.t.Fatalf("run modeltrail %v: %v", args, err)
	}
	return Result{stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()}
}

// Eventually repeats check until it returns nil; after patience the test fails with the last error.
func (n *Node) Eventually(patience time.Duration, what string, check func() error) {
	n.t.Helper()
	Eventually(n.t, patience, what, check)
}

// Eventually repeats check until it returns nil; after patience the test fails with the last error.
func Eventually(t testing.TB, patience time.Duration, what string, check func() error) {
	t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("%s: not within %s: %v", what, patience, err)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func tail(text string, lines int) string {
	all := strings.Split(strings.TrimRight(text, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
