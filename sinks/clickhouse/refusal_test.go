package clickhouse

import (
	"testing"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
)

func TestRefused_ReadsTableAndRowOfAViolatedConstraint(t *testing.T) {
	const at = " is violated at row 2. Expression: (m != 'x'). Column values: m = "
	for name, c := range map[string]struct {
		text   string
		offset int64
		before bool
	}{
		"over HTTP":                 {"Code: 469. DB::Exception: Constraint `c` for table modeltrail.calls (9a400893-8707-47cf-8309-6202ffd26dd7)" + at + "'y'. (VIOLATED_CONSTRAINT)", 11, true},
		"native":                    {"DB::Exception: Constraint `c` for table modeltrail.calls (9a400893-8707-47cf-8309-6202ffd26dd7)" + at + "'y'.", 11, true},
		"quoted":                    {"Constraint `c` for table `modeltrail`.`calls`" + at + "'y'.", 11, true},
		"of a view's table":         {"DB::Exception: Constraint `c` for table modeltrail.spend_hourly" + at + "'y'.", 11, false},
		"in a value":                {"DB::Exception: Cannot parse 'Constraint `c` for table modeltrail.calls" + at + "'", -1, false},
		"in the name of constraint": {"DB::Exception: Constraint `c for table modeltrail.calls` for table modeltrail.x" + at + "'y'.", 11, false},
		"no row":                    {"DB::Exception: Constraint `c` for table modeltrail.calls is violated.", -1, false},
		"a row that is not there":   {"DB::Exception: Constraint `c` for table modeltrail.calls is violated at row 4.", -1, true},
	} {
		b := &block{name: "calls"}
		var offsets fixed[int64]
		b.add("offset", kindInt64, &offsets)
		for _, offset := range []int64{10, 11, 12} {
			offsets.add(offset)
		}
		r := refused("modeltrail", b, &clickhousego.Exception{Code: 469, Message: c.text})
		if r.Offset != c.offset || r.Before != c.before || r.Code != 469 || r.Table != "calls" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}
