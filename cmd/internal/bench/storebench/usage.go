package main

import (
	"bufio"
	"bytes"
	"os"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// meter measures one stretch of this process.
type meter struct {
	start time.Time
	cpu   float64
	mem   runtime.MemStats
}

func startMeter() *meter {
	m := &meter{start: time.Now(), cpu: cpuSeconds()}
	runtime.ReadMemStats(&m.mem)
	return m
}

// fromProcessStart measures everything since the process began.
func fromProcessStart() *meter { return &meter{start: time.Now()} }

func (m *meter) stop(calls int) result {
	res := result{Calls: calls, Seconds: time.Since(m.start).Seconds(), CPU: cpuSeconds() - m.cpu, PeakRSS: peakRSS()}
	var now runtime.MemStats
	runtime.ReadMemStats(&now)
	res.Allocations, res.AllocBytes = now.Mallocs-m.mem.Mallocs, now.TotalAlloc-m.mem.TotalAlloc
	return res
}

// cpuSeconds is user and system time of this process.
func cpuSeconds() float64 {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// peakRSS is VmHWM of /proc/self/status; 0 where there is none.
func peakRSS() int64 {
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0
	}
	for lines := bufio.NewScanner(bytes.NewReader(status)); lines.Scan(); {
		if rest, ok := strings.CutPrefix(lines.Text(), "VmHWM:"); ok {
			kb, _ := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(rest), "kB")), 10, 64)
			return kb << 10
		}
	}
	return 0
}
