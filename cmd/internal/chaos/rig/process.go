package rig

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"
)

// ending is how a process ended.
type ending struct {
	ours   bool // we killed or stopped it
	killed bool // by SIGKILL
	code   int
	lived  time.Duration
}

// Process is a program that is started again whenever it ends, until it is told to end. Its methods are safe for
// concurrent use.
type Process struct {
	Name string

	command func() *exec.Cmd
	log     string
	ended   func(ending) // called after every end, before the next start; may be nil

	mu      sync.Mutex
	cmd     *exec.Cmd
	exited  chan struct{} // of the present process
	wanted  bool
	ours    bool
	paused  bool
	starts  int
	born    time.Time     // of the present process
	stopped chan struct{} // closed when the supervisor has ended
}

// Pauses before a program that ended by itself is started again: the first, doubled with every such end in a row.
const (
	firstPause = 300 * time.Millisecond
	lastPause  = 4 * time.Second
)

// newProcess returns a process that is not started.
func newProcess(name, log string, command func() *exec.Cmd) *Process {
	return &Process{Name: name, log: log, command: command}
}

// Start starts the program and its supervisor.
func (p *Process) Start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wanted {
		return errors.New(p.Name + " runs already")
	}
	p.wanted, p.stopped = true, make(chan struct{})
	if err := p.launch(); err != nil {
		p.wanted = false
		return err
	}
	go p.supervise(p.stopped)
	return nil
}

// launch starts one process. The lock is held.
func (p *Process) launch() error {
	log, err := os.OpenFile(p.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", p.Name, err)
	}
	defer log.Close()
	cmd := p.command()
	if cmd.Stdout == nil {
		cmd.Stdout = log
	}
	cmd.Stderr = log
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true // a Ctrl-C at the terminal is for the controller alone
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start %s: %w", p.Name, err)
	}
	p.cmd, p.exited, p.ours, p.paused = cmd, make(chan struct{}), false, false
	p.starts++
	p.born = time.Now()
	return nil
}

func (p *Process) supervise(stopped chan struct{}) {
	defer close(stopped)
	for pause := firstPause; ; {
		p.mu.Lock()
		cmd, exited, born := p.cmd, p.exited, p.born
		p.mu.Unlock()
		_ = cmd.Wait()
		p.mu.Lock()
		status, _ := cmd.ProcessState.Sys().(syscall.WaitStatus)
		e := ending{ours: p.ours, killed: status.Signaled() && status.Signal() == syscall.SIGKILL, code: cmd.ProcessState.ExitCode(), lived: time.Since(born)}
		wanted := p.wanted
		close(exited)
		p.mu.Unlock()
		if p.ended != nil {
			p.ended(e)
		}
		if !wanted {
			return
		}
		if e.killed || e.lived > 10*time.Second {
			pause = firstPause
		}
		if !e.killed {
			time.Sleep(pause)
			pause = min(2*pause, lastPause)
		}
		p.mu.Lock()
		if !p.wanted {
			p.mu.Unlock()
			return
		}
		err := p.launch()
		if err != nil {
			p.wanted = false
		}
		p.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Kill ends the present process with SIGKILL; the supervisor starts the next one. It reports whether one was running.
func (p *Process) Kill() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return false
	}
	p.ours = true
	return p.cmd.Process.Kill() == nil
}

// Pause stops the process where it is; Resume lets it go on.
func (p *Process) Pause() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() || p.paused {
		return false
	}
	p.paused = p.cmd.Process.Signal(syscall.SIGSTOP) == nil
	return p.paused
}

// Resume lets a paused process go on.
func (p *Process) Resume() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.running() && p.paused {
		_ = p.cmd.Process.Signal(syscall.SIGCONT)
	}
	p.paused = false
}

// Paused reports whether the process is stopped by Pause.
func (p *Process) Paused() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.paused
}

func (p *Process) running() bool {
	if p.cmd == nil || p.exited == nil {
		return false
	}
	select {
	case <-p.exited:
		return false
	default:
		return true
	}
}

// Age is how long the present process has run; 0 between two.
func (p *Process) Age() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return time.Since(p.born)
}

// PID is the present process's id, 0 between two.
func (p *Process) PID() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.running() {
		return 0
	}
	return p.cmd.Process.Pid
}

// Starts is how often the program was started.
func (p *Process) Starts() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.starts
}

// Stop asks the program to end, kills it after patience, and does not start it again.
func (p *Process) Stop(patience time.Duration) {
	p.Resume()
	p.mu.Lock()
	if !p.wanted {
		p.mu.Unlock()
		return
	}
	p.wanted, p.ours = false, true
	stopped := p.stopped
	if p.running() {
		_ = p.cmd.Process.Signal(syscall.SIGTERM)
	}
	p.mu.Unlock()
	select {
	case <-stopped:
		return
	case <-time.After(patience):
	}
	p.mu.Lock()
	if p.running() {
		_ = p.cmd.Process.Kill()
	}
	p.mu.Unlock()
	<-stopped
}
