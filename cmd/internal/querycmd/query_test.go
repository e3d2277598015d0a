package querycmd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/spf13/cobra"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/schemas/ddl"
)

// engineUser starts an engine with the schema and one call, and opens it as the user that pick chooses.
func engineUser(t *testing.T, pick func(admin, reader engine.User) engine.User) Open {
	t.Helper()
	e := enginetest.Start(t)
	admin, reader := e.Users()
	dial := func(u engine.User) (driver.Conn, error) {
		opt, err := clickhouse.ParseDSN(enginetest.DSN(e, u))
		if err != nil {
			return nil, err
		}
		return clickhouse.Open(opt)
	}
	conn, err := dial(admin)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := ddl.Apply(t.Context(), conn, ddl.DefaultOptions()); err != nil {
		t.Fatal(err)
	}
	if err := conn.Exec(t.Context(), "INSERT INTO calls (call_id, started_at, ingested_at, team_id, app_id, cost_usd) VALUES ('c1', now64(6) - 60, now64(3), 'payments', 'checkout', 0.25)"); err != nil {
		t.Fatal(err)
	}
	return func(context.Context) (driver.Conn, error) { return dial(pick(admin, reader)) }
}

func asAdmin(admin, _ engine.User) engine.User   { return admin }
func asReader(_, reader engine.User) engine.User { return reader }

func execute(t *testing.T, cmd *cobra.Command, stdin string, args ...string) (string, error) {
	t.Helper()
	var out bytes.Buffer
	cmd.SetOut(&out)
	cmd.SetErr(&out)
	cmd.SetIn(strings.NewReader(stdin))
	cmd.SilenceUsage, cmd.SilenceErrors = true, true
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(t.Context())
	return out.String(), err
}

func TestQueryAnswersFromNameSQLFileAndStandardInput(t *testing.T) {
	open := engineUser(t, asReader)
	script := filepath.Join(t.TempDir(), "q.sql")
	if err := os.WriteFile(script, []byte("-- how many?\nSELECT count() AS n FROM calls WHERE team_id = {team:String};\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		args  []string
		stdin string
		want  string
	}{
		"name":           {[]string{"what-app-did", "-p", "app=checkout", "--format", "json"}, "", `"call_id":"c1"`},
		"sql":            {[]string{"--sql", "SELECT {team:String} AS team, 18446744073709551615 AS big", "-p", "team=it's; \t\\n", "--format", "json"}, "", `{"team":"it's; \t\\n","big":"18446744073709551615"}`},
		"file":           {[]string{"--file", script, "-p", "team=payments", "--format", "csv"}, "", "n\n1\n"},
		"standard input": {[]string{"--file", "-", "--format", "json"}, "SELECT sum(cost_usd) AS cost FROM calls", `{"cost":"0.25"}`},
		"table":          {[]string{"--sql", "SELECT CAST(NULL, 'Nullable(String)') AS nothing"}, "", "│ -       │"},
		"none":           {[]string{"what-app-did", "-p", "app=other"}, "", "no rows"},
		"none, expected": {[]string{"what-app-did", "-p", "app=other", "--expect", "none"}, "", "no rows"},
		"list":           {[]string{"--list"}, "", "model (required)"},
		"show":           {[]string{"what-app-did", "--show"}, "", "FROM v_calls"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := execute(t, NewQuery(open), c.stdin, c.args...)
			if err != nil {
				t.Fatal(err)
			}
			if !strings.Contains(got, c.want) {
				t.Errorf("output lacks %q:\n%s", c.want, got)
			}
		})
	}
}

func TestQueryNeverChangesAnything(t *testing.T) {
	open := engineUser(t, asAdmin)
	for _, sql := range []string{"DROP TABLE calls", "INSERT INTO calls (call_id) VALUES ('x')", "ALTER TABLE calls DELETE WHERE 1", "SELECT 1 SETTINGS readonly = 0", "SELECT 1; DROP TABLE calls"} {
		if out, err := execute(t, NewQuery(open), "", "--sql", sql); err == nil {
			t.Errorf("%s passed: %s", sql, out)
		}
	}
	got, err := execute(t, NewQuery(open), "", "--sql", "SELECT count() AS n FROM calls", "--format", "json")
	if err != nil || got != `{"n":1}`+"\n" {
		t.Errorf("calls changed: %s %v", got, err)
	}
}

func TestQueryNamesTheCause(t *testing.T) {
	open := engineUser(t, asReader)
	for name, c := range map[string]struct {
		args  []string
		cause error
		want  []string
	}{
		"unknown name":      {[]string{"app-did-what"}, ErrUsage, []string{"unknown query", "did you mean what-app-did?"}},
		"missing parameter": {[]string{"what-app-did"}, ErrUsage, []string{"app is required"}},
		"not a pair":        {[]string{"what-app-did", "-p", "app"}, ErrUsage, []string{"not name=value"}},
		"nothing asked":     {nil, ErrUsage, []string{"--list"}},
		"asked twice":       {[]string{"findings", "--sql", "SELECT 1"}, ErrUsage, []string{"one of"}},
		"bad format":        {[]string{"findings", "--format", "xml"}, ErrUsage, []string{"table, json, csv, parquet"}},
		"bad expectation":   {[]string{"findings", "--expect", "some"}, ErrUsage, []string{"rows or none"}},
		"unknown table":     {[]string{"--sql", "SELECT * FROM nothing_here"}, nil, []string{"UNKNOWN_TABLE", "nothing_here"}},
		"unmet expectation": {[]string{"what-app-did", "-p", "app=checkout", "--expect", "none"}, ErrExpectation, []string{"found 1 rows"}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := execute(t, NewQuery(open), "", c.args...)
			if err == nil || (c.cause != nil && !errors.Is(err, c.cause)) {
				t.Fatalf("error is %v, want %v", err, c.cause)
			}
			for _, want := range c.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("error lacks %q: %v", want, err)
				}
			}
			if strings.Contains(err.Error(), "Stack trace") || strings.Contains(err.Error(), "DB::") {
				t.Errorf("error shows the server's inside: %v", err)
			}
		})
	}
}

func TestAnOutputFileAppearsOnlyWhenTheQuerySucceeds(t *testing.T) {
	open := engineUser(t, asReader)
	dir := t.TempDir()
	target := filepath.Join(dir, "calls.parquet")
	if _, err := execute(t, NewQuery(open), "", "--sql", "SELECT * FROM calls", "--output", target); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(target)
	if err != nil || !bytes.HasPrefix(written, []byte("PAR1")) {
		t.Fatalf("not Parquet: %.8q %v", written, err)
	}
	if _, err := execute(t, NewQuery(open), "", "--sql", "SELECT throwIf(number = 100000, 'broken') FROM numbers(200000)", "--output", target); err == nil {
		t.Fatal("a query that fails in the middle passed")
	}
	again, err := os.ReadFile(target)
	if err != nil || !bytes.Equal(written, again) {
		t.Errorf("the failed query touched the file: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left behind: %v %v", entries, err)
	}
}

func TestEveryColumnOfEveryTableCanBeExported(t *testing.T) {
	open := engineUser(t, asReader)
	for _, table := range []string{"calls", "envelopes", "payloads", "tool_calls", "findings", "dead_letters", "spend_hourly", "credential_inventory", "team_budgets", "v_findings", "v_budget_month"} {
		for _, format := range []string{"json", "csv", "parquet"} {
			if _, err := execute(t, NewQuery(open), "", "--sql", "SELECT * FROM "+table, "--output", filepath.Join(t.TempDir(), "x"), "--format", format); err != nil {
				t.Errorf("%s as %s: %v", table, format, err)
			}
		}
	}
	got, err := execute(t, NewQuery(open), "", "--sql", "SELECT * FROM calls", "--format", "json")
	if err != nil || !json.Valid([]byte(got)) {
		t.Errorf("calls as JSON: %v\n%s", err, got)
	}
}

func TestCompletionOffersNamesParametersAndValues(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"names":      {[]string{"__complete", "query", "what-"}, "what-app-did\t"},
		"parameters": {[]string{"__complete", "query", "findings", "--param", "min"}, "min_severity=\t"},
		"values":     {[]string{"__complete", "query", "findings", "--param", "min_severity=h"}, "min_severity=high"},
		"formats":    {[]string{"__complete", "query", "--format", ""}, "parquet"},
	} {
		t.Run(name, func(t *testing.T) {
			root := &cobra.Command{Use: "modeltrail"}
			root.AddCommand(NewQuery(nil))
			got, err := execute(t, root, "", c.args...)
			if err != nil || !strings.Contains(got, c.want) {
				t.Errorf("completion lacks %q: %v\n%s", c.want, err, got)
			}
		})
	}
}
