package querycmd

import (
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// terminalWidth is the width in columns of the terminal behind w, 0 when w is not a terminal.
func terminalWidth(w io.Writer) int {
	file, ok := w.(*os.File)
	if !ok || !isatty.IsTerminal(file.Fd()) {
		return 0
	}
	if width := windowWidth(file); width > 0 {
		return width
	}
	return 80
}

// isTerminal says whether w shows colours.
func isTerminal(w io.Writer) bool {
	return terminalWidth(w) > 0 && os.Getenv("NO_COLOR") == "" && os.Getenv("TERM") != "dumb"
}
