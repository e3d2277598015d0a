package output

import (
	"fmt"
	"io"
	"math/big"
	"time"

	"github.com/apache/arrow/go/v15/arrow"
	"github.com/apache/arrow/go/v15/arrow/array"
	"github.com/apache/arrow/go/v15/arrow/decimal128"
	"github.com/apache/arrow/go/v15/arrow/memory"
	"github.com/apache/arrow/go/v15/parquet"
	"github.com/apache/arrow/go/v15/parquet/compress"
	"github.com/apache/arrow/go/v15/parquet/pqarrow"
	"github.com/shopspring/decimal"
)

// A row group is written when it has this many rows or this much text, whichever comes first, so that results with
// large bodies do not grow the process.
const (
	groupRows  = 64 * 1024
	groupBytes = 32 << 20
)

// parquetEncoder builds Arrow records and writes each as one row group.
type parquetEncoder struct {
	file    *pqarrow.FileWriter
	builder *array.RecordBuilder
	columns []column
	rows    int
	bytes   int
}

func newParquetEncoder(w io.Writer, columns []column) (*parquetEncoder, error) {
	fields := make([]arrow.Field, 0, len(columns))
	for _, c := range columns {
		fields = append(fields, arrow.Field{Name: c.name, Type: c.typ.arrow(), Nullable: c.typ.nullable})
	}
	schema := arrow.NewSchema(fields, nil)
	properties := parquet.NewWriterProperties(
		parquet.WithCompression(compress.Codecs.Zstd),
		parquet.WithVersion(parquet.V2_6),
		parquet.WithCreatedBy("modeltrail"))
	// The writer closes its sink when it is an io.Closer; the sink belongs to the caller.
	file, err := pqarrow.NewFileWriter(schema, struct{ io.Writer }{w}, properties,
		pqarrow.NewArrowWriterProperties(pqarrow.WithStoreSchema()))
	if err != nil {
		return nil, fmt.Errorf("open parquet writer: %w", err)
	}
	return &parquetEncoder{file: file, builder: array.NewRecordBuilder(memory.DefaultAllocator, schema), columns: columns}, nil
}

func (e *parquetEncoder) row(values []any) error {
	for i, v := range values {
		n, err := e.columns[i].typ.appendArrow(e.builder.Field(i), v)
		if err != nil {
			return fmt.Errorf("column %s: %w", e.columns[i].name, err)
		}
		e.bytes += n
	}
	e.rows++
	if e.rows >= groupRows || e.bytes >= groupBytes {
		return e.flush()
	}
	return nil
}

func (e *parquetEncoder) flush() error {
	if e.rows == 0 {
		return nil
	}
	record := e.builder.NewRecord()
	defer record.Release()
	e.rows, e.bytes = 0, 0
	if err := e.file.Write(record); err != nil {
		return fmt.Errorf("write row group: %w", err)
	}
	return nil
}

func (e *parquetEncoder) close() error {
	defer e.builder.Release()
	if err := e.flush(); err != nil {
		return err
	}
	return e.file.Close()
}

// arrow is the Arrow type that holds the column without loss. Decimals wider than 38 digits are text.
func (t chType) arrow() arrow.DataType {
	switch t.kind {
	case kindBool:
		return arrow.FixedWidthTypes.Boolean
	case kindInt:
		return map[int]arrow.DataType{8: arrow.PrimitiveTypes.Int8, 16: arrow.PrimitiveTypes.Int16, 32: arrow.PrimitiveTypes.Int32, 64: arrow.PrimitiveTypes.Int64}[t.bits]
	case kindUint:
		return map[int]arrow.DataType{8: arrow.PrimitiveTypes.Uint8, 16: arrow.PrimitiveTypes.Uint16, 32: arrow.PrimitiveTypes.Uint32, 64: arrow.PrimitiveTypes.Uint64}[t.bits]
	case kindFloat:
		if t.bits == 32 {
			return arrow.PrimitiveTypes.Float32
		}
		return arrow.PrimitiveTypes.Float64
	case kindDecimal:
		if t.precision <= 38 {
			return &arrow.Decimal128Type{Precision: int32(t.precision), Scale: int32(t.scale)}
		}
	case kindDate:
		return arrow.FixedWidthTypes.Date32
	case kindTime:
		return &arrow.TimestampType{Unit: t.timeUnit(), TimeZone: "UTC"}
	case kindList:
		return arrow.ListOfField(arrow.Field{Name: "element", Type: t.elem.arrow(), Nullable: t.elem.nullable})
	case kindMap:
		m := arrow.MapOf(t.key.arrow(), t.elem.arrow())
		m.SetItemNullable(t.elem.nullable)
		return m
	}
	return arrow.BinaryTypes.String
}

// timeUnit is the unit of Parquet's timestamp; it has no seconds.
func (t chType) timeUnit() arrow.TimeUnit {
	switch {
	case t.precision <= 3:
		return arrow.Millisecond
	case t.precision <= 6:
		return arrow.Microsecond
	}
	return arrow.Nanosecond
}

// appendArrow appends a normalised value and returns about how many bytes it holds.
func (t chType) appendArrow(b array.Builder, v any) (int, error) {
	if v == nil {
		b.AppendNull()
		return 1, nil
	}
	switch b := b.(type) {
	case *array.StringBuilder:
		s := plain(v)
		b.Append(s)
		return len(s), nil
	case *array.ListBuilder:
		return t.appendList(b, v)
	case *array.MapBuilder:
		return t.appendMap(b, v)
	}
	return 8, t.appendScalar(b, v)
}

func (t chType) appendList(b *array.ListBuilder, v any) (int, error) {
	items, ok := v.([]any)
	if !ok {
		return 0, fmt.Errorf("append %T to a list", v)
	}
	b.Append(true)
	size := 0
	for _, item := range items {
		n, err := t.elem.appendArrow(b.ValueBuilder(), item)
		if err != nil {
			return 0, err
		}
		size += n
	}
	return size, nil
}

func (t chType) appendMap(b *array.MapBuilder, v any) (int, error) {
	entries, ok := v.([]pair)
	if !ok {
		return 0, fmt.Errorf("append %T to a map", v)
	}
	b.Append(true)
	size := 0
	for _, entry := range entries {
		n, err := t.key.appendArrow(b.KeyBuilder(), entry.key)
		if err != nil {
			return 0, err
		}
		m, err := t.elem.appendArrow(b.ItemBuilder(), entry.value)
		if err != nil {
			return 0, err
		}
		size += n + m
	}
	return size, nil
}

func (t chType) appendScalar(b array.Builder, v any) error {
	switch v := v.(type) {
	case bool:
		if b, ok := b.(*array.BooleanBuilder); ok {
			b.Append(v)
			return nil
		}
	case int64:
		return appendInt(b, v)
	case uint64:
		return appendUint(b, v)
	case float64:
		switch b := b.(type) {
		case *array.Float32Builder:
			b.Append(float32(v))
			return nil
		case *array.Float64Builder:
			b.Append(v)
			return nil
		}
	case decimal.Decimal:
		if b, ok := b.(*array.Decimal128Builder); ok {
			b.Append(decimal128.FromBigInt(unscaled(v, t.scale)))
			return nil
		}
	case time.Time:
		switch b := b.(type) {
		case *array.Date32Builder:
			b.Append(arrow.Date32FromTime(v))
			return nil
		case *array.TimestampBuilder:
			at, err := arrow.TimestampFromTime(v, t.timeUnit())
			if err != nil {
				return fmt.Errorf("convert time: %w", err)
			}
			b.Append(at)
			return nil
		}
	}
	return fmt.Errorf("append %T to %s", v, b.Type())
}

func appendInt(b array.Builder, v int64) error {
	switch b := b.(type) {
	case *array.Int8Builder:
		b.Append(int8(v)) //nolint:gosec // the column's own width
	case *array.Int16Builder:
		b.Append(int16(v)) //nolint:gosec // the column's own width
	case *array.Int32Builder:
		b.Append(int32(v)) //nolint:gosec // the column's own width
	case *array.Int64Builder:
		b.Append(v)
	default:
		return fmt.Errorf("append integer to %s", b.Type())
	}
	return nil
}

func appendUint(b array.Builder, v uint64) error {
	switch b := b.(type) {
	case *array.Uint8Builder:
		b.Append(uint8(v)) //nolint:gosec // the column's own width
	case *array.Uint16Builder:
		b.Append(uint16(v)) //nolint:gosec // the column's own width
	case *array.Uint32Builder:
		b.Append(uint32(v)) //nolint:gosec // the column's own width
	case *array.Uint64Builder:
		b.Append(v)
	default:
		return fmt.Errorf("append integer to %s", b.Type())
	}
	return nil
}

// unscaled is the decimal times ten to the power of scale.
func unscaled(d decimal.Decimal, scale int) *big.Int {
	return d.Shift(int32(scale)).Truncate(0).BigInt() //nolint:gosec // a scale has at most two digits
}
