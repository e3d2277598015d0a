//go:build !linux

package background

import (
	"errors"
	"time"
)

// Lower has no per-thread priority to lower here.
func Lower() {}

func lowerWeight() {}

func giveWay() error { return errors.ErrUnsupported }

func raise(int) error { return errors.ErrUnsupported }

func canReturn() bool { return false }

func threadID() int { return 0 }

func processorTime(int) (time.Duration, error) { return 0, errors.ErrUnsupported }
