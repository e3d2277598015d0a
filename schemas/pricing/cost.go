package pricing

import (
	"math/bits"
	"strings"
	"time"
)

// Usage is what a call consumed. Counts must not be negative; token units must not overlap.
type Usage struct {
	Tokens            [units]int64
	ContextTokens     int64 // length of the whole input, which context steps compare with
	WebSearches       int64
	Images            int64
	AudioMilliseconds int64
}

// Amount is a cost in 1e-12 USD. Each figure is exact where the prices allow and rounded half to even otherwise;
// Total is rounded from the exact sum and includes web searches, images and minutes of audio.
type Amount struct {
	Total, Input, Output int64
}

// Problem says why a usage has no cost. The zero Problem means that it has one.
type Problem uint8

// The problems.
const (
	Priced       Problem = iota
	UnpricedUnit         // a unit with a count has no price in the row
	UnpricedTier         // the row does not price the service tier
	CostTooLarge         // above MaxPicoUSD: a count or price that cannot be true
)

// MaxPicoUSD is the largest cost of one call, the limit of the column Decimal(18, 12): just under 1,000,000 USD.
const MaxPicoUSD = 999_999_999_999_999_999

// HasPrice reports whether the row prices the unit at its standard rate; zero is a price.
func (p *Price) HasPrice(u Unit) bool { return p.standard.base[u] != noPrice }

// Charges reports whether the row asks money for the unit at its standard rate.
func (p *Price) Charges(u Unit) bool { return p.standard.base[u] > 0 }

// HasWebSearch reports whether the row prices web searches.
func (p *Price) HasWebSearch() bool { return p.webSearch != noPrice }

// HasImage reports whether the row prices generated images by the piece.
func (p *Price) HasImage() bool { return p.image != noPrice }

// HasAudioMinute reports whether the row prices audio by duration.
func (p *Price) HasAudioMinute() bool { return p.audioMinute != noPrice }

// Cost prices a usage in a service tier for a call that began at start. When it cannot, unit names what lacks a
// price. It allocates nothing.
func (p *Price) Cost(u *Usage, serviceTier string, start time.Time) (a Amount, problem Problem, unit string) {
	r := p.ratesFor(serviceTier, u.ContextTokens, start)
	if r == nil {
		return Amount{}, UnpricedTier, "service_tier"
	}
	var in, out, extra uint128
	for i, n := range u.Tokens {
		if n == 0 {
			continue
		}
		if r[i] == noPrice {
			return Amount{}, UnpricedUnit, unitNames[i]
		}
		sum := &in
		if Unit(i) >= Output {
			sum = &out
		}
		if !sum.addProduct(n, r[i]) {
			return Amount{}, CostTooLarge, unitNames[i]
		}
	}
	for _, x := range [...]struct {
		n, price int64
		name     string
	}{{u.WebSearches, p.webSearch, "web_search"}, {u.Images, p.image, "image"}} {
		switch {
		case x.n == 0:
		case x.price == noPrice:
			return Amount{}, UnpricedUnit, x.name
		case !extra.addProduct(x.n, x.price):
			return Amount{}, CostTooLarge, x.name
		}
	}
	var audio uint128 // in 1e-18 USD times milliseconds of a minute
	if u.AudioMilliseconds != 0 {
		if p.audioMinute == noPrice {
			return Amount{}, UnpricedUnit, "audio_minute"
		}
		if !audio.addProduct(u.AudioMilliseconds, p.audioMinute) {
			return Amount{}, CostTooLarge, "audio_minute"
		}
	}
	return total(in, out, extra, audio)
}

const (
	picoScale        = 1_000_000 // 1e-18 in 1e-12
	millisPerMinute  = 60_000
	picoTimesMinutes = picoScale * millisPerMinute
)

func total(in, out, extra, audio uint128) (a Amount, problem Problem, unit string) {
	all := in
	if !all.add(out) || !all.add(extra) {
		return Amount{}, CostTooLarge, "total"
	}
	var ok bool
	if audio == (uint128{}) {
		a.Total, ok = all.divHalfEven(picoScale)
	} else {
		if all = all.times(millisPerMinute); !all.add(audio) {
			return Amount{}, CostTooLarge, "total"
		}
		a.Total, ok = all.divHalfEven(picoTimesMinutes)
	}
	if !ok {
		return Amount{}, CostTooLarge, "total"
	}
	a.Input, _ = in.divHalfEven(picoScale) // no larger than the total, so it fits as well
	a.Output, _ = out.divHalfEven(picoScale)
	return a, Priced, ""
}

// ratesFor returns the rates of a tier for an input of that length, or nil when the row does not price the tier.
func (p *Price) ratesFor(serviceTier string, context int64, start time.Time) *rates {
	s := &p.standard
	if standardTier(serviceTier) {
		if p.offPeak != nil && p.offPeak.open(start) {
			return &p.offPeak.rates
		}
	} else {
		s = nil
		for i := range p.tiers {
			if strings.EqualFold(p.tiers[i].name, serviceTier) {
				s = &p.tiers[i].schedule
				break
			}
		}
		if s == nil {
			return nil
		}
	}
	for i := len(s.steps) - 1; i >= 0; i-- {
		if context > s.steps[i].above {
			return &s.steps[i].rates
		}
	}
	return &s.base
}

// standardTier reports whether providers use that service tier name for the list price.
func standardTier(name string) bool {
	switch name {
	case "", "default", "standard", "auto", "standard_only", "on_demand", "ON_DEMAND", "STANDARD", "DEFAULT":
		return true
	}
	return false
}

// uint128 is a sum of products of counts and prices. Its methods refuse sums that exceed MaxPicoUSD by far, which
// keeps every later step within 128 bits.
type uint128 struct{ hi, lo uint64 }

// limitHi bounds a sum below 2^98. MaxPicoUSD in the finest unit used, 1e-18 USD / 60,000, is below 2^96, so nothing
// that could be a cost is refused; and 2^98 * 60,000 still fits into 128 bits.
const limitHi = 1 << 34

func (u *uint128) addProduct(n, price int64) bool {
	if n < 0 || price < 0 {
		return false
	}
	hi, lo := bits.Mul64(uint64(n), uint64(price))
	return hi < limitHi && u.add(uint128{hi, lo})
}

func (u *uint128) add(v uint128) bool {
	var carry uint64
	u.lo, carry = bits.Add64(u.lo, v.lo, 0)
	u.hi, _ = bits.Add64(u.hi, v.hi, carry)
	return u.hi < limitHi
}

// times multiplies by a small factor; u is below 2^98, so the result is below 2^128 for factors below 2^30.
func (u uint128) times(f uint64) uint128 {
	carry, lo := bits.Mul64(u.lo, f)
	return uint128{u.hi*f + carry, lo}
}

// divHalfEven divides and rounds half to even; it is false when the quotient exceeds MaxPicoUSD.
func (u uint128) divHalfEven(d uint64) (int64, bool) {
	if u.hi >= d {
		return 0, false
	}
	q, r := bits.Div64(u.hi, u.lo, d)
	if r > d-r || r == d-r && q&1 == 1 {
		q++
	}
	if q > MaxPicoUSD {
		return 0, false
	}
	return int64(q), true
}
