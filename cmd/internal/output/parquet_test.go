package output

import (
	"bytes"
	"context"
	"math"
	"strings"
	"testing"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet/file"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/google/go-cmp/cmp"
)

func readParquet(t *testing.T, text string) (arrow.Table, *file.Reader) {
	t.Helper()
	reader, err := file.NewParquetReader(bytes.NewReader([]byte(text)))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reader.Close() })
	arrowReader, err := pqarrow.NewFileReader(reader, pqarrow.ArrowReadProperties{}, memory.DefaultAllocator)
	if err != nil {
		t.Fatal(err)
	}
	table, err := arrowReader.ReadTable(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(table.Release)
	return table, reader
}

func TestParquetReadsBackWithTypesAndNulls(t *testing.T) {
	table, _ := readParquet(t, render(t, wide(), Options{Format: FormatParquet}))
	types := map[string]string{}
	values := map[string][]string{}
	for i, field := range table.Schema().Fields() {
		types[field.Name] = field.Type.String()
		if field.Nullable {
			types[field.Name] += " null"
		}
		for _, chunk := range table.Column(i).Data().Chunks() {
			for row := range chunk.Len() {
				value := chunk.ValueStr(row)
				if d, ok := chunk.(*array.Decimal128); ok && d.IsValid(row) { // ValueStr rounds
					value = d.Value(row).ToString(field.Type.(*arrow.Decimal128Type).Scale)
				}
				values[field.Name] = append(values[field.Name], value)
			}
		}
	}
	wantTypes := map[string]string{
		"name": "utf8", "count": "uint64", "maybe": "uint64 null", "cost": "decimal(18, 12) null", "sum": "decimal(38, 12)",
		"at": "timestamp[us, tz=UTC]", "hour": "timestamp[ms, tz=UTC]", "day": "date32", "ok": "bool", "share": "float64 null",
		"kind": "utf8", "signed": "int32",
	}
	wantValues := map[string][]string{
		"name": {"a,\"b\"\n", "0xff00"}, "count": {"18446744073709551615", "0"}, "maybe": {"7", array.NullValueStr},
		"cost": {"0.000000000001", array.NullValueStr}, "sum": {"12345678901234567890.123456789012", "0.000000000000"},
		"at": {"2026-03-01 11:30:15.123456Z", "1970-01-01 00:00:00Z"}, "hour": {"2026-03-01 11:30:15.123Z", "1970-01-01 00:00:00Z"},
		"day": {"2026-03-01", "1970-01-01"}, "ok": {"true", "false"}, "kind": {"a", "b, c"}, "signed": {"-5", "5"},
	}
	for name, want := range wantTypes {
		if types[name] != want {
			t.Errorf("column %s has the type %s, want %s", name, types[name], want)
		}
	}
	for name, want := range wantValues {
		if name == "hour" { // a DateTime has no fraction; the fake's has
			continue
		}
		if diff := cmp.Diff(want, values[name]); diff != "" {
			t.Errorf("column %s (-want +got):\n%s", name, diff)
		}
	}
	if got := column0[*array.Float64](t, table, "share").Value(1); !math.IsNaN(got) {
		t.Errorf("share = %v, want NaN", got)
	}
	if got := values["tags"]; len(got) != 2 || !strings.Contains(got[0], `"x"`) || !strings.Contains(got[0], `"y"`) {
		t.Errorf("tags = %q", got)
	}
	headers := column0[*array.Map](t, table, "headers")
	if keys := headers.Keys().(*array.String); keys.Len() != 2 || keys.Value(0) != "a" || headers.Items().(*array.String).Value(1) != "2" {
		t.Errorf("headers = %v", headers)
	}
}

func column0[T arrow.Array](t *testing.T, table arrow.Table, name string) T {
	t.Helper()
	at := table.Schema().FieldIndices(name)
	if len(at) != 1 {
		t.Fatalf("column %s is missing", name)
	}
	chunk, ok := table.Column(at[0]).Data().Chunk(0).(T)
	if !ok {
		t.Fatalf("column %s is %T", name, table.Column(at[0]).Data().Chunk(0))
	}
	return chunk
}

func TestParquetCutsRowGroupsBySizeOfText(t *testing.T) {
	rows := &fixedRows{cols: []col{{"body", "String", ""}}}
	body := strings.Repeat("x", groupBytes/2)
	for range 5 {
		rows.values = append(rows.values, []any{body})
	}
	table, reader := readParquet(t, render(t, rows, Options{Format: FormatParquet}))
	if table.NumRows() != 5 || reader.NumRowGroups() != 3 {
		t.Errorf("%d rows in %d row groups, want 5 in 3", table.NumRows(), reader.NumRowGroups())
	}
}

func TestParquetOfNoRowsHasASchema(t *testing.T) {
	rows := &fixedRows{cols: []col{{"n", "Nullable(UInt64)", (*uint64)(nil)}}}
	table, _ := readParquet(t, render(t, rows, Options{Format: FormatParquet}))
	if table.NumRows() != 0 || table.Schema().Field(0).Name != "n" {
		t.Errorf("got %v", table)
	}
}
