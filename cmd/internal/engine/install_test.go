package engine_test

import (
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
)

func TestInstall_NoNPM_NamesTheThreeWays(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := engine.Install(t.Context(), t.TempDir(), nil)
	if !errors.Is(err, engine.ErrNoEngine) {
		t.Fatalf("got %v, want ErrNoEngine", err)
	}
	for _, way := range []string{"npm", "MODELTRAIL_LIBCHDB", "`clickhouse` binary", "ClickHouse server of your own"} {
		if !strings.Contains(err.Error(), way) {
			t.Errorf("%q is missing in: %v", way, err)
		}
	}
}

func TestInstall_NPMFails_SaysWhy(t *testing.T) {
	bin := t.TempDir()
	script := "#!/bin/sh\necho 'npm error code ENOTFOUND' >&2\nexit 1\n"
	if err := os.WriteFile(filepath.Join(bin, "npm"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Setenv("PATH", bin+string(os.PathListSeparator)+os.Getenv("PATH"))
	_, err := engine.Install(t.Context(), t.TempDir(), nil)
	if !errors.Is(err, engine.ErrNoEngine) || !strings.Contains(err.Error(), "ENOTFOUND") {
		t.Fatalf("got %v", err)
	}
}

func TestInstall_Installed_DoesNotRunNPM(t *testing.T) {
	dir := enginetest.Config(t).InstallDir
	enginetest.Start(t)
	t.Setenv("PATH", t.TempDir())
	path, err := engine.Install(t.Context(), dir, func(line string) { t.Errorf("progress %q", line) })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); err != nil {
		t.Error(err)
	}
}

func TestInstall_Lock_PinsDigestsAndNamesNoHost(t *testing.T) {
	raw, err := os.ReadFile("npm/package-lock.json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(raw), "http") {
		t.Error("lock file names a host")
	}
	var lock struct {
		Packages map[string]struct{ Version, Integrity string }
	}
	if err := json.Unmarshal(raw, &lock); err != nil {
		t.Fatal(err)
	}
	for name, p := range lock.Packages {
		if name != "" && (p.Version == "" || !strings.HasPrefix(p.Integrity, "sha512-")) {
			t.Errorf("%s has no version or no digest", name)
		}
	}
}

func TestStart_LibraryNamedButMissing_NamesTheThreeWays(t *testing.T) {
	cfg := enginetest.Config(t)
	cfg.Library = filepath.Join(t.TempDir(), "libchdb.so")
	_, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if !errors.Is(err, engine.ErrNoEngine) {
		t.Fatalf("got %v, want ErrNoEngine", err)
	}
}

func TestStart_LibraryIsNoLibrary_SaysWhy(t *testing.T) {
	cfg := enginetest.Config(t)
	cfg.Library = filepath.Join(t.TempDir(), "libchdb.so")
	if err := os.WriteFile(cfg.Library, []byte("not a library"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if err == nil || !strings.Contains(err.Error(), "load libchdb") {
		t.Fatalf("got %v", err)
	}
}

func TestStart_ServerTooOld_SaysWhichVersionIsNeeded(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "clickhouse")
	script := "#!/bin/sh\necho 'ClickHouse server version 18.16.1.'\n"
	if err := os.WriteFile(binary, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	cfg := enginetest.Config(t)
	cfg.Mode, cfg.Server = engine.ModeServer, binary
	_, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if !errors.Is(err, engine.ErrNoEngine) || !strings.Contains(err.Error(), "18.16.1") {
		t.Fatalf("got %v", err)
	}
}
