package output

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"strconv"
	"time"

	"github.com/shopspring/decimal"
)

// maxSafeInteger is the largest integer that every JSON reader keeps exactly (RFC 7493, section 2.2).
const maxSafeInteger = 1<<53 - 1

// jsonEncoder writes one object a line. Decimals, and integers beyond 2^53-1, are strings.
type jsonEncoder struct {
	w       *bufio.Writer
	columns []column
	names   [][]byte
	buffer  []byte
}

func newJSONEncoder(w io.Writer, columns []column) *jsonEncoder {
	e := &jsonEncoder{w: bufio.NewWriter(w), columns: columns}
	for _, c := range columns {
		e.names = append(e.names, append(appendString(nil, c.name), ':'))
	}
	return e
}

func (e *jsonEncoder) row(values []any) error {
	b := append(e.buffer[:0], '{')
	for i, v := range values {
		if i > 0 {
			b = append(b, ',')
		}
		b = append(b, e.names[i]...)
		if at, ok := v.(time.Time); ok {
			b = appendString(b, e.columns[i].typ.formatTime(at))
			continue
		}
		b = appendJSON(b, v)
	}
	b = append(b, '}', '\n')
	e.buffer = b
	_, err := e.w.Write(b)
	return err
}

func (e *jsonEncoder) close() error { return e.w.Flush() }

// appendJSON appends a normalised value.
func appendJSON(b []byte, v any) []byte {
	switch x := v.(type) {
	case nil:
		return append(b, "null"...)
	case bool:
		return strconv.AppendBool(b, x)
	case int64:
		if x > maxSafeInteger || x < -maxSafeInteger {
			return append(strconv.AppendInt(append(b, '"'), x, 10), '"')
		}
		return strconv.AppendInt(b, x, 10)
	case uint64:
		if x > maxSafeInteger {
			return append(strconv.AppendUint(append(b, '"'), x, 10), '"')
		}
		return strconv.AppendUint(b, x, 10)
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return append(b, "null"...)
		}
		return append(b, formatFloat(x)...)
	case decimal.Decimal:
		return appendString(b, x.String())
	case time.Time:
		return appendString(b, x.Format(time.RFC3339Nano))
	case string:
		return appendString(b, x)
	case []any:
		b = append(b, '[')
		for i, item := range x {
			if i > 0 {
				b = append(b, ',')
			}
			b = appendJSON(b, item)
		}
		return append(b, ']')
	case []pair:
		b = append(b, '{')
		for i, p := range x {
			if i > 0 {
				b = append(b, ',')
			}
			b = append(appendString(b, plain(p.key)), ':')
			b = appendJSON(b, p.value)
		}
		return append(b, '}')
	}
	return appendString(b, fmt.Sprint(v))
}

func appendString(b []byte, s string) []byte {
	encoded, err := json.Marshal(s)
	if err != nil { // a string always encodes
		return strconv.AppendQuote(b, s)
	}
	return append(b, encoded...)
}

// formatFloat writes the shortest text that reads back as the same number.
func formatFloat(f float64) string {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.FormatFloat(f, 'e', -1, 64)
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

// formatTime writes a date as 2006-01-02 and a time as RFC 3339 in UTC with the digits that the type has.
func (t chType) formatTime(at time.Time) string {
	if t.kind == kindDate {
		return at.Format(time.DateOnly)
	}
	layout := "2006-01-02T15:04:05"
	if t.precision > 0 {
		layout += "." + "000000000"[:min(t.precision, 9)]
	}
	return at.Format(layout + "Z")
}
