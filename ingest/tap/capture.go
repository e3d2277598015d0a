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

// crowded reports that more waits for the worker than is good to gather.
func (b *budget) crowded() bool { return b.used.Load() > b.max/8 }

// pressed reports that the worker does not keep up.
func (b *budget) pressed() bool { return b.used.Load() > b.max/4 }

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

// capture tees one body: its beginning, and of one that is longer than limit its end too, so that what stands last, the
// counts of an answer and the latest message of a request, is seen at a bounded cost. Writes come from whichever
// goroutine relays the body; after freeze they change nothing but are still harmless, because a transport may read a
// request body longer than its call lasts.
type capture struct {
	mu          sync.Mutex
	head, last  *chunk // the beginning, a list of pieces
	ring        *chunk // the end: the newest tailBytes behind the beginning, as a ring
	wire        int64  // bytes seen
	kept        int64  // bytes of the beginning
	behind      int64  // bytes that went into the ring
	limit       int64
	expected    int64 // length of the body by its header, 0 when it does not say
	starved     bool  // the budget was used up
	frozen      bool
	contentType string
	encoding    string
}

// tailBytes is what is kept of the end of a body that is longer than its limit.
const tailBytes = largeChunk

// tail returns how many bytes of the limit are for the end. Of an encoded body only the beginning can be read.
func (c *capture) tail() int64 {
	if c.limit < 4*tailBytes || encoded(c.encoding) {
		return 0
	}
	return tailBytes
}

func encoded(encoding string) bool { return encoding != "" && encoding != "identity" }

func (c *capture) write(pool *chunkPool, p []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.frozen {
		return
	}
	c.wire += int64(len(p))
	tail := c.tail()
	if room := c.limit - tail - c.kept; int64(len(p)) > room {
		c.begin(pool, p[:room])
		if tail > 0 {
			c.end(pool, p[room:])
		}
		return
	}
	c.begin(pool, p)
}

// begin keeps bytes of the beginning.
func (c *capture) begin(pool *chunkPool, p []byte) {
	for len(p) > 0 && !c.starved {
		if c.last == nil || c.last.n == len(c.last.buf) {
			piece := pool.get(c.last == nil)
			if piece == nil {
				c.starved = true
				return
			}
			if c.last == nil {
				c.head = piece
			} else {
				c.last.next = piece
			}
			c.last = piece
		}
		n := copy(c.last.buf[c.last.n:], p)
		c.last.n += n
		c.kept += int64(n)
		p = p[n:]
	}
}

// end keeps the newest bytes. Those of which the header says that they will not be the newest are not copied.
func (c *capture) end(pool *chunkPool, p []byte) {
	if c.starved || c.expected > c.limit && c.wire <= c.expected-tailBytes {
		return
	}
	if len(p) > tailBytes {
		c.behind += int64(len(p) - tailBytes)
		p = p[len(p)-tailBytes:]
	}
	if c.ring == nil {
		if c.ring = pool.get(false); c.ring == nil {
			c.starved = true
			return
		}
	}
	for len(p) > 0 {
		n := copy(c.ring.buf[c.behind%tailBytes:], p)
		c.behind += int64(n)
		p = p[n:]
	}
}

// captured is how many bytes are kept.
func (c *capture) captured() int64 { return c.kept + min(c.behind, c.ringBytes()) }

func (c *capture) ringBytes() int64 {
	if c.ring == nil {
		return 0
	}
	return tailBytes
}

// reset forgets what was captured, before a transport sends a body again.
func (c *capture) reset(pool *chunkPool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.frozen {
		c.free(pool)
		c.wire, c.starved = 0, false
	}
}

// freeze ends the capture.
func (c *capture) freeze() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.frozen = true
}

// assemble copies the captured bytes behind dst and returns how many of them are the beginning. The capture must be
// frozen.
func (c *capture) assemble(dst []byte) (all []byte, head int) {
	before := len(dst)
	for piece := c.head; piece != nil; piece = piece.next {
		dst = append(dst, piece.buf[:piece.n]...)
	}
	head = len(dst) - before
	if c.ring == nil {
		return dst, head
	}
	if c.behind <= tailBytes {
		return append(dst, c.ring.buf[:c.behind]...), head
	}
	at := c.behind % tailBytes
	return append(append(dst, c.ring.buf[at:]...), c.ring.buf[:at]...), head
}

// free returns the pieces to the pool. The capture must be frozen or locked.
func (c *capture) free(pool *chunkPool) {
	for piece := c.head; piece != nil; {
		next := piece.next
		pool.put(piece)
		piece = next
	}
	if c.ring != nil {
		pool.put(c.ring)
	}
	c.head, c.last, c.ring, c.kept, c.behind = nil, nil, nil, 0, 0
}
