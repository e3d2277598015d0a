package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/rig"
)

// measured are the options of a run without faults, with the batches of production.
func measured(f *flag.FlagSet) *rig.Options {
	o := rig.DefaultOptions()
	o.Workload.PoisonShare, o.Workload.RepeatShare, o.Workload.MarkedShare = 0, 0, 0
	o.Kills, o.FailpointKills, o.Stores, o.Faults, o.Settle = 0, 0, 1, []string{"none"}, 10*time.Minute
	o.BatchRows, o.Flush, o.Session = 10_000, time.Second, 10*time.Second
	f.Uint64Var(&o.Workload.Seed, "seed", o.Workload.Seed, "seed of the calls")
	f.StringVar(&o.Broker, "broker", o.Broker, "kfake or apachekafka")
	f.IntVar(&o.Partitions, "partitions", o.Partitions, "partitions of the topics")
	f.StringVar(&o.Program, "program", "", "modeltrail; default: it is built")
	f.StringVar(&o.Log, "log", o.Log, "level of the controller's log")
	return &o
}

// runner returns how runs are made; their progress goes to out.
func runner(out io.Writer) (func(rig.Options) (*rig.Run, error), error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	return func(o rig.Options) (*rig.Run, error) {
		level, err := zerolog.ParseLevel(o.Log)
		if err != nil {
			return nil, err
		}
		log := zerolog.New(zerolog.ConsoleWriter{Out: os.Stderr, TimeFormat: time.TimeOnly}).Level(level).With().Timestamp().Logger()
		return rig.New(o, self, out, log)
	}, nil
}

// runPoison is `chaos poison`.
func runPoison(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("chaos poison", flag.ContinueOnError)
	var p rig.PoisonOptions
	o := measured(f)
	f.IntVar(&o.Workload.Calls, "calls", 500_000, "calls, two envelopes each")
	f.IntVar(&p.Rounds, "rounds", 3, "readings without poison and with it, in turns; the last ones are judged")
	f.IntVar(&p.Undecodable, "undecodable", 1000, "records that are no envelope to this version")
	f.IntVar(&p.Uninsertable, "uninsertable", 100, "calls that the database refuses")
	f.Float64Var(&p.MaxSlowdown, "max-slowdown", 0.2, "share of the throughput that poison may cost")
	f.BoolVar(&p.ReplayCommand, "replay", true, "mend the causes and run `modeltrail dlq replay`")
	file := f.String("json", "", "also write the report to this file as JSON")
	if code, ok := parsed(f, args); !ok {
		return code
	}
	if p.Rounds < 1 {
		fmt.Fprintln(os.Stderr, "chaos: -rounds must be at least 1")
		return exitUsage
	}
	p.Run = *o
	newRun, err := runner(os.Stdout)
	if err != nil {
		return fail(err)
	}
	report := rig.Poison(ctx, p, newRun)
	report.Text(os.Stdout)
	if err := writeJSON(*file, report); err != nil {
		return fail(err)
	}
	return report.Verdict.ExitCode()
}

// runResource is `chaos resource`.
func runResource(ctx context.Context, args []string) int {
	f := flag.NewFlagSet("chaos resource", flag.ContinueOnError)
	o := measured(f)
	f.DurationVar(&o.Duration, "duration", 30*time.Minute, "time at full speed")
	f.IntVar(&o.Workload.Calls, "calls", 200_000_000, "calls at most; the run ends with -duration")
	file := f.String("json", "", "also write the report to this file as JSON")
	if code, ok := parsed(f, args); !ok {
		return code
	}
	newRun, err := runner(os.Stdout)
	if err != nil {
		return fail(err)
	}
	r, err := newRun(*o)
	if err != nil {
		return fail(err)
	}
	report := rig.Resource(ctx, r)
	report.Text(os.Stdout)
	if err := writeJSON(*file, report); err != nil {
		return fail(err)
	}
	return report.Verdict.ExitCode()
}

// parsed reads a command line; not ok ends the program with the code.
func parsed(f *flag.FlagSet, args []string) (code int, ok bool) {
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0, false
	case err != nil:
		return exitUsage, false
	case f.NArg() > 0:
		fmt.Fprintf(os.Stderr, "chaos: unexpected argument %q\n", f.Arg(0))
		return exitUsage, false
	}
	return 0, true
}

// writeJSON writes a report to a file; with an empty name it does nothing.
func writeJSON(file string, report any) error {
	if file == "" {
		return nil
	}
	data, err := json.MarshalIndent(report, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, data, 0o600)
}
