package traffic

import (
	"context"
	"math"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/rs/zerolog"
	"go.uber.org/goleak"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// kolmogorov is the largest distance between the empirical distribution of values and that of a table.
func kolmogorov(values []float64, table *[101]float64) float64 {
	slices.Sort(values)
	worst := 0.0
	for i, v := range values {
		// A table with equal percentiles has a step: the distance is to the nearer end of it.
		low, _ := slices.BinarySearch(table[:], v)
		high := low
		for high < 100 && table[high] == v {
			high++
		}
		u := func(k int) float64 {
			if k == 0 || k > 100 {
				return min(float64(k), 100) / 100
			}
			if table[k] == table[k-1] {
				return float64(k) / 100
			}
			return (float64(k-1) + (v-table[k-1])/(table[k]-table[k-1])) / 100
		}
		above, below := float64(i+1)/float64(len(values))-u(max(high, low)), u(low)-float64(i)/float64(len(values))
		worst = max(worst, above, below)
	}
	return worst
}

func TestSampler_FollowsTheTables(t *testing.T) {
	const n = 20000
	s := newSampler(rand.New(rand.NewPCG(3, 4)), 0)
	var context, generated, gaps []float64
	total := 0.0
	for range n {
		c, g := s.tokens()
		context, generated = append(context, float64(c)), append(generated, float64(g))
		gap := s.gap().Seconds()
		total += gap
		gaps = append(gaps, gap/s.scale)
	}
	correlation := spearman(context, generated)
	// The critical value at 1 % is 1.63/sqrt(n) = 0.0115; rounding to whole tokens adds a little.
	for name, d := range map[string]float64{
		"context": kolmogorov(context, &traceContext), "generated": kolmogorov(generated, &traceGenerated), "gap": kolmogorov(gaps, &traceGap),
	} {
		t.Logf("%s: KS distance %.4f", name, d)
		if limit := 1.63 / math.Sqrt(n); d > limit+map[string]float64{"context": 0.02, "generated": 0.01, "gap": 0}[name] {
			t.Errorf("%s: KS distance %.4f", name, d)
		}
	}
	if math.Abs(correlation-traceCorrelation) > 0.03 {
		t.Errorf("rank correlation %.3f, want %.3f", correlation, traceCorrelation)
	}
	if mean := total / n; math.Abs(mean-traceMeanGap) > 0.01 {
		t.Errorf("mean gap %.4f s, want %.4f s", mean, traceMeanGap)
	}
}

// spearman without shared ranks: good enough for a tolerance of 0.03.
func spearman(x, y []float64) float64 {
	rank := func(v []float64) []float64 {
		order := make([]int, len(v))
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return int(math.Copysign(1, v[a]-v[b])) * boolInt(v[a] != v[b]) })
		out := make([]float64, len(v))
		for r, i := range order {
			out[i] = float64(r)
		}
		return out
	}
	a, b := rank(x), rank(y)
	mean := float64(len(a)-1) / 2
	var ab, aa float64
	for i := range a {
		ab += (a[i] - mean) * (b[i] - mean)
		aa += (a[i] - mean) * (a[i] - mean)
	}
	return ab / aa
}

func boolInt(b bool) int {
	if b {
		return 1
	}
	return 0
}

func TestPlan_IsAFunctionOfTheSeed(t *testing.T) {
	plan := func(seed uint64) []planned {
		cfg := DefaultConfig()
		cfg.Seed = seed
		p := newPlanner(cfg)
		var out []planned
		for range 500 {
			out = append(out, p.next())
		}
		return out
	}
	all := cmp.AllowUnexported(planned{}, app{})
	if diff := cmp.Diff(plan(1), plan(1), all); diff != "" {
		t.Error(diff)
	}
	if cmp.Equal(plan(1), plan(2), all, cmpopts.IgnoreFields(planned{}, "requestID")) {
		t.Error("two seeds gave one plan")
	}
	last := time.Duration(0)
	for _, c := range plan(7) {
		if c.at < last {
			t.Fatal("calls are out of order")
		}
		last = c.at
	}
}

func TestPlan_HoldsTheWholeScenario(t *testing.T) {
	cfg := DefaultConfig()
	p := newPlanner(cfg)
	kinds, apps, teams := map[string]int{}, map[string]bool{}, map[string]bool{}
	errors, aborts, tools, streams := 0, 0, 0, 0
	for c := p.next(); c.at < 10*time.Minute; c = p.next() {
		kinds[c.kind]++
		apps[c.app.id], teams[c.app.team] = true, true
		switch c.kind {
		case KindOutOfScope:
			if c.app.id != "support-bot" || c.app.model != scopeModel || c.script.Status != 0 || c.secret != secretOf("support-bot") {
				t.Errorf("%+v", c)
			}
		case KindUnknown:
			if c.secret != unknownSecret {
				t.Errorf("%+v", c)
			}
		case KindSpike:
			if c.app.team != "research" || c.app.model != spikeModel || c.at < cfg.SpikeAfter || c.at > cfg.SpikeAfter+cfg.SpikeFor {
				t.Errorf("%+v", c)
			}
		}
		errors += boolInt(c.script.Status > 0 || c.script.CutAfter > 0 || c.script.ErrorAfter > 0)
		aborts += boolInt(c.abort > 0)
		tools += boolInt(c.tool && c.kind == KindBaseline)
		streams += boolInt(c.stream)
	}
	if kinds[KindOutOfScope] != 1 || kinds[KindUnknown] != 1 || kinds[KindSpike] != 60 || len(apps) < 7 || len(teams) < 4 {
		t.Errorf("%v, %d apps, %d teams", kinds, len(apps), len(teams))
	}
	if errors == 0 || aborts == 0 || tools == 0 || streams == 0 {
		t.Errorf("%d errors, %d aborts, %d tool calls, %d streams", errors, aborts, tools, streams)
	}
	cfg.OutOfScopeAfter, cfg.UnknownAfter, cfg.SpikeAfter = -1, -1, -1
	p = newPlanner(cfg)
	for range 1000 {
		if c := p.next(); c.kind != KindBaseline {
			t.Fatal("a part of the scenario was not left out")
		}
	}
	cfg = DefaultConfig()
	cfg.Repeat, cfg.SpikeAfter = time.Minute, -1
	p, kinds = newPlanner(cfg), map[string]int{}
	for c := p.next(); c.at < 3*time.Minute; c = p.next() {
		kinds[c.kind]++
	}
	if kinds[KindOutOfScope] != 3 {
		t.Errorf("repeated: %v", kinds)
	}
}

// gateway is the provider behind the two prefixes of a tap.
func gateway(t *testing.T, wrap func(http.Handler) http.Handler) string {
	t.Helper()
	p := provider.New()
	mux := http.NewServeMux()
	mux.Handle("/openai/", http.StripPrefix("/openai", p))
	mux.Handle("/anthropic/", http.StripPrefix("/anthropic", p))
	srv := httptest.NewServer(wrap(mux))
	t.Cleanup(srv.Close)
	return srv.URL
}

func TestRun_AgainstTheProvider_EndsAsPlanned(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TapURL = gateway(t, func(h http.Handler) http.Handler { return h })
	cfg.Rate, cfg.FrameDelay, cfg.Concurrency, cfg.MaxCalls = 400, 200*time.Microsecond, 64, 700
	cfg.OutOfScopeAfter, cfg.UnknownAfter, cfg.SpikeAfter, cfg.SpikeFor = 50*time.Millisecond, 100*time.Millisecond, 300*time.Millisecond, time.Second
	cfg.SpikeRate = 50
	stats, err := Run(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{}
	teams := map[string]TeamStats{}
	p := newPlanner(cfg)
	for range cfg.MaxCalls {
		c := p.next()
		outcome := OutcomeComplete
		switch {
		case c.script.Status > 0:
			outcome = OutcomeHTTPError
		case c.script.CutAfter > 0:
			outcome = OutcomeBroken
		case c.script.ErrorAfter > 0:
			outcome = OutcomeErrorEvent
		case c.abort > 0:
			outcome = OutcomeClientAbort
		}
		want[outcome]++
		s := teams[c.app.team]
		s.Calls++
		if outcome == OutcomeComplete {
			s.PromptTokens += c.script.PromptTokens
			s.CompletionTokens += c.script.CompletionTokens
		}
		teams[c.app.team] = s
	}
	if diff := cmp.Diff(want, stats.Outcomes); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(teams, stats.Teams); diff != "" {
		t.Error(diff)
	}
	if stats.Calls != cfg.MaxCalls || stats.Kinds[KindSpike] != 50 || stats.Kinds[KindOutOfScope] != 1 || stats.Kinds[KindUnknown] != 1 {
		t.Errorf("%+v", stats)
	}
	t.Logf("%d calls, %d waited, %.2f s, outcomes %v", stats.Calls, stats.Waited, stats.Elapsed.Seconds(), stats.Outcomes)
}

func TestRun_Stopped_ReturnsSoon(t *testing.T) {
	cfg := DefaultConfig()
	cfg.TapURL = gateway(t, func(h http.Handler) http.Handler { return h })
	ctx, cancel := context.WithTimeout(t.Context(), 300*time.Millisecond)
	defer cancel()
	start := time.Now()
	if _, err := Run(ctx, cfg, zerolog.Nop()); err != nil || time.Since(start) > 3*time.Second {
		t.Errorf("%v after %v", err, time.Since(start))
	}
}

func TestRun_WrongConfig_IsRefused(t *testing.T) {
	if _, err := Run(t.Context(), Config{}, zerolog.Nop()); err == nil {
		t.Error("an empty configuration was accepted")
	}
}
