package tapscene

import (
	"os"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// giveWay leaves the whole program only what no other wants of the processors. A policy is a thread's and what the
// thread starts inherits it, so the program begins anew on a thread that has it.
func giveWay() error {
	runtime.LockOSThread()
	now, err := unix.SchedGetAttr(0, 0)
	if err != nil || now.Policy == unix.SCHED_IDLE {
		return err
	}
	if err := unix.SchedSetAttr(0, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_IDLE}, 0); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	return syscall.Exec(self, os.Args, os.Environ()) //nolint:gosec // this program
}
