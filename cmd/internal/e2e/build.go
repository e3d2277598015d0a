package e2e

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// cacheDir is shared by all test runs of a user, as in enginetest: MODELTRAIL_CACHE or the user's cache folder.
func cacheDir() (string, error) {
	dir := os.Getenv("MODELTRAIL_CACHE")
	if dir == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			return "", fmt.Errorf("find a cache folder, set MODELTRAIL_CACHE: %w", err)
		}
		dir = filepath.Join(user, "modeltrail")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return "", fmt.Errorf("create cache folder: %w", err)
	}
	return dir, nil
}

// moduleDir is the folder of this module's go.mod.
func moduleDir() (string, error) {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "github.com/modeltrail/modeltrail").Output()
	if err != nil {
		return "", fmt.Errorf("find this module: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

// buildOnce builds the program under test once per test process.
var buildOnce = sync.OnceValues(build)

func build() (string, error) {
	cache, err := cacheDir()
	if err != nil {
		return "", err
	}
	root, err := moduleDir()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256([]byte(root)) // two checkouts do not share a program
	binary := filepath.Join(cache, "e2e-"+hex.EncodeToString(sum[:6]), "modeltrail")
	if err := os.MkdirAll(filepath.Dir(binary), 0o755); err != nil {
		return "", fmt.Errorf("create build folder: %w", err)
	}
	unlock, err := engine.WaitLock(context.Background(), binary+".lock")
	if err != nil {
		return "", fmt.Errorf("wait for another build: %w", err)
	}
	defer unlock()
	cmd := exec.Command("go", "build", "-o", binary, "github.com/modeltrail/modeltrail/cmd/modeltrail")
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build modeltrail: %w\n%s", err, out)
	}
	return binary, nil
}

// Binary returns the path of the built modeltrail program. It fails the test when it cannot be built.
func Binary(t testing.TB) string {
	t.Helper()
	binary, err := buildOnce()
	if err != nil {
		t.Fatal(err)
	}
	return binary
}
