package dialect

import "github.com/modeltrail/modeltrail/schemas/event"

// ledger writes counts into a Usage. All of a call's counts lie in one block of memory.
type ledger struct {
	usage *event.Usage
	block []int64
}

const maxLedger = 16 // more than Usage has counts

func (l *ledger) set(n int64) *int64 {
	if l.block == nil {
		l.block = make([]int64, 0, maxLedger)
	}
	l.block = append(l.block, n)
	return &l.block[len(l.block)-1]
}

func (l *ledger) setKnown(dst **int64, c count) {
	if c.known() {
		*dst = l.set(c.value())
	}
}

// some reports whether any token count is known.
func (l *ledger) some() bool { return l.usage.InTotal != nil || l.usage.OutTotal != nil }

// counting is how a format's counts relate to each other. It is a value and no function, so that what they are settled
// into stays on the stack.
type counting uint8

const (
	inclusive counting = iota // totals include their parts: OpenAI
	exclusive                 // counts come on top of each other: Anthropic
	inputOnly                 // inclusive, and nothing is generated: embeddings
)

func (k counting) settle(c *counts, l *ledger) {
	switch k {
	case exclusive:
		settleExclusive(c, l)
	case inputOnly:
		settleEmbeddings(c, l)
	default:
		settleInclusive(c, l)
	}
}

// settleInclusive splits counts whose totals include their parts: OpenAI and whoever speaks its formats.
func settleInclusive(c *counts, l *ledger) {
	in, inOK := inclusiveInput(c, l)
	out, outOK := inclusiveOutput(c, l)
	if inOK && outOK && c.total.known() && c.total.value() != in+out && c.flags&flagConflict == 0 {
		c.flags |= flagMismatch
	}
	l.setKnown(&l.usage.WebSearches, c.webSearches)
	l.setKnown(&l.usage.Images, c.images)
}

func inclusiveInput(c *counts, l *ledger) (total int64, ok bool) {
	u := l.usage
	if !c.cached.known() {
		c.cached = c.cacheHit
	}
	if !c.input.known() && c.cacheHit.known() && c.cacheMiss.known() {
		c.input = known(c.cacheHit.value() + c.cacheMiss.value())
	}
	write := writes(c, l)
	l.setKnown(&u.InCacheRead, c.cached)
	if !c.input.known() {
		l.setKnown(&u.InAudio, c.inAudio)
		l.setKnown(&u.InImage, c.inImage)
		return 0, false
	}
	total = c.input.value()
	rest := total - c.cached.orZero() - write
	if rest < 0 {
		// The producer counts its cache on top. What it calls the total is the part without cache.
		c.flags |= flagConflict
		rest = total
		total += c.cached.orZero() + write
	}
	if c.cacheMiss.known() && c.cacheMiss.value() != rest {
		c.flags |= flagMismatch
	}
	l.part(&u.InAudio, c.inAudio, &rest, &c.flags)
	l.part(&u.InImage, c.inImage, &rest, &c.flags)
	u.InUncached = l.set(rest)
	u.InTotal = l.set(total)
	return total, true
}

func inclusiveOutput(c *counts, l *ledger) (total int64, ok bool) {
	u := l.usage
	if !c.output.known() {
		l.setKnown(&u.OutReasoning, c.reasoning)
		l.setKnown(&u.OutAudio, c.outAudio)
		return 0, false
	}
	total = c.output.value()
	if n := c.reasoning.orZero(); n > 0 {
		apart := c.input.known() && c.total.known() && c.total.value() == c.input.value()+total+n
		if apart || n > total {
			c.flags |= flagConflict
			total += n
		}
	}
	rest := total
	l.part(&u.OutReasoning, c.reasoning, &rest, &c.flags)
	l.part(&u.OutAudio, c.outAudio, &rest, &c.flags)
	u.OutText = l.set(rest)
	u.OutTotal = l.set(total)
	return total, true
}

// part takes a known part out of what is left of a total. Parts that overlap, as cached audio does, are cut so that the
// units still sum to the total.
func (l *ledger) part(dst **int64, c count, rest *int64, f *flags) {
	if !c.known() {
		return
	}
	n := c.value()
	if n > *rest {
		n = *rest
		*f |= flagMismatch
	}
	*rest -= n
	*dst = l.set(n)
}

// writes fills the three cache write units and returns their sum. What the split by lifetime does not cover has an
// unknown lifetime.
func writes(c *counts, l *ledger) int64 {
	u := l.usage
	split := c.cacheWrite5m.orZero() + c.cacheWrite1h.orZero()
	hasSplit := c.cacheWrite5m.known() || c.cacheWrite1h.known()
	switch {
	case !c.cacheWrite.known() && !hasSplit:
		return 0
	case !c.cacheWrite.known():
		c.cacheWrite = known(split)
	case c.cacheWrite.value() < split:
		c.flags |= flagMismatch
		c.cacheWrite = known(split)
	case hasSplit && c.cacheWrite.value() > split:
		c.flags |= flagMismatch
	}
	total := c.cacheWrite.value()
	if hasSplit || total == 0 {
		u.InCacheWrite_5M = l.set(c.cacheWrite5m.orZero())
		u.InCacheWrite_1H = l.set(c.cacheWrite1h.orZero())
	}
	u.InCacheWriteUnknown = l.set(total - split)
	return total
}

// settleExclusive adds up counts that do not include each other: Anthropic.
func settleExclusive(c *counts, l *ledger) {
	u := l.usage
	if c.roundCount > 0 && !c.roundsIncomplete {
		c.replaceByRounds()
	}
	write := writes(c, l)
	l.setKnown(&u.InCacheRead, c.cached)
	if c.input.known() {
		u.InUncached = l.set(c.input.value())
		u.InTotal = l.set(c.input.value() + c.cached.orZero() + write)
	}
	if c.output.known() {
		rest := c.output.value()
		u.OutTotal = l.set(rest)
		l.part(&u.OutReasoning, c.reasoning, &rest, &c.flags)
		u.OutText = l.set(rest)
	}
	l.setKnown(&u.WebSearches, c.webSearches)
}

func (c *counts) replaceByRounds() {
	c.input, c.output = known(c.rounds[roundInput]), known(c.rounds[roundOutput])
	if c.cached.known() || c.rounds[roundCached] > 0 {
		c.cached = known(c.rounds[roundCached])
	}
	if c.cacheWrite.known() || c.rounds[roundWrite] > 0 {
		c.cacheWrite = known(c.rounds[roundWrite])
	}
	if c.cacheWrite5m.known() || c.rounds[round5m] > 0 {
		c.cacheWrite5m = known(c.rounds[round5m])
	}
	if c.cacheWrite1h.known() || c.rounds[round1h] > 0 {
		c.cacheWrite1h = known(c.rounds[round1h])
	}
}

// settleEmbeddings is settleInclusive for an operation that generates nothing: its output is a known zero.
func settleEmbeddings(c *counts, l *ledger) {
	if c.input.known() || c.total.known() {
		if !c.input.known() {
			c.input = c.total
		}
		c.output = known(0)
	}
	settleInclusive(c, l)
}
