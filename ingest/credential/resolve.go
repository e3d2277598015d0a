package credential

import (
	"fmt"
	"hash/maphash"
	"sync"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// minLast4 is the length in characters from which four may be shown without helping a guess.
const minLast4 = 16

// Resolver makes credentials of what callers present.
type Resolver struct {
	key   []byte
	jwt   *tokenReader // nil when JWT reading is off
	seed  maphash.Seed
	limit int

	mu    sync.Mutex
	young map[uint64]*event.Credential // two generations: a bounded memory without a list
	old   map[uint64]*event.Credential
}

// New loads the key (see LoadKey) and the key set.
func New(cfg Config) (*Resolver, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	key, err := LoadKey(cfg)
	if err != nil {
		return nil, err
	}
	r := &Resolver{key: key, seed: maphash.MakeSeed(), limit: cfg.CacheEntries, young: map[uint64]*event.Credential{}}
	if cfg.JWT.Enabled {
		if r.jwt, err = newTokenReader(cfg.JWT); err != nil {
			return nil, fmt.Errorf("read credential.jwt.jwks_file: %w", err)
		}
	}
	return r, nil
}

// Key returns the fingerprint key, for digests of bodies that only this tap can repeat. Callers MUST NOT change it.
func (r *Resolver) Key() []byte { return r.key }

// Resolve returns the facts about p. The result is shared with later calls and MUST NOT be changed.
func (r *Resolver) Resolve(p Presented) *event.Credential {
	if p.secret == "" {
		return &event.Credential{Kind: p.Kind()}
	}
	var h maphash.Hash
	h.SetSeed(r.seed)
	_, _ = h.WriteString(p.kind)
	_ = h.WriteByte(0)
	_, _ = h.WriteString(p.secret)
	id := h.Sum64()
	if c := r.recall(id); c != nil {
		return c
	}
	c := r.compute(p)
	r.remember(id, c)
	return c
}

func (r *Resolver) compute(p Presented) *event.Credential {
	c := &event.Credential{Kind: p.kind}
	switch p.kind {
	case KindBasic:
		c.Fingerprint = Fingerprint(r.key, basicUserinfo(p.secret))
		return c
	case KindBearer, KindAPIKey:
		if r.jwt != nil && looksLikeJWT(p.secret) {
			if subject, ok := r.jwt.read(p.secret, c); ok {
				c.Fingerprint = Fingerprint(r.key, subject)
				return c
			}
		}
	}
	c.Fingerprint = Fingerprint(r.key, p.secret)
	c.Last4 = last4(p.secret)
	return c
}

// last4 gives nothing for short secrets and for values that are not printable ASCII.
func last4(secret string) string {
	if len(secret) < minLast4 {
		return ""
	}
	tail := secret[len(secret)-4:]
	for i := range len(tail) {
		if tail[i] <= ' ' || tail[i] > '~' {
			return ""
		}
	}
	return tail
}

func (r *Resolver) recall(id uint64) *event.Credential {
	r.mu.Lock()
	defer r.mu.Unlock()
	if c := r.young[id]; c != nil {
		return c
	}
	c := r.old[id]
	if c != nil {
		r.young[id] = c
	}
	return c
}

func (r *Resolver) remember(id uint64, c *event.Credential) {
	if r.limit == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.young) >= (r.limit+1)/2 {
		r.old, r.young = r.young, make(map[uint64]*event.Credential, len(r.young))
	}
	r.young[id] = c
}
