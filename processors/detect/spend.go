package detect

import (
	"math"
	"slices"
	"strings"
	"time"
	"unsafe"

	"github.com/modeltrail/modeltrail/schemas/event"
)

const (
	seasonDays    = 5                 // days whose same hour is compared: always three or more weekdays
	hoursHeld     = seasonDays*24 + 1 // and the running hour
	seasonMinDays = 3                 // days that must know an hour before it counts
	partsHeld     = 64                // app, model and credential triples told apart per bucket
	// madToSigma scales a median absolute deviation to the standard deviation of a normal distribution.
	madToSigma = 1.4826
	// madSigmas is how many such deviations above the median a bucket must reach.
	madSigmas = 6
	// novelty is the factor by which a bucket must exceed the largest quiet bucket of the baseline.
	novelty = 1.25
)

// bucket is the spend of one team in one bucket.
type bucket struct {
	pico     int64
	calls    uint32
	unpriced uint32
}

// baseline is what is usual for one bucket of one team, from buckets that can no longer change.
type baseline struct {
	index     int64
	valid     bool
	warm      bool  // enough buckets with calls
	usual     int64 // pico-USD per bucket
	threshold int64 // spend above this is an excess
	buckets   int   // buckets with calls it was taken from
	seasonal  bool  // the same hour of earlier days decided
}

// part names what a share of a bucket's spend was for.
type part struct{ app, model, credential string }

// parts is the spend of the newest even and the newest odd bucket by part. What comes after partsHeld parts stays in
// the total only.
type parts struct {
	index [2]int64
	pico  map[part][2]int64
}

// teamSpend is the series of one team.
type teamSpend struct {
	ring     []bucket
	excess   []bool // by slot of ring: the bucket exceeded its threshold and is not quiet
	newest   int64  // index of the newest bucket
	lastSeen int64  // newest event time, nanoseconds
	cached   [2]baseline
	split    parts
	hours    []int64 // pico-USD by hour number modulo hoursHeld; -1 = nothing known
	newHour  int64

	episode   bool
	lastAbove int64 // newest bucket that belongs to the episode
}

func newTeamSpend(size int, at, width int64) *teamSpend {
	t := &teamSpend{ring: make([]bucket, size), excess: make([]bool, size), newest: floorDiv(at, width), lastSeen: at}
	t.cached[0].index, t.cached[1].index = math.MinInt64, math.MinInt64
	return t
}

// seed takes the hours before the first event.
func (t *teamSpend) seed(rows []HourlySpend, at int64) {
	for _, row := range rows {
		if row.Hour.UnixNano() <= at {
			t.addHour(row.Hour.UnixNano(), row.PicoUSD)
		}
	}
}

// at returns the bucket of an index, or nil when it is no longer or not yet held.
func (t *teamSpend) at(index int64) *bucket {
	if index > t.newest || index <= t.newest-int64(len(t.ring)) {
		return nil
	}
	return &t.ring[floorMod(index, int64(len(t.ring)))]
}

// advance makes index the newest bucket and empties the ones between.
func (t *teamSpend) advance(index int64) {
	size := int64(len(t.ring))
	for i := max(t.newest+1, index-size+1); i <= index; i++ {
		t.ring[floorMod(i, size)], t.excess[floorMod(i, size)] = bucket{}, false
	}
	t.newest = index
}

// addHour sums spend by hour, for the same hour of later days.
func (t *teamSpend) addHour(at, pico int64) {
	hour := floorDiv(at, int64(time.Hour))
	if t.hours == nil {
		t.hours, t.newHour = make([]int64, hoursHeld), hour-hoursHeld
	}
	for i := max(t.newHour+1, hour-hoursHeld+1); i <= hour; i++ {
		t.hours[floorMod(i, hoursHeld)] = -1
	}
	t.newHour = max(t.newHour, hour)
	if hour > t.newHour-hoursHeld {
		slot := floorMod(hour, hoursHeld)
		t.hours[slot] = addSaturating(max(t.hours[slot], 0), pico)
	}
}

// addPart sums the running bucket's spend by what it was for.
func (t *teamSpend) addPart(index int64, e *event.Event, pico int64) {
	s, side := &t.split, floorMod(index, 2)
	if s.pico == nil {
		*s = parts{index: [2]int64{math.MinInt64, math.MinInt64}, pico: make(map[part][2]int64)}
	}
	if index < s.index[side] {
		return
	}
	if index > s.index[side] {
		s.begin(index)
	}
	key := part{e.GetIdentity().GetAppId(), modelOf(e), e.GetCredential().GetFingerprint()}
	sums, ok := s.pico[key]
	if !ok {
		if len(s.pico) >= partsHeld {
			return
		}
		key = part{strings.Clone(key.app), strings.Clone(key.model), strings.Clone(key.credential)}
	}
	sums[side] = addSaturating(sums[side], pico)
	s.pico[key] = sums
}

// begin empties one side for a new bucket and forgets parts that neither side knows any more.
func (s *parts) begin(index int64) {
	side := floorMod(index, 2)
	s.index[side] = index
	for key, sums := range s.pico {
		sums[side] = 0
		if sums[1-side] == 0 {
			delete(s.pico, key)
		} else {
			s.pico[key] = sums
		}
	}
}

// baselineOf returns the baseline of a bucket. It is computed once per bucket, for it rests on buckets only that
// ended a lateness bound before this one began.
func (t *teamSpend) baselineOf(index int64, cfg *CostSpikeConfig, scratch []int64) *baseline {
	cached := &t.cached[floorMod(index, 2)]
	if !cached.valid || cached.index != index {
		*cached = t.compute(index, cfg, scratch)
	}
	return cached
}

// forget drops cached baselines after a bucket that they may rest on has changed.
func (t *teamSpend) forget() { t.cached[0].valid, t.cached[1].valid = false, false }

func (t *teamSpend) compute(index int64, cfg *CostSpikeConfig, scratch []int64) baseline {
	last := index - int64(cfg.guard()) - 1
	values := scratch[:0]
	var quietMax int64
	for i := last; i > last-int64(cfg.BaselineBuckets); i-- {
		b := t.at(i)
		if b == nil || b.calls == 0 {
			continue
		}
		values = append(values, b.pico)
		if !t.excess[floorMod(i, int64(len(t.ring)))] {
			quietMax = max(quietMax, b.pico)
		}
	}
	out := baseline{index: index, valid: true, buckets: len(values), warm: len(values) >= cfg.MinBuckets}
	if !out.warm {
		return out
	}
	out.usual = median(values)
	for i, v := range values {
		values[i] = max(v-out.usual, out.usual-v)
	}
	spread := out.usual + scale(median(values), madSigmas*madToSigma)
	if season, ok := t.season(index, cfg); ok && season > out.usual {
		out.usual, out.seasonal = season, true
	}
	out.threshold = max(scale(out.usual, cfg.Factor), spread, scale(quietMax, novelty))
	return out
}

// season is what a bucket of this hour of the day cost on the days before, as the median over at least three of
// the last five days: one bad day does not hide the next, and mornings do not alert.
func (t *teamSpend) season(index int64, cfg *CostSpikeConfig) (int64, bool) {
	if t.hours == nil || cfg.Bucket > time.Hour {
		return 0, false
	}
	hour := floorDiv(index*int64(cfg.Bucket), int64(time.Hour))
	var days [seasonDays]int64
	n := 0
	for d := int64(1); d <= seasonDays; d++ {
		at := hour - 24*d
		if at <= t.newHour-hoursHeld || at > t.newHour {
			continue
		}
		if spent := t.hours[floorMod(at, hoursHeld)]; spent >= 0 {
			days[n] = spent
			n++
		}
	}
	if n < seasonMinDays {
		return 0, false
	}
	return int64(float64(median(days[:n])) * float64(cfg.Bucket) / float64(time.Hour)), true
}

// bytes estimates the heap of one team.
func (t *teamSpend) bytes() int64 {
	n := int64(unsafe.Sizeof(*t)) + int64(len(t.ring))*int64(unsafe.Sizeof(bucket{})+1) + int64(len(t.hours))*8
	for key, sums := range t.split.pico {
		n += int64(unsafe.Sizeof(key)+unsafe.Sizeof(sums)) + 10 + int64(len(key.app)+len(key.model)+len(key.credential))
	}
	return n
}

// median sorts values and returns the middle one, the lower of two.
func median(values []int64) int64 {
	slices.Sort(values)
	return values[(len(values)-1)/2]
}

// scale multiplies by a ratio and saturates.
func scale(pico int64, ratio float64) int64 {
	v := float64(pico) * ratio
	if v >= math.MaxInt64 {
		return math.MaxInt64
	}
	return int64(v)
}
