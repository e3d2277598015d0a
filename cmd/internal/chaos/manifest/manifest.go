// Package manifest is what the processes of one conservation test agree on: the workload and where things are. The
// controller writes it once; producer, oracle and judge read it.
package manifest

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// File is the manifest's name in the folder of a run.
const File = "manifest.json"

// Manifest describes one run. Names of files are relative to its folder.
type Manifest struct {
	Workload   workload.Config `json:"workload"`
	Brokers    []string        `json:"brokers"`
	ClickHouse ClickHouse      `json:"clickhouse"`
	Journal    string          `json:"journal"`
	// RepeatsRecognised says that the store recognises a source sequence that it has stored before.
	RepeatsRecognised bool `json:"repeats_recognised"`
	// Detection says that enrich and detect ran, so that events and findings are judged.
	Detection bool `json:"detection"`
	// MarkedRefused says that the database refused calls for workload.MarkedModel: they must be dead letters.
	MarkedRefused bool `json:"marked_refused"`
	// Taps are the base URLs of the taps, where calls go through taps.
	Taps []string `json:"taps,omitempty"`
	// TapKills are the moments, in unix milliseconds, at which each tap was killed. An answer that ended up to
	// ExcuseMillis before may have been in its memory only.
	TapKills     [][]int64 `json:"tap_kills,omitempty"`
	ExcuseMillis int64     `json:"excuse_millis,omitempty"`

	dir string
}

// KilledAfter returns how many milliseconds after the end of an answer its tap was killed; not ok when that was not
// within ExcuseMillis. A negative figure is the caller's clock of a few milliseconds.
func (m *Manifest) KilledAfter(tap int32, millis int64) (after int64, ok bool) {
	if int(tap) >= len(m.TapKills) {
		return 0, false
	}
	for _, kill := range m.TapKills[tap] {
		if after = kill - millis; after >= -m.ExcuseMillis && after <= m.ExcuseMillis {
			return after, true
		}
	}
	return 0, false
}

// ClickHouse is how to reach the database.
type ClickHouse struct {
	Addr         string `json:"addr"` // HTTP
	User         string `json:"user"`
	PasswordFile string `json:"password_file"`
	Database     string `json:"database"`
}

// Write writes the manifest into dir.
func (m *Manifest) Write(dir string) error {
	m.dir = dir
	data, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return fmt.Errorf("encode manifest: %w", err)
	}
	if err := os.WriteFile(filepath.Join(dir, File), data, 0o600); err != nil {
		return fmt.Errorf("write manifest: %w", err)
	}
	return nil
}

// Read reads the manifest of a folder.
func Read(dir string) (*Manifest, error) {
	data, err := os.ReadFile(filepath.Join(dir, File))
	if err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	m := &Manifest{dir: dir}
	if err := json.Unmarshal(data, m); err != nil {
		return nil, fmt.Errorf("read manifest: %w", err)
	}
	return m, nil
}

// Path returns the path of a file of the run.
func (m *Manifest) Path(name string) string {
	if filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(m.dir, name)
}

// Sink is the configuration of a connection to the database.
func (m *Manifest) Sink() (clickhouse.Config, error) {
	cfg := clickhouse.DefaultConfig()
	password, err := os.ReadFile(m.Path(m.ClickHouse.PasswordFile))
	if err != nil {
		return cfg, fmt.Errorf("read database password: %w", err)
	}
	cfg.Addr, cfg.Protocol, cfg.Database = []string{m.ClickHouse.Addr}, clickhouse.ProtocolHTTP, m.ClickHouse.Database
	cfg.User, cfg.Password = m.ClickHouse.User, secret.New(strings.TrimSpace(string(password)))
	return cfg, nil
}
