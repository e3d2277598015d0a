package output

import (
	"bytes"
	"encoding/json"
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/shopspring/decimal"
)

// col is a column of rowsOf; scan is a zero value of the type that clickhouse-go scans into.
type col struct {
	name, typ string
	scan      any
}

func (c col) Name() string             { return c.name }
func (c col) Nullable() bool           { return reflect.TypeOf(c.scan).Kind() == reflect.Pointer }
func (c col) ScanType() reflect.Type   { return reflect.TypeOf(c.scan) }
func (c col) DatabaseTypeName() string { return c.typ }

// fixedRows replays values, as driver.Rows gives them.
type fixedRows struct {
	cols   []col
	values [][]any
	at     int
	err    error
}

func (r *fixedRows) Next() bool { r.at++; return r.at <= len(r.values) }
func (r *fixedRows) Err() error { return r.err }
func (r *fixedRows) ColumnTypes() []driver.ColumnType {
	var out []driver.ColumnType
	for _, c := range r.cols {
		out = append(out, c)
	}
	return out
}

func (r *fixedRows) Scan(dest ...any) error {
	for i, d := range dest {
		reflect.ValueOf(d).Elem().Set(reflect.ValueOf(r.values[r.at-1][i]))
	}
	return nil
}

func ptr[T any](v T) *T { return &v }

// wide has every kind of value once filled and once missing.
func wide() *fixedRows {
	at := time.Date(2026, 3, 1, 12, 30, 15, 123456000, time.FixedZone("", 3600))
	return &fixedRows{
		cols: []col{
			{"name", "LowCardinality(String)", ""},
			{"count", "UInt64", uint64(0)},
			{"maybe", "Nullable(UInt64)", (*uint64)(nil)},
			{"cost", "Nullable(Decimal(18, 12))", (*decimal.Decimal)(nil)},
			{"sum", "SimpleAggregateFunction(sum, Decimal(38, 12))", decimal.Decimal{}},
			{"at", "DateTime64(6, 'UTC')", time.Time{}},
			{"hour", "DateTime('UTC')", time.Time{}},
			{"day", "Date", time.Time{}},
			{"ok", "Bool", false},
			{"share", "Nullable(Float64)", (*float64)(nil)},
			{"tags", "Array(LowCardinality(String))", []string(nil)},
			{"headers", "Map(LowCardinality(String), String)", map[string]string(nil)},
			{"kind", "Enum8('a' = 1, 'b, c' = 2)", ""},
			{"signed", "Int32", int32(0)},
		},
		values: [][]any{
			{"a,\"b\"\n", uint64(math.MaxUint64), ptr(uint64(7)), ptr(decimal.RequireFromString("0.000000000001")), decimal.RequireFromString("12345678901234567890.123456789012"),
				at, at, at, true, ptr(0.25), []string{"x", "y"}, map[string]string{"b": "2", "a": "1"}, "a", int32(-5)},
			{"\xff\x00", uint64(0), (*uint64)(nil), (*decimal.Decimal)(nil), decimal.Decimal{}, time.Unix(0, 0), time.Unix(0, 0), time.Unix(0, 0), false, ptr(math.NaN()), []string{}, map[string]string{}, "b, c", int32(5)},
		},
	}
}

func render(t *testing.T, rows *fixedRows, opt Options) string {
	t.Helper()
	var b bytes.Buffer
	n, err := Write(&b, rows, opt)
	if err != nil {
		t.Fatal(err)
	}
	if n != int64(len(rows.values)) {
		t.Fatalf("Write() = %d rows, want %d", n, len(rows.values))
	}
	return b.String()
}

func TestJSONLosesNoDigitAndNoNull(t *testing.T) {
	got := render(t, wide(), Options{Format: FormatJSON})
	want := `{"name":"a,\"b\"\n","count":"18446744073709551615","maybe":7,"cost":"0.000000000001","sum":"12345678901234567890.123456789012","at":"2026-03-01T11:30:15.123456Z","hour":"2026-03-01T11:30:15Z","day":"2026-03-01","ok":true,"share":0.25,"tags":["x","y"],"headers":{"a":"1","b":"2"},"kind":"a","signed":-5}
{"name":"0xff00","count":0,"maybe":null,"cost":null,"sum":"0","at":"1970-01-01T00:00:00.000000Z","hour":"1970-01-01T00:00:00Z","day":"1970-01-01","ok":false,"share":null,"tags":[],"headers":{},"kind":"b, c","signed":5}
`
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, line := range strings.Split(strings.TrimSpace(got), "\n") {
		if !json.Valid([]byte(line)) {
			t.Errorf("not JSON: %s", line)
		}
	}
}

func TestCSVQuotesAndLeavesNullEmpty(t *testing.T) {
	got := render(t, wide(), Options{Format: FormatCSV})
	want := "name,count,maybe,cost,sum,at,hour,day,ok,share,tags,headers,kind,signed\n" +
		"\"a,\"\"b\"\"\n\",18446744073709551615,7,0.000000000001,12345678901234567890.123456789012,2026-03-01T11:30:15.123456Z,2026-03-01T11:30:15Z,2026-03-01,true,0.25,\"[\"\"x\"\",\"\"y\"\"]\",\"{\"\"a\"\":\"\"1\"\",\"\"b\"\":\"\"2\"\"}\",a,-5\n" +
		"0xff00,0,,,0,1970-01-01T00:00:00.000000Z,1970-01-01T00:00:00Z,1970-01-01,false,NaN,[],{},\"b, c\",5\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestCSVForSpreadsheetsDefusesFormulasInTextOnly(t *testing.T) {
	rows := &fixedRows{
		cols:   []col{{"agent", "String", ""}, {"delta", "Int64", int64(0)}},
		values: [][]any{{"=HYPERLINK(1)", int64(-3)}, {"plain", int64(1)}},
	}
	got := render(t, rows, Options{Format: FormatCSV, SpreadsheetSafe: true})
	if want := "agent,delta\n'=HYPERLINK(1),-3\nplain,1\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestTableShowsNullAsDashAndNoControlCharacters(t *testing.T) {
	rows := &fixedRows{
		cols:   []col{{"agent", "String", ""}, {"tokens", "Nullable(UInt64)", (*uint64)(nil)}, {"tools", "Array(String)", []string(nil)}},
		values: [][]any{{"\x1b[31mred\x1b[0m\u202e", (*uint64)(nil), []string{"a", "b"}}, {"x\ny", ptr(uint64(12)), []string{}}},
	}
	got := render(t, rows, Options{Format: FormatTable})
	want := `┌────────────────────────────────┬────────┬───────┐
│ agent                          │ tokens │ tools │
├────────────────────────────────┼────────┼───────┤
│ \u001b[31mred\u001b[0m\u202e   │      - │ a, b  │
│ x\ny                           │     12 │       │
└────────────────────────────────┴────────┴───────┘
`
	if strings.ContainsAny(got, "\x1b\u202e") {
		t.Fatalf("a control character reached the terminal: %q", got)
	}
	if diff := cmp.Diff(squeeze(want), squeeze(got)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// squeeze makes a comparison indifferent to column widths.
func squeeze(s string) string {
	for strings.Contains(s, "──") || strings.Contains(s, "  ") {
		s = strings.ReplaceAll(strings.ReplaceAll(s, "──", "─"), "  ", " ")
	}
	return s
}

func TestTableTurnsUprightWhenTheTerminalIsNarrow(t *testing.T) {
	rows := &fixedRows{
		cols:   []col{{"name", "String", ""}, {"description", "String", ""}},
		values: [][]any{{"a", strings.Repeat("long ", 10)}, {"b", "short"}},
	}
	got := render(t, rows, Options{Format: FormatTable, Width: 40})
	want := "── row 1\nname         a\ndescription  " + strings.Repeat("long ", 10) + "\n── row 2\nname         b\ndescription  short\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestTableFitsATerminalThatIsWideEnough(t *testing.T) {
	rows := &fixedRows{cols: []col{{"n", "UInt8", uint8(0)}}, values: [][]any{{uint8(1)}}}
	if got := render(t, rows, Options{Format: FormatTable, Width: 80}); !strings.Contains(got, "│ n │") {
		t.Errorf("not a table:\n%s", got)
	}
}

func TestTablePagesLongResults(t *testing.T) {
	rows := &fixedRows{cols: []col{{"n", "UInt64", uint64(0)}}}
	for i := range 2*pageRows + 1 {
		rows.values = append(rows.values, []any{uint64(i)})
	}
	got := render(t, rows, Options{Format: FormatTable})
	if heads := strings.Count(got, "┌"); heads != 3 {
		t.Errorf("%d pages, want 3", heads)
	}
	if !strings.Contains(got, "│ "+strconv.Itoa(2*pageRows)) {
		t.Error("the last row is missing")
	}
}

func TestEmptyResultSaysSoInATable(t *testing.T) {
	rows := &fixedRows{cols: []col{{"n", "UInt8", uint8(0)}}}
	if got := render(t, rows, Options{Format: FormatTable}); got != "no rows\n" {
		t.Errorf("got %q", got)
	}
	if got := render(t, &fixedRows{cols: rows.cols}, Options{Format: FormatJSON}); got != "" {
		t.Errorf("got %q", got)
	}
	if got := render(t, &fixedRows{cols: rows.cols}, Options{Format: FormatCSV}); got != "n\n" {
		t.Errorf("got %q", got)
	}
}

func TestAFailureWhileReadingIsReported(t *testing.T) {
	broken := errors.New("connection lost")
	for _, format := range Formats() {
		rows := &fixedRows{cols: []col{{"n", "UInt8", uint8(0)}}, values: [][]any{{uint8(1)}}, err: broken}
		if _, err := Write(&bytes.Buffer{}, rows, Options{Format: Format(format)}); !errors.Is(err, broken) {
			t.Errorf("%s: Write() = %v, want the cause", format, err)
		}
	}
	if _, err := ParseFormat("xml"); !errors.Is(err, ErrFormat) {
		t.Errorf("ParseFormat(xml) = %v, want ErrFormat", err)
	}
}

func TestParseTypeReadsNestedTypes(t *testing.T) {
	text := chType{kind: kindText}
	for name, want := range map[string]chType{
		"LowCardinality(Nullable(String))":                                 {kind: kindText, nullable: true},
		"Nullable(Decimal(18, 12))":                                        {kind: kindDecimal, nullable: true, precision: 18, scale: 12},
		"DateTime64(6, 'UTC')":                                             {kind: kindTime, precision: 6},
		"DateTime('Europe/Berlin')":                                        {kind: kindTime},
		"Map(LowCardinality(String), Array(UInt8))":                        {kind: kindMap, key: &text, elem: &chType{kind: kindList, elem: &chType{kind: kindUint, bits: 8}}},
		"Enum8('a, (b' = 1, 'it\\'s' = 2)":                                 text,
		"SimpleAggregateFunction(groupUniqArrayArray(100), Array(String))": {kind: kindList, elem: &text},
		"Tuple(a UInt8, b String)":                                         text,
		"UInt256":                                                          text,
		"Int128":                                                           text,
		"Float32":                                                          {kind: kindFloat, bits: 32},
		"Nullable(Nothing)":                                                {kind: kindText, nullable: true},
	} {
		if diff := cmp.Diff(want, parseType(name), cmp.AllowUnexported(chType{})); diff != "" {
			t.Errorf("parseType(%s) (-want +got):\n%s", name, diff)
		}
	}
}

func FuzzParseTypeNeverPanics(f *testing.F) {
	f.Add("Map(String, Array(Nullable(Decimal(18, 12))))")
	f.Add("Enum8('a' = 1")
	f.Add("((((")
	f.Fuzz(func(_ *testing.T, name string) { parseType(name) })
}
