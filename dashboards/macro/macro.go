// Package macro expands the macros and variables of a board's query the way Grafana does before ClickHouse sees it,
// so that boards can be checked on an engine without a Grafana server.
//
// It follows version 4 of the plugin grafana-clickhouse-datasource. Grafana's part: $__conditionalAll first, then
// template variables with their formats. The plugin's part: $__timeFilter and the other time macros, with the
// ranges as the plugin's documentation states them (https://grafana.com/docs/plugins/grafana-clickhouse-datasource/).
package macro

import (
	"errors"
	"fmt"
	"regexp"
	"sort"
	"strconv"
	"strings"
	"time"
)

// ErrMacro is the cause of every error of Expand.
var ErrMacro = errors.New("invalid macro")

// Context is what Grafana knows when it runs a query.
type Context struct {
	From, To time.Time     // the board's time range
	Interval time.Duration // width of a point of a time series
	// Variables holds the selected values by variable name. No value at all means "All".
	Variables map[string][]string
}

// Expand returns the SQL that ClickHouse receives.
func Expand(sql string, c Context) (string, error) {
	sql, err := conditionalAll(sql, c)
	if err != nil {
		return "", err
	}
	if sql, err = c.variables(sql); err != nil {
		return "", err
	}
	if sql, err = c.macros(sql); err != nil {
		return "", err
	}
	if at := strings.Index(sql, "$__"); at >= 0 {
		return "", fmt.Errorf("%w: unknown at %.30q", ErrMacro, sql[at:])
	}
	return sql, nil
}

// conditionalAll replaces $__conditionalAll(condition, $variable) by the condition, or by 1=1 when the variable
// selects all. The last one goes first, so that they may nest.
func conditionalAll(sql string, c Context) (string, error) {
	const name = "$__conditionalAll"
	for {
		at := strings.LastIndex(sql, name+"(")
		if at < 0 {
			return sql, nil
		}
		args, length := arguments(sql[at+len(name):])
		if len(args) != 2 {
			return "", fmt.Errorf("%w: %s takes 2 arguments, has %d", ErrMacro, name, len(args))
		}
		variable := strings.Trim(strings.TrimSpace(args[1]), "${}")
		values, known := c.Variables[variable]
		if !known {
			return "", fmt.Errorf("%w: %s names the unknown variable %q", ErrMacro, name, variable)
		}
		phrase := args[0]
		if len(values) == 0 {
			phrase = "1=1"
		}
		sql = sql[:at] + phrase + sql[at+len(name)+length:]
	}
}

// variables replaces ${name:sqlstring}, ${name:raw}, ${name} and $name.
func (c Context) variables(sql string) (string, error) {
	pattern := regexp.MustCompile(`\$\{(\w+)(?::(\w+))?\}|\$([A-Za-z]\w*)`)
	var failure error
	out := pattern.ReplaceAllStringFunc(sql, func(match string) string {
		groups := pattern.FindStringSubmatch(match)
		name, format := groups[1]+groups[3], groups[2]
		values, known := c.Variables[name]
		if !known {
			failure = fmt.Errorf("%w: unknown variable %q", ErrMacro, name)
			return match
		}
		text, err := formatValues(values, format)
		if err != nil {
			failure = err
		}
		return text
	})
	return out, failure
}

// formatValues writes values as Grafana's format of that name does. Without a format the plugin puts a list between
// single quotes and does not escape, so boards use sqlstring.
func formatValues(values []string, format string) (string, error) {
	switch format {
	case "sqlstring":
		quoted := make([]string, 0, len(values))
		for _, v := range values {
			quoted = append(quoted, "'"+strings.ReplaceAll(v, "'", "''")+"'")
		}
		return strings.Join(quoted, ","), nil
	case "raw", "":
		if len(values) == 1 {
			return values[0], nil
		}
		return "'" + strings.Join(values, "','") + "'", nil
	}
	return "", fmt.Errorf("%w: unknown variable format %q", ErrMacro, format)
}

// macros replaces the time macros, longer names first so that $__timeFilter_ms is not taken for $__timeFilter.
func (c Context) macros(sql string) (string, error) {
	known := map[string]func(args []string) (string, error){
		"fromTime":        c.none(seconds(c.From)),
		"toTime":          c.none(seconds(c.To)),
		"fromTime_ms":     c.none(millis(c.From)),
		"toTime_ms":       c.none(millis(c.To)),
		"interval_s":      c.none(strconv.FormatInt(c.intervalSeconds(), 10)),
		"timeFilter":      between(seconds(c.From), seconds(c.To)),
		"timeFilter_ms":   between(millis(c.From), millis(c.To)),
		"dateFilter":      between(date(c.From), date(c.To)),
		"timeInterval":    c.bucket("toStartOfInterval(toDateTime(%s), INTERVAL %d second)", c.intervalSeconds()),
		"timeInterval_ms": c.bucket("toStartOfInterval(toDateTime64(%s, 3), INTERVAL %d millisecond)", max(c.Interval.Milliseconds(), 1)),
	}
	names := make([]string, 0, len(known))
	for name := range known {
		names = append(names, name)
	}
	sort.Slice(names, func(i, j int) bool { return len(names[i]) > len(names[j]) })
	for _, name := range names {
		pattern := regexp.MustCompile(`\$__` + name + `\b`)
		for {
			at := pattern.FindStringIndex(sql)
			if at == nil {
				break
			}
			args, length := arguments(sql[at[1]:])
			if length < 0 {
				return "", fmt.Errorf("%w: $__%s lacks its closing bracket", ErrMacro, name)
			}
			text, err := known[name](args)
			if err != nil {
				return "", fmt.Errorf("expand $__%s: %w", name, err)
			}
			sql = sql[:at[0]] + text + sql[at[1]+length:]
		}
	}
	return sql, nil
}

func (c Context) intervalSeconds() int64 { return max(int64(c.Interval/time.Second), 1) }

func (c Context) none(text string) func([]string) (string, error) {
	return func([]string) (string, error) { return text, nil }
}

func (c Context) bucket(format string, width int64) func([]string) (string, error) {
	return func(args []string) (string, error) {
		if len(args) != 1 {
			return "", fmt.Errorf("%w: takes 1 argument, has %d", ErrMacro, len(args))
		}
		return fmt.Sprintf(format, args[0], width), nil
	}
}

func between(from, to string) func([]string) (string, error) {
	return func(args []string) (string, error) {
		if len(args) != 1 {
			return "", fmt.Errorf("%w: takes 1 argument, has %d", ErrMacro, len(args))
		}
		return fmt.Sprintf("%s >= %s AND %s <= %s", args[0], from, args[0], to), nil
	}
}

func seconds(t time.Time) string { return fmt.Sprintf("toDateTime(%d)", t.Unix()) }

func millis(t time.Time) string { return fmt.Sprintf("fromUnixTimestamp64Milli(%d)", t.UnixMilli()) }

func date(t time.Time) string { return "toDate('" + t.Format(time.DateOnly) + "')" }

// arguments splits the bracketed list at the beginning of s at its outer commas. It returns the length of the list:
// 0 when there is none, -1 when it is not closed.
func arguments(s string) (args []string, length int) {
	if !strings.HasPrefix(s, "(") {
		return nil, 0
	}
	depth, start := 0, 1
	for i := range len(s) {
		switch s[i] {
		case '(':
			depth++
		case ')':
			if depth--; depth == 0 {
				if last := strings.TrimSpace(s[start:i]); last != "" || len(args) > 0 {
					args = append(args, last)
				}
				return args, i + 1
			}
		case ',':
			if depth == 1 {
				args = append(args, strings.TrimSpace(s[start:i]))
				start = i + 1
			}
		}
	}
	return nil, -1
}
