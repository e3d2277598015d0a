// Command outage measures the tap while Kafka is away: calls at a steady rate through the tap binary and, by turns,
// through a plain httputil.ReverseProxy, before, during and after the broker process is killed. Provider, plain proxy, tap,
// broker and callers are processes of their own.
//
// It prints the tap's memory and its spool while the broker is down, the latency of both proxies in each phase, and how
// long the backlog takes to drain; then it reads the whole topic and requires both envelopes of every call, in the order
// of their numbers in each partition. Exit code 3 means that an envelope is missing or out of order.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// config is one run.
type config struct {
	down       time.Duration
	around     time.Duration // before and after
	every      time.Duration // between two lines
	rate       int           // calls per second through each proxy
	size       int           // bytes of a question and of an answer
	durability string
	tap        string // binary; "" builds one
}

// errExpectation means that the run went well and its result is not what it must be.
var errExpectation = errors.New("expectation not met")

func main() {
	if len(os.Args) > 2 && os.Args[1] == tapscene.RoleFlag {
		if err := runRole(os.Args[2], os.Args[3:]); err != nil {
			fmt.Fprintln(os.Stderr, "outage:", os.Args[2], err)
			os.Exit(1)
		}
		return
	}
	var cfg config
	flag.DurationVar(&cfg.down, "down", 10*time.Minute, "for how long the tap has calls while Kafka is away; the turns of the plain proxy come on top")
	flag.DurationVar(&cfg.around, "around", 20*time.Second, "how long calls are measured before, and at least after")
	flag.DurationVar(&cfg.every, "every", time.Minute, "time between two lines")
	flag.IntVar(&cfg.rate, "rate", 500, "calls per second through the tap, and by turns through the plain proxy")
	flag.IntVar(&cfg.size, "size", 1500, "bytes of each question and each answer")
	flag.StringVar(&cfg.durability, "durability", "spill", "spill or spool-first")
	flag.StringVar(&cfg.tap, "tap", "", "modeltrail-tap binary; empty builds it")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, cfg)
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "outage:", err)
	if errors.Is(err, errExpectation) {
		os.Exit(3)
	}
	os.Exit(1)
}

func run(ctx context.Context, cfg config) (err error) {
	debug.SetGCPercent(400) // the callers' collector is not what is measured
	s, err := startScene(ctx, cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	callers := startCallers(ctx, cfg, s)
	defer callers.stop()
	fmt.Printf("%d calls/s of %d bytes through the tap (%s) and, by turns, through a plain proxy; Kafka away for %v\n\n", cfg.rate, cfg.size, cfg.durability, cfg.down)
	fmt.Printf("%-10s %-8s %10s %10s %12s %12s %10s\n", "phase", "after", "peak MiB", "now MiB", "spool MiB", "in flight", "calls")
	if err := s.watch(ctx, cfg, callers, "before", withTurns(cfg.around)); err != nil {
		return err
	}
	if err := s.broker.Kill(); err != nil {
		return fmt.Errorf("kill broker: %w", err)
	}
	callers.enter("away")
	if err := s.watch(ctx, cfg, callers, "away", withTurns(cfg.down)); err != nil {
		return err
	}
	if err := s.startBroker(s.broker.Addr); err != nil {
		return err
	}
	back := time.Now()
	callers.enter("after")
	drained, err := s.awaitDrained(ctx, cfg, callers)
	if err != nil {
		return err
	}
	fmt.Printf("\ndrained %v after Kafka was back, while calls went on\n", drained.Round(100*time.Millisecond))
	if rest := withTurns(cfg.around) - time.Since(back); rest > 0 {
		if err := s.watch(ctx, cfg, callers, "after", rest); err != nil {
			return err
		}
	}
	callers.stop()
	callers.print()
	if err := s.tap.Stop(); err != nil {
		return fmt.Errorf("%w: the tap did not end cleanly: %w", errExpectation, err)
	}
	return s.verify(ctx, callers.served())
}
