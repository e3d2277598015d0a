package detect

import (
	"fmt"
	"maps"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Version is written into every finding as detector_version. It grows when the meaning of a finding changes.
const Version = "1"

// Detector draws one kind of conclusion. It is used by one goroutine at a time.
type Detector interface {
	// Name is the value of Finding.detector: snake_case and stable.
	Name() string
	// Observe takes one event, in the order of the partition, and emits the findings that it completes. The
	// event is only valid during the call. A finding belongs to the receiver from emit on.
	Observe(e *event.Event, emit func(*event.Finding))
	// StateBytes estimates the heap the detector holds, in bytes.
	StateBytes() int64
}

// BudgetFunc returns the monthly budget of a team in pico-USD as the directory had it at a time.
// false means that none is declared. It MUST be pure for equal arguments.
type BudgetFunc func(team string, at time.Time) (Amount, bool)

// Settings is what code injects into a Set.
type Settings struct {
	Budget  BudgetFunc // nil: no team has a budget
	History *History   // nil: nothing is known of the time before the first event
}

// Stats counts what a Set did since it was made.
type Stats struct {
	Events     uint64 // observed, duplicates not counted
	Duplicates uint64 // dropped: same call id and phase as an earlier event
	Late       uint64 // older than the lateness bound when they came; counted into their bucket while it is held
	Expired    uint64 // too old to count into any bucket
	Suppressed uint64 // conclusions folded into a summary finding or dropped by a bound
	Findings   map[string]uint64
}

// Clone returns a copy that no later observation changes.
func (s Stats) Clone() Stats {
	s.Findings = maps.Clone(s.Findings)
	return s
}

// Set is the detectors of one partition behind one filter for repeated events.
type Set struct {
	detectors []Detector
	seen      *duplicates
	stats     Stats
}

// NewSet builds the detectors that cfg enables. The error is that of Config.Validate.
func NewSet(cfg Config, set Settings) (*Set, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure detectors: %w", err)
	}
	s := &Set{
		seen:  newDuplicates(cfg.DuplicateWindow, cfg.DuplicateEntries),
		stats: Stats{Findings: make(map[string]uint64)},
	}
	if cfg.OutOfScope.Enabled {
		s.detectors = append(s.detectors, newOutOfScope(cfg.OutOfScope, cfg.UnknownCredential.Enabled, &s.stats))
	}
	if cfg.UnknownCredential.Enabled {
		s.detectors = append(s.detectors, newUnknownCredential(cfg.UnknownCredential, &s.stats))
	}
	if cfg.CostSpike.Enabled {
		s.detectors = append(s.detectors, newCostSpike(cfg.CostSpike, set.History, &s.stats))
	}
	if cfg.Budget.Enabled && set.Budget != nil {
		s.detectors = append(s.detectors, newBudget(cfg.Budget, set.Budget, set.History))
	}
	return s, nil
}

// Observe passes one event to every detector, unless the same phase of the same call was seen before.
func (s *Set) Observe(e *event.Event, emit func(*event.Finding)) {
	if e.GetCallId() != "" && s.seen.repeated(e.GetCallId(), e.GetPhase(), eventTime(e)) {
		s.stats.Duplicates++
		return
	}
	s.stats.Events++
	counted := func(f *event.Finding) {
		s.stats.Findings[f.GetDetector()]++
		emit(f)
	}
	for _, d := range s.detectors {
		d.Observe(e, counted)
	}
}

// Stats returns the counters. The map is shared: read it from the goroutine that calls Observe.
func (s *Set) Stats() Stats { return s.stats }

// StateBytes estimates the heap the set holds, in bytes.
func (s *Set) StateBytes() int64 {
	total := s.seen.bytes()
	for _, d := range s.detectors {
		total += d.StateBytes()
	}
	return total
}

// eventTime is the event's own time in unix nanoseconds: when the phase was complete. A source whose clock runs
// ahead of the broker is pulled back to the broker's time, or one wrong clock would make every other event late.
func eventTime(e *event.Event) int64 {
	at := int64(e.GetObservedUnixNano())
	if at == 0 {
		at = int64(e.GetStartedUnixNano())
	}
	if ingested := int64(e.GetIngestedUnixNano()); ingested > 0 && (at > ingested || at == 0) {
		at = ingested
	}
	return at
}

// History is spend from before the first replayed event, by UTC hour. It is read-only and may be shared.
type History struct {
	before time.Time
	teams  map[string][]HourlySpend
}

// HourlySpend is what one team spent within one UTC hour of event time, in pico-USD.
type HourlySpend struct {
	TeamID  string
	Hour    time.Time
	PicoUSD int64
}

// NewHistory indexes rows. They MUST hold exactly the priced calls whose envelopes were ingested before the given
// time: later ones are counted from the stream.
func NewHistory(before time.Time, rows []HourlySpend) *History {
	h := &History{before: before, teams: make(map[string][]HourlySpend)}
	for _, row := range rows {
		h.teams[row.TeamID] = append(h.teams[row.TeamID], row)
	}
	return h
}

// team returns the hours of a team; none for a nil History.
func (h *History) team(id string) []HourlySpend {
	if h == nil {
		return nil
	}
	return h.teams[id]
}

// holds reports whether an event is already part of the history.
func (h *History) holds(e *event.Event) bool {
	return h != nil && int64(e.GetIngestedUnixNano()) < h.before.UnixNano()
}
