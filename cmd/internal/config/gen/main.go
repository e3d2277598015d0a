// Command gen writes the JSON Schema, the reference page and the commented example of the configuration from the
// structs, so that no key is undocumented. Run it through `make generate`.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/modeltrail/modeltrail/cmd/internal/config"
)

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: gen MODULE_DIR")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(dir string) error {
	schema, err := config.JSONSchema()
	if err != nil {
		return err
	}
	page, err := config.Reference()
	if err != nil {
		return err
	}
	for name, content := range map[string][]byte{
		"config.schema.json": schema,
		"configuration.md":   page,
	} {
		if err := os.WriteFile(filepath.Join(dir, "docs", name), content, 0o644); err != nil {
			return err
		}
	}
	return nil
}
