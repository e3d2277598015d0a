package queries

import (
	"errors"
	"fmt"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ErrArgument is the cause of every error of Bind.
var ErrArgument = errors.New("invalid argument")

// timeLayout is how ClickHouse reads a DateTime parameter.
const timeLayout = "2006-01-02 15:04:05"

// Bind checks the given values against the query's parameters, fills in defaults and returns the value of every
// parameter in ClickHouse's text form. now is what relative times count from. All complaints come in one error.
func (q Query) Bind(given map[string]string, now time.Time) (map[string]string, error) {
	var errs []error
	for _, name := range sortedKeys(given) {
		if _, ok := q.parameter(name); !ok {
			errs = append(errs, fmt.Errorf("%w: %s has no parameter %q; it takes %s", ErrArgument, q.Name, name, q.parameterNames()))
		}
	}
	out := make(map[string]string, len(q.Parameters))
	for _, p := range q.Parameters {
		value, ok := given[p.Name]
		if !ok {
			value = p.Default
		}
		text, err := p.convert(value, now)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		out[p.Name] = text
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return out, nil
}

func (p Parameter) convert(value string, now time.Time) (string, error) {
	if p.Required && value == "" {
		return "", fmt.Errorf("%w: %s is required: %s", ErrArgument, p.Name, p.Description)
	}
	if len(p.Values) > 0 && !slices.Contains(p.Values, value) {
		return "", fmt.Errorf("%w: %s is %q; use one of %s", ErrArgument, p.Name, value, strings.Join(quoted(p.Values), ", "))
	}
	switch p.Type {
	case TypeString:
		return value, nil
	case TypeDateTime:
		t, err := ParseTime(value, now)
		if err != nil {
			return "", fmt.Errorf("%w: %s is %q; use a date (2026-03-01), a time (2026-03-01T12:00:00Z) or an age (now-24h, now-7d)", ErrArgument, p.Name, value)
		}
		return t.UTC().Format(timeLayout), nil
	case TypeUInt32:
		if _, err := strconv.ParseUint(value, 10, 32); err != nil {
			return "", fmt.Errorf("%w: %s is %q; use a whole number from 0 to 4294967295", ErrArgument, p.Name, value)
		}
		return value, nil
	case TypeBool:
		if value != "true" && value != "false" {
			return "", fmt.Errorf("%w: %s is %q; use true or false", ErrArgument, p.Name, value)
		}
		return value, nil
	default:
		return "", fmt.Errorf("%w: %s has the type %s, which this binary does not know", ErrArgument, p.Name, p.Type)
	}
}

func (q Query) parameter(name string) (Parameter, bool) {
	for _, p := range q.Parameters {
		if p.Name == name {
			return p, true
		}
	}
	return Parameter{}, false
}

func (q Query) parameterNames() string {
	names := make([]string, 0, len(q.Parameters))
	for _, p := range q.Parameters {
		names = append(names, p.Name)
	}
	return strings.Join(names, ", ")
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	sort.Strings(keys)
	return keys
}

func quoted(values []string) []string {
	out := make([]string, 0, len(values))
	for _, v := range values {
		if v == "" {
			v = `""`
		}
		out = append(out, v)
	}
	return out
}
