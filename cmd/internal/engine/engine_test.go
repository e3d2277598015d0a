package engine_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
)

func open(t testing.TB, e *engine.Engine, u engine.User, options ...func(*clickhouse.Options)) clickhouse.Conn {
	t.Helper()
	o := &clickhouse.Options{
		Addr:        []string{e.HTTPAddr()},
		Protocol:    clickhouse.HTTP,
		Auth:        clickhouse.Auth{Database: e.Database(), Username: u.Name, Password: u.Password.Value()},
		DialTimeout: 10 * time.Second,
		ReadTimeout: time.Minute,
	}
	for _, option := range options {
		option(o)
	}
	conn, err := clickhouse.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

func admin(t testing.TB, e *engine.Engine) clickhouse.Conn {
	t.Helper()
	user, _ := e.Users()
	return open(t, e, user)
}

func reader(t testing.TB, e *engine.Engine) clickhouse.Conn {
	t.Helper()
	_, user := e.Users()
	return open(t, e, user)
}

func exec(t testing.TB, c clickhouse.Conn, sql string, args ...any) {
	t.Helper()
	if err := c.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func number(t testing.TB, c clickhouse.Conn, sql string, args ...any) uint64 {
	t.Helper()
	var n uint64
	if err := c.QueryRow(t.Context(), sql, args...).Scan(&n); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return n
}

func kill9(t testing.TB, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatalf("kill engine process %d: %v", pid, err)
	}
}

// answering waits until a killed engine answers again.
func answering(t testing.TB, c clickhouse.Conn) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for {
		err := c.Ping(t.Context())
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("engine does not answer again: %v", err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func TestEngine_SecondOnOneFolder_SaysInUse(t *testing.T) {
	e := enginetest.Start(t)
	cfg := enginetest.Config(t)
	cfg.DataDir = filepath.Dir(dataFile(t, e, "config.xml"))
	_, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if !errors.Is(err, engine.ErrInUse) {
		t.Fatalf("got %v, want ErrInUse", err)
	}
	if !strings.Contains(err.Error(), cfg.DataDir) {
		t.Errorf("error does not name the folder: %v", err)
	}
	if got := number(t, admin(t, e), "SELECT toUInt64(1)"); got != 1 {
		t.Errorf("first engine no longer answers")
	}
}

// dataFile finds a file of the engine's data folder through the running process's open lock.
func dataFile(t testing.TB, e *engine.Engine, name string) string {
	t.Helper()
	links, err := filepath.Glob(fmt.Sprintf("/proc/%d/fd/*", e.PID()))
	if err != nil {
		t.Fatal(err)
	}
	for _, link := range links {
		if target, err := os.Readlink(link); err == nil && filepath.Base(target) == "engine.lock" {
			return filepath.Join(filepath.Dir(target), name)
		}
	}
	t.Fatal("engine holds no lock file")
	return ""
}

func TestEngine_PortInUse_NamesTheSetting(t *testing.T) {
	e := enginetest.Start(t)
	cfg := enginetest.Config(t)
	cfg.Listen = e.HTTPAddr()
	_, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "engine.listen") {
		t.Fatalf("got %v", err)
	}
}

func TestEngine_Restart_KeepsDataAndPasswords(t *testing.T) {
	cfg := enginetest.Config(t)
	start := func() *engine.Engine {
		e, err := engine.Start(t.Context(), cfg, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	e := start()
	first, _ := e.Users()
	c := admin(t, e)
	exec(t, c, "CREATE TABLE kept (a Int64) ENGINE = MergeTree ORDER BY a")
	exec(t, c, "INSERT INTO kept SELECT number FROM numbers(1000)")
	if err := e.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	select {
	case <-e.Done():
	default:
		t.Error("Done is open after Close")
	}
	e = start()
	defer func() { _ = e.Close(context.Background()) }()
	again, _ := e.Users()
	if first.Password.Value() != again.Password.Value() {
		t.Error("generated password changed with the restart")
	}
	if got := number(t, admin(t, e), "SELECT count() FROM kept"); got != 1000 {
		t.Errorf("got %d rows after the restart, want 1000", got)
	}
}

func TestEngine_ChildKilled_StartsAgainOnTheSameAddress(t *testing.T) {
	e := enginetest.Start(t)
	c := admin(t, e)
	address, pid := e.HTTPAddr(), e.PID()
	kill9(t, pid)
	answering(t, c)
	if e.HTTPAddr() != address || e.PID() == pid || e.Restarts() != 1 {
		t.Errorf("address %s -> %s, pid %d -> %d, restarts %d", address, e.HTTPAddr(), pid, e.PID(), e.Restarts())
	}
}

func TestEngine_ProgramGone_EndsWithAnError(t *testing.T) {
	child := filepath.Join(t.TempDir(), "engine-child")
	cfg := enginetest.Config(t)
	if err := os.Link(cfg.ChildCommand[0], child); err != nil {
		data, err := os.ReadFile(cfg.ChildCommand[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(child, data, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	cfg.ChildCommand = []string{child}
	e, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(child); err != nil {
		t.Fatal(err)
	}
	kill9(t, e.PID())
	select {
	case <-e.Done():
	case <-time.After(90 * time.Second):
		t.Fatal("engine neither came back nor ended")
	}
	if e.Err() == nil {
		t.Error("engine ended without an error")
	}
}

func TestConfig_DefaultIsValid(t *testing.T) {
	if err := engine.DefaultConfig().Validate(); err != nil {
		t.Error(err)
	}
}

func TestConfig_Wrong_NamesEveryKey(t *testing.T) {
	cfg := engine.DefaultConfig()
	cfg.DataDir, cfg.Listen, cfg.Mode, cfg.Database = "", "0.0.0.0:8123", "remote", "a-b"
	cfg.ReadUser = cfg.AdminUser
	err := cfg.Validate()
	if err == nil {
		t.Fatal("no error")
	}
	for _, key := range []string{"data_dir", "listen", "mode", "database", "read_user"} {
		if !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named in: %v", key, err)
		}
	}
}
