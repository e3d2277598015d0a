package output

import (
	"strconv"
	"strings"
)

// column is one column of a result.
type column struct {
	name string
	typ  chType
}

// kind is the family of a ClickHouse type, by how its values are written.
type kind uint8

const (
	kindText kind = iota // also enums, UUID, addresses, 128- and 256-bit integers and everything unusual
	kindBool
	kindInt
	kindUint
	kindFloat
	kindDecimal
	kindDate
	kindTime
	kindList
	kindMap
)

// chType is a ClickHouse type as far as writing needs it.
type chType struct {
	kind      kind
	nullable  bool
	bits      int // integers and floats
	precision int // decimals: digits in all; times: digits of the second
	scale     int // decimals: digits after the point
	key, elem *chType
}

// parseType reads a type name such as LowCardinality(Nullable(String)) or Map(String, Array(UInt8)). Grammar:
// https://clickhouse.com/docs/sql-reference/data-types. A type that is not known is text.
func parseType(name string) chType {
	base, args := splitType(name)
	switch base {
	case "Nullable":
		t := parseType(first(args))
		t.nullable = true
		return t
	case "LowCardinality":
		return parseType(first(args))
	case "SimpleAggregateFunction":
		if len(args) == 2 {
			return parseType(args[1])
		}
	case "Array":
		elem := parseType(first(args))
		return chType{kind: kindList, elem: &elem}
	case "Map":
		if len(args) == 2 {
			key, elem := parseType(args[0]), parseType(args[1])
			return chType{kind: kindMap, key: &key, elem: &elem}
		}
	case "Bool":
		return chType{kind: kindBool}
	case "Date", "Date32":
		return chType{kind: kindDate}
	case "DateTime", "DateTime32":
		return chType{kind: kindTime}
	case "DateTime64":
		return chType{kind: kindTime, precision: number(args, 0)}
	case "Decimal":
		return chType{kind: kindDecimal, precision: number(args, 0), scale: number(args, 1)}
	case "Int8", "Int16", "Int32", "Int64":
		return chType{kind: kindInt, bits: digits(base)}
	case "UInt8", "UInt16", "UInt32", "UInt64":
		return chType{kind: kindUint, bits: digits(base)}
	case "Float32", "BFloat16":
		return chType{kind: kindFloat, bits: 32}
	case "Float64":
		return chType{kind: kindFloat, bits: 64}
	case "Nothing":
		return chType{kind: kindText, nullable: true}
	}
	return chType{kind: kindText}
}

// splitType cuts "Map(String, Array(UInt8))" into "Map" and its arguments.
func splitType(name string) (base string, args []string) {
	open := strings.IndexByte(name, '(')
	if open < 0 || !strings.HasSuffix(name, ")") {
		return name, nil
	}
	inner := name[open+1 : len(name)-1]
	depth, start, quoted := 0, 0, false
	for i := 0; i < len(inner); i++ {
		switch c := inner[i]; {
		case c == '\'':
			quoted = !quoted
		case quoted && c == '\\':
			i++
		case quoted:
		case c == '(':
			depth++
		case c == ')':
			depth--
		case c == ',' && depth == 0:
			args = append(args, strings.TrimSpace(inner[start:i]))
			start = i + 1
		}
	}
	return name[:open], append(args, strings.TrimSpace(inner[start:]))
}

func first(args []string) string {
	if len(args) == 0 {
		return ""
	}
	return args[0]
}

func number(args []string, i int) int {
	if i >= len(args) {
		return 0
	}
	n, err := strconv.Atoi(args[i])
	if err != nil {
		return 0
	}
	return n
}

// digits reads the number at the end of a type name.
func digits(name string) int {
	n, err := strconv.Atoi(strings.TrimLeft(name, "UInt"))
	if err != nil {
		return 0
	}
	return n
}
