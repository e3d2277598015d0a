package traffic

import (
	"math"
	"math/rand/v2"
	"time"
)

// quantile reads a table of percentiles at u in [0,1], between two of them linearly.
func quantile(table *[101]float64, u float64) float64 {
	at := u * 100
	low := min(int(at), 99)
	return table[low] + (at-float64(low))*(table[low+1]-table[low])
}

// tableMean is the mean of the distribution that a table describes.
func tableMean(table *[101]float64) float64 {
	sum := 0.0
	for i := range 100 {
		sum += (table[i] + table[i+1]) / 200
	}
	return sum
}

// sampler draws from the tables. The two token counts are joined by a Gaussian copula with the trace's rank
// correlation; arrivals are independent of each other, so bursts are those of the trace's gaps alone.
type sampler struct {
	rng   *rand.Rand
	rho   float64 // correlation of the two normal variables
	scale float64 // turns a gap of the table into seconds
}

// newSampler draws arrivals at rate calls per second, 0 for the trace's own.
func newSampler(rng *rand.Rand, rate float64) *sampler {
	mean := traceMeanGap
	if rate > 0 {
		mean = 1 / rate
	}
	return &sampler{rng: rng, rho: 2 * math.Sin(math.Pi/6*traceCorrelation), scale: mean / tableMean(&traceGap)}
}

// gap is the time to the next arrival.
func (s *sampler) gap() time.Duration {
	return time.Duration(quantile(&traceGap, s.rng.Float64()) * s.scale * float64(time.Second))
}

// tokens are the context and the generated tokens of one call.
func (s *sampler) tokens() (context, generated int) {
	a := s.rng.NormFloat64()
	b := s.rho*a + math.Sqrt(1-s.rho*s.rho)*s.rng.NormFloat64()
	return int(math.Round(quantile(&traceContext, normal(a)))), int(math.Round(quantile(&traceGenerated, normal(b))))
}

// normal is the distribution function of the standard normal distribution.
func normal(x float64) float64 { return math.Erfc(-x/math.Sqrt2) / 2 }
