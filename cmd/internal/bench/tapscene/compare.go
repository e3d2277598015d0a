package tapscene

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// Percentile sorts d and returns its p-th part, 0 for none.
func Percentile(d []time.Duration, p float64) time.Duration {
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[min(len(d)-1, int(float64(len(d))*p))]
}

// ByTurns is the median difference of a percentile between turns that followed each other, in microseconds, with the
// interval in which it lies by 95 % (order statistics, that is, whatever the distribution). What else the machine does for
// a while spoils the turns that it meets and not the median, where it would make up the last percent of all calls.
func ByTurns(plain, tap [][]time.Duration, p float64) string {
	var added []time.Duration
	for i := range min(len(plain), len(tap)) {
		if len(plain[i]) > 0 && len(tap[i]) > 0 {
			added = append(added, Percentile(tap[i], p)-Percentile(plain[i], p))
		}
	}
	n := float64(len(added))
	reach := 0.98 * math.Sqrt(n) // of the normal approximation: 1.96 * sqrt(n)/2 ranks about the middle
	low, high := int(n/2-reach), int(n/2+reach)
	if low < 0 || high >= len(added) || len(added) < minTurns {
		return "-"
	}
	middle := Percentile(added, 0.5)
	return fmt.Sprintf("%s (%s to %s)", Signed(middle), Signed(added[low]), Signed(added[high]))
}

// minTurns is how many pairs of turns a median is taken of.
const minTurns = 8

// Signed writes microseconds with their sign.
func Signed(d time.Duration) string {
	return fmt.Sprintf("%+d", d.Round(time.Microsecond).Microseconds())
}
