//go:build !linux

package tap

// yieldToCalls has no per-thread priority to lower here.
func yieldToCalls() {}
