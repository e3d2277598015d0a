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
	"strconv"
	"strings"
	"syscall"
	"time"
)

// scene is the set of processes.
type scene struct {
	dir              string
	children         []*child
	broker           *child
	brokerAddr       string
	tap              *exec.Cmd
	ended            chan struct{} // the tap has
	endErr           error         // how, once ended is closed
	admin            string
	tapURL, plainURL string
}

type child struct {
	cmd   *exec.Cmd
	stdin io.Closer
}

func startScene(ctx context.Context, cfg config) (*scene, error) {
	dir, err := os.MkdirTemp("", "outage-")
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
	_, provider, err := s.role("provider", strconv.Itoa(cfg.size))
	if err != nil {
		return err
	}
	_, plain, err := s.role("plain", "http://"+provider)
	if err != nil {
		return err
	}
	s.plainURL = "http://" + plain + "/bench"
	if s.brokerAddr, err = freeAddress(); err != nil {
		return err
	}
	if err := s.startBroker(); err != nil {
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
	return s.startTap(binary, cfg, provider)
}

// role starts this program as a child and returns the address it prints.
func (s *scene) role(name string, args ...string) (*child, string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, "", err
	}
	cmd := exec.Command(self, append([]string{roleFlag, name}, args...)...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, "", err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, "", err
	}
	if err := cmd.Start(); err != nil {
		return nil, "", fmt.Errorf("start %s: %w", name, err)
	}
	c := &child{cmd, stdin}
	s.children = append(s.children, c)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, "", fmt.Errorf("start %s: %w", name, err)
	}
	return c, strings.TrimSpace(line), nil
}

func (s *scene) startBroker() (err error) {
	_, port, err := net.SplitHostPort(s.brokerAddr)
	if err != nil {
		return err
	}
	s.broker, s.brokerAddr, err = s.role("broker", filepath.Join(s.dir, "broker"), port)
	return err
}

func (s *scene) killBroker() error {
	if err := s.broker.cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill broker: %w", err)
	}
	_ = s.broker.cmd.Wait()
	return nil
}

func (s *scene) startTap(binary string, cfg config, provider string) error {
	listen, err := freeAddress()
	if err != nil {
		return err
	}
	if s.admin, err = freeAddress(); err != nil {
		return err
	}
	// A long outage may need more than the default bound: rate x 2 envelopes x about 2.2 KB x time.
	file := filepath.Join(s.dir, "tap.yaml")
	text := fmt.Sprintf("tap: {durability: %s}\nspool: {dir: %s, max_bytes: %d}\n", cfg.durability, filepath.Join(s.dir, "spool"), int64(16)<<30)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return err
	}
	s.tap = exec.Command(binary, "--config", file, "--upstream", "bench=http://"+provider, "--brokers", s.brokerAddr, "--listen", listen,
		"--admin", s.admin, "--log-level", "info")
	s.tap.Dir = s.dir
	if s.tap.Stderr, err = os.Create(filepath.Join(s.dir, "tap.log")); err != nil {
		return err
	}
	if err := s.tap.Start(); err != nil {
		return fmt.Errorf("start tap: %w", err)
	}
	tap, ended := s.tap, make(chan struct{})
	s.ended = ended
	go func() { s.endErr = tap.Wait(); close(ended) }()
	s.tapURL = "http://" + listen + "/bench"
	for range 200 {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	return errors.New("the tap does not listen")
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

// stopTap ends the tap as an orchestrator does.
func (s *scene) stopTap() error {
	if err := s.tap.Process.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	<-s.ended
	s.tap = nil
	return s.endErr
}

// memory returns the tap's peak and present resident size in MiB.
func (s *scene) memory() (peak, now float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.tap.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmHWM:":
			peak = kib / 1024
		case "VmRSS:":
			now = kib / 1024
		}
	}
	return peak, now, nil
}

// metric reads one metric of the tap.
func (s *scene) metric(name string) (float64, error) {
	response, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		return 0, err
	}
	defer response.Body.Close()
	lines := bufio.NewScanner(response.Body)
	for lines.Scan() {
		if value, found := strings.CutPrefix(lines.Text(), name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, errors.Join(fmt.Errorf("the tap has no metric %s", name), lines.Err())
}

func (s *scene) close() {
	if s.tap != nil {
		_ = s.tap.Process.Kill()
		<-s.ended
	}
	for _, c := range s.children {
		_ = c.stdin.Close()
		_ = c.cmd.Wait()
	}
	_ = os.RemoveAll(s.dir)
}
