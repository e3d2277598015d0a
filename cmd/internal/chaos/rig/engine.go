package rig

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/faultproxy"
	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// database is the engine and the proxy in front of it. The engine's own supervision starts its process again.
type database struct {
	engine *engine.Engine
	proxy  *faultproxy.Proxy
	dir    string
}

// startDatabase starts the embedded engine in dir.
func startDatabase(ctx context.Context, self, dir string, seed uint64, log zerolog.Logger) (*database, error) {
	cache, err := cacheDir()
	if err != nil {
		return nil, err
	}
	cfg := engine.DefaultConfig()
	cfg.Mode, cfg.Listen, cfg.NativeListen = engine.ModeLibrary, "127.0.0.1:0", "127.0.0.1:0"
	cfg.DataDir, cfg.InstallDir = dir, filepath.Join(cache, "engine")
	cfg.ChildCommand = []string{self, "engine-child"}
	e, err := engine.Start(ctx, cfg, log)
	if err != nil {
		return nil, fmt.Errorf("start engine: %w", err)
	}
	proxy, err := faultproxy.Listen("127.0.0.1:0", e.HTTPAddr(), seed)
	if err != nil {
		return nil, errors.Join(err, e.Close(ctx))
	}
	return &database{e, proxy, dir}, nil
}

// cacheDir is shared by all test runs of a user: MODELTRAIL_CACHE or the user's cache folder.
func cacheDir() (string, error) {
	dir := os.Getenv("MODELTRAIL_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache folder, set MODELTRAIL_CACHE: %w", err)
		}
		dir = filepath.Join(user, "modeltrail")
	}
	return dir, os.MkdirAll(dir, 0o755)
}

// kill ends the engine's process with SIGKILL. False: there was none.
func (d *database) kill() bool {
	pid := d.engine.PID()
	return pid != 0 && syscall.Kill(pid, syscall.SIGKILL) == nil
}

func (d *database) passwordFile() string { return filepath.Join(d.dir, "admin.password") }

func (d *database) stop() error {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	return errors.Join(d.proxy.Close(), d.engine.Close(ctx))
}
