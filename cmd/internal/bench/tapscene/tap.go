package tapscene

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

// Tap is the tap's binary at work.
type Tap struct {
	URL   string // of the route "bench"
	admin string
	cmd   *exec.Cmd
	ended chan struct{}
	err   error // how it ended, once ended is closed
}

// StartTap starts the tap with a route "bench" to the provider. binary "" builds it. Its log goes to log.
func (s *Scene) StartTap(ctx context.Context, binary string, provider, broker *Child, log io.Writer, args ...string) (*Tap, error) {
	if binary == "" {
		built, err := s.build(ctx, "cmd/modeltrail-tap")
		if err != nil {
			return nil, err
		}
		binary = built
	}
	binary, err := filepath.Abs(binary) // it runs in another folder
	if err != nil {
		return nil, err
	}
	listen, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := FreeAddress()
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(binary, append(args, "--upstream", "bench=http://"+provider.Addr, "--brokers", broker.Addr, "--listen", listen, "--admin", admin)...) //nolint:gosec // the program to be measured
	cmd.Dir, cmd.Stderr = s.Dir, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start tap: %w", err)
	}
	t := &Tap{URL: "http://" + listen + "/bench", admin: admin, cmd: cmd, ended: make(chan struct{})}
	go func() { t.err = cmd.Wait(); close(t.ended) }()
	s.taps = append(s.taps, t)
	for range 200 {
		conn, err := net.Dial("tcp", listen)
		if err == nil {
			return t, conn.Close()
		}
		time.Sleep(25 * time.Millisecond)
	}
	return nil, errors.New("the tap does not listen")
}

// Stop ends the tap as an orchestrator does and returns how it ended.
func (t *Tap) Stop() error {
	if err := t.cmd.Process.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	select {
	case <-t.ended:
	case <-time.After(time.Minute):
		_ = t.cmd.Process.Kill()
		<-t.ended
	}
	return t.err
}

// Memory returns the peak and the present resident size in MiB.
func (t *Tap) Memory() (peak, now float64, err error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", t.cmd.Process.Pid))
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

// Metrics returns the lines of the tap's own metrics.
func (t *Tap) Metrics() (lines []string, err error) {
	response, err := http.Get("http://" + t.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, response.Body.Close()) }()
	scanner := bufio.NewScanner(response.Body)
	for scanner.Scan() {
		if strings.HasPrefix(scanner.Text(), "modeltrail_") {
			lines = append(lines, scanner.Text())
		}
	}
	return lines, scanner.Err()
}

// Metric returns one of them.
func (t *Tap) Metric(name string) (float64, error) {
	lines, err := t.Metrics()
	if err != nil {
		return 0, err
	}
	for _, line := range lines {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(value, 64)
		}
	}
	return 0, fmt.Errorf("the tap has no metric %s", name)
}
