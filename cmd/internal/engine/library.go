package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// libraryLauncher runs the child that loads libchdb. It holds the listening socket itself: while a child is being
// started again, connections wait instead of being refused.
type libraryLauncher struct {
	engine   *Engine
	library  string
	listener *net.TCPListener
	log      *tailLog
}

func newLibraryLauncher(e *Engine, library string) (*libraryLauncher, error) {
	address, err := net.ResolveTCPAddr("tcp", e.cfg.Listen)
	if err != nil {
		return nil, fmt.Errorf("resolve engine.listen %s: %w", e.cfg.Listen, err)
	}
	listener, err := listenPatiently(address)
	if err != nil {
		return nil, fmt.Errorf("listen on %s, set engine.listen to another address if the port is taken: %w", e.cfg.Listen, err)
	}
	log, err := openTailLog(filepath.Join(e.cfg.DataDir, "engine.log"))
	if err != nil {
		_ = listener.Close()
		return nil, err
	}
	return &libraryLauncher{engine: e, library: library, listener: listener, log: log}, nil
}

// orphanPatience is how long a start waits for the child of a killed predecessor to let go of the socket it was
// handed. The kernel kills it with its parent, but takes its time with so large a process.
const orphanPatience = 3 * time.Second

func listenPatiently(address *net.TCPAddr) (*net.TCPListener, error) {
	for deadline := time.Now().Add(orphanPatience); ; time.Sleep(50 * time.Millisecond) {
		listener, err := net.ListenTCP("tcp", address)
		if err == nil || !errors.Is(err, syscall.EADDRINUSE) || time.Now().After(deadline) {
			return listener, err
		}
	}
}

func (l *libraryLauncher) addr() string       { return l.listener.Addr().String() }
func (l *libraryLauncher) nativeAddr() string { return "" }

func (l *libraryLauncher) close() {
	_ = l.listener.Close()
	l.log.close()
}

// childCommand is the program that calls Main.
func (l *libraryLauncher) childCommand() ([]string, error) {
	if len(l.engine.cfg.ChildCommand) > 0 {
		return l.engine.cfg.ChildCommand, nil
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own executable: %w", err)
	}
	return []string{self, "engine-child"}, nil
}

func (l *libraryLauncher) childConfig() childConfig {
	c := l.engine.cfg
	return childConfig{
		Library: l.library, DataDir: c.DataDir, Database: c.Database,
		AdminUser: l.engine.admin.Name, AdminPassword: l.engine.admin.Password.Value(),
		ReadUser: l.engine.reader.Name, ReadPassword: l.engine.reader.Password.Value(),
		MaxMemoryBytes: c.MaxMemoryBytes, MarkCacheBytes: c.MarkCacheBytes,
		MaxStatementBytes: c.MaxStatementBytes, MaxInsertBytes: c.MaxInsertBytes,
		MaxReads: c.MaxReads, MaxWrites: c.MaxWrites,
		StatementTimeout: c.StatementTimeout, ShutdownDeadline: 10 * time.Second,
	}
}

// childEnv is the environment of a ClickHouse process: what a program needs to run, and none of the secrets that
// the environment of the parent may hold.
func childEnv() []string {
	env := []string{"TZ=UTC"}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "GODEBUG", "GOTRACEBACK", "GOCOVERDIR"} {
		if value, ok := os.LookupEnv(name); ok {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// launch implements launcher.
func (l *libraryLauncher) launch(ctx context.Context) (*process, error) {
	argv, err := l.childCommand()
	if err != nil {
		return nil, err
	}
	socket, err := l.listener.File()
	if err != nil {
		return nil, fmt.Errorf("share listening socket: %w", err)
	}
	defer func() { _ = socket.Close() }()
	report, reportWriter, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("open report pipe: %w", err)
	}
	defer func() { _ = report.Close() }()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.ExtraFiles = []*os.File{socket, reportWriter} // childListener, childReport
	cmd.Stdout, cmd.Stderr = l.log, l.log
	cmd.Env = childEnv()
	cmd.SysProcAttr = dieWithParent()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		_ = reportWriter.Close()
		return nil, fmt.Errorf("open child input: %w", err)
	}
	err = cmd.Start()
	_ = reportWriter.Close()
	if err != nil {
		return nil, fmt.Errorf("start engine child %s: %w", argv[0], err)
	}
	p := &process{cmd: cmd, finish: func() { _ = stdin.Close() }}
	p.watch(func() {})
	line, err := json.Marshal(l.childConfig())
	if err == nil {
		_, err = stdin.Write(append(line, '\n'))
	}
	if err == nil {
		err = l.ready(ctx, p, report)
	}
	if err != nil {
		_ = cmd.Process.Kill()
		<-p.exited
		return nil, err
	}
	return p, nil
}

// ready waits for the child's report.
func (l *libraryLauncher) ready(ctx context.Context, p *process, report *os.File) error {
	stop := context.AfterFunc(ctx, func() { _ = report.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	line, err := bufio.NewReader(report).ReadBytes('\n')
	if ctx.Err() != nil {
		return fmt.Errorf("wait for engine: %w", ctx.Err())
	}
	if errors.Is(err, io.EOF) {
		<-p.exited
		return fmt.Errorf("engine child ended before it was ready (%w): %s", p.exitErr, l.log.tail())
	}
	if err != nil {
		return fmt.Errorf("read engine report: %w", err)
	}
	var r childReady
	if err := json.Unmarshal(line, &r); err != nil {
		return fmt.Errorf("read engine report: %w", err)
	}
	switch {
	case r.Locked:
		return fmt.Errorf("%w: %s", ErrInUse, l.engine.cfg.DataDir)
	case r.Error != "":
		<-p.exited
		return fmt.Errorf("start engine: %s: %s", r.Error, l.log.tail())
	}
	p.version = r.Version
	return nil
}
