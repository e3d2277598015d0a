package receive

import (
	"math"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// allowance is what one source may send: a bucket of records and one of bytes, taken from together or not at all.
type allowance struct {
	mu      sync.Mutex
	records *rate.Limiter
	bytes   *rate.Limiter
}

func newAllowance(s Source, cfg Config) *allowance {
	return &allowance{
		records: limiter(s.RecordsPerSecond, s.BurstRecords, int64(cfg.MaxRecords)),
		bytes:   limiter(s.BytesPerSecond, s.BurstBytes, cfg.MaxDecodedBytes),
	}
}

// limiter makes a bucket into which, unless the operator says otherwise, the largest request fits.
func limiter(perSecond float64, burst int, largest int64) *rate.Limiter {
	if perSecond == 0 {
		return rate.NewLimiter(rate.Inf, 0)
	}
	if burst == 0 {
		burst = int(min(max(math.Ceil(perSecond), float64(largest)), math.MaxInt32))
	}
	return rate.NewLimiter(rate.Limit(perSecond), burst)
}

// take takes records and bytes out of the buckets. With wait above 0 nothing was taken: the sender may come back
// after it. never names the setting that a request of this size can never meet.
func (a *allowance) take(now time.Time, records, bytes int) (wait time.Duration, never string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	first := a.records.ReserveN(now, records)
	if !first.OK() {
		return 0, "burst_records"
	}
	second := a.bytes.ReserveN(now, bytes)
	if !second.OK() {
		first.CancelAt(now)
		return 0, "burst_bytes"
	}
	wait = max(first.DelayFrom(now), second.DelayFrom(now))
	if wait > 0 {
		second.CancelAt(now)
		first.CancelAt(now)
	}
	return wait, ""
}
