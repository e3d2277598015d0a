package rig

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/copier"
)

// failpoints hands out the points at which stores kill themselves, in turn.
type failpoints struct {
	state *pointState
}

type pointState struct {
	mu     sync.Mutex
	rng    *rand.Rand
	names  []string
	want   int
	done   map[string]int
	armed  map[string]string // name of a store -> what it was started with
	off    bool
	turn   int
	spread int // passings before the kill, at most
}

func newFailpoints(o Options) failpoints {
	names := o.Failpoints
	if len(names) == 0 {
		names = Failpoints()
	}
	return failpoints{&pointState{
		rng: rand.New(rand.NewPCG(o.Workload.Seed, 99)), names: names, want: o.FailpointKills, done: map[string]int{}, armed: map[string]string{}, spread: 3, //nolint:gosec // repeatable on purpose
	}}
}

// env is the environment of the next start of a store.
func (f failpoints) env(store string) []string {
	s := f.state
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.armed, store)
	if s.off || s.want == 0 {
		return nil
	}
	for range s.names {
		name := s.names[s.turn%len(s.names)]
		s.turn++
		if s.done[name] < s.want {
			s.armed[store] = name
			n := 1 + s.rng.IntN(s.spread)
			return []string{fmt.Sprintf("MODELTRAIL_FAILPOINT=%s:%d", name, n), fmt.Sprintf("%s=%d", copier.KillEnv, n)}
		}
	}
	return nil
}

// hit counts a kill of a store at its armed point and returns the point; "" when none was armed.
func (f failpoints) hit(store string) string {
	s := f.state
	s.mu.Lock()
	defer s.mu.Unlock()
	point := s.armed[store]
	if point != "" {
		s.done[point]++
	}
	return point
}

// progress is the share of the wanted kills that happened.
func (f failpoints) progress() float64 {
	s := f.state
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.want == 0 {
		return 1
	}
	n := 0
	for _, name := range s.names {
		n += min(s.done[name], s.want)
	}
	return float64(n) / float64(s.want*len(s.names))
}

// disarm makes further starts ordinary ones.
func (f failpoints) disarm() {
	f.state.mu.Lock()
	f.state.off = true
	f.state.mu.Unlock()
}

// armedNow reports whether a running store will kill itself.
func (f failpoints) armedNow(store string) bool {
	f.state.mu.Lock()
	defer f.state.mu.Unlock()
	return f.state.armed[store] != ""
}

// counts is how many kills each point has had.
func (f failpoints) counts() map[string]int {
	f.state.mu.Lock()
	defer f.state.mu.Unlock()
	out := map[string]int{}
	for k, v := range f.state.done {
		out[k] = v
	}
	return out
}
