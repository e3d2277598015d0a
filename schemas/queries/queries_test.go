package queries

import (
	"errors"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEveryQueryDescribesItselfAndItsParameters(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	used := regexp.MustCompile(`\{(\w+):([^}]+)\}`)
	for _, q := range all {
		t.Run(q.Name, func(t *testing.T) {
			if q.Title == "" || !strings.HasSuffix(q.Question, "?") {
				t.Errorf("title %q or question %q is missing", q.Title, q.Question)
			}
			declared := map[string]Type{}
			for _, p := range q.Parameters {
				declared[p.Name] = p.Type
				if p.Description == "" || !strings.HasSuffix(p.Description, ".") {
					t.Errorf("parameter %s: description %q is not a sentence", p.Name, p.Description)
				}
			}
			found := map[string]Type{}
			for _, m := range used.FindAllStringSubmatch(q.SQL, -1) {
				found[m[1]] = Type(m[2])
			}
			if diff := cmp.Diff(declared, found); diff != "" {
				t.Errorf("header and SQL differ (-header +SQL):\n%s", diff)
			}
			if _, err := q.Bind(required(q), time.Now()); err != nil {
				t.Errorf("defaults do not bind: %v", err)
			}
		})
	}
}

func required(q Query) map[string]string {
	out := map[string]string{}
	for _, p := range q.Parameters {
		if p.Required {
			out[p.Name] = "x"
		}
	}
	return out
}

func TestTheNamedQueriesExist(t *testing.T) {
	all, err := List()
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, q := range all {
		names = append(names, q.Name)
	}
	for _, want := range []string{"call", "completeness", "credential-inventory", "dead-letters", "findings", "outside-policy", "source-completeness", "spend-by-team-month",
		"unfinished-calls", "unknown-credentials", "what-app-did", "what-credential-did", "who-used-model"} {
		if !slices.Contains(names, want) {
			t.Errorf("query %s is missing", want)
		}
	}
	if _, err := Get("../queries"); !errors.Is(err, ErrUnknownQuery) {
		t.Errorf("Get of a path = %v, want ErrUnknownQuery", err)
	}
}

func TestBindFillsDefaultsAndConvertsTimes(t *testing.T) {
	q, err := Get("what-app-did")
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	got, err := q.Bind(map[string]string{"app": "it's; --", "from": "2026-03-01"}, now)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{"app": "it's; --", "team": "", "from": "2026-03-01 00:00:00", "to": "2026-03-10 12:00:00", "limit": "1000"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestBindNamesEveryWrongArgument(t *testing.T) {
	q, err := Get("findings")
	if err != nil {
		t.Fatal(err)
	}
	_, err = q.Bind(map[string]string{"min_severity": "bad", "from": "yesterday", "limit": "-1", "nope": "1"}, time.Now())
	if !errors.Is(err, ErrArgument) {
		t.Fatalf("Bind() = %v, want ErrArgument", err)
	}
	for _, want := range []string{`min_severity is "bad"; use one of unknown, informational`, `from is "yesterday"`, `limit is "-1"`, `no parameter "nope"; it takes min_severity`} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error lacks %q:\n%v", want, err)
		}
	}
	call, err := Get("call")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := call.Bind(nil, time.Now()); err == nil || !strings.Contains(err.Error(), "id is required") {
		t.Errorf("Bind() = %v, want that id is required", err)
	}
}

func TestParseTimeReadsWhatPeopleType(t *testing.T) {
	now := time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]time.Time{
		"now":                       now,
		"now-24h":                   now.Add(-24 * time.Hour),
		"now-7d":                    now.AddDate(0, 0, -7),
		"now-2w":                    now.AddDate(0, 0, -14),
		"now+90m":                   now.Add(90 * time.Minute),
		"2026-03-01":                time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		"2026-03":                   time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC),
		"2026-03-01 08:30":          time.Date(2026, 3, 1, 8, 30, 0, 0, time.UTC),
		"2026-03-01T08:30:15Z":      time.Date(2026, 3, 1, 8, 30, 15, 0, time.UTC),
		"2026-03-01T08:30:15+02:00": time.Date(2026, 3, 1, 6, 30, 15, 0, time.UTC),
		"1772352000":                time.Unix(1772352000, 0).UTC(),
	} {
		if got, err := ParseTime(text, now); err != nil || !got.Equal(want) {
			t.Errorf("ParseTime(%q) = %v, %v; want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "now-", "now-h", "now24h", "now--1h", "now-1y", "yesterday", "2026", "2026-13-01", "now-99999d"} {
		if got, err := ParseTime(text, now); !errors.Is(err, ErrTime) {
			t.Errorf("ParseTime(%q) = %v, %v; want ErrTime", text, got, err)
		}
	}
}

func FuzzParseTimeNeverPanics(f *testing.F) {
	for _, s := range []string{"now", "now-1d", "2026-03-01", "1772352000", "now-"} {
		f.Add(s)
	}
	f.Fuzz(func(_ *testing.T, text string) {
		_, _ = ParseTime(text, time.Unix(0, 0))
		_, _ = ParseAge(text)
	})
}

func TestParseRefusesAFileWithoutHeader(t *testing.T) {
	for _, text := range []string{"SELECT 1", "/*\nname: x\n", "/*\nname: x\nunknown_key: y\n*/\nSELECT 1"} {
		if _, err := parse(text); err == nil {
			t.Errorf("parse(%q) passed", text)
		}
	}
}
