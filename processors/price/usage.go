package price

import (
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
)

// gather turns the decoded usage into the units of the price table. It returns remarks on how, or why the usage is
// not enough for a price.
func gather(u *event.Usage, row *pricing.Price, out *pricing.Usage) (remarks int, why string) {
	switch u.GetSource() {
	case event.UsageSource_USAGE_SOURCE_PARTIAL:
		remarks |= remarkPartial
	case event.UsageSource_USAGE_SOURCE_ESTIMATED:
		remarks |= remarkEstimated
	}
	if u == nil {
		return 0, DetailNoUsage
	}
	g := gathering{u: u, row: row, out: out, remarks: remarks}
	if g.outOfRange() {
		return 0, DetailOutOfRange
	}
	in, out1 := g.input(), g.output()
	extras := g.extras(in || out1)
	switch {
	case !in && !out1 && !extras:
		return 0, DetailNoUsage
	case !in && row.Charges(pricing.Input) && !extras:
		return 0, DetailInputUnknown
	case !out1 && row.Charges(pricing.Output) && !extras:
		return 0, DetailOutputUnknown
	}
	return g.remarks, ""
}

type gathering struct {
	u       *event.Usage
	row     *pricing.Price
	out     *pricing.Usage
	remarks int
}

// maxCount is above any real count and low enough that sums of counts do not overflow.
const maxCount = 1 << 53

func (g *gathering) outOfRange() bool {
	u := g.u
	for _, n := range [...]*int64{
		u.InTotal, u.InUncached, u.InCacheRead, u.InCacheWrite_5M, u.InCacheWrite_1H, u.InCacheWriteUnknown, u.InAudio,
		u.InImage, u.OutTotal, u.OutText, u.OutReasoning, u.OutAudio, u.WebSearches, u.Images, u.AudioMilliseconds,
	} {
		if n != nil && (*n < 0 || *n > maxCount) {
			return true
		}
	}
	return false
}

// add puts a count into a unit and reports whether it was known.
func (g *gathering) add(unit pricing.Unit, n *int64, sum *int64) bool {
	if n == nil {
		return false
	}
	g.out.Tokens[unit] += *n
	*sum += *n
	return true
}

func (g *gathering) input() bool {
	u := g.u
	var sum int64
	known := g.add(pricing.Input, u.InUncached, &sum)
	known = g.add(pricing.CacheRead, u.InCacheRead, &sum) || known
	known = g.add(pricing.CacheWrite5m, u.InCacheWrite_5M, &sum) || known
	known = g.add(pricing.CacheWrite1h, u.InCacheWrite_1H, &sum) || known
	known = g.add(pricing.AudioIn, u.InAudio, &sum) || known
	known = g.add(pricing.ImageIn, u.InImage, &sum) || known
	if g.add(pricing.CacheWrite5m, u.InCacheWriteUnknown, &sum) {
		known = true
		if *u.InCacheWriteUnknown > 0 {
			g.remarks |= remarkWriteTTL
		}
	}
	if rest := u.GetInTotal() - sum; rest > 0 {
		g.out.Tokens[pricing.Input] += rest
		g.remarks |= remarkInputSplit
	}
	g.out.ContextTokens = max(u.GetInTotal(), sum)
	return u.InTotal != nil || known && u.InUncached != nil
}

func (g *gathering) output() bool {
	u := g.u
	var sum int64
	known := g.add(pricing.Output, u.OutText, &sum)
	known = g.add(pricing.Reasoning, u.OutReasoning, &sum) || known
	known = g.add(pricing.AudioOut, u.OutAudio, &sum) || known
	if rest := u.GetOutTotal() - sum; rest > 0 {
		g.out.Tokens[pricing.Output] += rest
		if known {
			g.remarks |= remarkOutputSplit
		}
	}
	return u.OutTotal != nil || known
}

// extras adds what is not charged by the token, and reports whether it alone makes a price. Images and the length of
// audio are charged only where the row prices them; a call that has token counts is otherwise charged by these.
func (g *gathering) extras(tokens bool) (enough bool) {
	u := g.u
	g.out.WebSearches = u.GetWebSearches()
	if u.Images != nil && (g.row.HasImage() || !tokens) {
		g.out.Images, enough = *u.Images, true
	}
	if u.AudioMilliseconds != nil && (g.row.HasAudioMinute() || !tokens) {
		g.out.AudioMilliseconds, enough = *u.AudioMilliseconds, true
	}
	return enough
}
