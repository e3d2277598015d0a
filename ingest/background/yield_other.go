//go:build !linux

package background

// Yield has no per-thread priority to lower here.
func Yield() {}
