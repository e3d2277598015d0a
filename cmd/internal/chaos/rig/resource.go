package rig

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
)

// Memory is what one process used.
type Memory struct {
	Peak    float64   `json:"peak_mib"`
	Slope   float64   `json:"slope_mib_per_minute"` // of the second half, by least squares
	Samples []float64 `json:"samples_mib"`
}

// ResourceReport is the outcome of a resource run.
type ResourceReport struct {
	Seconds float64            `json:"seconds"`
	Records int64              `json:"records"`
	Rate    float64            `json:"records_per_second"`
	Memory  map[string]*Memory `json:"memory"`
	Verdict judge.Verdict      `json:"verdict"`
	Error   string             `json:"error,omitempty"`
}

// Bars of a resource run.
const (
	maxPeakMiB   = 512
	maxSlopeMiB  = 1 // a minute
	sampleEvery  = 5 * time.Second
	aheadRecords = 200_000 // how far the producer may be ahead of the store, so that the topic stays small and never runs dry
)

// Resource lets store and enrich work at full speed for the duration and watches their memory.
func Resource(ctx context.Context, r *Run) *ResourceReport {
	report := &ResourceReport{Memory: map[string]*Memory{}, Verdict: judge.CheckError}
	if err := errors.Join(report.run(ctx, r), r.close()); err != nil {
		report.Error, report.Verdict = err.Error(), judge.CheckError
	}
	return report
}

func (p *ResourceReport) run(ctx context.Context, r *Run) error {
	r.started = time.Now()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.startRoles(); err != nil {
		return err
	}
	if err := r.startProducer(ctx); err != nil {
		return err
	}
	watched := map[string]*Process{"store": r.stores[0], "enrich": r.enrich}
	for name := range watched {
		p.Memory[name] = &Memory{}
	}
	began, told, behind := time.Now(), time.Now(), int64(0)
	for time.Since(began) < r.opt.Duration {
		select {
		case err := <-r.produced:
			return fmt.Errorf("the calls ran out, raise -calls: %w", err)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(sampleEvery):
		}
		if lag := r.lag(); lag[0] >= 0 {
			behind = max(lag[0], lag[1])
		}
		ahead := float64(r.acks.Load()/2+max(aheadRecords-behind, 0)/2) / float64(r.opt.Workload.Calls)
		r.allow(ahead)
		for name, process := range watched {
			p.Memory[name].sample(process.PID())
		}
		if time.Since(told) > time.Minute {
			told = time.Now()
			r.say("acknowledged %d records, the slower role is %d behind; store %.0f MiB, enrich %.0f MiB", r.acks.Load(), behind, p.Memory["store"].last(), p.Memory["enrich"].last())
		}
	}
	p.Seconds, p.Records = time.Since(began).Seconds(), r.acks.Load()-behind
	p.Rate = float64(p.Records) / p.Seconds
	p.Verdict = judge.Pass
	for name, m := range p.Memory {
		m.Slope = slope(m.Samples[len(m.Samples)/2:])
		if m.Peak > maxPeakMiB || m.Slope > maxSlopeMiB || watched[name].Starts() > 1 {
			p.Verdict = judge.Fail
		}
	}
	r.measured = p.Verdict == judge.Pass
	return nil
}

// sample adds the resident memory of a process.
func (m *Memory) sample(pid int) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return
	}
	m.Samples = append(m.Samples, kib(status, "VmRSS:")/1024)
	m.Peak = max(m.Peak, kib(status, "VmHWM:")/1024)
}

func (m *Memory) last() float64 {
	if len(m.Samples) == 0 {
		return 0
	}
	return m.Samples[len(m.Samples)-1]
}

// kib reads one line of /proc/<pid>/status.
func kib(status []byte, key string) float64 {
	for line := range bytes.Lines(status) {
		if fields := bytes.Fields(line); len(fields) == 3 && string(fields[0]) == key {
			n, err := strconv.ParseFloat(string(fields[1]), 64)
			if err != nil {
				return 0
			}
			return n
		}
	}
	return 0
}

// slope is the least squares slope of samples, a minute.
func slope(samples []float64) float64 {
	n := float64(len(samples))
	if n < 2 {
		return 0
	}
	var sx, sy, sxx, sxy float64
	for i, y := range samples {
		x := float64(i)
		sx, sy, sxx, sxy = sx+x, sy+y, sxx+x*x, sxy+x*y
	}
	return (n*sxy - sx*sy) / (n*sxx - sx*sx) * float64(time.Minute/sampleEvery)
}

// Text writes the report for people.
func (p *ResourceReport) Text(w io.Writer) {
	fmt.Fprintf(w, "\nresources: %.0f s, %d records, %.0f records/s\n", p.Seconds, p.Records, p.Rate)
	for _, name := range []string{"store", "enrich"} {
		if m := p.Memory[name]; m != nil {
			fmt.Fprintf(w, "  %-7s peak %.0f MiB (bar %d), slope of the second half %+.2f MiB/min (bar %d), %d samples\n", name, m.Peak, maxPeakMiB, m.Slope, maxSlopeMiB, len(m.Samples))
		}
	}
	if p.Error != "" {
		fmt.Fprintf(w, "  the run could not be made: %s\n", p.Error)
	}
	fmt.Fprintf(w, "resource verdict: %s\n", p.Verdict)
}
