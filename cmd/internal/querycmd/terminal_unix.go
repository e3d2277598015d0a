//go:build unix

package querycmd

import (
	"os"

	"golang.org/x/sys/unix"
)

// windowWidth asks the terminal; 0 means that it does not say.
func windowWidth(file *os.File) int {
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ) //nolint:gosec // a descriptor fits
	if err != nil {
		return 0
	}
	return int(size.Col)
}
