package background

import (
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// turn is how long a thread of the ordinary policy runs at a time, in nanoseconds, when others want the processor. Linux
// knows it since 6.12; before, a turn takes milliseconds.
const turn = 100_000

// lowWeight is the nice value of a thread that may not give way altogether: about a tenth of a call's share. One of 19
// stands still for tens of milliseconds on a busy machine.
const lowWeight = 10

// Lower binds the goroutine to its thread for good and gives the thread a tenth of the weight of others (nice 10). The
// thread ends with the goroutine.
func Lower() {
	runtime.LockOSThread()
	lowerWeight()
}

func lowerWeight() {
	attr := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Nice: lowWeight, Runtime: turn}
	_ = unix.SchedSetAttr(0, &attr, 0) // of this thread; a refusal costs only the preference
}

// giveWay leaves the calling thread only what no other wants.
func giveWay() error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0)
}

// raise gives a thread the priority of others.
func raise(id int) error {
	return unix.SchedSetAttr(id, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL, Runtime: turn}, 0)
}

// canReturn reports whether a thread that gives way may be raised again. It tries with a thread that ends with that.
func canReturn() bool {
	could := make(chan bool)
	go func() {
		runtime.LockOSThread()
		could <- giveWay() == nil && raise(0) == nil
	}()
	return <-could
}

func threadID() int { return unix.Gettid() }

// processorTime is what a thread has used. The clock's number is that of the thread, as in the kernel's
// include/linux/posix-timers.h: ~thread << 3, 4 for a single thread, 2 for its time on a processor.
func processorTime(id int) (time.Duration, error) {
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^id<<3|4|2), &used); err != nil {
		return 0, err
	}
	return time.Duration(used.Nano()), nil
}
