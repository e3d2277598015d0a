package receive

import (
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// maxAddresses bounds how many addresses with failed log-ins are remembered, twice.
const maxAddresses = 10_000

// attempts counts failed log-ins per address. An address that has used up its share is turned away before what it
// presents is looked at, so that guessing is as slow as the configuration says.
type attempts struct {
	perMinute int

	mu    sync.Mutex
	young map[netip.Prefix]*rate.Limiter // two generations: a bounded memory without a list
	old   map[netip.Prefix]*rate.Limiter
}

func newAttempts(perMinute int) *attempts {
	return &attempts{perMinute: perMinute, young: map[netip.Prefix]*rate.Limiter{}}
}

// neighbourhood is the address itself, of IPv6 its /64, which is one subscriber's.
func neighbourhood(remote string) netip.Prefix {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		host = remote
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Prefix{}
	}
	addr = addr.Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

func (a *attempts) find(p netip.Prefix) *rate.Limiter {
	if l := a.young[p]; l != nil {
		return l
	}
	l := a.old[p]
	if l != nil {
		a.young[p] = l
	}
	return l
}

// blocked reports whether the address must wait.
func (a *attempts) blocked(remote string, now time.Time) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	l := a.find(neighbourhood(remote))
	return l != nil && l.TokensAt(now) < 1
}

// failed counts one failure.
func (a *attempts) failed(remote string, now time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	p := neighbourhood(remote)
	l := a.find(p)
	if l == nil {
		if len(a.young) >= maxAddresses {
			a.old, a.young = a.young, make(map[netip.Prefix]*rate.Limiter)
		}
		l = rate.NewLimiter(rate.Limit(float64(a.perMinute)/60), a.perMinute)
		a.young[p] = l
	}
	l.AllowN(now, 1)
}
