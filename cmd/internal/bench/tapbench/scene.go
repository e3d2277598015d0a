package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// scene is the set of processes.
type scene struct {
	dir      string
	children []*child
	tap      *child
	admin    string
	targets  []target
}

// target is one way to the provider.
type target struct {
	name   string
	base   string
	client *http.Client
}

type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startScene(ctx context.Context, cfg config) (*scene, error) {
	dir, err := os.MkdirTemp("", "tapbench-")
	if err != nil {
		return nil, err
	}
	s := &scene{dir: dir}
	if err := s.start(ctx, cfg); err != nil {
		s.close()
		return nil, err
	}
	return s, nil
}

func (s *scene) start(ctx context.Context, cfg config) error {
	provider, err := s.role("provider")
	if err != nil {
		return err
	}
	plain, err := s.role("plain", "http://"+provider)
	if err != nil {
		return err
	}
	broker, err := s.role("broker")
	if err != nil {
		return err
	}
	binary := cfg.tap
	if binary == "" {
		binary = filepath.Join(s.dir, "modeltrail-tap")
		build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/modeltrail/modeltrail/cmd/modeltrail-tap")
		build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
		if err := build.Run(); err != nil {
			return fmt.Errorf("build tap: %w", err)
		}
	}
	listen, err := s.startTap(binary, cfg, "http://"+provider, broker)
	if err != nil {
		return err
	}
	for _, t := range []target{
		{name: "direct", base: "http://" + provider},
		{name: "plain", base: "http://" + plain + "/bench"},
		{name: "tap", base: "http://" + listen + "/bench"},
	} {
		t.client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, MaxIdleConns: 512}}
		s.targets = append(s.targets, t)
	}
	return nil
}

// role starts this program as a child and returns the address it prints.
func (s *scene) role(name string, args ...string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.Command(self, append([]string{roleFlag, name}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return "", err
	}
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	s.children = append(s.children, &child{cmd, stdin})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return "", fmt.Errorf("start %s: %w", name, err)
	}
	return strings.TrimSpace(line), nil
}

func (s *scene) startTap(binary string, cfg config, provider, broker string) (string, error) {
	listen, err := freeAddress()
	if err != nil {
		return "", err
	}
	if s.admin, err = freeAddress(); err != nil {
		return "", err
	}
	cmd := exec.Command(binary, "--upstream", "bench="+provider, "--brokers", broker, "--listen", listen,
		"--admin", s.admin, "--capture", cfg.capture, "--log-level", "warn")
	cmd.Dir, cmd.Stderr = s.dir, os.Stderr
	if err := cmd.Start(); err != nil {
		return "", fmt.Errorf("start tap: %w", err)
	}
	s.tap = &child{cmd: cmd}
	for range 200 {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			return listen, conn.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	return "", errors.New("the tap does not listen")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// report prints the tap's memory and the balance of its envelopes.
func (s *scene) report(out io.Writer) error {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.tap.cmd.Process.Pid))
	if err != nil {
		return err
	}
	fmt.Fprintln(out)
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "VmHWM:") || strings.HasPrefix(line, "VmRSS:") || strings.HasPrefix(line, "RssAnon:") {
			fmt.Fprint(out, "tap ", line)
		}
	}
	response, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if strings.HasPrefix(lines.Text(), "modeltrail_") && !strings.HasSuffix(lines.Text(), " 0") {
			fmt.Fprintln(out, lines.Text())
		}
	}
	return lines.Err()
}

func (s *scene) close() {
	if s.tap != nil {
		_ = s.tap.cmd.Process.Signal(syscall.SIGTERM)
		_ = s.tap.cmd.Wait()
	}
	for _, c := range s.children {
		_ = c.stdin.Close()
		_ = c.cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}
