//go:build unix && !linux

package engine

import "syscall"

// dieWithParent has no kernel support here; the child ends when its standard input does.
func dieWithParent() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }
