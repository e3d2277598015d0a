package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// writeConfig writes the configuration of one role's process; each has a folder of its own.
func (r *Run) writeConfig(name string) (string, error) {
	o := r.opt
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	dir := filepath.Join(r.dir, name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	stream := fmt.Sprintf(`flush_interval: %s, max_batch_rows: %d, session_timeout: %s, drain_timeout: 5s, retry_min: 50ms, retry_max: 1s`, o.Flush, o.BatchRows, o.Session)
	text := fmt.Sprintf(`data_dir: %q
log: {level: %s, format: json}
admin: {listen: %q}
kafka:
  brokers: [%s]
  dial_timeout: 2s
  topics: {partitions: %d}
clickhouse:
  addr: [%q]
  protocol: http
  user: modeltrail
  password: {file: %q}
  insert_timeout: 10s
directory: {file: %q, activation_delay: 200ms}
prices: {file: %q}
store:
  envelopes: {%s}
  findings: {%s}
enrich:
  stream: {%s}
detect:
  stream: {%s}
  detectors:
    cost_spike: {enabled: false}
    budget: {enabled: false}
`, dir, o.RoleLog, address, strings.Join(r.broker.addrs(), ", "), o.Partitions, r.database.proxy.Addr(), r.database.passwordFile(),
		filepath.Join(r.dir, "directory.yaml"), filepath.Join(r.dir, "prices.yaml"), stream, stream, stream, stream)
	if strings.HasPrefix(name, "tap-") {
		text += r.tapSection(name)
	}
	path := filepath.Join(dir, "modeltrail.yaml")
	r.admin[name] = address
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// role returns a process of a role. env is asked at every start.
func (r *Run) role(name, command string, env func() []string) (*Process, error) {
	path, err := r.writeConfig(name)
	if err != nil {
		return nil, err
	}
	program := []string{r.program, command, "--config", path}
	if command == "store" && r.opt.Copier {
		program = []string{r.self, "copier", path}
	}
	p := newProcess(name, filepath.Join(r.dir, name+".log"), func() *exec.Cmd {
		cmd := exec.Command(program[0], program[1:]...) //nolint:gosec // our own programs
		cmd.Env = os.Environ()
		if env != nil {
			cmd.Env = append(cmd.Env, env()...)
		}
		if r.opt.Fault != "" && command == "store" {
			cmd.Env = append(cmd.Env, "MODELTRAIL_FAULT="+r.opt.Fault)
		}
		return cmd
	})
	p.ended = func(e ending) { r.processEnded(p, e) }
	return p, nil
}

// migrate creates topics and tables and publishes directory and prices.
func (r *Run) migrate(ctx context.Context) error {
	for name, text := range map[string]string{"directory.yaml": r.work.Directory(), "prices.yaml": r.work.Prices()} {
		if err := os.WriteFile(filepath.Join(r.dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	path, err := r.writeConfig("migrate")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, r.program, "migrate", "--config", path).CombinedOutput() //nolint:gosec // our own program
	if err != nil {
		return fmt.Errorf("migrate: %w\n%s", err, out)
	}
	return nil
}

// buildProgram builds modeltrail with failpoints, once for every state of the sources.
func buildProgram(ctx context.Context) (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/modeltrail/modeltrail").Output()
	if err != nil {
		return "", fmt.Errorf("find this module: %w", err)
	}
	dir := strings.TrimSpace(string(root))
	binary := filepath.Join(cache, "chaos-"+digest(dir), "modeltrail")
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", err
	}
	unlock, err := engine.WaitLock(ctx, binary+".lock")
	if err != nil {
		return "", fmt.Errorf("wait for another build: %w", err)
	}
	defer unlock()
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-tags", "chaos", "-o", binary, "./cmd/modeltrail")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build modeltrail: %w\n%s", err, out)
	}
	return binary, nil
}

// lastLines is the end of a log, for an error message.
func lastLines(path string, n int) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	lines := bytes.Split(bytes.TrimRight(data, "\n"), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], []byte("\n")))
}

var errEndedAlone = errors.New("ended by itself")
