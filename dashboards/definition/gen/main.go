// Command gen writes the boards as JSON into the folder named by its argument.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/modeltrail/modeltrail/dashboards/board"
	"github.com/modeltrail/modeltrail/dashboards/definition"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: gen FOLDER")
	}
	for _, b := range definition.All() {
		text, err := board.Encode(b)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(args[0], b.UID+".json"), text, 0o644); err != nil { //nolint:gosec // boards are public
			return fmt.Errorf("write board: %w", err)
		}
	}
	return nil
}
