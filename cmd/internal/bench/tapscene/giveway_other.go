//go:build !linux

package tapscene

import "syscall"

// giveWay lowers the priority of the program.
func giveWay() error { return syscall.Setpriority(syscall.PRIO_PROCESS, 0, 19) }
