package detect

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// fleet is a synthetic company: teams with office hours, weekends, heavy-tailed calls, hourly jobs, and labelled
// spikes. Without spikes it is the clean half that counts false alerts.
type fleet struct {
	r      *rand.Rand
	set    *Set
	spikes []spike
	impact map[string]float64 // dollars that spikes added, by team
	at     map[string][]time.Time
}

type spike struct {
	team     string
	from, to time.Time
	factor   float64
}

func (f *fleet) run(t *testing.T, teams, days int) {
	t.Helper()
	begin := time.Date(2026, 9, 7, 0, 0, 0, 0, time.UTC) // a Monday
	for n := range teams {
		team := fmt.Sprint("team-", n)
		level := math.Exp(f.r.NormFloat64()*1.2) * 2 // dollars per five minutes at noon
		human, nightly := n%3 != 0, n%7 == 0
		for minute := range days * 24 * 60 {
			at := begin.Add(time.Duration(minute) * time.Minute)
			rate := level / 5
			if human {
				rate *= officeHours(at)
			}
			if nightly && at.Hour() == 2 && at.Minute() < 30 {
				rate += level
			}
			factor := f.factor(team, at)
			f.impact[team] += rate * (factor - 1)
			rate *= factor
			f.minute(team, at, rate)
		}
	}
}

func officeHours(at time.Time) float64 {
	hour := float64(at.Hour()) + float64(at.Minute())/60
	shape := 0.02 + math.Exp(-math.Pow((hour-13)/3.5, 4))
	if day := at.Weekday(); day == time.Saturday || day == time.Sunday {
		return 0.05 * shape
	}
	return shape
}

func (f *fleet) factor(team string, at time.Time) float64 {
	for _, s := range f.spikes {
		if s.team == team && !at.Before(s.from) && at.Before(s.to) {
			return s.factor
		}
	}
	return 1
}

// minute spends a rate in heavy-tailed calls of four cents on average.
func (f *fleet) minute(team string, at time.Time, rate float64) {
	const mean, sigma = 0.04, 1.0
	calls := rate / mean
	n := int(calls)
	if f.r.Float64() < calls-float64(n) {
		n++
	}
	for i := range n {
		pico := int64(mean * math.Exp(sigma*f.r.NormFloat64()-sigma*sigma/2) * picoPerUSD)
		when := at.Add(time.Duration(i) * time.Minute / time.Duration(n))
		f.set.Observe(&event.Event{
			Phase: event.Phase_PHASE_RESPONSE, ObservedUnixNano: uint64(when.UnixNano()),
			Identity: &event.Identity{TeamId: team}, Cost: &event.Cost{Status: event.CostStatus_COST_STATUS_PRICED, TotalPicoUsd: &pico},
		}, func(*event.Finding) { f.at[team] = append(f.at[team], when) })
	}
}

func newFleet(t *testing.T, seed uint64) *fleet {
	t.Helper()
	cfg := DefaultConfig()
	cfg.Budget.Enabled = false
	set, err := NewSet(cfg, Settings{})
	if err != nil {
		t.Fatal(err)
	}
	return &fleet{r: rand.New(rand.NewPCG(seed, 9)), set: set, at: map[string][]time.Time{}, impact: map[string]float64{}}
}

// fleetTeams is 15 in the normal run; MODELTRAIL_FLEET_TEAMS raises it for a longer measurement.
func fleetTeams() int {
	if n, err := strconv.Atoi(os.Getenv("MODELTRAIL_FLEET_TEAMS")); err == nil && n > 0 {
		return n
	}
	return 15
}

func TestCleanFleetRaisesFewAlerts(t *testing.T) {
	if testing.Short() {
		t.Skip("a fleet of calls takes seconds")
	}
	f := newFleet(t, 1)
	teams, days := fleetTeams(), 14
	f.run(t, teams, days)
	all, settled := 0, 0
	for _, times := range f.at {
		for _, at := range times {
			all++
			if at.After(time.Date(2026, 9, 10, 0, 0, 0, 0, time.UTC)) { // the same hour of three days is known
				settled++
			}
		}
	}
	perDay := float64(settled) / float64(days-3) / float64(teams) * 1000
	t.Logf("%d teams, %d days: %d false alerts, %d of them after the first three days: %.1f per day and 1000 teams", teams, days, all, settled, perDay)
	if perDay > 10 {
		t.Errorf("%.1f false alerts per day and 1000 teams", perDay)
	}
}

func TestSpikesAreFoundWithinMinutes(t *testing.T) {
	if testing.Short() {
		t.Skip("a fleet of calls takes seconds")
	}
	f := newFleet(t, 2)
	teams := fleetTeams()
	for n := range teams {
		if n%7 == 0 {
			continue
		}
		from := time.Date(2026, 9, 16, 9+n%6, n%60, 0, 0, time.UTC)
		f.spikes = append(f.spikes, spike{fmt.Sprint("team-", n), from, from.Add(time.Duration(30+n%60) * time.Minute), 6 + float64(n%5)*3})
	}
	f.run(t, teams, 10)
	const worth = 20 // dollars: what smaller ones cost is not worth waking somebody
	found, repeated, spikes := 0, 0, 0
	var delays []time.Duration
	for _, s := range f.spikes {
		if f.impact[s.team] < worth {
			continue
		}
		spikes++
		hits := 0
		for _, at := range f.at[s.team] {
			if !at.Before(s.from) && at.Before(s.to.Add(30*time.Minute)) {
				if hits == 0 {
					delays = append(delays, at.Sub(s.from))
				}
				hits++
			}
		}
		if hits == 0 {
			t.Logf("missed: %s at %s for %s, factor %.0f, $%.0f", s.team, s.from, s.to.Sub(s.from), s.factor, f.impact[s.team])
		}
		found += min(hits, 1)
		repeated += max(hits-1, 0)
	}
	slices.Sort(delays)
	if len(delays) == 0 {
		t.Fatal("no spike was found")
	}
	t.Logf("%d of %d spikes found, %d repeats, delay median %s, p95 %s", found, spikes, repeated,
		delays[len(delays)/2].Round(time.Second), delays[len(delays)*95/100].Round(time.Second))
	if recall := float64(found) / float64(spikes); recall < 0.95 || repeated > 0 || delays[len(delays)/2] > 5*time.Minute {
		t.Errorf("recall %.2f", recall)
	}
}
