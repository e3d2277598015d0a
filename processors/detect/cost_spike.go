package detect

import (
	"strings"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// nameCostSpike is the detector name of spend that leaves its usual range.
const nameCostSpike = "cost_spike"

// costSpike watches what each team spends per bucket of event time and reports, while the bucket is still
// running, that it exceeds what is usual.
//
// Usual is the median of the last baseline_buckets buckets with calls, or what the same hour of earlier days cost
// if that is more. An excess must also stand six robust deviations (MAD) above the median and a quarter above the
// largest quiet bucket, or series with few heavy calls would alert all day. The median was chosen over an
// exponential average for two reasons: half of its buckets may be spikes without moving it, and it forgets
// completely, so a replay of a bounded stretch gives the state of a run that was never interrupted.
type costSpike struct {
	cfg       CostSpikeConfig
	width     int64 // of a bucket, nanoseconds
	size      int   // buckets held per team
	cool      int64 // cool-down in buckets
	minImpact int64
	coldStart int64
	history   *History
	stats     *Stats
	teams     map[string]*teamSpend
	scratch   []int64
}

func newCostSpike(cfg CostSpikeConfig, history *History, stats *Stats) *costSpike {
	return &costSpike{
		cfg:       cfg,
		width:     int64(cfg.Bucket),
		size:      cfg.BaselineBuckets + 2*cfg.guard() + 2,
		cool:      max(1, int64(cfg.CoolDown/cfg.Bucket)),
		minImpact: amountFromFloat(cfg.MinImpactUSD).pico(),
		coldStart: amountFromFloat(cfg.ColdStartUSD).pico(),
		history:   history,
		stats:     stats,
		teams:     make(map[string]*teamSpend),
		scratch:   make([]int64, 0, cfg.BaselineBuckets),
	}
}

// Name implements Detector.
func (d *costSpike) Name() string { return nameCostSpike }

// StateBytes implements Detector.
func (d *costSpike) StateBytes() int64 {
	var n int64
	for name, team := range d.teams {
		n += team.bytes() + int64(len(name)) + 32
	}
	return n
}

// Observe implements Detector. Only finished calls cost money.
func (d *costSpike) Observe(e *event.Event, emit func(*event.Finding)) {
	if e.GetPhase() != event.Phase_PHASE_RESPONSE {
		return
	}
	at := eventTime(e)
	index := floorDiv(at, d.width)
	team := d.team(e.GetIdentity().GetTeamId(), at)
	d.moveTo(team, at, index)
	b := team.at(index)
	if b == nil {
		d.stats.Expired++
		return
	}
	b.calls++
	cost := e.GetCost()
	if cost.GetStatus() != event.CostStatus_COST_STATUS_PRICED || cost.TotalPicoUsd == nil {
		if cost.GetStatus() != event.CostStatus_COST_STATUS_NOT_BILLED {
			b.unpriced++
		}
		return
	}
	pico := cost.GetTotalPicoUsd()
	b.pico = addSaturating(b.pico, pico)
	if !d.history.holds(e) {
		team.addHour(at, pico)
	}
	team.addPart(index, e, pico)
	d.judge(team, index, b, e, emit)
}

// moveTo advances the team's series to the event, or counts the event as late.
func (d *costSpike) moveTo(team *teamSpend, at, index int64) {
	if index > team.newest {
		team.advance(index)
	}
	if at < team.lastSeen-int64(d.cfg.Lateness) {
		d.stats.Late++
		team.forget()
	}
	team.lastSeen = max(team.lastSeen, at)
}

// judge compares a bucket with its baseline and emits at the first excess of an episode.
func (d *costSpike) judge(team *teamSpend, index int64, b *bucket, e *event.Event, emit func(*event.Finding)) {
	if team.episode && index == team.lastAbove {
		return
	}
	base := team.baselineOf(index, &d.cfg, d.scratch)
	run := streak{windows: 1, impact: b.pico}
	switch {
	case base.warm:
		if b.pico <= base.threshold {
			return
		}
		team.excess[floorMod(index, int64(len(team.ring)))] = true
		if run = d.streak(team, index, base); run.impact < d.minImpact {
			return
		}
	case d.coldStart == 0 || b.pico <= d.coldStart:
		return
	}
	if team.episode && index <= team.lastAbove+d.cool {
		team.lastAbove = max(team.lastAbove, index)
		return
	}
	team.episode, team.lastAbove = true, index
	emit(d.finding(team, index, b, base, run, e))
}

// streak is a run of buckets without a gap that all stand above one threshold.
type streak struct {
	windows int
	impact  int64 // pico-USD above usual, in all
}

// streak adds up what the running bucket and those right before it cost beyond usual: a burn that is steep but too
// small per bucket to be worth a finding becomes worth one when it lasts.
func (d *costSpike) streak(team *teamSpend, index int64, base *baseline) streak {
	var out streak
	for i := index; i > index-d.cool; i-- {
		b := team.at(i)
		if b == nil || b.pico <= base.threshold {
			break
		}
		out.windows++
		out.impact = addSaturating(out.impact, b.pico-base.usual)
	}
	return out
}

// team returns the series of a team and makes room for a new one.
func (d *costSpike) team(name string, at int64) *teamSpend {
	if team, ok := d.teams[name]; ok {
		return team
	}
	if len(d.teams) >= d.cfg.MaxTeams {
		d.dropIdle()
	}
	team := newTeamSpend(d.size, at, d.width)
	team.seed(d.history.team(name), at)
	d.teams[strings.Clone(name)] = team
	return team
}

// dropIdle removes the team whose last event is the oldest.
func (d *costSpike) dropIdle() {
	var idle string
	oldest := int64(1<<63 - 1)
	for name, team := range d.teams {
		if team.lastSeen < oldest || (team.lastSeen == oldest && name < idle) {
			idle, oldest = name, team.lastSeen
		}
	}
	delete(d.teams, idle)
}
