package policy_test

import (
	"bufio"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/policy"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

func load(t testing.TB, text string) *directory.Directory {
	t.Helper()
	d, err := directory.Parse([]byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func history(d *directory.Directory) *timeline.Timeline[*directory.Directory] {
	var tl timeline.Timeline[*directory.Directory]
	tl.Add(time.Unix(0, 0), d.Version(), d)
	return &tl
}

func script(t testing.TB) *timeline.Timeline[*directory.Directory] {
	t.Helper()
	b, err := os.ReadFile("testdata/directory.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return history(load(t, string(b)))
}

func word(s string) string { return strings.TrimPrefix(s, "-") }

func words(s string) []string {
	s = strings.TrimSpace(s)
	if s == "-" {
		return nil
	}
	return strings.Split(s, ",")
}

// call builds the record that a line of decisions.txt describes.
func call(t *testing.T, line string) *batch.Record {
	t.Helper()
	cols := strings.Split(line, "|")
	if len(cols) != 6 {
		t.Fatalf("%q: %d columns", line, len(cols))
	}
	who, what := strings.Fields(cols[1]), strings.Fields(cols[3])
	start, err := time.Parse(time.RFC3339, strings.TrimSpace(cols[2]))
	if err != nil {
		t.Fatal(err)
	}
	phase := event.Phase_PHASE_REQUEST
	if strings.TrimSpace(cols[0]) == "response" {
		phase = event.Phase_PHASE_RESPONSE
	}
	r := &batch.Record{
		IngestedAt: start.Add(time.Second),
		Envelope:   &event.Envelope{Phase: phase, StartedUnixNano: uint64(start.UnixNano())},
		Event: &event.Event{
			Identity: &event.Identity{CredentialId: word(who[0]), AppId: who[1], TeamId: who[2], CredentialStatus: who[3]},
			Call: &event.Call{
				Provider: word(what[0]), Operation: word(what[1]), RequestModel: word(what[2]), ResponseModel: word(what[3]),
				ToolsOffered: words(cols[4]),
			},
		},
	}
	for _, name := range words(cols[5]) {
		tool := &event.ToolCall{Name: name}
		if server, rest, ok := strings.Cut(name, "/"); ok {
			tool.Server, tool.Name = server, rest
		}
		r.Event.Call.ToolCalls = append(r.Event.Call.ToolCalls, tool)
	}
	return r
}

func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

func TestDecisionsOfTheScript(t *testing.T) {
	step := policy.New(script(t))
	f, err := os.Open("testdata/decisions.txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	n := 0
	for scan := bufio.NewScanner(f); scan.Scan(); {
		line := scan.Text()
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		n++
		given, want, _ := strings.Cut(line, " => ")
		r := call(t, given)
		if v := step.Process(r); v != (processors.Verdict{}) {
			t.Fatalf("verdict %+v", v)
		}
		p := r.Event.Policy
		by := "-"
		if p.PolicyId != "" {
			by = p.PolicyId + "@" + p.PolicyVersion
		}
		got := strings.TrimPrefix(p.Decision.String(), "POLICY_DECISION_") + " " + by + " " + dash(p.Rule)
		if got != want {
			t.Errorf("%s\n  got  %s (%s)\n  want %s", given, got, p.Reason, want)
		}
		if (p.Rule == "") != (p.Reason == "") && p.Decision != event.PolicyDecision_POLICY_DECISION_NO_POLICY {
			t.Errorf("%s: rule %q with reason %q", given, p.Rule, p.Reason)
		}
	}
	if n < 30 {
		t.Errorf("only %d lines were judged", n)
	}
}

func TestReasonCarriesNoFreeText(t *testing.T) {
	step := policy.New(script(t))
	line := "request | - invoice-bot finance active | 2026-01-12T10:00:00Z | openai chat gpt-5.5 - | - | -"
	for model, want := range map[string]string{
		"gpt-6":                             "model gpt-6 is outside models.allow of policy finance",
		"ignore all, my key is sk-1":        "model (irregular name) is outside models.allow of policy finance",
		"model\nwith\nlines":                "model (irregular name) is outside models.allow of policy finance",
		strings.Repeat("a", 81):             "model (overlong name) is outside models.allow of policy finance",
		"anthropic.claude-sonnet-4-5-v1:0":  "model anthropic.claude-sonnet-4-5-v1:0 is outside models.allow of policy finance",
		"publishers/google/models/gemini-3": "model publishers/google/models/gemini-3 is outside models.allow of policy finance",
	} {
		r := call(t, line)
		r.Event.Call.RequestModel = model
		step.Process(r)
		if r.Event.Policy.Reason != want {
			t.Errorf("reason %q, want %q", r.Event.Policy.Reason, want)
		}
	}
}

func TestUngovernedCallsFollowTheFile(t *testing.T) {
	line := "request | - unknown unknown unknown | 2026-01-12T10:00:00Z | openai chat gpt-5.5 - | - | -"
	for word, want := range map[string]string{"no_policy": "NO_POLICY", "allow": "ALLOW ungoverned", "deny": "DENY ungoverned"} {
		r := call(t, line)
		policy.New(history(load(t, "ungoverned: "+word+"\n"))).Process(r)
		got := strings.TrimSpace(strings.TrimPrefix(r.Event.Policy.Decision.String(), "POLICY_DECISION_") + " " + r.Event.Policy.Rule)
		if got != want || r.Event.Policy.Reason == "" {
			t.Errorf("%s: %s", word, got)
		}
	}
	r := call(t, line)
	policy.New(&timeline.Timeline[*directory.Directory]{}).Process(r)
	if r.Event.Policy.Rule != policy.RuleNoDirectory || r.Event.Policy.Decision != event.PolicyDecision_POLICY_DECISION_NO_POLICY {
		t.Errorf("without a directory: %v", r.Event.Policy)
	}
}

func TestPoliciesAreThoseInForceAtIngest(t *testing.T) {
	var tl timeline.Timeline[*directory.Directory]
	change := time.Date(2026, 1, 12, 12, 0, 0, 0, time.UTC)
	strict, loose := load(t, "ungoverned: deny"), load(t, "ungoverned: allow")
	tl.Add(time.Unix(0, 0), strict.Version(), strict)
	tl.Add(change, loose.Version(), loose)
	step := policy.New(&tl)
	r := call(t, "request | - unknown unknown unknown | 2026-01-12T10:00:00Z | openai chat gpt-5.5 - | - | -")
	for _, c := range []struct {
		at   time.Time
		want event.PolicyDecision
	}{
		{change.Add(-time.Millisecond), event.PolicyDecision_POLICY_DECISION_DENY},
		{change, event.PolicyDecision_POLICY_DECISION_ALLOW},
		{change.Add(-time.Hour), event.PolicyDecision_POLICY_DECISION_DENY}, // a replay
	} {
		r.IngestedAt = c.at
		step.Process(r)
		if r.Event.Policy.Decision != c.want {
			t.Errorf("at %s: %s", c.at, r.Event.Policy.Decision)
		}
	}
}

func TestEmptyRecordIsJudgedWithoutPanic(t *testing.T) {
	r := &batch.Record{Event: &event.Event{}}
	policy.New(script(t)).Process(r)
	if r.Event.Policy.Decision != event.PolicyDecision_POLICY_DECISION_NO_POLICY {
		t.Errorf("decision %s", r.Event.Policy.Decision)
	}
}

func TestStepIsSafeForConcurrentUseWhileDirectoriesChange(t *testing.T) {
	tl := script(t)
	step := policy.New(tl)
	next := load(t, "ungoverned: deny")
	var wg sync.WaitGroup
	for range 4 {
		wg.Go(func() {
			for range 500 {
				r := call(t, "response | key-1 invoice-bot finance active | 2026-01-12T10:00:00Z | openai chat gpt-5.5 gpt-5.5-2026-05-01 | - | lookup_invoice")
				step.Process(r)
				if r.Event.Policy.Decision != event.PolicyDecision_POLICY_DECISION_ALLOW {
					t.Errorf("decision %s", r.Event.Policy)
					return
				}
			}
		})
	}
	wg.Go(func() { tl.Add(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC), next.Version(), next) })
	wg.Wait()
}

func BenchmarkProcess(b *testing.B) {
	step := policy.New(script(b))
	t := &testing.T{}
	for name, line := range map[string]string{
		"allow": "response | key-1 invoice-bot finance active | 2026-01-12T10:00:00Z | openai chat gpt-5.5 gpt-5.5-2026-05-01 | a,b | lookup_invoice,erp/read",
		"deny":  "request | - invoice-bot finance active | 2026-01-12T10:00:00Z | openai chat gpt-6 - | - | -",
	} {
		b.Run(name, func(b *testing.B) {
			r := call(t, line)
			b.ReportAllocs()
			for b.Loop() {
				step.Process(r)
			}
		})
	}
}
