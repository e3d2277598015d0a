package detect

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/shopspring/decimal"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// A script is a timeline. Lines:
//
//	config <key>=<value> ...        detector settings, before the first event
//	budget team=<id> usd=<amount>   monthly budget
//	history team=<id> usd=<amount> hour=<RFC 3339>   spend before the stream, with "history before=<RFC 3339>"
//	start <RFC 3339>                sets the event clock
//	advance <duration>              moves it
//	event <key>=<value> ...         one event now; late=<duration> dates it back, ingest=<duration> after the clock
//	repeat <n> <duration> event ... n events, the clock moves after each
//	expect <detector> <key>=<value> ...  the next finding; values may be quoted; evidence keys work as keys
//	expect none                     no finding is waiting
//
// At the end no finding may be left.
type script struct {
	t        *testing.T
	cfg      Config
	budgets  map[string]Amount
	before   time.Time
	history  []HourlySpend
	now      time.Time
	set      *Set
	calls    int
	findings []*event.Finding
	keys     map[string]bool
	name     string
	line     int
}

func TestTimelines(t *testing.T) {
	files, err := filepath.Glob("testdata/detect/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts found: %v", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runScript(t, file) })
	}
}

func runScript(t *testing.T, file string) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	s := &script{t: t, cfg: DefaultConfig(), budgets: map[string]Amount{}, keys: map[string]bool{}, name: file,
		now: time.Date(2026, 10, 5, 10, 0, 0, 0, time.UTC)}
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		s.line++
		if line := strings.TrimSpace(scanner.Text()); line != "" && !strings.HasPrefix(line, "#") {
			s.run(fields(line))
		}
	}
	s.expect([]string{"none"})
}

func (s *script) failf(format string, args ...any) {
	s.t.Helper()
	s.t.Fatalf("%s:%d: %s", s.name, s.line, fmt.Sprintf(format, args...))
}

func (s *script) run(words []string) {
	s.t.Helper()
	switch verb, rest := words[0], words[1:]; verb {
	case "config":
		s.configure(pairs(rest))
	case "budget":
		p := pairs(rest)
		s.budgets[p["team"]] = AmountFromDecimal(decimal.RequireFromString(p["usd"]))
	case "history":
		s.addHistory(pairs(rest))
	case "start":
		s.now = s.time(rest[0])
	case "advance":
		s.now = s.now.Add(s.duration(rest[0]))
	case "event":
		s.event(pairs(rest))
	case "repeat":
		n, err := strconv.Atoi(rest[0])
		if err != nil || rest[2] != "event" {
			s.failf("bad repeat")
		}
		for range n {
			s.event(pairs(rest[3:]))
			s.now = s.now.Add(s.duration(rest[1]))
		}
	case "expect":
		s.expect(rest)
	default:
		s.failf("unknown verb %q", verb)
	}
}

func (s *script) configure(p map[string]string) {
	for key, value := range p {
		switch key {
		case "bucket":
			s.cfg.CostSpike.Bucket = s.duration(value)
		case "baseline_buckets":
			s.cfg.CostSpike.BaselineBuckets = s.int(value)
		case "min_buckets":
			s.cfg.CostSpike.MinBuckets = s.int(value)
		case "factor":
			s.cfg.CostSpike.Factor = s.float(value)
		case "min_impact_usd":
			s.cfg.CostSpike.MinImpactUSD = s.float(value)
		case "cold_start_usd":
			s.cfg.CostSpike.ColdStartUSD = s.float(value)
		case "cool_down":
			s.cfg.CostSpike.CoolDown = s.duration(value)
		case "lateness":
			s.cfg.CostSpike.Lateness = s.duration(value)
		case "dedup_window":
			s.cfg.OutOfScope.DedupWindow = s.duration(value)
		case "max_models":
			s.cfg.OutOfScope.MaxModels = s.int(value)
		case "max_credentials":
			s.cfg.UnknownCredential.MaxCredentials = s.int(value)
		case "unknown_credential":
			s.cfg.UnknownCredential.Enabled = value == "on"
		default:
			s.failf("unknown setting %q", key)
		}
	}
}

func (s *script) addHistory(p map[string]string) {
	if p["before"] != "" {
		s.before = s.time(p["before"])
		return
	}
	s.history = append(s.history, HourlySpend{
		TeamID: p["team"], Hour: s.time(p["hour"]), PicoUSD: pico(p["usd"]),
	})
}

func (s *script) event(p map[string]string) {
	s.t.Helper()
	if s.set == nil {
		s.open()
	}
	s.calls++
	e := &event.Event{
		CallId: "call-" + strconv.Itoa(s.calls), Phase: event.Phase_PHASE_RESPONSE,
		Identity:   &event.Identity{TeamId: "research", AppId: "support-bot", Principal: "svc-support", CredentialStatus: "active"},
		Credential: &event.Credential{Fingerprint: "mt1:0123456789abcdef0123456789abcdef"},
		Call:       &event.Call{Provider: "openai", RequestModel: "gpt-5.5", Operation: "chat"},
		Policy:     &event.Policy{Decision: event.PolicyDecision_POLICY_DECISION_ALLOW},
		Cost:       &event.Cost{},
		Gateway:    "edge", ClientAddress: "10.0.0.7",
	}
	at, ingested := s.now, s.now.Add(time.Second)
	for key, value := range p {
		if !s.setField(e, key, value) {
			switch key {
			case "late":
				at = s.now.Add(-s.duration(value))
			case "ahead":
				at = s.now.Add(s.duration(value))
			default:
				s.failf("unknown event key %q", key)
			}
		}
	}
	e.ObservedUnixNano, e.IngestedUnixNano = uint64(at.UnixNano()), uint64(ingested.UnixNano())
	s.set.Observe(e, func(f *event.Finding) { s.findings = append(s.findings, f) })
}

func (s *script) setField(e *event.Event, key, value string) bool {
	switch key {
	case "phase":
		if value == "request" {
			e.Phase = event.Phase_PHASE_REQUEST
		}
	case "call":
		e.CallId = value
	case "team":
		e.Identity.TeamId = value
	case "app":
		e.Identity.AppId = value
	case "owner":
		e.Identity.Owner = value
	case "status":
		e.Identity.CredentialStatus = value
	case "cred":
		e.Credential.Fingerprint = value
	case "model":
		e.Call.RequestModel = value
	case "tool":
		for name := range strings.SplitSeq(value, ",") {
			e.Call.ToolCalls = append(e.Call.ToolCalls, &event.ToolCall{Name: name})
		}
	case "deny":
		e.Policy.Decision, e.Policy.Rule = event.PolicyDecision_POLICY_DECISION_DENY, value
		e.Policy.PolicyId, e.Policy.PolicyVersion = "standard", "3"
	case "reason":
		e.Policy.Reason = value
	case "usd":
		v := pico(value)
		e.Cost.Status, e.Cost.TotalPicoUsd = event.CostStatus_COST_STATUS_PRICED, &v
	case "unpriced":
		e.Cost.Status = event.CostStatus_COST_STATUS_UNKNOWN_MODEL
	case "refused":
		e.Cost.Status = event.CostStatus_COST_STATUS_NOT_BILLED
	default:
		return false
	}
	return true
}

func (s *script) open() {
	s.t.Helper()
	settings := Settings{Budget: func(team string, _ time.Time) (Amount, bool) {
		a, ok := s.budgets[team]
		return a, ok
	}}
	if !s.before.IsZero() {
		settings.History = NewHistory(s.before, s.history)
	}
	set, err := NewSet(s.cfg, settings)
	if err != nil {
		s.failf("%v", err)
	}
	s.set = set
}

func (s *script) expect(words []string) {
	s.t.Helper()
	if words[0] == "none" {
		if len(s.findings) > 0 {
			s.failf("unexpected finding: %s\n%s\n%v", s.findings[0].GetTitle(), s.findings[0].GetDescription(), s.findings[0].GetEvidence())
		}
		return
	}
	if len(s.findings) == 0 {
		s.failf("no finding, expected %s", strings.Join(words, " "))
	}
	f := s.findings[0]
	s.findings = s.findings[1:]
	if f.GetDetector() != words[0] {
		s.failf("finding of %s, expected %s: %s", f.GetDetector(), words[0], f.GetTitle())
	}
	for key, want := range pairs(words[1:]) {
		if got := s.figure(f, key); got != want {
			s.failf("%s: got %q, expected %q\n%s\n%v", key, got, want, f.GetDescription(), f.GetEvidence())
		}
	}
}

func (s *script) figure(f *event.Finding, key string) string {
	switch key {
	case "title":
		return f.GetTitle()
	case "description":
		return f.GetDescription()
	case "severity":
		return strings.ToLower(strings.TrimPrefix(f.GetSeverity().String(), "SEVERITY_"))
	case "app":
		return f.GetAppId()
	case "model":
		return f.GetModel()
	case "call":
		return f.GetCallId()
	case "impact":
		if f.ImpactPicoUsd == nil {
			return "unknown"
		}
		return exactUSD(f.GetImpactPicoUsd())
	case "new":
		known := s.keys[f.GetKey()]
		s.keys[f.GetKey()] = true
		return map[bool]string{true: "no", false: "yes"}[known]
	}
	for _, a := range f.GetEvidence() {
		if a.GetKey() == key {
			return a.GetValue()
		}
	}
	return ""
}

func (s *script) duration(v string) time.Duration {
	d, err := time.ParseDuration(v)
	if err != nil {
		s.failf("%v", err)
	}
	return d
}

func (s *script) time(v string) time.Time {
	at, err := time.Parse(time.RFC3339, v)
	if err != nil {
		s.failf("%v", err)
	}
	return at
}

func (s *script) int(v string) int {
	n, err := strconv.Atoi(v)
	if err != nil {
		s.failf("%v", err)
	}
	return n
}

func (s *script) float(v string) float64 {
	n, err := strconv.ParseFloat(v, 64)
	if err != nil {
		s.failf("%v", err)
	}
	return n
}

func pico(usd string) int64 { return decimal.RequireFromString(usd).Shift(12).IntPart() }

// fields splits at spaces outside double quotes and drops the quotes.
func fields(line string) []string {
	var out []string
	var word strings.Builder
	quoted := false
	for _, r := range line + " " {
		switch {
		case r == '"':
			quoted = !quoted
		case r == ' ' && !quoted:
			if word.Len() > 0 {
				out = append(out, word.String())
				word.Reset()
			}
		default:
			word.WriteRune(r)
		}
	}
	return out
}

func pairs(words []string) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		key, value, _ := strings.Cut(w, "=")
		out[key] = value
	}
	return out
}
