package engine

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// ErrInUse is wrapped by the error of a start on a data folder that another process holds.
var ErrInUse = errors.New("data folder is in use by another engine")

// Protocol is how clickhouse-go talks to the engine.
type Protocol string

// The protocols an engine may serve.
const (
	ProtocolHTTP   Protocol = "http"
	ProtocolNative Protocol = "native"
)

// User is a name and a password the engine accepts.
type User struct {
	Name     string
	Password secret.Secret
}

// Engine is a running ClickHouse. Its methods are safe for concurrent use.
type Engine struct {
	cfg      Config
	logger   zerolog.Logger
	launcher launcher
	admin    User
	reader   User

	mu       sync.Mutex
	version  string
	pid      int
	restarts int
	err      error

	closing context.Context // ends with Close; a field because it is the engine's own life, not a request's
	stop    context.CancelFunc
	done    chan struct{}
}

// launcher starts one ClickHouse process; its two kinds are the library's child and the server binary.
type launcher interface {
	// launch starts a process and returns once it answers. The caller's goroutine stays on its thread for as long
	// as the process lives.
	launch(ctx context.Context) (*process, error)
	addr() string
	nativeAddr() string
	close()
}

// Start starts the engine and returns once it answers queries. ctx bounds the start only; the engine runs until
// Close. The error wraps ErrInUse when another process holds the data folder and ErrNoEngine when no ClickHouse
// could be had.
func Start(ctx context.Context, cfg Config, logger zerolog.Logger) (*Engine, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check engine configuration: %w", err)
	}
	dir, err := filepath.Abs(cfg.DataDir)
	if err != nil {
		return nil, fmt.Errorf("find data folder: %w", err)
	}
	cfg.DataDir = dir
	if cfg.InstallDir == "" {
		cfg.InstallDir = dir
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create data folder: %w", err)
	}
	started := time.Now()
	e := &Engine{cfg: cfg, logger: logger.With().Str("component", "engine").Logger(), done: make(chan struct{})}
	e.closing, e.stop = context.WithCancel(context.Background())
	if e.admin, err = e.user("admin", cfg.AdminUser, cfg.AdminPassword); err != nil {
		return nil, err
	}
	if e.reader, err = e.user("read", cfg.ReadUser, cfg.ReadPassword); err != nil {
		return nil, err
	}
	if e.launcher, err = e.choose(ctx); err != nil {
		return nil, err
	}
	first := make(chan error, 1)
	go e.supervise(ctx, first)
	if err := <-first; err != nil {
		<-e.done
		return nil, err
	}
	e.logger.Info().Str("version", e.Version()).Str("address", e.Addr()).Str("protocol", string(e.Protocol())).
		Dur("start_ms", time.Since(started)).Msg("engine started")
	return e, nil
}

// choose decides between the library and a server binary.
func (e *Engine) choose(ctx context.Context) (launcher, error) {
	if e.cfg.Mode != ModeLibrary && (e.cfg.Mode == ModeServer || e.cfg.Library == "") {
		binary, err := findServer(ctx, e.cfg.Server)
		switch {
		case err == nil:
			return newServerLauncher(e, binary)
		case e.cfg.Mode == ModeServer:
			return nil, noEngine(err.Error())
		case !errors.Is(err, errNoServer):
			e.logger.Info().Err(err).Msg("clickhouse binary is not used")
		}
	}
	library := e.cfg.Library
	if library == "" {
		library = os.Getenv(libraryEnv)
	}
	if library == "" {
		var err error
		library, err = Install(ctx, e.cfg.InstallDir, func(line string) {
			e.logger.Info().Str("line", line).Msg("engine installation")
		})
		if err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(library); err != nil {
		return nil, noEngine("the configured library cannot be read: " + err.Error())
	}
	return newLibraryLauncher(e, library)
}

// Addr is the host and port that clickhouse-go is given, for Protocol.
func (e *Engine) Addr() string {
	if e.Protocol() == ProtocolNative {
		return e.launcher.nativeAddr()
	}
	return e.launcher.addr()
}

// HTTPAddr is the host and port of the HTTP interface, in both modes.
func (e *Engine) HTTPAddr() string { return e.launcher.addr() }

// Protocol is native for a server binary and HTTP for the library.
func (e *Engine) Protocol() Protocol {
	if e.launcher.nativeAddr() != "" {
		return ProtocolNative
	}
	return ProtocolHTTP
}

// Database is the database the engine created.
func (e *Engine) Database() string { return e.cfg.Database }

// Users returns the user that may write and the user that may only read.
func (e *Engine) Users() (admin, reader User) { return e.admin, e.reader }

// Version is ClickHouse's version.
func (e *Engine) Version() string {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.version
}

// PID is the process id of the engine's process now; it changes with a restart and is 0 between two.
func (e *Engine) PID() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.pid
}

// Restarts is how often the engine was started again after its process had died.
func (e *Engine) Restarts() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.restarts
}

// Done is closed when the engine has ended for good: after Close, or when it could not be started again.
func (e *Engine) Done() <-chan struct{} { return e.done }

// Err says why the engine ended; it is nil while it runs and after Close.
func (e *Engine) Err() error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.err
}

// Close ends the engine and waits until its process is gone; statements that run may finish. When ctx ends first
// the process is killed. Close is idempotent.
func (e *Engine) Close(ctx context.Context) error {
	e.stop()
	select {
	case <-e.done:
		return nil
	case <-ctx.Done():
	}
	if pid := e.PID(); pid != 0 {
		if p, err := os.FindProcess(pid); err == nil {
			_ = p.Kill()
		}
	}
	<-e.done
	return fmt.Errorf("close engine: %w", ctx.Err())
}

// freeAddress resolves port 0 of a loopback address to a port that is free now.
func freeAddress(address string) (string, error) {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return "", err
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String(), nil
}
