// Package layout holds the tests that keep the folders' import directions and the toplevel as designed.
package layout

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/modeltrail/modeltrail/"

type listed struct {
	ImportPath string
	Imports    []string
}

// packages lists the module's packages with their imports; tests are left out: they may use any real part.
func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports", module+"...")
	cmd.Dir = filepath.Join("..", "..", "..")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var all []listed
	for decoder := json.NewDecoder(out); ; {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	if len(all) < 10 {
		t.Fatalf("go list found only %d packages", len(all))
	}
	return all
}

func folder(importPath string) string {
	rest, ours := strings.CutPrefix(importPath, module)
	if !ours {
		return ""
	}
	first, _, _ := strings.Cut(rest, "/")
	return first
}

func TestImportsPointOneWay(t *testing.T) {
	allowed := map[string][]string{
		"schemas":    {"schemas"},
		"ingest":     {"schemas", "ingest"},
		"processors": {"schemas", "processors"},
		"sinks":      {"schemas", "sinks"},
		"dashboards": {"schemas", "dashboards"},
		"cmd":        {"schemas", "ingest", "processors", "sinks", "dashboards", "cmd"},
	}
	for _, p := range packages(t) {
		from := folder(p.ImportPath)
		permitted, known := allowed[from]
		if !known {
			t.Errorf("%s: no such folder in the design", p.ImportPath)
			continue
		}
		for _, imported := range p.Imports {
			if to := folder(imported); to != "" && !slices.Contains(permitted, to) {
				t.Errorf("%s imports %s: %s may import only %v", p.ImportPath, imported, from, permitted)
			}
		}
	}
}

func TestClientLibrariesStayWhereTheyBelong(t *testing.T) {
	owners := map[string][]string{
		"github.com/twmb/franz-go/pkg/kgo":          {"ingest/publish", "processors/stream", "sinks/dlq", "cmd/"},
		"github.com/ClickHouse/clickhouse-go/v2":    {"sinks/clickhouse", "cmd/"},
		"github.com/twmb/franz-go/pkg/kfake":        {"cmd/internal/broker", "cmd/internal/bench", "cmd/internal/chaos"},
		"github.com/ebitengine/purego":              {"cmd/internal/engine"},
		"github.com/zricethezav/gitleaks/v8/config": {"ingest/redact"},
	}
	for _, p := range packages(t) {
		path := strings.TrimPrefix(p.ImportPath, module)
		for _, imported := range p.Imports {
			prefixes, watched := owners[imported]
			if watched && !slices.ContainsFunc(prefixes, func(prefix string) bool { return strings.HasPrefix(path, prefix) }) {
				t.Errorf("%s imports %s; only %v may", path, imported, prefixes)
			}
		}
	}
}

func TestNoPackageIsAGrabBag(t *testing.T) {
	for _, p := range packages(t) {
		for _, part := range strings.Split(p.ImportPath, "/") {
			if slices.Contains([]string{"util", "utils", "common", "helpers", "base", "types", "misc"}, part) {
				t.Errorf("%s: name what the package owns", p.ImportPath)
			}
		}
	}
}
