package tap

import (
	"sync"
	"sync/atomic"
)

// Sizes of the pieces a body is captured into, in bytes: most bodies fit the first, long ones waste little.
const (
	smallChunk = 4 << 10
	largeChunk = 16 << 10
)

// budget bounds the captured bytes of all calls that are not published yet.
type budget struct {
	used atomic.Int64
	max  int64
	body int64 // bodies may use less, so that envelopes still fit when bodies do not
}

func newBudget(limit int) *budget {
	return &budget{max: int64(limit), body: int64(limit) - int64(limit)/8}
}

func (b *budget) take(n, limit int64) bool {
	if b.used.Add(n) > limit {
		b.used.Add(-n)
		return false
	}
	return true
}

// strained reports that bodies have used up their part and envelopes half of what is left for them.
func (b *budget) strained() bool { return b.used.Load() > b.body+(b.max-b.body)/2 }

func (b *budget) give(n int64) { b.used.Add(-n) }

// chunk is one pooled piece of a captured body.
type chunk struct {
	next *chunk
	n    int
	buf  []byte
}

// chunkPool recycles chunks.
type chunkPool struct {
	small, large sync.Pool
	budget       *budget
}

// get returns nil when the budget is used up.
func (p *chunkPool) get(small bool) *chunk {
	pool, size := &p.large, largeChunk
	if small {
		pool, size = &p.small, smallChunk
	}
	if !p.budget.take(int64(size), p.budget.body) {
		return nil
	}
	if c, ok := pool.Get().(*chunk); ok {
		c.next, c.n = nil, 0
		return c
	}
	return &chunk{buf: make([]byte, size)}
}

func (p *chunkPool) put(c *chunk) {
	p.budget.give(int64(len(c.buf)))
	if len(c.buf) == smallChunk {
		p.small.Put(c)
		return
	}
	p.large.Put(c)
}

// capture tees one body. Writes come from whichever goroutine relays the body; after freeze they change nothing
// but are still harmless, because a transport may read a request body longer than its call lasts.
type capture struct {
	mu          sync.Mutex
	head, tail  *chunk
	wire        int64 // bytes seen
	captured    int64 // bytes kept
	limit       int64
	starved     bool // the budget was used up
	frozen      bool
	contentType string
	encoding    string
}

func (c *capture) write(pool *chunkPool, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		return
	}
	c.wire += int64(len(p))
	if keep := c.limit - c.captured; int64(len(p)) > keep {
		p = p[:keep]
	}
	for len(p) > 0 && !c.starved {
		if c.tail == nil || c.tail.n == len(c.tail.buf) {
			piece := pool.get(c.tail == nil)
			if piece == nil {
				c.starved = true
				return
			}
			if c.tail == nil {
				c.head = piece
			} else {
				c.tail.next = piece
			}
			c.tail = piece
		}
		n := copy(c.tail.buf[c.tail.n:], p)
		c.tail.n += n
		c.captured += int64(n)
		p = p[n:]
	}
}

// reset forgets what was captured, before a transport sends a body again.
func (c *capture) reset(pool *chunkPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen {
		c.free(pool)
		c.wire, c.captured, c.starved = 0, 0, false
	}
}

// freeze ends the capture.
func (c *capture) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
}

// assemble copies the captured bytes behind dst. The capture must be frozen.
func (c *capture) assemble(dst []byte) []byte {
	for piece := c.head; piece != nil; piece = piece.next {
		dst = append(dst, piece.buf[:piece.n]...)
	}
	return dst
}

// free returns the chunks to the pool. The capture must be frozen or locked.
func (c *capture) free(pool *chunkPool) {
	for piece := c.head; piece != nil; {
		next := piece.next
		pool.put(piece)
		piece = next
	}
	c.head, c.tail = nil, nil
}
