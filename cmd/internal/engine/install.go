package engine

import (
	"bufio"
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

//go:embed npm/package.json
var npmPackage []byte

//go:embed npm/package-lock.json
var npmLock []byte

// libraryEnv names an existing libchdb.so and so spares the installation.
const libraryEnv = "MODELTRAIL_LIBCHDB"

// stampFile holds the digest of the lock file whose installation came to its end.
const stampFile = "installed"

// ErrNoEngine is wrapped by every error that says that no ClickHouse could be had.
var ErrNoEngine = errors.New("no ClickHouse engine")

// threeWays tells the operator what to do about ErrNoEngine.
const threeWays = "give it one of three ways: (1) npm on PATH, so that the library is installed from the built-in lock file" +
	" (or " + libraryEnv + "=/path/to/libchdb.so); (2) a `clickhouse` binary, version 23.8 or later, on PATH;" +
	" (3) a ClickHouse server of your own, named in the configuration"

func noEngine(why string) error { return fmt.Errorf("%w: %s; %s", ErrNoEngine, why, threeWays) }

// libraryPath is where Install puts the library.
func libraryPath(dir string) string {
	return filepath.Join(dir, "npm", "node_modules", "@chdb", "lib-"+platform(), "libchdb.so")
}

func lockDigest() string {
	sum := sha256.Sum256(append(append([]byte{}, npmPackage...), npmLock...))
	return hex.EncodeToString(sum[:])
}

// installed returns the library's path when dir holds exactly what the lock file asks for.
func installed(dir string) (string, bool) {
	stamp, err := os.ReadFile(filepath.Join(dir, "npm", stampFile))
	if err != nil || strings.TrimSpace(string(stamp)) != lockDigest() {
		return "", false
	}
	path := libraryPath(dir)
	if _, err := os.Stat(path); err != nil {
		return "", false
	}
	return path, true
}

// Install makes sure that the ClickHouse library of the built-in lock file stands in dir and returns its path. It
// runs `npm ci` with that lock (560 MB on disk), which checks the digests in it;
// when the library is there already it only reads a stamp. Concurrent calls, also of other processes, wait for each
// other. progress gets one line at a time and may be nil. The error names what the operator can do instead.
func Install(ctx context.Context, dir string, progress func(line string)) (string, error) {
	if path, ok := installed(dir); ok {
		return path, nil
	}
	if progress == nil {
		progress = func(string) {}
	}
	if platform() == "" {
		return "", noEngine(fmt.Sprintf("the lock file has no library for %s/%s", runtime.GOOS, runtime.GOARCH))
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		return "", noEngine("npm is not on PATH")
	}
	work := filepath.Join(dir, "npm")
	if err := os.MkdirAll(work, 0o755); err != nil {
		return "", fmt.Errorf("create install folder: %w", err)
	}
	unlock, err := WaitLock(ctx, filepath.Join(dir, "install.lock"))
	if err != nil {
		return "", fmt.Errorf("wait for another installation: %w", err)
	}
	defer unlock()
	if path, ok := installed(dir); ok {
		return path, nil
	}
	started := time.Now()
	progress("installing the ClickHouse library with npm, 560 MB on disk, once")
	if err := runNPM(ctx, npm, work, progress); err != nil {
		return "", err
	}
	if _, err := os.Stat(libraryPath(dir)); err != nil {
		return "", noEngine("npm installed no library for this machine (glibc is needed)")
	}
	if err := os.WriteFile(filepath.Join(work, stampFile), []byte(lockDigest()+"\n"), 0o644); err != nil {
		return "", fmt.Errorf("write install stamp: %w", err)
	}
	progress(fmt.Sprintf("installed the ClickHouse library in %s", time.Since(started).Round(100*time.Millisecond)))
	return libraryPath(dir), nil
}

// runNPM writes the two files and runs npm on them.
func runNPM(ctx context.Context, npm, work string, progress func(string)) error {
	_ = os.Remove(filepath.Join(work, stampFile))
	for file, content := range map[string][]byte{"package.json": npmPackage, "package-lock.json": npmLock} {
		if err := os.WriteFile(filepath.Join(work, file), content, 0o644); err != nil {
			return fmt.Errorf("write %s: %w", file, err)
		}
	}
	cmd := exec.CommandContext(ctx, npm, "ci", "--no-audit", "--no-fund", "--ignore-scripts", "--no-update-notifier", "--loglevel=warn")
	cmd.Dir = work
	cmd.WaitDelay = 5 * time.Second
	out, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start npm: %w", err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		return noEngine("npm does not start: " + err.Error())
	}
	last := relay(out, progress)
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("install library: %w", ctx.Err())
		}
		return noEngine(fmt.Sprintf("npm ci failed (%s): %s", err, last))
	}
	return nil
}

// relay passes lines on and returns the last few that tell of an error.
func relay(out io.Reader, progress func(string)) string {
	var errs []string
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		line := strings.TrimSpace(lines.Text())
		if line == "" {
			continue
		}
		progress(line)
		if strings.Contains(line, "error") && len(errs) < 4 {
			errs = append(errs, line)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	return strings.Join(errs, " | ")
}
