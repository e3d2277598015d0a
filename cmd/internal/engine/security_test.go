package engine_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
)

func refused(t *testing.T, e *engine.Engine, u engine.User, query, canary string) {
	t.Helper()
	a := call(t, e, u, http.MethodPost, query, nil)
	if a.status == 200 {
		t.Errorf("%s as %s: answered %q", query, u.Name, a.body)
	}
	if strings.Contains(a.body, canary) {
		t.Errorf("%s as %s: leaked the file", query, u.Name)
	}
}

func TestReader_Writes_AreRefused(t *testing.T) {
	e := enginetest.Start(t)
	_, u := e.Users()
	c := admin(t, e)
	exec(t, c, "CREATE TABLE g (a Int64) ENGINE = MergeTree ORDER BY a")
	exec(t, c, "INSERT INTO g VALUES (1)")
	for _, sql := range []string{
		"INSERT INTO g VALUES (2)", "INSERT INTO g SELECT 2", "INSERT INTO g FORMAT CSV\n2\n",
		"CREATE TABLE h (a Int8) ENGINE = Memory", "CREATE TEMPORARY TABLE h (a Int8)", "CREATE DATABASE x", "CREATE FUNCTION f AS x -> x",
		"DROP TABLE g", "TRUNCATE TABLE g", "ALTER TABLE g DELETE WHERE 1", "DELETE FROM g WHERE 1", "OPTIMIZE TABLE g",
		"RENAME TABLE g TO h", "EXCHANGE TABLES g AND g", "DETACH TABLE g", "ATTACH TABLE g", "KILL QUERY WHERE 1",
		"SYSTEM FLUSH LOGS", "SET max_threads = 1", "USE system", "GRANT SELECT ON *.* TO default", "CREATE USER x",
		"BACKUP TABLE g TO File('g')", "SELECT 1 SETTINGS readonly = 0", "SELECT 1; DROP TABLE g",
		"EXPLAIN ESTIMATE INSERT INTO g VALUES (3)",
		"/* a /* nested */ comment */ INSERT INTO g VALUES (2)", "-- c\nDROP TABLE g",
	} {
		if sql == "EXPLAIN ESTIMATE INSERT INTO g VALUES (3)" {
			call(t, e, u, http.MethodPost, q(sql), nil) // may explain, must not insert
			continue
		}
		refused(t, e, u, q(sql), "\x00")
		a := call(t, e, u, http.MethodPost, "", strings.NewReader(sql))
		if a.status == 200 {
			t.Errorf("%s in the body: answered", sql)
		}
	}
	refused(t, e, u, q("SELECT 1", "readonly", "0"), "\x00")
	if got := number(t, c, "SELECT count() FROM g"); got != 1 {
		t.Errorf("table has %d rows, want 1", got)
	}
	for _, sql := range []string{"SELECT * FROM g", "WITH 1 AS x SELECT x", "(SELECT 1) UNION ALL (SELECT 2)", "SHOW TABLES", "DESCRIBE TABLE g", "EXPLAIN SELECT * FROM g", "EXISTS TABLE g", "SHOW CREATE TABLE g", "SELECT * FROM system.parts LIMIT 1"} {
		if a := call(t, e, u, http.MethodPost, q(sql, "max_threads", "1"), nil); a.status != 200 {
			t.Errorf("%s: %d %s", sql, a.status, a.body)
		}
	}
}

func TestGET_ByTheAdmin_CannotWrite(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	for _, sql := range []string{"CREATE TABLE x (a Int8) ENGINE = Memory", "DROP DATABASE modeltrail", "INSERT INTO x VALUES (1)"} {
		if a := call(t, e, u, http.MethodGet, q(sql), nil); a.status == 200 {
			t.Errorf("%s: answered", sql)
		}
	}
}

// TestHost_Files_CannotBeReadOrWritten holds for both users: what runs in the engine's process opens every path
// that process may open.
func TestHost_Files_CannotBeReadOrWritten(t *testing.T) {
	e := enginetest.Start(t)
	dir := t.TempDir()
	const canary = "canary-7c1f"
	secretFile, target := filepath.Join(dir, "secret.csv"), filepath.Join(dir, "out.csv")
	if err := os.WriteFile(secretFile, []byte(canary+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	exec(t, admin(t, e), "CREATE TABLE leak (s String) ENGINE = MergeTree ORDER BY s")
	a, r := e.Users()
	for _, u := range []engine.User{a, r} {
		for _, sql := range []string{
			"SELECT * FROM file('$f', 'LineAsString')", "SELECT * FROM `file`('$f', 'LineAsString')", "SELECT * FROM '$f'", "SELECT * FROM `$f`",
			"SELECT file('$f')", "SELECT `file`('$f')", "SELECT \"file\"('$f')", "SELECT “file”('$f')", "SELECT `fi\\x6ce`('$f')", "SELECT file\n('$f')", "SELECT file/**/('$f')",
			"SELECT * APPLY(file) FROM (SELECT '$f' AS p)", "SELECT arrayMap(file, ['$f'])", "SELECT arrayMap(x -> file(x), ['$f'])",
			"WITH file('$f') AS x SELECT x", "SELECT /* a /* b */ ' */ file('$f')", "SELECT 'it''s', file('$f')", "SELECT $$'$$, file('$f') AS `'`",
			"SELECT 1 -- '\n, file('$f') -- '", "SELECT ‘x'’, file('$f')", "DESCRIBE TABLE file('$f')", "EXPLAIN SELECT file('$f')",
			"CREATE FUNCTION leakf AS x -> file(x)", "CREATE VIEW leakv AS SELECT file('$f')", "CREATE TABLE leakt ENGINE = File(CSV, '$f')",
			"CREATE DICTIONARY leakd (a String) PRIMARY KEY a SOURCE(FILE(path '$f' format 'CSV')) LAYOUT(COMPLEX_KEY_HASHED()) LIFETIME(0)",
			"INSERT INTO leak FROM INFILE '$f' FORMAT CSV", "INSERT INTO leak (s) FROM INFILE '$f'", "INSERT INTO leak SELECT file('$f')", "INSERT INTO leak VALUES (file('$f'))",
			"SELECT 1 INTO OUTFILE '$o'", "SELECT 1 INTO OUTFILE '$o' TRUNCATE FORMAT CSV", "SELECT 1 INTO/**/OUTFILE '$o'", "INSERT INTO FUNCTION file('$o', 'CSV', 'a Int8') SELECT 1",
			"SELECT 1 AS a FORMAT Protobuf SETTINGS output_format_schema = '$o', format_schema_source = 'string'",
			"SELECT * FROM url('http://127.0.0.1:1/', 'LineAsString')", "SELECT * FROM s3('http://127.0.0.1:1/bucket/a.csv', 'CSV', 'a Int8')",
			"SELECT * FROM remote('127.0.0.1:1', system.one)", "SELECT * FROM mysql('127.0.0.1:1', 'a', 'b', 'c', 'd')", "SELECT * FROM postgresql('127.0.0.1:1', 'a', 'b', 'c', 'd')",
			"SELECT * FROM sqlite('$f', 't')", "SELECT * FROM executable('sh', 'CSV', 'a Int8')", "SELECT * FROM filesystem('$d')", "SELECT * FROM mongodb('127.0.0.1:1', 'a', 'b', 'c', 'd', 'a Int8')",
			"BACKUP TABLE leak TO File('$o')", "RESTORE TABLE leak FROM File('$f')", "SYSTEM SHUTDOWN", "SYSTEM KILL",
		} {
			sql = strings.NewReplacer("$f", secretFile, "$o", target, "$d", dir).Replace(sql)
			refused(t, e, u, q(sql), canary)
		}
		refused(t, e, u, q("SELECT arrayMap({f:Identifier}, ['"+secretFile+"'])", "param_f", "file"), canary)
		refused(t, e, u, q("SELECT arrayMap({f:Identifier}, ['"+secretFile+"'])", "param_f", "`file`"), canary)
		refused(t, e, u, q("SELECT 1", "output_format_schema", target), canary)
		refused(t, e, u, q("from system.one select *", "dialect", "prql"), canary)
		a := call(t, e, u, http.MethodPost, q("INSERT INTO leak FORMAT Values"), strings.NewReader("(file('"+secretFile+"'))"))
		if a.status == 200 {
			t.Errorf("file() in inserted data as %s: stored", u.Name)
		}
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a statement wrote a file on the host")
	}
	if got := number(t, admin(t, e), "SELECT count() FROM leak WHERE s LIKE '%canary%'"); got != 0 {
		t.Error("a statement stored the host's file")
	}
}
