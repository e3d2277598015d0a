//go:build !unix

package querycmd

import (
	"os"
	"strconv"
)

// windowWidth reads COLUMNS; 0 means that it is not set.
func windowWidth(*os.File) int {
	width, err := strconv.Atoi(os.Getenv("COLUMNS"))
	if err != nil {
		return 0
	}
	return width
}
