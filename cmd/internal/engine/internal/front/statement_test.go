package front

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParseStatement_FindsFormatVerbAndData(t *testing.T) {
	for _, tc := range []struct {
		sql, verb, format string
		insert            string // the INSERT's own text, "-" when it is none
		data              string
	}{
		{"SELECT 1", "SELECT", "", "-", ""},
		{" -- c\n/* d */ select 1 format JSON", "SELECT", "JSON", "-", ""},
		{"SELECT 1 FORMAT CSV SETTINGS max_threads = 1;", "SELECT", "CSV", "-", ""},
		{"SELECT format FROM (SELECT 1 AS format FORMAT)", "SELECT", "", "-", ""},
		{"SELECT 'FORMAT JSON', `FORMAT` FROM t", "SELECT", "", "-", ""},
		{"SELECT $$ FORMAT JSON $$", "SELECT", "", "-", ""},
		{"(SELECT 1) UNION ALL (SELECT 2) FORMAT TSV", "(", "TSV", "-", ""},
		{"INSERT INTO t FORMAT CSV\n1,2\n", "INSERT", "CSV", "INSERT INTO t ", "1,2\n"},
		{"INSERT INTO t FORMAT Native", "INSERT", "Native", "INSERT INTO t ", ""},
		{"insert into table d.t (a, format) settings async_insert = 0 format TSV \r\n1\t2", "INSERT", "TSV", "insert into table d.t (a, format) settings async_insert = 0 ", "1\t2"},
		{"INSERT INTO format FORMAT CSV 1", "INSERT", "CSV", "INSERT INTO format ", "1"},
		{"INSERT INTO d.`values` (`format`) VALUES (1)", "INSERT", "", "INSERT INTO d.`values` (`format`) ", " (1)"},
		{"INSERT INTO t SELECT 1", "INSERT", "", "-", ""},
		{"INSERT INTO t (a) WITH 1 AS x SELECT x", "INSERT", "", "-", ""},
		{"INSERT INTO t;", "INSERT", "", "INSERT INTO t", ""},
		{"", "", "", "-", ""},
		{"-- nothing", "", "", "-", ""},
	} {
		s := parseStatement(tc.sql)
		insert, data := "-", ""
		if s.insert != nil {
			insert, data = s.insert.sql, tc.sql[s.insert.data:]
		}
		got := []string{s.verb, s.format, insert, data}
		if diff := cmp.Diff([]string{tc.verb, tc.format, tc.insert, tc.data}, got); diff != "" {
			t.Errorf("%q: %s", tc.sql, diff)
		}
	}
}

func TestParseStatement_CutsOneSemicolonOnly(t *testing.T) {
	for sql, want := range map[string]string{
		"SELECT 1;": "SELECT 1", "SELECT 1 ; -- end": "SELECT 1 ", "SELECT ';'": "SELECT ';'", "SELECT 1; SELECT 2": "SELECT 1; SELECT 2",
	} {
		if got := parseStatement(sql).text; got != want {
			t.Errorf("%q: got %q", sql, got)
		}
	}
}

func TestParseStatement_DeniesWhatReachesTheHost(t *testing.T) {
	for _, sql := range []string{
		"SELECT file('x')", "SELECT `file`('x')", "SELECT \"file\"('x')", "SELECT “file”('x')", "SELECT `fi\\x6ce`('x')", "SELECT x APPLY file",
		"SELECT 1 INTO OUTFILE 'x'", "select 1 into/**/outfile 'x'", "INSERT INTO t FROM INFILE 'x' FORMAT CSV", "INSERT INTO t (file) FORMAT CSV",
		"INSERT INTO t SELECT file('x')", "SELECT 'a\\'', file('x')", "SELECT 'a''', file('x')", "SELECT /* /* */ ' */ file('x')", "SELECT 1 # '\n, file('x')",
		"SELECT $a$ ' $a$, file('x')", "SELECT 1 SETTINGS output_format_schema = 'x'",
	} {
		if parseStatement(sql).denied == "" {
			t.Errorf("%s: is let through", sql)
		}
	}
	for _, sql := range []string{
		"SELECT 'file(x)'", "SELECT 1 -- file('x')\n", "SELECT /* file('x') */ 1", "SELECT profile FROM t", "SELECT files, infile, outfile FROM t", "SELECT ‘file('x')’",
		"INSERT INTO t FORMAT CSV\nfile('x')", "BACKUP TABLE t TO File('x')", "SELECT dialect FROM calls",
	} {
		if why := parseStatement(sql).denied; why != "" {
			t.Errorf("%s: %s", sql, why)
		}
	}
}

func FuzzParseStatement(f *testing.F) {
	for _, sql := range []string{"SELECT 1 FORMAT JSON", "INSERT INTO t (a) FORMAT CSV\n1", "INSERT INTO t VALUES ('x')", "$a$ $a$ 'x\\'' `y` /* /* */ */ -- z\n# q\n", "‘x’ “y”", "\\", "'", "INSERT INTO"} {
		f.Add(sql)
	}
	f.Fuzz(func(t *testing.T, sql string) {
		s := parseStatement(sql)
		if s.insert == nil {
			if !strings.HasPrefix(sql, s.text) {
				t.Fatalf("text %q is no beginning of %q", s.text, sql)
			}
			return
		}
		if s.insert.data < 0 || s.insert.data > len(sql) || len(s.insert.sql) > len(sql) {
			t.Fatalf("%+v points outside of %q", s.insert, sql)
		}
		s.insert.trailingSettings(sql)
		s.scanValues()
	})
}
