package ddl

import (
	"context"
	"errors"
	"fmt"
)

// ErrChecksum reports that a migration which was already applied has another text in this binary.
var ErrChecksum = errors.New("applied migration has changed")

// ErrNewerSchema reports that the database holds a migration that this binary does not know.
var ErrNewerSchema = errors.New("database schema is newer than this binary")

// Conn is the part of a ClickHouse connection that migrating needs. A clickhouse-go driver.Conn has it.
type Conn interface {
	Exec(ctx context.Context, query string, args ...any) error
	Select(ctx context.Context, dest any, query string, args ...any) error
}

// Apply brings the database to the schema of this binary and returns the names of the migrations it ran and of the
// retentions it changed, in order; nothing when all was in place. On an error the names returned so far were
// applied; running Apply again goes on from there.
//
// Several processes MAY call Apply on the same database at once: statements are idempotent, and the record of a
// migration is deduplicated by its token.
func Apply(ctx context.Context, conn Conn, opt Options) (applied []string, err error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("validate schema options: %w", err)
	}
	for _, sql := range []string{createDatabase(opt), createLedger(opt)} {
		if err := conn.Exec(ctx, sql); err != nil {
			return nil, fmt.Errorf("create migration ledger: %w", err)
		}
	}
	pending, err := pendingMigrations(ctx, conn, opt)
	if err != nil {
		return nil, err
	}
	for _, m := range pending {
		if err := m.apply(ctx, conn, opt); err != nil {
			return applied, err
		}
		applied = append(applied, m.name)
	}
	changed, err := reconcileRetention(ctx, conn, opt)
	return append(applied, changed...), err
}

// ApplyGrants runs the statements of Grants. They can be repeated. The server needs access management, which the
// embedded engine has not.
func ApplyGrants(ctx context.Context, conn Conn, opt Options) error {
	script, err := Grants(opt)
	if err != nil {
		return err
	}
	for _, statement := range Split(script) {
		if err := conn.Exec(ctx, statement); err != nil {
			return fmt.Errorf("apply grants, for which the user needs access management: %w", err)
		}
	}
	return nil
}

// Pending returns the names of the migrations that Apply would run, without changing anything. A database that
// does not exist yet has all of them pending.
func Pending(ctx context.Context, conn Conn, opt Options) ([]string, error) {
	if err := opt.Validate(); err != nil {
		return nil, fmt.Errorf("validate schema options: %w", err)
	}
	var tables []struct {
		Count uint64 `ch:"found"`
	}
	query := "SELECT count() AS found FROM system.tables WHERE database = '" + opt.Database + "' AND name = 'schema_migrations'"
	if err := conn.Select(ctx, &tables, query); err != nil {
		return nil, fmt.Errorf("look for migration ledger: %w", err)
	}
	var pending []migration
	var err error
	if len(tables) == 1 && tables[0].Count == 1 {
		pending, err = pendingMigrations(ctx, conn, opt)
	} else {
		pending, err = migrations()
	}
	if err != nil {
		return nil, err
	}
	names := make([]string, 0, len(pending))
	for _, m := range pending {
		names = append(names, m.name)
	}
	return names, nil
}

func (m migration) apply(ctx context.Context, conn Conn, opt Options) error {
	statements, err := m.render(opt)
	if err != nil {
		return err
	}
	for i, s := range statements {
		if err := conn.Exec(ctx, s.SQL); err != nil {
			return fmt.Errorf("apply migration %s statement %d: %w", m.name, i+1, err)
		}
	}
	record := fmt.Sprintf("INSERT INTO %s.schema_migrations (version, name, checksum) SETTINGS insert_deduplication_token = '%s/%s', async_insert = 0 VALUES (%d, '%s', '%s')",
		opt.Database, m.name, m.checksum, m.version, m.name, m.checksum)
	if err := conn.Exec(ctx, record); err != nil {
		return fmt.Errorf("record migration %s: %w", m.name, err)
	}
	return nil
}

// pendingMigrations compares the ledger with the embedded migrations.
func pendingMigrations(ctx context.Context, conn Conn, opt Options) ([]migration, error) {
	all, err := migrations()
	if err != nil {
		return nil, err
	}
	var rows []struct {
		Version  uint32 `ch:"version"`
		Name     string `ch:"name"`
		Checksum string `ch:"checksum"`
	}
	query := "SELECT DISTINCT version, name, checksum FROM " + opt.Database + ".schema_migrations ORDER BY version"
	if err := conn.Select(ctx, &rows, query); err != nil {
		return nil, fmt.Errorf("read migration ledger: %w", err)
	}
	done := make(map[int]bool, len(rows))
	for _, row := range rows {
		version := int(row.Version)
		if version < 1 || version > len(all) {
			return nil, fmt.Errorf("check migration %s: %w; use the binary that applied it or a later one", row.Name, ErrNewerSchema)
		}
		if m := all[version-1]; m.checksum != row.Checksum {
			return nil, fmt.Errorf("check migration %s: %w: recorded %.12s, this binary has %.12s; restore the file and add a new migration instead",
				m.name, ErrChecksum, row.Checksum, m.checksum)
		}
		done[version] = true
	}
	var pending []migration
	for _, m := range all {
		if !done[m.version] {
			pending = append(pending, m)
		}
	}
	return pending, nil
}

func createDatabase(opt Options) string {
	d := dialect{opt}
	return "CREATE DATABASE IF NOT EXISTS " + opt.Database + d.OnCluster()
}

func createLedger(opt Options) string {
	d := dialect{opt}
	return "CREATE TABLE IF NOT EXISTS " + d.Table("schema_migrations") + d.OnCluster() + `
(
    version    UInt32,
    name       String,
    checksum   String,
    applied_at DateTime64(3, 'UTC') DEFAULT now64(3, 'UTC')
)
ENGINE = ` + d.Everywhere("schema_migrations") + `
ORDER BY version
` + d.AggregateSettings()
}
