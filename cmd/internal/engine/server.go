package engine

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// The oldest server that knows every statement of our schema.
const minServerMajor, minServerMinor = 23, 8

// errNoServer says that there is no clickhouse binary.
var errNoServer = errors.New("no clickhouse binary on PATH")

var serverVersion = regexp.MustCompile(`(\d+)\.(\d+)\.\d+`)

// findServer returns the path of a clickhouse binary that is new enough.
func findServer(ctx context.Context, configured string) (string, error) {
	candidates := []string{"clickhouse", "clickhouse-server"}
	if configured != "" {
		candidates = []string{configured}
	}
	for _, candidate := range candidates {
		path, err := exec.LookPath(candidate)
		if err != nil {
			continue
		}
		ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
		out, err := exec.CommandContext(ctx, path, serverArgs(path, "--version")...).Output()
		cancel()
		match := serverVersion.FindStringSubmatch(string(out))
		if err != nil || match == nil {
			return "", fmt.Errorf("%s does not tell its version", path)
		}
		major, _ := strconv.Atoi(match[1])
		minor, _ := strconv.Atoi(match[2])
		if major < minServerMajor || major == minServerMajor && minor < minServerMinor {
			return "", fmt.Errorf("%s is version %s, %d.%d or later is needed", path, match[0], minServerMajor, minServerMinor)
		}
		return path, nil
	}
	if configured != "" {
		return "", fmt.Errorf("%s is not an executable", configured)
	}
	return "", errNoServer
}

// serverArgs puts the subcommand before the arguments for the binary that has subcommands.
func serverArgs(path string, args ...string) []string {
	if filepath.Base(path) == "clickhouse" {
		return append([]string{"server"}, args...)
	}
	return args
}

// serverLauncher runs a clickhouse server of its own configuration on the data folder.
type serverLauncher struct {
	engine       *Engine
	binary       string
	http, native string
	config       string
	unlock       func()
	log          *tailLog
}

func newServerLauncher(e *Engine, binary string) (*serverLauncher, error) {
	unlock, err := tryLock(filepath.Join(e.cfg.DataDir, "engine.lock"))
	if errors.Is(err, errLocked) {
		return nil, fmt.Errorf("%w: %s", ErrInUse, e.cfg.DataDir)
	}
	if err != nil {
		return nil, err
	}
	s := &serverLauncher{engine: e, binary: binary, unlock: unlock}
	if s.http, err = freeAddress(e.cfg.Listen); err != nil {
		err = fmt.Errorf("listen on %s, set engine.listen to another address if the port is taken: %w", e.cfg.Listen, err)
	} else if s.native, err = freeAddress(e.cfg.NativeListen); err != nil {
		err = fmt.Errorf("listen on %s, set engine.native_listen to another address if the port is taken: %w", e.cfg.NativeListen, err)
	} else if s.log, err = openTailLog(filepath.Join(e.cfg.DataDir, "engine.log")); err == nil {
		s.config, err = s.writeConfig()
	}
	if err != nil {
		unlock()
		return nil, err
	}
	return s, nil
}

func (s *serverLauncher) addr() string       { return s.http }
func (s *serverLauncher) nativeAddr() string { return s.native }

func (s *serverLauncher) close() {
	s.log.close()
	s.unlock()
}

// writeConfig writes config.xml and users.xml for loopback and two users. Passwords stand in it as digests only.
func (s *serverLauncher) writeConfig() (string, error) {
	c := s.engine.cfg
	dir := filepath.Join(c.DataDir, "server")
	if err := os.MkdirAll(filepath.Join(dir, "tmp"), 0o700); err != nil {
		return "", fmt.Errorf("create server folder: %w", err)
	}
	digest := func(u User) string {
		sum := sha256.Sum256([]byte(u.Password.Value()))
		return hex.EncodeToString(sum[:])
	}
	host, httpPort, _ := strings.Cut(s.http, ":")
	_, nativePort, _ := strings.Cut(s.native, ":")
	values := map[string]any{
		"Dir": xmlText(dir), "Host": host, "HTTPPort": httpPort, "NativePort": nativePort, "Database": c.Database,
		"MaxMemory": c.MaxMemoryBytes, "MarkCache": c.MarkCacheBytes,
		"Admin": s.engine.admin.Name, "AdminDigest": digest(s.engine.admin),
		"Reader": s.engine.reader.Name, "ReaderDigest": digest(s.engine.reader),
		"Timeout": int(c.StatementTimeout.Seconds()),
	}
	var path string
	for file, tmpl := range map[string]interface{ Execute(io.Writer, any) error }{"users.xml": serverUsersXML, "config.xml": serverXML} {
		var out strings.Builder
		if err := tmpl.Execute(&out, values); err != nil {
			return "", fmt.Errorf("render %s: %w", file, err)
		}
		path = filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(out.String()), 0o600); err != nil {
			return "", fmt.Errorf("write %s: %w", file, err)
		}
	}
	return filepath.Join(dir, "config.xml"), nil
}

// launch implements launcher.
func (s *serverLauncher) launch(ctx context.Context) (*process, error) {
	if ghosts, err := dropGhosts(filepath.Join(filepath.Dir(s.config), "db")); err != nil {
		return nil, err
	} else if ghosts > 0 {
		s.engine.logger.Warn().Int("tokens", ghosts).Msg("dropped insert tokens without rows, left by a process that was killed")
	}
	cmd := exec.Command(s.binary, serverArgs(s.binary, "--config-file="+s.config)...)
	cmd.Dir = filepath.Dir(s.config)
	cmd.Stdout, cmd.Stderr = s.log, s.log
	cmd.Env = childEnv()
	cmd.SysProcAttr = dieWithParent()
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start clickhouse server: %w", err)
	}
	p := &process{cmd: cmd, finish: func() { _ = cmd.Process.Signal(syscall.SIGTERM) }}
	p.watch(func() {})
	if err := s.ready(ctx, p); err != nil {
		_ = cmd.Process.Kill()
		<-p.exited
		return nil, err
	}
	return p, nil
}

// ready creates the database as the admin user, again and again until the server answers.
func (s *serverLauncher) ready(ctx context.Context, p *process) error {
	for {
		_, err := s.ask(ctx, "CREATE DATABASE IF NOT EXISTS "+s.engine.cfg.Database)
		if err == nil {
			p.version, err = s.ask(ctx, "SELECT version()")
			return err
		}
		select {
		case <-p.exited:
			return fmt.Errorf("clickhouse server ended before it was ready (%w): %s", p.exitErr, s.log.tail())
		case <-ctx.Done():
			return fmt.Errorf("wait for clickhouse server: %w", err)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

func (s *serverLauncher) ask(ctx context.Context, sql string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.http+"/", strings.NewReader(sql))
	if err != nil {
		return "", fmt.Errorf("ask clickhouse server: %w", err)
	}
	req.SetBasicAuth(s.engine.admin.Name, s.engine.admin.Password.Value())
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", fmt.Errorf("ask clickhouse server: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	if err != nil || res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("ask clickhouse server: status %d: %s", res.StatusCode, strings.TrimSpace(string(out)))
	}
	return strings.TrimSpace(string(out)), nil
}
