// Package dashboards owns ModelTrail's Grafana boards and the provisioning files that bring them, with their
// ClickHouse data source, into a Grafana server.
//
// The boards' JSON is generated from package definition. Package macro expands their queries as Grafana does.
package dashboards

import (
	"embed"
	"fmt"
	"io/fs"
)

//go:generate go run ./definition/gen boards

//go:embed boards/*.json
var boards embed.FS

//go:embed provisioning
var provisioning embed.FS

// Boards returns the boards' JSON files, at the top of the file system.
func Boards() (fs.FS, error) {
	return sub(boards, "boards")
}

// Provisioning returns Grafana's provisioning folder: datasources/ and dashboards/.
func Provisioning() (fs.FS, error) {
	return sub(provisioning, "provisioning")
}

func sub(files fs.FS, dir string) (fs.FS, error) {
	out, err := fs.Sub(files, dir)
	if err != nil {
		return nil, fmt.Errorf("open embedded %s: %w", dir, err)
	}
	return out, nil
}
