package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/cmd/internal/app"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// system is a running `modeltrail up` in a folder of its own.
type system struct {
	dir       string
	process   *exec.Cmd
	exited    chan struct{} // closed when the process has ended
	ending    error         // how; read after exited is closed
	endpoints app.Endpoints
}

// start runs the program and waits until it can be used; its first start may install the engine.
func start(ctx context.Context, binary string) (*system, error) {
	binary, err := filepath.Abs(binary)
	if err != nil {
		return nil, fmt.Errorf("find program: %w", err)
	}
	dir, err := os.MkdirTemp("", "modeltrail-freshness-")
	if err != nil {
		return nil, fmt.Errorf("create folder: %w", err)
	}
	s := &system{dir: dir, exited: make(chan struct{})}
	cfg := fmt.Sprintf(`data_dir: %s
log: {level: warn, format: json}
admin: {listen: ""}
tap: {listen: "127.0.0.1:0", routes: [{name: none, prefix: /none, upstream: "http://127.0.0.1:9"}]}
broker: {listen: "127.0.0.1:0"}
engine: {listen: "127.0.0.1:0", native_listen: "127.0.0.1:0"}
`, filepath.Join(dir, "data"))
	if err := os.WriteFile(s.path("modeltrail.yaml"), []byte(cfg), 0o600); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	log, err := os.Create(s.path("log"))
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	defer log.Close()
	s.process = exec.Command(binary, "up", "--config", s.path("modeltrail.yaml"))
	s.process.Stderr = log
	if err := s.process.Start(); err != nil {
		return nil, errors.Join(fmt.Errorf("start %s (run `make build`): %w", binary, err), os.RemoveAll(dir))
	}
	go func() {
		s.ending = s.process.Wait()
		close(s.exited)
	}()
	if err := s.await(ctx); err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

func (s *system) path(name string) string { return filepath.Join(s.dir, name) }

func (s *system) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	for {
		endpoints, err := app.ReadEndpoints(config.Config{DataDir: s.path("data")})
		if err == nil && endpoints.TapURL != "" {
			s.endpoints = endpoints
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for modeltrail up: %w", ctx.Err())
		case <-s.exited:
			log, _ := os.ReadFile(s.path("log"))
			return fmt.Errorf("modeltrail up ended: %w\n%s", s.ending, log)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// stop ends the process and removes its folder.
func (s *system) stop() {
	_ = s.process.Process.Signal(syscall.SIGTERM)
	select {
	case <-s.exited:
	case <-time.After(40 * time.Second):
		_ = s.process.Process.Kill()
		<-s.exited
	}
	_ = os.RemoveAll(s.dir)
}

// connect returns a connection as the user that may only read.
func (s *system) connect() (driver.Conn, error) {
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol, cfg.Database = s.endpoints.ClickHouseAddr, s.endpoints.ClickHouseProtocol, s.endpoints.ClickHouseDatabase
	cfg.User, cfg.Password = s.endpoints.User, secret.New(s.endpoints.Password)
	return clickhouse.Open(cfg)
}
