package tapscene

import (
	"context"
	"math/rand/v2"
	"runtime"
	"time"
)

// Arrivals calls each at random moments, on average rate per second, until ctx ends or length has passed; 0 is no end. each
// gets the moment that was due and must not wait. The caller's thread sleeps to the microsecond: timers of the Go runtime
// are late by up to a millisecond where a program is idle, several times what is measured.
func Arrivals(ctx context.Context, random *rand.Rand, rate int, length time.Duration, each func(due time.Time)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	sharpen()
	start := time.Now()
	for due := start; length == 0 || due.Sub(start) < length; due = due.Add(time.Duration(random.ExpFloat64() * float64(time.Second) / float64(rate))) {
		for left := time.Until(due); left > 0; left = time.Until(due) {
			nap(min(left, 100*time.Millisecond))
			if ctx.Err() != nil {
				return
			}
		}
		if ctx.Err() != nil {
			return
		}
		each(due)
	}
}
