// Package tapscene starts the processes around a measured tap, for the benchmarks of the tap: the tap's binary, and the
// measuring program itself in other roles, each a process of its own.
package tapscene

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
)

// RoleFlag is the first argument of a program that is started in a role; the role and its arguments follow.
const RoleFlag = "-role"

// Scene is a folder and the processes that work in it. Its methods are for one goroutine.
type Scene struct {
	Dir      string
	children []*Child
	taps     []*Tap
}

// Child is this program in a role. It ends when its standard input closes.
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
	cmd := exec.Command(self, append([]string{RoleFlag, role}, args...)...)
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
		return nil, fmt.Errorf("start %s: %w", role, err)
	}
	c := &Child{cmd: cmd, stdin: stdin}
	s.children = append(s.children, c)
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", role, err)
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
