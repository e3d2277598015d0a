package engine

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/chdb"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/internal/front"
	"github.com/modeltrail/modeltrail/schemas/secret"
)

// File descriptors the parent hands to the child.
const (
	childListener = 3 // the listening socket, which outlives the child
	childReport   = 4 // one childReady line, then closed
)

// childConfig is the one line of JSON the parent writes to the child's standard input; passwords never stand in
// an argument or the environment.
type childConfig struct {
	Library, DataDir, Database         string
	AdminUser, AdminPassword           string
	ReadUser, ReadPassword             string
	MaxMemoryBytes, MarkCacheBytes     int64
	MaxStatementBytes, MaxInsertBytes  int64
	MaxReads, MaxWrites                int
	StatementTimeout, ShutdownDeadline time.Duration
}

// childReady is what the child reports: a version, or why there is none.
type childReady struct {
	Version string
	Error   string
	Locked  bool
}

// Main is the engine's child process: it loads the library, opens the data folder and serves HTTP on the socket
// it was given, until its standard input ends. It returns the process's exit code. Any program may be the child by
// calling it; the program is then named in Config.ChildCommand.
func Main() int {
	stdin := bufio.NewReader(os.Stdin)
	report := os.NewFile(childReport, "report")
	line, err := stdin.ReadBytes('\n')
	if err != nil || report == nil {
		fmt.Fprintln(os.Stderr, "engine-child is started by modeltrail itself, not by hand")
		return 2
	}
	var cfg childConfig
	if err := json.Unmarshal(line, &cfg); err != nil {
		fmt.Fprintln(os.Stderr, "engine-child: its configuration is not JSON")
		return 2
	}
	tell := func(ready childReady) {
		_ = json.NewEncoder(report).Encode(ready)
		_ = report.Close()
	}
	ctx, cancel := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer cancel()
	go func() {
		_, _ = io.Copy(io.Discard, stdin)
		cancel()
	}()
	if err := runChild(ctx, cfg, tell); err != nil {
		tell(childReady{Error: err.Error(), Locked: errors.Is(err, errLocked)})
		fmt.Fprintln(os.Stderr, "engine-child:", err)
		return 1
	}
	return 0
}

// runChild opens the engine and serves until ctx ends.
func runChild(ctx context.Context, cfg childConfig, tell func(childReady)) error {
	unlock, err := tryLock(filepath.Join(cfg.DataDir, "engine.lock"))
	if err != nil {
		return fmt.Errorf("lock %s: %w", cfg.DataDir, err)
	}
	defer unlock()
	listener, err := net.FileListener(os.NewFile(childListener, "listener"))
	if err != nil {
		return fmt.Errorf("take listening socket: %w", err)
	}
	ghosts, err := dropGhosts(filepath.Join(cfg.DataDir, "db"))
	if err != nil {
		return err
	}
	if ghosts > 0 {
		fmt.Fprintf(os.Stderr, "engine-child: dropped %d insert tokens without rows, left by a process that was killed\n", ghosts)
	}
	library, err := chdb.Open(cfg.Library)
	if err != nil {
		return err
	}
	anchor, err := openEngine(library, cfg)
	if err != nil {
		return err
	}
	handler, err := front.New(front.Settings{
		Library:  library,
		Path:     filepath.Join(cfg.DataDir, "db"),
		Database: cfg.Database,
		Users: []front.User{
			{Name: cfg.AdminUser, Password: secret.New(cfg.AdminPassword)},
			{Name: cfg.ReadUser, Password: secret.New(cfg.ReadPassword), ReadOnly: true},
		},
		MaxStatementBytes: cfg.MaxStatementBytes,
		MaxInsertBytes:    cfg.MaxInsertBytes,
		StatementTimeout:  cfg.StatementTimeout,
		MaxReads:          cfg.MaxReads,
		MaxWrites:         cfg.MaxWrites,
	})
	if err != nil {
		return err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: 30 * time.Second, MaxHeaderBytes: int(min(cfg.MaxStatementBytes, 1<<24))}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		<-ctx.Done()
		deadline, cancel := context.WithTimeout(context.Background(), cfg.ShutdownDeadline)
		defer cancel()
		if server.Shutdown(deadline) != nil {
			_ = server.Close()
		}
	}()
	tell(childReady{Version: handler.Version()})
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("serve http: %w", err)
	}
	<-stopped
	anchor.Close()
	return nil
}

// openEngine boots ClickHouse on the data folder and keeps one session open, without which it would stop.
func openEngine(library *chdb.Library, cfg childConfig) (*chdb.Conn, error) {
	config, err := writeEngineConfig(cfg)
	if err != nil {
		return nil, err
	}
	anchor, err := library.Connect("--path="+filepath.Join(cfg.DataDir, "db"), "--config-file="+config)
	if err != nil {
		return nil, fmt.Errorf("open data folder: %w", err)
	}
	if _, _, err := anchor.Query("CREATE DATABASE IF NOT EXISTS "+cfg.Database, "Null"); err != nil {
		anchor.Close()
		return nil, fmt.Errorf("create database: %w", err)
	}
	return anchor, nil
}
