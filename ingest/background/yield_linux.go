package background

import (
	"runtime"

	"golang.org/x/sys/unix"
)

// Yield binds the goroutine to its thread for good and leaves that thread only what no other wants of the processors
// (SCHED_IDLE): a call that wakes up takes the processor at once, where a thread that is merely nice would first run to
// the end of its slice of milliseconds. Where the kernel refuses that, the thread gets the lowest priority. The thread
// ends with the goroutine.
func Yield() {
	runtime.LockOSThread()
	idle := unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}
	if unix.SchedSetAttr(0, &idle, 0) != nil {
		_ = unix.Setpriority(unix.PRIO_PROCESS, 0, 19) // of this thread; a refusal costs only the preference
	}
}
