package detect

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// finding tells one episode. The key names the team and the cool-down period in which the episode began: two
// episodes begin at least a cool-down apart, so they never share one, and an episode that a replay dates a
// bucket earlier or later mostly keeps its key.
func (d *costSpike) finding(team *teamSpend, index int64, b *bucket, base *baseline, run streak, e *event.Event) *event.Finding {
	name := e.GetIdentity().GetTeamId()
	period := strconv.FormatInt(floorDiv(index, d.cool), 10)
	f := newFinding(nameCostSpike, Key(nameCostSpike, name, period), event.Severity_SEVERITY_MEDIUM, e)
	start := index * d.width
	elapsed := max(eventTime(e)-start, d.width/10)
	pace := scale(b.pico, float64(d.width)/float64(elapsed))
	f.Severity = d.severity(pace, base)
	f.FirstSeenUnixNano = uint64(start)
	f.ImpactPicoUsd = &run.impact
	f.AppId, f.Model, f.CredentialFingerprint, f.Principal, f.Provider = "", "", "", "", ""
	f.PolicyId, f.PolicyRule = "", ""

	attribute(f, "observed_usd", exactUSD(b.pico))
	attribute(f, "window", span(d.cfg.Bucket))
	attribute(f, "window_start", time.Unix(0, start).UTC().Format(time.RFC3339))
	attribute(f, "pace_usd_per_window", exactUSD(pace))
	attribute(f, "windows_in_excess", strconv.Itoa(run.windows))
	attribute(f, "calls", strconv.FormatUint(uint64(b.calls), 10))
	attribute(f, "unpriced_calls", strconv.FormatUint(uint64(b.unpriced), 10))
	attribute(f, "baseline_buckets", strconv.Itoa(base.buckets))
	if base.warm {
		attribute(f, "baseline_usd", exactUSD(base.usual))
		attribute(f, "threshold_usd", exactUSD(base.threshold))
		attribute(f, "baseline_source", baselineSource(base))
		if base.usual > 0 {
			attribute(f, "factor", ratio(b.pico, base.usual))
		}
	} else {
		attribute(f, "cold_start_usd", exactUSD(d.coldStart))
	}
	shares := team.shares(index)
	d.attributeShares(f, shares, b.pico)
	d.write(f, orUnknown(name), b, base, run, shares, eventTime(e)-start)
	return f
}

// severity weighs the pace, not the sum: at the moment of crossing every spike is barely above its threshold.
func (d *costSpike) severity(pace int64, base *baseline) event.Severity {
	impact := pace - base.usual
	steep := base.usual == 0 || pace/10 >= base.usual
	switch {
	case steep && impact >= scale(d.minImpact, 200):
		return event.Severity_SEVERITY_CRITICAL
	case steep && impact >= scale(d.minImpact, 2), impact >= scale(d.minImpact, 20):
		return event.Severity_SEVERITY_HIGH
	}
	return event.Severity_SEVERITY_MEDIUM
}

func (d *costSpike) write(f *event.Finding, team string, b *bucket, base *baseline, run streak, s shares, elapsed int64) {
	within := span(max(time.Duration(elapsed).Round(time.Second), time.Second))
	var text strings.Builder
	if base.warm {
		f.Title = fmt.Sprintf("Cost spike: team %s spent %s in %s, usual is %s per %s",
			team, shortUSD(b.pico), within, shortUSD(base.usual), span(d.cfg.Bucket))
		fmt.Fprintf(&text, "Team %s spent %s within %s of the window that began at %s. Usual is %s per %s (%s over %d buckets with calls), the threshold was %s.",
			team, shortUSD(b.pico), within, clockTime(int64(f.FirstSeenUnixNano)), shortUSD(base.usual), span(d.cfg.Bucket),
			baselineSource(base), base.buckets, shortUSD(base.threshold))
	} else {
		f.Title = fmt.Sprintf("Cost spike: team %s spent %s in %s without a baseline", team, shortUSD(b.pico), within)
		fmt.Fprintf(&text, "Team %s spent %s within %s of the window that began at %s. It has too few buckets with calls for a baseline, so the absolute limit of %s per %s applies.",
			team, shortUSD(b.pico), within, clockTime(int64(f.FirstSeenUnixNano)), shortUSD(d.coldStart), span(d.cfg.Bucket))
	}
	if run.windows > 1 {
		fmt.Fprintf(&text, " It is window %d in a row above that, %s beyond usual in all.", run.windows, shortUSD(run.impact))
	}
	if s.app.pico > 0 {
		fmt.Fprintf(&text, " App %s made %s of it, model %s %s, credential %s %s.",
			orUnknown(s.app.name), percent(s.app.pico, b.pico), label(s.model.name), percent(s.model.pico, b.pico),
			orUnknown(s.credential.name), percent(s.credential.pico, b.pico))
	}
	if b.unpriced > 0 {
		fmt.Fprintf(&text, " %d of %d calls have no price and are not in this figure.", b.unpriced, b.calls)
	}
	text.WriteString(" Ask the owner whether the load was planned. If not, look for a retry loop or a larger model first, then limit or rotate the credential at the gateway.")
	f.Description = text.String()
}

func (d *costSpike) attributeShares(f *event.Finding, s shares, total int64) {
	if s.app.pico == 0 {
		return
	}
	f.AppId, f.Model, f.CredentialFingerprint = clean(s.app.name), labelOrEmpty(s.model.name), clean(s.credential.name)
	attribute(f, "top_app", orUnknown(s.app.name))
	attribute(f, "top_app_share", percent(s.app.pico, total))
	attribute(f, "top_model", label(s.model.name))
	attribute(f, "top_model_share", percent(s.model.pico, total))
	attribute(f, "top_credential", orUnknown(s.credential.name))
	attribute(f, "top_credential_share", percent(s.credential.pico, total))
}

// share is the largest contributor of one kind.
type share struct {
	name string
	pico int64
}

type shares struct{ app, model, credential share }

// shares finds the largest app, model and credential of a bucket.
func (t *teamSpend) shares(index int64) shares {
	side := floorMod(index, 2)
	if t.split.index[side] != index {
		return shares{}
	}
	apps, models, credentials := map[string]int64{}, map[string]int64{}, map[string]int64{}
	for key, sums := range t.split.pico {
		pico := sums[side]
		apps[key.app] = addSaturating(apps[key.app], pico)
		models[key.model] = addSaturating(models[key.model], pico)
		credentials[key.credential] = addSaturating(credentials[key.credential], pico)
	}
	return shares{app: largest(apps), model: largest(models), credential: largest(credentials)}
}

// largest returns the greatest entry, the first by name among equals.
func largest(sums map[string]int64) share {
	var out share
	for name, pico := range sums {
		if pico > out.pico || (pico == out.pico && name < out.name) {
			out = share{name, pico}
		}
	}
	return out
}

func baselineSource(base *baseline) string {
	if base.seasonal {
		return "same hour of earlier days"
	}
	return "median"
}

func ratio(a, b int64) string { return strconv.FormatFloat(float64(a)/float64(b), 'f', 1, 64) }

func percent(a, b int64) string {
	if b == 0 {
		return "0 %"
	}
	return strconv.FormatFloat(100*float64(a)/float64(b), 'f', 0, 64) + " %"
}
