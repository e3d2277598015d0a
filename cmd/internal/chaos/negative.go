package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/rig"
)

// control is a store that is broken on purpose. The judge must find it out.
type control struct {
	name string
	set  func(*rig.Options)
}

// controls are the negative controls, each with the windows in which its fault shows.
func controls() []control {
	return []control{
		{"copier", func(o *rig.Options) { o.Copier, o.Failpoints = true, []string{"W3"} }},
		{"new_token", func(o *rig.Options) { o.Fault, o.Failpoints = "new_token", []string{"W2", "W3"} }},
		{"shift_boundary", func(o *rig.Options) { o.Fault, o.Failpoints = "shift_boundary", []string{"W2", "W3"} }},
		{"multi_block", func(o *rig.Options) { o.Fault, o.Failpoints = "multi_block", []string{"W2", "W3"} }},
	}
}

// controlOptions is a short run with kills where they tell most.
func controlOptions(seed uint64, c control) rig.Options {
	o := rig.DefaultOptions()
	o.Workload.Seed, o.Workload.Calls = seed, 2500
	o.Duration, o.Kills, o.FailpointKills, o.Stores = 12*time.Second, 4, 4, 2
	o.Components, o.Faults, o.Settle = []string{"engine"}, []string{"none"}, time.Minute
	o.Log = "fatal"
	c.set(&o)
	return o
}

// runNegative is `chaos negative`: every control must FAIL within the tries. A CHECK_ERROR counts as no try.
func runNegative(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("chaos negative", flag.ContinueOnError)
	tries := f.Int("tries", 25, "runs of each control at most")
	seed := f.Uint64("seed", 1, "seed of the first run")
	program := f.String("program", "", "modeltrail built with -tags chaos; default: it is built")
	broker := f.String("broker", rig.Kfake, "kfake or apachekafka")
	only := f.String("only", "", "controls, comma separated; default all")
	if f.Parse(args) != nil {
		return exitUsage
	}
	code := judge.Pass.ExitCode()
	for _, c := range controls() {
		if *only != "" && !strings.Contains(","+*only+",", ","+c.name+",") {
			continue
		}
		found, errs := 0, 0
		for try := range *tries {
			o := controlOptions(*seed+uint64(try), c) //nolint:gosec // small
			o.Program, o.Broker = *program, *broker
			var err error
			if o.Dir, err = os.MkdirTemp("", "modeltrail-chaos-"); err != nil {
				return fail(err)
			}
			report, err := oneRun(ctx, o, io.Discard)
			if err := errors.Join(err, os.RemoveAll(o.Dir)); err != nil {
				return fail(err)
			}
			fmt.Fprintf(os.Stdout, "%-15s try %2d: %s %v %s\n", c.name, try+1, report.Judge.Verdict, report.Judge.Counts, report.Judge.Error)
			if report.Judge.Verdict == judge.CheckError {
				errs++
			}
			if report.Judge.Verdict == judge.Fail {
				found = try + 1
				break
			}
		}
		switch {
		case found > 0:
			fmt.Fprintf(os.Stdout, "%-15s found out at try %d\n", c.name, found)
		case errs == *tries:
			return fail(fmt.Errorf("%s: no run could be judged", c.name))
		default:
			fmt.Fprintf(os.Stdout, "%-15s NOT FOUND OUT in %d tries: the judge is blind to it\n", c.name, *tries)
			code = judge.Fail.ExitCode()
		}
	}
	return code
}

// oneRun makes one run of the conservation test.
func oneRun(ctx context.Context, o rig.Options, out io.Writer) (*rig.Report, error) {
	newRun, err := runner(out)
	if err != nil {
		return nil, err
	}
	run, err := newRun(o)
	if err != nil {
		return nil, err
	}
	return run.Do(ctx), nil
}
