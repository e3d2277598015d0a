package detect

import (
	"math"

	"github.com/shopspring/decimal"
)

// picoPerUSD is the number of pico-USD in one US dollar.
const picoPerUSD = 1_000_000_000_000

// Amount is a sum of money without upper bound in practice: whole US dollars and 0..999 999 999 999 pico-USD.
// An int64 of pico-USD ends at 9.2 million dollars, which a yearly or a large monthly sum can pass.
type Amount struct {
	USD  int64
	Pico int64
}

// AmountFromDecimal converts US dollars and cuts below one pico-USD.
func AmountFromDecimal(usd decimal.Decimal) Amount {
	whole := usd.Floor()
	return Amount{USD: whole.IntPart(), Pico: usd.Sub(whole).Shift(12).IntPart()}
}

// amountFromFloat converts a configured figure through its shortest decimal form, so that 0.1 is ten cents.
func amountFromFloat(usd float64) Amount { return AmountFromDecimal(decimal.NewFromFloat(usd)) }

// Add returns a + pico.
func (a Amount) Add(pico int64) Amount {
	a.USD += pico / picoPerUSD
	a.Pico += pico % picoPerUSD
	switch {
	case a.Pico >= picoPerUSD:
		a.USD++
		a.Pico -= picoPerUSD
	case a.Pico < 0:
		a.USD--
		a.Pico += picoPerUSD
	}
	return a
}

// Percent returns a*percent/100 rounded down to a pico-USD.
func (a Amount) Percent(percent int64) Amount {
	return AmountFromDecimal(a.Decimal().Mul(decimal.New(percent, -2)))
}

// Less reports whether a < b.
func (a Amount) Less(b Amount) bool {
	return a.USD < b.USD || (a.USD == b.USD && a.Pico < b.Pico)
}

// Decimal returns the amount in US dollars, exact.
func (a Amount) Decimal() decimal.Decimal {
	return decimal.New(a.USD, 0).Add(decimal.New(a.Pico, -12))
}

// pico returns the amount in pico-USD, saturating at the ends of int64.
func (a Amount) pico() int64 {
	const limit = math.MaxInt64 / picoPerUSD
	switch {
	case a.USD >= limit:
		return math.MaxInt64
	case a.USD <= -limit:
		return math.MinInt64
	}
	return a.USD*picoPerUSD + a.Pico
}

// addSaturating sums pico-USD of one bucket. Past 9.2 million dollars in one bucket the figure stays there: every
// threshold was crossed long before.
func addSaturating(a, b int64) int64 {
	sum := a + b
	if b > 0 && sum < a {
		return math.MaxInt64
	}
	return sum
}

// exactUSD prints pico-USD as US dollars with every digit that is not a trailing zero.
func exactUSD(pico int64) string { return decimal.New(pico, -12).String() }

// shortUSD prints pico-USD for people: two places from a cent on, else exact.
func shortUSD(pico int64) string {
	if pico != 0 && pico > -picoPerUSD/100 && pico < picoPerUSD/100 {
		return "$" + exactUSD(pico)
	}
	return "$" + decimal.New(pico, -12).StringFixed(2)
}
