//go:build !linux

package tapscene

import "time"

func sharpen() {}

func nap(d time.Duration) { time.Sleep(d) }
