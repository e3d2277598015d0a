package schemacheck

import (
	"bytes"
	"context"
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/cmd/internal/output"
	"github.com/modeltrail/modeltrail/schemas/ddl"
)

// open starts an engine and connects as its admin.
func open(t testing.TB) driver.Conn {
	t.Helper()
	return connect(t, enginetest.Start(t))
}

func connect(t testing.TB, e *engine.Engine) driver.Conn {
	t.Helper()
	admin, _ := e.Users()
	opt, err := clickhouse.ParseDSN(enginetest.DSN(e, admin))
	if err != nil {
		t.Fatal(err)
	}
	conn, err := clickhouse.Open(opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn
}

// migrated is an engine with the schema.
func migrated(t testing.TB) driver.Conn {
	t.Helper()
	conn := open(t)
	if _, err := ddl.Apply(t.Context(), conn, ddl.DefaultOptions()); err != nil {
		t.Fatal(err)
	}
	return conn
}

func exec(t testing.TB, conn driver.Conn, statements ...string) {
	t.Helper()
	for _, s := range statements {
		if err := conn.Exec(t.Context(), s); err != nil {
			t.Fatalf("%v\n%s", err, s)
		}
	}
}

// ask returns every row as JSON reads it.
func ask(t testing.TB, conn driver.Conn, sql string, args ...any) []map[string]any {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	rows, err := conn.Query(ctx, sql, args...)
	if err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	defer rows.Close()
	var b bytes.Buffer
	if _, err := output.Write(&b, rows, output.Options{Format: output.FormatJSON}); err != nil {
		t.Fatalf("%v\n%s", err, sql)
	}
	var out []map[string]any
	for _, line := range strings.Split(strings.TrimSpace(b.String()), "\n") {
		if line == "" {
			continue
		}
		var row map[string]any
		if err := json.Unmarshal([]byte(line), &row); err != nil {
			t.Fatalf("%v\n%s", err, line)
		}
		out = append(out, row)
	}
	return out
}
