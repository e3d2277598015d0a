package stream

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// Membership joins a client's group callbacks to the Runner that is made after the client. One Membership serves
// one client and one Runner. The zero value is ready.
type Membership struct {
	mu      sync.Mutex
	runner  *Runner
	pending map[string][]int32 // assigned before the Runner ran
}

// Options returns the client options of a consumer role: the group, cooperative rebalancing that waits for the
// poll loop, commits by hand, and the callbacks that m passes to the Runner. Append them to the shared options.
func Options(cfg Config, m *Membership) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(cfg.Group),
		kgo.ConsumeTopics(cfg.Topics...),
		kgo.Balancers(kgo.CooperativeStickyBalancer()),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.DisableAutoCommit(),
		kgo.BlockRebalanceOnPoll(),
		kgo.SessionTimeout(cfg.SessionTimeout),
		kgo.HeartbeatInterval(cfg.SessionTimeout / 4),
		kgo.RebalanceTimeout(cfg.DrainTimeout + 20*time.Second), // a drain must end before the group gives up on us
		// The client fetches ahead of the poll: its buffer adds to the bytes in flight.
		kgo.FetchMaxBytes(8 << 20),
		kgo.FetchMaxPartitionBytes(2 << 20),
		kgo.OnPartitionsAssigned(m.assigned),
		kgo.OnPartitionsRevoked(m.revoked),
		kgo.OnPartitionsLost(m.lost),
	}
}

// attach hands the callbacks to r, with what was assigned so far.
func (m *Membership) attach(r *Runner) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runner = r
	r.assign(m.pending)
	m.pending = nil
}

func (m *Membership) detach() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.runner = nil
}

// assigned starts partitions; without a Runner it remembers them.
func (m *Membership) assigned(_ context.Context, _ *kgo.Client, added map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.runner != nil {
		m.runner.assign(added)
		return
	}
	if m.pending == nil {
		m.pending = make(map[string][]int32)
	}
	for topic, partitions := range added {
		m.pending[topic] = append(m.pending[topic], partitions...)
	}
}

func (m *Membership) revoked(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	if r := m.forget(gone); r != nil {
		r.release(gone, true)
	}
}

func (m *Membership) lost(_ context.Context, _ *kgo.Client, gone map[string][]int32) {
	if r := m.forget(gone); r != nil {
		r.release(gone, false)
	}
}

// forget takes partitions out of the pending ones and returns the Runner, which may be nil. It does not hold the
// lock while the Runner drains.
func (m *Membership) forget(gone map[string][]int32) *Runner {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, partitions := range gone {
		if waiting, ok := m.pending[topic]; ok {
			m.pending[topic] = slices.DeleteFunc(waiting, func(p int32) bool { return slices.Contains(partitions, p) })
		}
	}
	return m.runner
}
