package app

import (
	"context"
	"errors"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

func process(t *testing.T) *Process {
	t.Helper()
	cfg := config.Default()
	cfg.DataDir = filepath.Join(t.TempDir(), "data")
	cfg.Admin.Listen = "127.0.0.1:0"
	p, err := New(cfg, zerolog.Nop(), "test")
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func closeProcess(t *testing.T, p *Process) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := p.Close(ctx); err != nil {
		t.Error(err)
	}
}

func waits(name string) Role {
	return Role{name, func(ctx context.Context) error { <-ctx.Done(); return nil }}
}

func TestRun_WhenOneRoleFails_EndsAll_AndNamesIt(t *testing.T) {
	broken := errors.New("broken")
	err := Run(context.Background(), waits("store"), Role{"enrich", func(context.Context) error { return broken }})
	if !errors.Is(err, broken) || !strings.Contains(err.Error(), "role enrich") || strings.Contains(err.Error(), "store") {
		t.Errorf("error is %v", err)
	}
}

func TestRun_WhenARoleEndsByItself_IsAnError(t *testing.T) {
	err := Run(context.Background(), waits("store"), Role{"alert", func(context.Context) error { return nil }})
	if err == nil || !strings.Contains(err.Error(), "role alert") {
		t.Errorf("error is %v", err)
	}
}

func TestRun_WhenAskedToStop_IsNoError(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := Run(ctx, waits("store"), waits("tap")); err != nil {
		t.Error(err)
	}
}

func readyz(t *testing.T, p *Process) (int, string) {
	t.Helper()
	response, err := http.Get("http://" + p.AdminAddr() + "/readyz")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	return response.StatusCode, string(body)
}

func TestProcess_IsNotReadyBeforeItsRolesRun(t *testing.T) {
	p := process(t)
	defer closeProcess(t, p)
	if status, body := readyz(t, p); status != http.StatusServiceUnavailable || !strings.Contains(body, "start") {
		t.Errorf("before: %d %s", status, body)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error)
	running := make(chan struct{})
	go func() {
		done <- p.Run(ctx, Role{"role", func(ctx context.Context) error { close(running); <-ctx.Done(); return nil }})
	}()
	<-running
	if status, body := readyz(t, p); status != http.StatusOK {
		t.Errorf("while roles run: %d %s", status, body)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestProcess_ClosesInReverse_AlsoAfterAnError(t *testing.T) {
	p := process(t)
	var order []string
	bad := errors.New("bad")
	for _, name := range []string{"first", "second", "third"} {
		p.onClose(func(context.Context) error {
			order = append(order, name)
			if name == "second" {
				return bad
			}
			return nil
		})
	}
	if err := p.Close(context.Background()); !errors.Is(err, bad) {
		t.Errorf("error is %v", err)
	}
	if got := strings.Join(order, " "); got != "third second first" {
		t.Errorf("order is %s", got)
	}
}

func TestRoles_WithoutWhatTheyNeed_AreConfigurationErrors(t *testing.T) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	p := process(t)
	defer closeProcess(t, p)
	for name, c := range map[string]struct {
		prepare func() error
		want    string
	}{
		"tap":     {func() error { _, _, err := p.Tap(ctx, false); return err }, "tap.routes"},
		"store":   {func() error { _, err := p.Store(ctx); return err }, "clickhouse.addr"},
		"enrich":  {func() error { _, err := p.Enrich(ctx); return err }, "kafka.brokers"},
		"detect":  {func() error { _, err := p.Detect(ctx); return err }, "kafka.brokers"},
		"alert":   {func() error { _, err := p.Alert(ctx); return err }, "kafka.brokers"},
		"migrate": {func() error { return p.Migrate(ctx) }, "kafka.brokers"},
	} {
		if err := c.prepare(); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v; want a configuration error that names %s", name, err, c.want)
		}
	}
}

func TestCheckFiles_NamesEveryFaultyFile(t *testing.T) {
	cfg := config.Default()
	dir := t.TempDir()
	cfg.Directory.File, cfg.Prices.File = filepath.Join(dir, "directory.yaml"), filepath.Join(dir, "prices.yaml")
	for _, file := range []string{cfg.Directory.File, cfg.Prices.File} {
		if err := os.WriteFile(file, []byte("nonsense: ["), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	err := CheckFiles(cfg)
	if !errors.Is(err, ErrConfig) {
		t.Fatalf("error is %v", err)
	}
	for _, want := range []string{"directory.file", cfg.Directory.File, "prices.file", cfg.Prices.File} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error lacks %s: %v", want, err)
		}
	}
	if err := CheckFiles(config.Default()); err != nil {
		t.Errorf("without files: %v", err)
	}
}

func TestReadEndpoints_OfAFolderWhereNothingRuns_SaysWhatToDo(t *testing.T) {
	cfg := config.Default()
	cfg.DataDir = t.TempDir()
	_, err := ReadEndpoints(cfg)
	if err == nil || !strings.Contains(err.Error(), cfg.DataDir) || !strings.Contains(err.Error(), "modeltrail up") {
		t.Errorf("error is %v", err)
	}
}

func TestEndpoints_AreReadableByTheirOwnerOnly_AndGoWithTheProcess(t *testing.T) {
	p := process(t)
	if err := p.writeEndpoints(Endpoints{User: "reader", Password: "generated", TapURL: "http://127.0.0.1:1"}); err != nil {
		t.Fatal(err)
	}
	file := endpointsFile(p.Config)
	info, err := os.Stat(file)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	if e, err := ReadEndpoints(p.Config); err != nil || e.Password != "generated" || e.TapURL != "http://127.0.0.1:1" {
		t.Errorf("read back %+v, %v", e, err)
	}
	closeProcess(t, p)
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestOpenClickHouse_OfAClosedPort_TellsTheCauseNotTheDeadline(t *testing.T) {
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.User = []string{"127.0.0.1:9"}, "writer"
	ctx, cancel := context.WithTimeout(context.Background(), 700*time.Millisecond)
	defer cancel()
	_, err := OpenClickHouse(ctx, cfg)
	if err == nil || !strings.Contains(err.Error(), "127.0.0.1:9") || !strings.Contains(err.Error(), "refused") || !strings.Contains(err.Error(), `"writer"`) {
		t.Errorf("error is %v", err)
	}
}
