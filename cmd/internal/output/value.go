package output

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"time"
	"unicode/utf8"

	"github.com/shopspring/decimal"
)

// pair is one entry of a map. Maps are written in the order of their keys' text, so that output is reproducible.
type pair struct {
	key, value any
}

// normalise turns a scanned value into nil, bool, int64, uint64, float64, string, time.Time, decimal.Decimal, []any
// or []pair, by the column's type.
func (t chType) normalise(v reflect.Value) any {
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		if s, ok := v.Interface().(fmt.Stringer); ok && t.kind == kindText {
			return printable(s.String())
		}
		v = v.Elem()
	}
	switch t.kind {
	case kindBool:
		if v.Kind() == reflect.Bool {
			return v.Bool()
		}
	case kindInt:
		if v.CanInt() {
			return v.Int()
		}
	case kindUint:
		if v.CanUint() {
			return v.Uint()
		}
	case kindFloat:
		if v.CanFloat() {
			return v.Float()
		}
	case kindDecimal:
		if d, ok := v.Interface().(decimal.Decimal); ok {
			return d
		}
	case kindDate, kindTime:
		if at, ok := v.Interface().(time.Time); ok {
			return at.UTC()
		}
	case kindList:
		if v.Kind() == reflect.Slice {
			return t.list(v)
		}
	case kindMap:
		if v.Kind() == reflect.Map {
			return t.pairs(v)
		}
	}
	return fallback(v)
}

func (t chType) list(v reflect.Value) []any {
	out := make([]any, 0, v.Len())
	for i := range v.Len() {
		out = append(out, t.elem.normalise(v.Index(i)))
	}
	return out
}

func (t chType) pairs(v reflect.Value) []pair {
	out := make([]pair, 0, v.Len())
	for entries := v.MapRange(); entries.Next(); {
		out = append(out, pair{key: t.key.normalise(entries.Key()), value: t.elem.normalise(entries.Value())})
	}
	sort.Slice(out, func(i, j int) bool { return plain(out[i].key) < plain(out[j].key) })
	return out
}

// fallback renders a value that has no kind of its own: a string, an address, a tuple as JSON.
func fallback(v reflect.Value) string {
	if !v.IsValid() {
		return ""
	}
	switch x := v.Interface().(type) {
	case string:
		return printable(x)
	case []byte:
		return printable(string(x))
	case fmt.Stringer:
		return printable(x.String())
	}
	if encoded, err := json.Marshal(v.Interface()); err == nil && v.Kind() != reflect.String {
		return string(encoded)
	}
	return printable(fmt.Sprint(v.Interface()))
}

// printable returns s, or 0x and its bytes in hexadecimal when s is not UTF-8.
func printable(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return "0x" + hex.EncodeToString([]byte(s))
}

// plain renders a normalised value without quotes, for CSV, map keys and tables.
func plain(v any) string {
	switch x := v.(type) {
	case nil:
		return ""
	case string:
		return x
	case float64:
		return formatFloat(x)
	case decimal.Decimal:
		return x.String()
	case time.Time:
		return x.Format(time.RFC3339Nano)
	case []any, []pair:
		return string(appendJSON(nil, x))
	}
	return fmt.Sprint(v)
}
