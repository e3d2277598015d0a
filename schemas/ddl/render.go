package ddl

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strconv"
	"strings"
	"text/template"
)

//go:embed migrations/*.sql
var migrationFiles embed.FS

//go:embed grants.sql
var grantsFile string

// Statement is one SQL statement of a migration, without its closing semicolon.
type Statement struct {
	Version int    // number of the migration, from 1
	Name    string // name of the migration, e.g. "0001_calls"
	SQL     string
}

// migration is one embedded file.
type migration struct {
	version  int
	name     string
	source   string
	checksum string // SHA-256 of the template, so that options may change without changing it
}

// Render returns every statement of every migration in the order in which Apply executes them, followed by the
// statements that set the configured retention (Version 0, Name "retention").
func Render(opt Options) ([]Statement, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("validate schema options: %w", err)
	}
	all, err := migrations()
	if err != nil {
		return nil, err
	}
	out := []Statement{{SQL: createDatabase(opt), Name: "database"}, {SQL: createLedger(opt), Name: "schema_migrations"}}
	for _, m := range all {
		statements, err := m.render(opt)
		if err != nil {
			return nil, err
		}
		out = append(out, statements...)
	}
	for _, r := range retentions(opt) {
		if r.days > 0 {
			out = append(out, Statement{Name: "retention", SQL: r.alter(opt)})
		}
	}
	return out, nil
}

// Grants returns the SQL that creates the roles of a ClickHouse server: compliance, soc, finops, dashboards and
// writer. It is for an administrator to read and run; the embedded engine has no access storage.
func Grants(opt Options) (string, error) {
	if err := opt.Validate(); err != nil {
		return "", fmt.Errorf("validate schema options: %w", err)
	}
	text, err := expand("grants", grantsFile, opt)
	if err != nil {
		return "", err
	}
	return text, nil
}

// migrations reads the embedded files in the order of their numbers.
func migrations() ([]migration, error) {
	entries, err := fs.ReadDir(migrationFiles, "migrations")
	if err != nil {
		return nil, fmt.Errorf("list migrations: %w", err)
	}
	var out []migration
	for _, e := range entries {
		source, err := migrationFiles.ReadFile(path.Join("migrations", e.Name()))
		if err != nil {
			return nil, fmt.Errorf("read migration: %w", err)
		}
		name := strings.TrimSuffix(e.Name(), ".sql")
		number, _, _ := strings.Cut(name, "_")
		version, err := strconv.Atoi(number)
		if err != nil {
			return nil, fmt.Errorf("number migration %s: %w", name, err)
		}
		sum := sha256.Sum256(source)
		out = append(out, migration{version: version, name: name, source: string(source), checksum: hex.EncodeToString(sum[:])})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].version < out[j].version })
	for i, m := range out {
		if m.version != i+1 {
			return nil, fmt.Errorf("number migration %s: expected version %d", m.name, i+1)
		}
	}
	return out, nil
}

func (m migration) render(opt Options) ([]Statement, error) {
	text, err := expand(m.name, m.source, opt)
	if err != nil {
		return nil, err
	}
	var out []Statement
	for _, sql := range Split(text) {
		out = append(out, Statement{Version: m.version, Name: m.name, SQL: sql})
	}
	return out, nil
}

func expand(name, source string, opt Options) (string, error) {
	t, err := template.New(name).Option("missingkey=error").Parse(source)
	if err != nil {
		return "", fmt.Errorf("parse template %s: %w", name, err)
	}
	var b bytes.Buffer
	if err := t.Execute(&b, dialect{opt}); err != nil {
		return "", fmt.Errorf("render template %s: %w", name, err)
	}
	return b.String(), nil
}
