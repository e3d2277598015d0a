package background

import (
	"runtime"
	"syscall"
)

// Yield binds the goroutine to its thread for good and gives that thread the lowest priority: where a call and the
// audit want the same processor, the kernel gives it to the call. The thread ends with the goroutine.
func Yield() {
	runtime.LockOSThread()
	_ = syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) // of this thread; a refusal costs only the preference
}
