package boardtest

import (
	"fmt"
	"reflect"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/grafana/grafana-plugin-sdk-go/data"
	"github.com/shopspring/decimal"
)

// frame reads all rows into a data frame with the field types that Grafana knows. Decimals become floating point, as
// in the plugin; a type without a field type of its own fails, so that boards cast it.
func frame(name string, rows driver.Rows) (*data.Frame, error) {
	types := rows.ColumnTypes()
	fields := make([]*data.Field, 0, len(types))
	dest := make([]any, 0, len(types))
	for _, t := range types {
		kind, err := fieldType(t)
		if err != nil {
			return nil, err
		}
		field := data.NewFieldFromFieldType(kind, 0)
		field.Name = t.Name()
		fields = append(fields, field)
		dest = append(dest, reflect.New(t.ScanType()).Interface())
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return nil, fmt.Errorf("scan row: %w", err)
		}
		for i, field := range fields {
			appendValue(field, reflect.ValueOf(dest[i]).Elem())
		}
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("read rows: %w", err)
	}
	return data.NewFrame(name, fields...), nil
}

func fieldType(t driver.ColumnType) (data.FieldType, error) {
	scan := t.ScanType()
	nullable := scan.Kind() == reflect.Pointer
	if nullable {
		scan = scan.Elem()
	}
	var kind data.FieldType
	switch {
	case scan == reflect.TypeFor[time.Time]():
		kind = data.FieldTypeTime
	case scan == reflect.TypeFor[decimal.Decimal]():
		kind = data.FieldTypeFloat64
	default:
		known := data.FieldTypeFor(reflect.Zero(scan).Interface())
		if known == data.FieldTypeUnknown {
			return 0, fmt.Errorf("column %s has the type %s, which a panel cannot show; cast it", t.Name(), t.DatabaseTypeName())
		}
		kind = known
	}
	if nullable {
		return kind.NullableType(), nil
	}
	return kind, nil
}

func appendValue(field *data.Field, v reflect.Value) {
	if v.Kind() == reflect.Pointer {
		if v.IsNil() {
			field.Extend(1)
			return
		}
		v = v.Elem()
	}
	value := v.Interface()
	if d, ok := value.(decimal.Decimal); ok {
		value = d.InexactFloat64()
	}
	field.Extend(1)
	field.SetConcrete(field.Len()-1, value)
}
