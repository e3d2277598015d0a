// Command tapbench measures what the tap adds to a call: direct to the provider, through a plain
// httputil.ReverseProxy, through a second one as control and through the tap binary, in one run and in turns of drawn
// order, so that whatever else the machine does meets all of them alike. Provider, plain proxies, tap, broker and client
// are processes of their own, and the proxies are programs of their own (see plainproxy).
//
// It prints, per load, median and 99th percentile, the difference of tap and plain proxy, and that of the two plain
// proxies, which is the error of the measurement; then the peak resident size of the tap and the balance of its envelopes.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"runtime"
	"runtime/debug"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// config is one run.
type config struct {
	rounds   int
	calls    int           // per target, round and body size in the closed loop
	rate     int           // calls per second of the open loop
	open     time.Duration // per target and round
	streams  int           // per target and round
	frameGap time.Duration
	capture  string
	tap      string // binary; "" builds one
	only     *regexp.Regexp
}

func main() {
	if len(os.Args) > 2 && os.Args[1] == tapscene.RoleFlag {
		if err := runRole(os.Args[2]); err != nil {
			fmt.Fprintln(os.Stderr, "tapbench:", os.Args[2], err)
			os.Exit(1)
		}
		return
	}
	cfg := config{only: regexp.MustCompile("")}
	flag.IntVar(&cfg.rounds, "rounds", 5, "rounds; each measures every target in turns")
	flag.IntVar(&cfg.calls, "calls", 2000, "calls per target, round and body size, one caller at a time")
	flag.IntVar(&cfg.rate, "rate", 500, "calls per second of the open loop")
	flag.DurationVar(&cfg.open, "open", 4*time.Second, "open loop per target, round and body size")
	flag.IntVar(&cfg.streams, "streams", 20, "event streams of 64 frames per target and round")
	flag.DurationVar(&cfg.frameGap, "frame-gap", 2*time.Millisecond, "pause between two frames")
	flag.StringVar(&cfg.capture, "capture", "redacted", "capture mode of the tap")
	flag.StringVar(&cfg.tap, "tap", "", "modeltrail-tap binary; empty builds it")
	flag.Func("only", "run only the loads whose name matches this regular `expression`", func(s string) (err error) {
		cfg.only, err = regexp.Compile(s)
		return err
	})
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, os.Stdout, cfg); err != nil {
		fmt.Fprintln(os.Stderr, "tapbench:", err)
		os.Exit(1)
	}
}

// run measures and prints.
func run(ctx context.Context, out io.Writer, cfg config) (err error) {
	debug.SetGCPercent(400) // the client's collector is not what is measured
	s, err := startScene(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	table := newTable(out)
	for _, l := range loads(cfg) {
		samples, err := under(ctx, s, cfg, l)
		if err != nil {
			return fmt.Errorf("%s: %w", l.name, err)
		}
		table.add(l, samples)
	}
	table.print()
	return s.report(out)
}

// under measures one load, on a machine that other programs keep busy if it says so.
func under(ctx context.Context, s *scene, cfg config, l load) (_ samples, err error) {
	if l.busy {
		for range runtime.NumCPU() {
			spinner, failed := s.Role("spin")
			if failed != nil {
				return samples{}, failed
			}
			defer func() { err = errors.Join(err, spinner.Kill()) }()
		}
	}
	return measure(ctx, s, cfg, l)
}
