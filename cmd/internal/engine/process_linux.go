package engine

import "syscall"

// dieWithParent makes the kernel end a child whose parent ends. It is bound to the parent's thread, so the
// goroutine that starts the child must stay locked to its own.
func dieWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true} // a Ctrl-C at the terminal is for the parent
}
