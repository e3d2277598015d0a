//go:build chaos

package failpoint

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/processors/stream"
)

// New returns the hooks that the environment asks for. getenv is os.Getenv, or a test's own.
func New(log zerolog.Logger, getenv func(string) string) (Hooks, error) {
	var h Hooks
	if text := getenv(EnvPoint); text != "" {
		point, n, err := parsePoint(text)
		if err != nil {
			return Hooks{}, err
		}
		pass := counter(n, func() {
			log.Error().Str("point", point).Int64("passing", n).Msg("failpoint kills this process")
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {} // nothing more may happen before the signal is delivered
		})
		if point == stream.PointInsert {
			h.ClickHouse.Midway = pass
		} else {
			h.Stream.At = func(at string) {
				if at == point {
					pass()
				}
			}
		}
	}
	switch fault := getenv(EnvFault); fault {
	case "":
	case "new_token":
		h.ClickHouse.Token = func(token string) string { return token + "/" + strconv.FormatUint(rand.Uint64(), 36) }
	case "shift_boundary":
		h.Stream.Shift = func(planned int64) int64 { return planned + 2*rand.Int64N(2) - 1 }
	case "multi_block":
		h.ClickHouse.Cut = cut
	default:
		return Hooks{}, fmt.Errorf("%s: %q is not new_token, shift_boundary or multi_block", EnvFault, fault)
	}
	return h, nil
}

func parsePoint(text string) (point string, n int64, err error) {
	point, count, _ := strings.Cut(text, ":")
	n, err = strconv.ParseInt(count, 10, 64)
	points := []string{stream.PointPlan, stream.PointPlanned, stream.PointInsert, stream.PointInserted, stream.PointDone}
	if err != nil || n < 1 || !slices.Contains(points, point) {
		return "", 0, fmt.Errorf("%s: %q is not one of %v with a count, for example W2:3", EnvPoint, text, points)
	}
	return point, n, nil
}

// counter calls act at the n-th call.
func counter(n int64, act func()) func() {
	var passed atomic.Int64
	return func() {
		if passed.Add(1) == n {
			act()
		}
	}
}

// cut places up to seven cuts at random, so that a repeated insert has other blocks than the first.
func cut(rows int) []int {
	if rows < 2 {
		return nil
	}
	var at []int
	for range 1 + rand.IntN(7) {
		at = append(at, 1+rand.IntN(rows-1))
	}
	slices.Sort(at)
	return slices.Compact(at)
}
