package ddl

import (
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

func TestRenderMatchesTheGoldenFileOfEachLayout(t *testing.T) {
	cluster := DefaultOptions()
	cluster.Cluster = "main"
	cluster.StoragePolicy = "tiered"
	for name, opt := range map[string]Options{"single": DefaultOptions(), "cluster": cluster} {
		t.Run(name, func(t *testing.T) {
			statements, err := Render(opt)
			if err != nil {
				t.Fatal(err)
			}
			var b strings.Builder
			for _, s := range statements {
				b.WriteString("-- " + s.Name + "\n" + s.SQL + ";\n\n")
			}
			grants, err := Grants(opt)
			if err != nil {
				t.Fatal(err)
			}
			compareGolden(t, name+".sql", b.String())
			compareGolden(t, name+"_grants.sql", grants)
		})
	}
}

func compareGolden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s differs; run with -update when it is meant (-want +got):\n%s", path, diff)
	}
}

func TestEveryTableHasADeduplicationWindow(t *testing.T) {
	cluster := DefaultOptions()
	cluster.Cluster = "main"
	for setting, opt := range map[string]Options{"non_replicated_deduplication_window = 10000": DefaultOptions(), "replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 604800": cluster} {
		statements, err := Render(opt)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range statements {
			if strings.Contains(s.SQL, "MergeTree") && !strings.Contains(s.SQL, "SETTINGS "+setting) {
				t.Errorf("%s: a table lacks %q:\n%s", s.Name, setting, s.SQL)
			}
		}
	}
}

func TestClusterNamesNoPlainTableAsAnInsertTarget(t *testing.T) {
	opt := DefaultOptions()
	opt.Cluster = "main"
	statements, err := Render(opt)
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range statements {
		if !strings.Contains(s.SQL, "ON CLUSTER 'main'") {
			t.Errorf("%s runs on one node only:\n%s", s.Name, s.SQL)
		}
		if strings.Contains(s.SQL, "MATERIALIZED VIEW") && !regexp.MustCompile(`TO \S+_local AS`).MatchString(s.SQL) {
			t.Errorf("%s: the view does not write to the local table:\n%s", s.Name, s.SQL)
		}
	}
}

// columnsOf returns the columns of every CREATE TABLE of the single-node layout by table.
func columnsOf(t *testing.T) map[string][]string {
	t.Helper()
	statements, err := Render(DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]string{}
	head := regexp.MustCompile(`(?s)CREATE TABLE IF NOT EXISTS modeltrail\.(\w+)\n\((.*?)\n\)\nENGINE`)
	altered := regexp.MustCompile(`(?m)^ALTER TABLE modeltrail\.(\w+)`)
	added := regexp.MustCompile(`ADD COLUMN IF NOT EXISTS (\w+)`)
	for _, s := range statements {
		if m := altered.FindStringSubmatch(s.SQL); m != nil {
			for _, column := range added.FindAllStringSubmatch(s.SQL, -1) {
				out[m[1]] = append(out[m[1]], column[1])
			}
		}
		m := head.FindStringSubmatch(s.SQL)
		if m == nil {
			continue
		}
		for _, line := range strings.Split(m[2], "\n") {
			if name, _, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "INDEX" {
				out[m[1]] = append(out[m[1]], name)
			}
		}
	}
	return out
}

func TestEveryColumnIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../../docs/schema.md")
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string][]string{}
	row := regexp.MustCompile("^\\| `(\\w+)` \\| \\S")
	section := ""
	for _, line := range strings.Split(string(text), "\n") {
		if title, ok := strings.CutPrefix(line, "## "); ok {
			section = title
		}
		if m := row.FindStringSubmatch(line); m != nil && section != "Views" && !strings.Contains(section, " ") {
			documented[section] = append(documented[section], m[1])
		}
	}
	if diff := cmp.Diff(columnsOf(t), documented); diff != "" {
		t.Errorf("docs/schema.md differs from the migrations (-migrations +docs):\n%s", diff)
	}
}

func TestSplitRespectsQuotesAndComments(t *testing.T) {
	for name, c := range map[string]struct {
		script string
		want   []string
	}{
		"two statements":            {"SELECT 1; SELECT 2;", []string{"SELECT 1", "SELECT 2"}},
		"no closing semicolon":      {"SELECT 1", []string{"SELECT 1"}},
		"nothing":                   {" ; ;\n-- only words; here\n", nil},
		"quoted semicolon":          {"SELECT ';', \";\", `;`; SELECT 2", []string{"SELECT ';', \";\", `;`", "SELECT 2"}},
		"escaped quote":             {`SELECT 'a\';b'; SELECT 2`, []string{`SELECT 'a\';b'`, "SELECT 2"}},
		"doubled quote":             {"SELECT 'a'';b'; SELECT 2", []string{"SELECT 'a'';b'", "SELECT 2"}},
		"line comment":              {"SELECT 1 -- a; b\n; SELECT 2", []string{"SELECT 1 -- a; b", "SELECT 2"}},
		"block comment":             {"SELECT 1 /* ; ' */; SELECT 2", []string{"SELECT 1 /* ; ' */", "SELECT 2"}},
		"quote in comment":          {"-- it's; fine\nSELECT 1; SELECT 2", []string{"-- it's; fine\nSELECT 1", "SELECT 2"}},
		"comment marks in a string": {"SELECT '--', '/*'; SELECT 2", []string{"SELECT '--', '/*'", "SELECT 2"}},
		"unclosed quote":            {"SELECT 'a; b", []string{"SELECT 'a; b"}},
		"minus is no comment":       {"SELECT 2 - 1; SELECT 3", []string{"SELECT 2 - 1", "SELECT 3"}},
	} {
		t.Run(name, func(t *testing.T) {
			if diff := cmp.Diff(c.want, Split(c.script)); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func FuzzSplitLosesNoText(f *testing.F) {
	f.Add("SELECT ';' -- x;\n; SELECT /* ; */ 2")
	f.Add(`'\`)
	f.Fuzz(func(t *testing.T, script string) {
		for _, s := range Split(script) {
			if !strings.Contains(script, s) || strings.TrimSpace(s) == "" {
				t.Errorf("statement %q is not a piece of %q", s, script)
			}
		}
	})
}

func TestOptionsRefuseWhatWouldLoseRecords(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*Options)
		want   string
	}{
		"calls shorter than six months":     {func(o *Options) { o.Retention.CallsDays = 183 }, "retention.calls_days"},
		"envelopes shorter than six months": {func(o *Options) { o.Retention.EnvelopesDays = 30 }, "retention.envelopes_days"},
		"no deduplication":                  {func(o *Options) { o.DeduplicationWindow = 0 }, "deduplication_window"},
		"injection by database name":        {func(o *Options) { o.Database = "a; DROP TABLE b" }, "database"},
		"injection by cluster name":         {func(o *Options) { o.Cluster = "a' b" }, "cluster"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := DefaultOptions()
			c.change(&opt)
			if err := opt.Validate(); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("Validate() = %v, want an error that names %s", err, c.want)
			}
		})
	}
	short := DefaultOptions()
	short.Retention.CallsDays, short.AllowShortRetention = 1, true
	forever := DefaultOptions()
	forever.Retention.CallsDays, forever.Retention.EnvelopesDays = 0, 0
	for _, opt := range []Options{DefaultOptions(), short, forever} {
		if err := opt.Validate(); err != nil {
			t.Errorf("Validate() = %v, want nil", err)
		}
	}
}

func TestOnlyComplianceReadsPayloads(t *testing.T) {
	grants, err := Grants(DefaultOptions())
	if err != nil {
		t.Fatal(err)
	}
	for _, line := range strings.Split(grants, "\n") {
		reads := strings.Contains(line, "SELECT ON") && (strings.Contains(line, ".payloads") || strings.Contains(line, ".dead_letters") || strings.Contains(line, ".*"))
		if reads && !strings.HasSuffix(line, "TO modeltrail_compliance;") {
			t.Errorf("bodies are granted to others: %s", line)
		}
	}
}
