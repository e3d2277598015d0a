// Package tapscene starts the processes around a measured tap, for the benchmarks of the tap: the tap's binary, and the
// measuring program itself in other roles and plain proxies, each a process of its own.
package tapscene

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// RoleFlag is the first argument of a program that is started in a role; the role and its arguments follow.
const RoleFlag = "-role"

// Scene is a folder and the processes that work in it. Its methods are for one goroutine.
type Scene struct {
	Dir      string
	plain    string // binary of the plain proxy, once built
	children []*Child
	taps     []*Tap
}

// Child is this program in a role, or a plain proxy. It ends when its standard input closes.
type Child struct {
	Addr  string // where it listens
	cmd   *exec.Cmd
	stdin io.Closer
}

// New makes the folder. The caller closes the scene, also after a later error.
func New(name string) (*Scene, error) {
	dir, err := os.MkdirTemp("", name+"-")
	if err != nil {
		return nil, err
	}
	return &Scene{Dir: dir}, nil
}

// Role starts this program in a role and waits until it says where it listens.
func (s *Scene) Role(role string, args ...string) (*Child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return s.start(role, self, append([]string{RoleFlag, role}, args...)...)
}

// PlainProxy starts a plainproxy in front of the provider. The first one builds it.
func (s *Scene) PlainProxy(ctx context.Context, provider *Child) (*Child, error) {
	if s.plain == "" {
		program, err := s.build(ctx, "cmd/internal/bench/plainproxy")
		if err != nil {
			return nil, err
		}
		s.plain = program
	}
	return s.start("plain proxy", s.plain, provider.Addr)
}

// build builds a command of this module into the scene's folder and returns its file.
func (s *Scene) build(ctx context.Context, command string) (string, error) {
	binary := filepath.Join(s.Dir, filepath.Base(command))
	build := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", binary, "github.com/modeltrail/modeltrail/"+command) //nolint:gosec // fixed arguments
	build.Env, build.Stderr = append(os.Environ(), "CGO_ENABLED=0"), os.Stderr
	if err := build.Run(); err != nil {
		return "", fmt.Errorf("build %s: %w", command, err)
	}
	return binary, nil
}

// start starts a child and waits until it says where it listens.
func (s *Scene) start(name, program string, args ...string) (*Child, error) {
	cmd := exec.Command(program, args...)
	cmd.Stderr = os.Stderr
	stdin, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c := &Child{cmd: cmd, stdin: stdin}
	s.children = append(s.children, c)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	c.Addr = strings.TrimSpace(line)
	return c, nil
}

// Kill ends the child by SIGKILL.
func (c *Child) Kill() error {
	if err := c.cmd.Process.Kill(); err != nil {
		return err
	}
	_ = c.cmd.Wait()
	return nil
}

// Close ends all processes and removes the folder.
func (s *Scene) Close() error {
	var errs []error
	for _, t := range s.taps {
		errs = append(errs, t.Stop())
	}
	for _, c := range s.children {
		_ = c.stdin.Close()
		_ = c.cmd.Wait()
	}
	return errors.Join(append(errs, os.RemoveAll(s.Dir))...)
}

// FreeAddress is an address of this machine at which nothing listens.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
