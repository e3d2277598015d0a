package engine

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"runtime"
	"time"
)

const (
	firstBackoff = 50 * time.Millisecond
	crashBackoff = 500 * time.Millisecond // longest wait after a process that had answered
	lastBackoff  = 10 * time.Second       // longest wait after one that never did
	steady       = 10 * time.Second       // a process that lived this long starts the backoff anew
	maxAttempts  = 10                     // starts in a row that may fail before the engine ends for good; a missing program ends it at once
)

// process is one ClickHouse process that answers.
type process struct {
	cmd     *exec.Cmd
	version string
	finish  func()        // asks the process to end
	exited  chan struct{} // closed when it is gone
	exitErr error         // set before exited is closed
}

// supervise starts the process, starts it again when it dies and tells the outcome of the first start. It keeps
// its thread, because a child that dies with its parent dies with the thread that started it.
func (e *Engine) supervise(ctx context.Context, first chan<- error) {
	runtime.LockOSThread()
	defer close(e.done)
	defer e.launcher.close()
	p, err := e.launch(ctx)
	first <- err
	if err != nil {
		return
	}
	backoff := firstBackoff
	for {
		born := time.Now()
		select {
		case <-e.closing.Done():
			p.finish()
			<-p.exited
			e.setProcess(nil)
			return
		case <-p.exited:
		}
		e.setProcess(nil)
		if time.Since(born) > steady {
			backoff = firstBackoff
		}
		e.logger.Error().Err(p.exitErr).Dur("lived_ms", time.Since(born)).Dur("backoff_ms", backoff).Msg("engine process died, starting it again")
		if p, backoff, err = e.relaunch(backoff); err != nil {
			e.fail(err)
			return
		}
		if p == nil {
			return
		}
	}
}

// relaunch waits and starts until a process answers. A nil process without an error means that Close came first.
func (e *Engine) relaunch(backoff time.Duration) (*process, time.Duration, error) {
	for attempt := 1; ; attempt++ {
		select {
		case <-e.closing.Done():
			return nil, backoff, nil
		case <-time.After(backoff):
		}
		backoff = min(2*backoff, lastBackoff)
		p, err := e.launch(context.Background())
		if err == nil {
			e.mu.Lock()
			e.restarts++
			e.mu.Unlock()
			backoff = min(backoff, crashBackoff)
			e.logger.Info().Int("attempt", attempt).Int("restarts", e.Restarts()).Msg("engine started again")
			return p, backoff, nil
		}
		if attempt == maxAttempts || errors.Is(err, fs.ErrNotExist) {
			return nil, backoff, fmt.Errorf("start engine again, %d attempts: %w", attempt, err)
		}
		e.logger.Error().Err(err).Int("attempt", attempt).Dur("backoff_ms", backoff).Msg("engine does not start")
	}
}

// launch starts one process within the start timeout.
func (e *Engine) launch(ctx context.Context) (*process, error) {
	ctx, cancel := context.WithTimeout(ctx, e.cfg.StartTimeout)
	defer cancel()
	defer context.AfterFunc(e.closing, cancel)()
	p, err := e.launcher.launch(ctx)
	if err != nil {
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			err = fmt.Errorf("engine did not answer within %s (start_timeout): %w", e.cfg.StartTimeout, err)
		}
		return nil, err
	}
	e.setProcess(p)
	return p, nil
}

func (e *Engine) setProcess(p *process) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.pid = 0
	if p != nil {
		e.pid, e.version = p.cmd.Process.Pid, p.version
	}
}

func (e *Engine) fail(err error) {
	e.mu.Lock()
	e.err = err
	e.mu.Unlock()
	e.logger.Error().Err(err).Msg("engine ended")
}

// watch turns the end of a command into the process's exited channel.
func (p *process) watch(after func()) {
	p.exited = make(chan struct{})
	go func() {
		p.exitErr = p.cmd.Wait()
		after()
		close(p.exited)
	}()
}
