package engine_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"reflect"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/schemas/ddl"
)

// schemaTables creates the schema and returns the tables that rows are inserted into.
func schemaTables(t testing.TB, c clickhouse.Conn, database string) []string {
	t.Helper()
	opt := ddl.DefaultOptions()
	opt.Database = database
	if _, err := ddl.Apply(t.Context(), c, opt); err != nil {
		t.Fatal(err)
	}
	rows, err := c.Query(t.Context(), "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine = 'MergeTree' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		tables = append(tables, name)
	}
	return tables
}

// TestTypes_SchemaTables_RoundTrip reads random rows of the columns of every table of the schema into Go values and writes them
// back: both tables must hash alike, under every compression.
func TestTypes_SchemaTables_RoundTrip(t *testing.T) {
	e := enginetest.Start(t)
	user, _ := e.Users()
	setup := admin(t, e)
	tables := schemaTables(t, setup, e.Database())
	if len(tables) < 6 {
		t.Fatalf("schema has only %v", tables)
	}
	methods := []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionZSTD,
		clickhouse.CompressionGZIP, clickhouse.CompressionDeflate, clickhouse.CompressionBrotli}
	for i, method := range methods {
		c := open(t, e, user, func(o *clickhouse.Options) {
			o.Compression = &clickhouse.Compression{Method: method, Level: 3}
			o.Settings = clickhouse.Settings{"enable_http_compression": 1}
		})
		for _, table := range tables {
			t.Run(fmt.Sprint(method, "/", table), func(t *testing.T) {
				random, copied := fmt.Sprintf("%s_random_%d", table, i), fmt.Sprintf("%s_copy_%d", table, i)
				for _, name := range []string{random, copied} {
					exec(t, c, "CREATE TABLE "+name+" ENGINE = MergeTree ORDER BY tuple() AS SELECT * FROM "+table+" WHERE 0")
				}
				// At most one element, because a Go map keeps neither order nor repeated keys.
				exec(t, c, "INSERT INTO "+random+" SELECT * FROM generateRandom(1, 40, 1) LIMIT 300")
				copyRows(t, c, random, copied)
				const hash = "SELECT sum(cityHash64(*)) + count() FROM "
				if a, b := number(t, c, hash+random), number(t, c, hash+copied); a != b || a == 0 {
					t.Errorf("hash of the rows changed on their way through Go: %d, %d", a, b)
				}
			})
		}
	}
}

func copyRows(t testing.TB, c clickhouse.Conn, from, to string) {
	t.Helper()
	rows, err := c.Query(t.Context(), "SELECT * FROM "+from)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = rows.Close() }()
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO "+to)
	if err != nil {
		t.Fatal(err)
	}
	for rows.Next() {
		values := make([]any, len(rows.ColumnTypes()))
		for i, column := range rows.ColumnTypes() {
			values[i] = reflect.New(column.ScanType()).Interface()
		}
		if err := rows.Scan(values...); err != nil {
			t.Fatal(err)
		}
		for i := range values {
			values[i] = reflect.ValueOf(values[i]).Elem().Interface()
		}
		if err := batch.Append(values...); err != nil {
			t.Fatal(err)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
}

func TestSchema_EveryTableAndView_IsReadByTheReader(t *testing.T) {
	e := enginetest.Start(t)
	c := admin(t, e)
	for _, table := range schemaTables(t, c, e.Database()) {
		exec(t, c, "INSERT INTO "+table+" SELECT "+plausible(t, c, table)+" FROM numbers(100)")
	}
	r := reader(t, e)
	rows, err := r.Query(t.Context(), "SELECT name FROM system.tables WHERE database = currentDatabase() AND engine != 'MaterializedView' AND create_table_query NOT LIKE '%{%:%}%' ORDER BY name")
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			t.Fatal(err)
		}
		names = append(names, name)
	}
	if len(names) < 10 {
		t.Fatalf("only %v", names)
	}
	for _, name := range names {
		rows, err := r.Query(t.Context(), "SELECT * FROM "+name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for rows.Next() {
			values := make([]any, len(rows.ColumnTypes()))
			for i, column := range rows.ColumnTypes() {
				values[i] = reflect.New(column.ScanType()).Interface()
			}
			if err := rows.Scan(values...); err != nil {
				t.Errorf("%s: %v", name, err)
				break
			}
		}
		if err := rows.Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTypes_Values_ComeBackExactly(t *testing.T) {
	e := enginetest.Start(t)
	c := admin(t, e)
	exec(t, c, `CREATE TABLE v (d Nullable(Decimal(18,12)), m Map(LowCardinality(String), String), a Array(LowCardinality(String)),
		n Nullable(UInt64), t DateTime64(6,'UTC'), e Enum8('unknown' = 0, 'allow' = 1), b Bool, s String, u UUID, f Float64, i IPv6) ENGINE = MergeTree ORDER BY t`)
	at := time.Date(2026, 2, 3, 4, 5, 6, 789012000, time.UTC)
	price := decimal.RequireFromString("0.000003141593")
	var none *uint64
	batch, err := c.PrepareBatch(t.Context(), "INSERT INTO v (d, m, a, n, t, e, b, s)")
	if err != nil {
		t.Fatal(err)
	}
	raw := string([]byte{0, 1, 2, 0xff, '\n', '\''})
	if err := batch.Append(&price, map[string]string{"k": "v"}, []string{"x", "y", "x"}, none, at, "allow", true, raw); err != nil {
		t.Fatal(err)
	}
	if err := batch.Send(); err != nil {
		t.Fatal(err)
	}
	var (
		d  *decimal.Decimal
		m  map[string]string
		a  []string
		n  *uint64
		tt time.Time
		en string
		b  bool
		s  string
	)
	row := c.QueryRow(t.Context(), "SELECT d, m, a, n, t, e, b, s FROM v WHERE s = {s:String} AND t = {t:DateTime64(6,'UTC')}",
		clickhouse.Named("s", raw), clickhouse.Named("t", "2026-02-03 04:05:06.789012"))
	if err := row.Scan(&d, &m, &a, &n, &tt, &en, &b, &s); err != nil {
		t.Fatal(err)
	}
	if !d.Equal(price) || m["k"] != "v" || len(a) != 3 || a[2] != "x" || n != nil || !tt.Equal(at) || en != "allow" || !b || s != raw {
		t.Errorf("got %v %v %v %v %v %v %v %q", d, m, a, n, tt, en, b, s)
	}
}

func TestFormats_InsertFormatAndQueryFormat_CarryNative(t *testing.T) {
	e := enginetest.Start(t)
	user, _ := e.Users()
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionGZIP} {
		c := open(t, e, user, func(o *clickhouse.Options) { o.Compression = &clickhouse.Compression{Method: method} })
		table := fmt.Sprint("f_", method)
		exec(t, c, "CREATE TABLE "+table+" (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
		type formats interface {
			QueryFormat(ctx context.Context, format, query string, args ...any) (io.ReadCloser, error)
			InsertFormat(ctx context.Context, format, query string, data io.Reader) error
		}
		f := c.(formats)
		for _, format := range []string{"Native", "JSONEachRow", "CSV", "Parquet"} {
			out, err := f.QueryFormat(t.Context(), format, "SELECT number AS a, toString(number) AS s FROM numbers(1000)")
			if err != nil {
				t.Fatalf("%s %s: %v", method, format, err)
			}
			data, err := io.ReadAll(out)
			_ = out.Close()
			if err != nil {
				t.Fatalf("%s %s: %v", method, format, err)
			}
			if format == "Native" {
				continue // read at the client's revision, written at revision 0
			}
			if err := f.InsertFormat(t.Context(), format, "INSERT INTO "+table+" (a, s)", bytes.NewReader(data)); err != nil {
				t.Fatalf("%s %s: %v", method, format, err)
			}
		}
		if got := number(t, c, "SELECT count() FROM "+table); got != 3000 {
			t.Errorf("%s: got %d rows, want 3000", method, got)
		}
	}
}
