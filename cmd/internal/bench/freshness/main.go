// Command freshness measures how long it takes from an event to a row that can be queried: it starts `modeltrail up`
// with its defaults (embedded broker and ClickHouse, 1 s flush), writes envelopes of realistic calls to the topic at
// a steady rate that waits for nobody, and looks every 50 ms which rows ClickHouse answers with.
//
// It prints p50, p99 and maximum and ends with code 1 when a row is missing, stands twice, or p99 is above the bar.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
)

// options are the flags.
type options struct {
	binary   string
	calls    int           // per second; each is two envelopes
	duration time.Duration // of the measured load
	warmup   time.Duration // of load before it
	poll     time.Duration
	bar      time.Duration
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "bin/modeltrail", "program to measure")
	flag.IntVar(&o.calls, "calls", 1000, "calls per second; each is two envelopes")
	flag.DurationVar(&o.duration, "duration", 30*time.Second, "measured time")
	flag.DurationVar(&o.warmup, "warmup", 3*time.Second, "load before the measured time")
	flag.DurationVar(&o.poll, "poll", 50*time.Millisecond, "pause between two looks at the tables")
	flag.DurationVar(&o.bar, "bar", 2500*time.Millisecond, "p99 above it is a failure; 0s means none")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o, os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "freshness:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options, out io.Writer) error {
	if o.calls < 1 || o.duration <= 0 || o.poll <= 0 {
		return errors.New("-calls, -duration and -poll must be positive")
	}
	system, err := start(ctx, o.binary)
	if err != nil {
		return err
	}
	defer system.stop()
	cfg := kafka.DefaultConfig()
	cfg.Brokers = system.endpoints.Brokers
	client, err := kafka.NewClient(cfg, zerolog.Nop(), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(5*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	conn, err := system.connect()
	if err != nil {
		return err
	}
	defer conn.Close()
	load := &load{client: client, topic: cfg.Topics.Envelopes, perSecond: o.calls}
	watch := newWatch(conn, o.poll)
	measured := time.Now().Add(o.warmup)
	watching, endWatch := context.WithCancel(ctx)
	defer endWatch()
	watched := make(chan error, 1)
	go func() { watched <- watch.run(watching) }()
	if err := load.run(ctx, o.warmup+o.duration); err != nil {
		return err
	}
	if err := watch.await(ctx, load.envelopes(), load.responses(), 20*time.Second); err != nil {
		fmt.Fprintln(out, "warning:", err)
	}
	endWatch()
	if err := <-watched; err != nil {
		return err
	}
	if err := watch.countRepeats(ctx); err != nil {
		return err
	}
	return report(out, o, load, watch, measured)
}

// report prints the table and judges it.
func report(out io.Writer, o options, l *load, w *watch, from time.Time) error {
	fmt.Fprintf(out, "event to queryable row: %d envelopes/s for %s, %d bytes per call, flush 1 s, looked at every %s\n",
		2*o.calls, o.duration, l.bytesPerCall(), o.poll)
	table := tabwriter.NewWriter(out, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(table, "rows\tcount\tp50\tp99\tmax\tlost\ttwice\t")
	var errs []error
	for _, s := range []struct {
		name string
		seen *seen
		want int
	}{{"envelopes", w.envelopes, l.envelopes()}, {"calls", w.calls, l.responses()}} {
		ages := s.seen.since(from)
		lost := s.want - s.seen.distinct()
		p50, p99, most := quantile(ages, 0.50), quantile(ages, 0.99), quantile(ages, 1)
		fmt.Fprintf(table, "%s\t%d\t%s\t%s\t%s\t%d\t%d\t\n", s.name, len(ages), ms(p50), ms(p99), ms(most), lost, s.seen.repeated)
		if lost != 0 || s.seen.repeated != 0 {
			errs = append(errs, fmt.Errorf("%s: %d rows lost, %d twice", s.name, lost, s.seen.repeated))
		}
		if o.bar > 0 && p99 > o.bar {
			errs = append(errs, fmt.Errorf("%s: p99 %s is above the bar of %s", s.name, ms(p99), ms(o.bar)))
		}
	}
	errs = append(errs, table.Flush())
	fmt.Fprintf(out, "bar: p99 <= %s\n", ms(o.bar))
	fmt.Fprintf(out, "generator behind its schedule at most: %s\n", ms(l.behind))
	return errors.Join(errs...)
}

// quantile of sorted values; 0 for none.
func quantile(sorted []time.Duration, q float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}

func ms(d time.Duration) string { return fmt.Sprintf("%d ms", d.Milliseconds()) }

// sorted returns a sorted copy.
func sorted(d []time.Duration) []time.Duration {
	out := slices.Clone(d)
	slices.Sort(out)
	return out
}
