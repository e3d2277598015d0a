// Package progress shows how far long work has come: a bar that is redrawn on a terminal, a plain line now and then
// elsewhere.
package progress

import (
	"fmt"
	"io"
	"strings"
	"time"
)

// Bar shows one piece of work. It is not safe for concurrent use.
type Bar struct {
	w        io.Writer
	terminal bool
	what     string
	unit     string
	started  time.Time
	drawn    time.Time
	width    int // of the last drawing
	now      func() time.Time
}

// How often a bar is redrawn and a line is written.
const (
	redraw  = 100 * time.Millisecond
	relines = 5 * time.Second
	cells   = 28
)

// New returns a bar on w. what names the work ("replay"), unit what is counted ("records").
func New(w io.Writer, terminal bool, what, unit string) *Bar {
	now := time.Now
	return &Bar{w: w, terminal: terminal, what: what, unit: unit, started: now(), drawn: now(), now: now}
}

// Set tells how much of total is done; total 0 means that it is not known. It draws as often as one can read.
func (b *Bar) Set(done, total int64) {
	every := relines
	if b.terminal {
		every = redraw
	}
	if b.now().Sub(b.drawn) >= every || b.terminal && total > 0 && done >= total {
		b.draw(done, total)
	}
}

func (b *Bar) draw(done, total int64) {
	b.drawn = b.now()
	rate := float64(done) / max(b.now().Sub(b.started).Seconds(), 0.001)
	text := fmt.Sprintf("%s  %d %s", b.what, done, b.unit)
	if total > 0 {
		share := min(float64(done)/float64(total), 1)
		text = fmt.Sprintf("%s  %3.0f %%  %d of %d %s", b.what, share*100, done, total, b.unit)
		if b.terminal {
			full := int(share * cells)
			text = fmt.Sprintf("%s [%s%s]  %3.0f %%  %d of %d %s", b.what, strings.Repeat("#", full), strings.Repeat(".", cells-full), share*100, done, total, b.unit)
		}
	}
	text += fmt.Sprintf("  %.0f/s", rate)
	if total > done && rate > 0 {
		text += fmt.Sprintf("  %s left", time.Duration(float64(total-done)/rate*float64(time.Second)).Round(time.Second))
	}
	if !b.terminal {
		fmt.Fprintln(b.w, text)
		return
	}
	fmt.Fprintf(b.w, "\r%s%s", text, strings.Repeat(" ", max(b.width-len(text), 0)))
	b.width = len(text)
}

// Clear takes the bar off the terminal.
func (b *Bar) Clear() {
	if b.terminal && b.width > 0 {
		fmt.Fprintf(b.w, "\r%s\r", strings.Repeat(" ", b.width))
		b.width = 0
	}
}
