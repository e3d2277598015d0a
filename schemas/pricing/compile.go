package pricing

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/shopspring/decimal"
)

// Unit is a kind of token with a price of its own.
type Unit uint8

// The token units.
const (
	Input Unit = iota
	CacheRead
	CacheWrite5m
	CacheWrite1h
	AudioIn
	ImageIn
	Output
	Reasoning
	AudioOut
	units
)

var unitNames = [units]string{
	"input", "cache_read", "cache_write_5m", "cache_write_1h", "audio_in", "image_in", "output", "reasoning", "audio_out",
}

// String returns the unit's name in the file format.
func (u Unit) String() string { return unitNames[u] }

// Units returns the names of all token units in order.
func Units() []string { return slices.Clone(unitNames[:]) }

// noPrice marks a unit without a price; a price is never negative.
const noPrice = -1

// rates are prices in 1e-18 USD for one token.
type rates [units]int64

type step struct {
	above int64
	rates rates
}

type schedule struct {
	base  rates
	steps []step // by rising threshold
}

type tier struct {
	name string
	schedule
}

// Price is a compiled row. It is immutable.
type Price struct {
	ID string // "provider/model@effective_from"

	from, to int64 // unix nanoseconds, to exclusive
	dated    bool  // the row itself says when it ends
	standard schedule
	tiers    []tier
	offPeak  *offPeak

	webSearch, image, audioMinute int64 // 1e-18 USD each; noPrice
}

type offPeak struct {
	hours []Hours
	rates rates
}

// Precision limits. A price for one unit is held in 1e-18 USD.
const (
	unitScale       = 18
	perMillionShift = unitScale - 6
	perThousand     = unitScale - 3
)

func (p *Price) until(ns int64) *Price {
	c := *p
	c.to = ns
	return &c
}

func compile(r *Row) (*Price, error) {
	c := compiler{}
	p := &Price{ID: r.ID(), from: r.EffectiveFrom.UnixNano(), to: math.MaxInt64}
	switch {
	case r.Provider == "" || r.Model == "":
		c.fault("provider and model must be named")
	case r.EffectiveFrom.IsZero():
		c.fault("effective_from is missing; write the first day of the price")
	case !r.EffectiveTo.IsZero():
		p.to, p.dated = r.EffectiveTo.UnixNano(), true
		if p.to <= p.from {
			c.fault("effective_to is not after effective_from")
		}
	}
	base := c.rates("per_million", r.Rates, one)
	p.standard = c.schedule("", derive(base), r.Steps, one)
	for _, name := range slices.Sorted(maps.Keys(r.Tiers)) {
		p.tiers = append(p.tiers, c.tier(name, r))
	}
	if r.OffPeak != nil {
		p.offPeak = &offPeak{hours: r.OffPeak.Hours, rates: derive(lay(base, c.rates("off_peak", r.OffPeak.Rates, one)))}
	}
	p.webSearch = c.single("web_search_per_1k", r.WebSearch, perThousand)
	p.image = c.single("image_each", r.Image, unitScale)
	p.audioMinute = c.single("audio_per_minute", r.AudioPerMinute, unitScale)
	if base == none() && p.webSearch == noPrice && p.image == noPrice && p.audioMinute == noPrice {
		c.fault("the row has no price")
	}
	if len(c.errs) > 0 {
		return nil, errors.Join(c.named(p.ID)...)
	}
	return p, nil
}

var one = decimal.NewFromInt(1)

func none() (r rates) {
	for i := range r {
		r[i] = noPrice
	}
	return r
}

// lay returns base with the prices of over in place of its own.
func lay(base, over rates) rates {
	for i, v := range over {
		if v != noPrice {
			base[i] = v
		}
	}
	return base
}

// derive fills the two units that cost what another one costs unless a price says otherwise: reasoning tokens are
// output, image tokens are input.
func derive(r rates) rates {
	if r[Reasoning] == noPrice {
		r[Reasoning] = r[Output]
	}
	if r[ImageIn] == noPrice {
		r[ImageIn] = r[Input]
	}
	return r
}

// compiler gathers the faults of one row.
type compiler struct{ errs []string }

func (c *compiler) fault(format string, args ...any) {
	c.errs = append(c.errs, fmt.Sprintf(format, args...))
}

func (c *compiler) named(id string) []error {
	errs := make([]error, len(c.errs))
	for i, text := range c.errs {
		errs[i] = fmt.Errorf("%s: %s", id, text)
	}
	return errs
}

// scaled turns a price into 1e-18 USD by a shift of the decimal point; more digits than that are a fault.
func (c *compiler) scaled(what string, d decimal.Decimal, shift int32) int64 {
	v := d.Shift(shift)
	switch {
	case d.IsNegative():
		c.fault("%s is negative", what)
	case !v.IsInteger():
		c.fault("%s = %s has more than %d decimals", what, d, shift)
	case v.GreaterThan(decimal.NewFromInt(math.MaxInt64)):
		c.fault("%s = %s is too large", what, d)
	default:
		return v.IntPart()
	}
	return noPrice
}

func (c *compiler) single(what string, d decimal.NullDecimal, shift int32) int64 {
	if !d.Valid {
		return noPrice
	}
	return c.scaled(what, d.Decimal, shift)
}

func (c *compiler) rates(what string, in Rates, multiplier decimal.Decimal) rates {
	out := none()
	for _, name := range slices.Sorted(maps.Keys(in)) {
		i := slices.Index(unitNames[:], name)
		if i < 0 {
			c.fault("%s: unknown unit %q; units are %s", what, name, strings.Join(unitNames[:], ", "))
			continue
		}
		out[i] = c.scaled(what+"."+name, in[name].Mul(multiplier), perMillionShift)
	}
	return out
}

// schedule lays every step over the base. Prices that a lower step changed stay changed above it.
func (c *compiler) schedule(what string, base rates, steps []Step, multiplier decimal.Decimal) schedule {
	s := schedule{base: base}
	for i, st := range steps {
		if st.Above <= 0 || i > 0 && st.Above <= steps[i-1].Above {
			c.fault("%scontext_steps: thresholds must be positive and rise", what)
		}
		from := base
		if i > 0 {
			from = s.steps[i-1].rates
		}
		s.steps = append(s.steps, step{above: st.Above, rates: stepOver(from, c.rates(what+"context_steps", st.Rates, multiplier))})
	}
	return s
}

// stepOver is lay for a step: where reasoning or image tokens were priced as output or input, they follow it.
func stepOver(base, over rates) rates {
	out := lay(base, over)
	if over[Reasoning] == noPrice && base[Reasoning] == base[Output] {
		out[Reasoning] = out[Output]
	}
	if over[ImageIn] == noPrice && base[ImageIn] == base[Input] {
		out[ImageIn] = out[Input]
	}
	return out
}

func (c *compiler) tier(name string, r *Row) tier {
	t, what := r.Tiers[name], "tiers."+name+"."
	if name == "" || len(name) > 32 || standardTier(name) {
		c.fault("tiers: %q is not a name for a tier", name)
	}
	if t.Multiplier.Valid {
		if len(t.Rates)+len(t.Steps) > 0 {
			c.fault("%smultiplier stands beside own prices; keep one of them", what)
		}
		if !t.Multiplier.Decimal.IsPositive() {
			c.fault("%smultiplier must be above zero", what)
		}
		base := derive(c.rates(what+"per_million", r.Rates, t.Multiplier.Decimal))
		return tier{name, c.schedule(what, base, r.Steps, t.Multiplier.Decimal)}
	}
	if len(t.Rates) == 0 {
		c.fault("%sneeds a multiplier or per_million", what)
	}
	own := c.schedule(what, derive(c.rates(what+"per_million", t.Rates, one)), t.Steps, one)
	if len(t.Steps) == 0 && len(r.Steps) > 0 { // what the tier costs above the step is not known
		own.steps = []step{{above: r.Steps[0].Above, rates: none()}}
	}
	return tier{name, own}
}

// open reports whether at lies in one of the hours.
func (o *offPeak) open(at time.Time) bool {
	at = at.UTC()
	minute, day := at.Hour()*60+at.Minute(), at.Weekday()
	for _, h := range o.hours {
		if h.Days[day] && minute >= h.From && minute < h.To {
			return true
		}
	}
	return false
}
