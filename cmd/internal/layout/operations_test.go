package layout

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestOperations_NamesEveryMetric compares docs/operations.md with the metric names in the code.
func TestOperations_NamesEveryMetric(t *testing.T) {
	page, err := os.ReadFile(filepath.Join(root, "docs", "operations.md"))
	if err != nil {
		t.Fatal(err)
	}
	whole := regexp.MustCompile(`"(modeltrail_(?:tap|receive|publish|stream|clickhouse|enrich|detect|alert|dlq|ledger|completeness)_[a-z_]*[a-z])"`)
	short := regexp.MustCompile(`counter\("([a-z_]+)"`) // of processors/stream
	named := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "node_modules") {
			if err == nil {
				err = fs.SkipDir
			}
			return err
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		for _, match := range whole.FindAllStringSubmatch(string(text), -1) {
			named[match[1]] = true
		}
		if strings.Contains(filepath.ToSlash(path), "processors/stream/") {
			for _, match := range short.FindAllStringSubmatch(string(text), -1) {
				named["modeltrail_stream_"+match[1]] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(named) < 35 {
		t.Errorf("only %d metrics found in the code", len(named))
	}
	for name := range named {
		if !strings.Contains(string(page), "`"+name+"`") && !strings.Contains(string(page), "`"+name+"{") {
			t.Errorf("docs/operations.md does not explain %s", name)
		}
	}
	for _, match := range regexp.MustCompile(`modeltrail_(?:tap|receive|publish|stream|clickhouse|enrich|detect|alert|dlq|ledger|completeness)_[a-z_]+`).FindAllString(string(page), -1) {
		if !named[match] {
			t.Errorf("docs/operations.md explains %s, which the code does not have", match)
		}
	}
}
