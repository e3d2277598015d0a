package macro

import (
	"errors"
	"testing"
	"time"
)

func context() Context {
	return Context{
		From:     time.Date(2014, 11, 12, 11, 45, 26, 123e6, time.UTC),
		To:       time.Date(2015, 11, 12, 11, 45, 26, 456e6, time.UTC),
		Interval: 20 * time.Second,
		Variables: map[string][]string{
			"team": {"a", "it's"}, "one": {"x"}, "all": nil,
		},
	}
}

func TestExpandFollowsThePluginsDocumentation(t *testing.T) {
	for sql, want := range map[string]string{
		"WHERE $__timeFilter(time)":                          "WHERE time >= toDateTime(1415792726) AND time <= toDateTime(1447328726)",
		"WHERE $__timeFilter_ms(time)":                       "WHERE time >= fromUnixTimestamp64Milli(1415792726123) AND time <= fromUnixTimestamp64Milli(1447328726456)",
		"WHERE $__dateFilter(date)":                          "WHERE date >= toDate('2014-11-12') AND date <= toDate('2015-11-12')",
		"$__fromTime, $__toTime":                             "toDateTime(1415792726), toDateTime(1447328726)",
		"$__fromTime_ms":                                     "fromUnixTimestamp64Milli(1415792726123)",
		"$__timeInterval(column)":                            "toStartOfInterval(toDateTime(column), INTERVAL 20 second)",
		"$__timeInterval_ms(column)":                         "toStartOfInterval(toDateTime64(column, 3), INTERVAL 20000 millisecond)",
		"$__interval_s":                                      "20",
		"$__timeFilter(f(a, b)) AND 1":                       "f(a, b) >= toDateTime(1415792726) AND f(a, b) <= toDateTime(1447328726) AND 1",
		"$__conditionalAll(x IN (${team:sqlstring}), $team)": "x IN ('a','it''s')",
		"$__conditionalAll(x IN (${all:sqlstring}), $all)":   "1=1",
		"$__conditionalAll(if(a, b, c) IN (${team:sqlstring}), $team) AND $__conditionalAll(d, ${all})": "if(a, b, c) IN ('a','it''s') AND 1=1",
		"x = $one AND y IN ($team)": "x = x AND y IN ('a','it's')",
		"SELECT '$', 1":             "SELECT '$', 1",
	} {
		got, err := Expand(sql, context())
		if err != nil || got != want {
			t.Errorf("Expand(%q)\n got %q, %v\nwant %q", sql, got, err, want)
		}
	}
}

func TestExpandRefusesWhatGrafanaWouldSendUnchanged(t *testing.T) {
	for _, sql := range []string{
		"$__nothing(x)", "$__timeFilter()", "$__timeFilter(a, b)", "$__timeFilter(a", "$__timeInterval(a, b)",
		"$__conditionalAll(x)", "$__conditionalAll(x, $missing)", "WHERE x = $missing", "${team:csv}",
	} {
		if got, err := Expand(sql, context()); !errors.Is(err, ErrMacro) {
			t.Errorf("Expand(%q) = %q, %v; want ErrMacro", sql, got, err)
		}
	}
}

func FuzzExpandTerminates(f *testing.F) {
	f.Add("SELECT $__timeInterval(a) FROM t WHERE $__timeFilter(a) AND $__conditionalAll(x IN (${team:sqlstring}), $team)")
	f.Add("$__conditionalAll($__conditionalAll(a, $all), $team)")
	f.Add("$__timeFilter($__timeFilter")
	f.Fuzz(func(_ *testing.T, sql string) {
		_, _ = Expand(sql, context())
	})
}
