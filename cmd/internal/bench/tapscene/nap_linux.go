package tapscene

import (
	"time"

	"golang.org/x/sys/unix"
)

// sharpen lets the timers of this thread fire when they are due, not when it saves power.
func sharpen() { _ = unix.Prctl(unix.PR_SET_TIMERSLACK, 1, 0, 0, 0) }

// nap sleeps about as long as it is told, less when a signal comes.
func nap(d time.Duration) {
	ts := unix.NsecToTimespec(int64(d))
	_ = unix.ClockNanosleep(unix.CLOCK_MONOTONIC, 0, &ts, nil)
}
