// Package enginetest gives tests a real embedded ClickHouse. It fails a test that cannot have one and never skips
// it. The library is installed once per machine into MODELTRAIL_CACHE, or the user's cache folder.
package enginetest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// Start starts an engine on a free port with an empty data folder and closes it with the test. Options change the
// configuration before the start.
func Start(t testing.TB, options ...func(*engine.Config)) *engine.Engine {
	t.Helper()
	cfg := Config(t)
	for _, option := range options {
		option(&cfg)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	e, err := engine.Start(ctx, cfg, zerolog.New(zerolog.NewTestWriter(t)).Level(zerolog.WarnLevel))
	if err != nil {
		t.Fatalf("start embedded ClickHouse: %v", err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := e.Close(ctx); err != nil {
			t.Errorf("close embedded ClickHouse: %v", err)
		}
	})
	return e
}

// Config is the configuration Start uses: library mode, a free port, a temporary data folder, the shared library
// and a child program built from this repository.
func Config(t testing.TB) engine.Config {
	t.Helper()
	dir := cacheDir(t)
	cfg := engine.DefaultConfig()
	cfg.Mode = engine.ModeLibrary
	cfg.DataDir = filepath.Join(t.TempDir(), "engine")
	cfg.InstallDir = dir
	cfg.Listen = "127.0.0.1:0"
	cfg.ChildCommand = []string{buildChild(t, dir)}
	return cfg
}

func cacheDir(t testing.TB) string {
	t.Helper()
	dir := os.Getenv("MODELTRAIL_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatalf("find a cache folder, set MODELTRAIL_CACHE: %v", err)
		}
		dir = filepath.Join(user, "modeltrail")
	}
	dir = filepath.Join(dir, "engine")
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatalf("create cache folder: %v", err)
	}
	return dir
}

// buildChild builds the child program, once per state of this repository. Builds of one checkout wait for each
// other; go build itself skips what is up to date.
func buildChild(t testing.TB, dir string) string {
	t.Helper()
	where, err := os.Getwd()
	if err != nil {
		t.Fatalf("find working folder: %v", err)
	}
	root, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}").Output()
	if err != nil {
		t.Fatalf("find this module from %s: %v", where, err)
	}
	sum := sha256.Sum256(root)
	built := filepath.Join(dir, "child-"+hex.EncodeToString(sum[:6]), "engine-child")
	if err := os.MkdirAll(filepath.Dir(built), 0o755); err != nil {
		t.Fatalf("create build folder: %v", err)
	}
	unlock, err := engine.WaitLock(context.Background(), built+".lock")
	if err != nil {
		t.Fatalf("wait for another build: %v", err)
	}
	defer unlock()
	cmd := exec.Command("go", "build", "-o", built, "github.com/modeltrail/modeltrail/cmd/internal/engine/child")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the engine's child program: %v\n%s", err, out)
	}
	return built
}

// DSN is a clickhouse-go data source name for a user of the engine.
func DSN(e *engine.Engine, u engine.User) string {
	return fmt.Sprintf("http://%s:%s@%s/%s", u.Name, u.Password.Value(), e.HTTPAddr(), e.Database())
}
