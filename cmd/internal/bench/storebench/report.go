package main

import (
	"context"
	"fmt"
	"os"
	"text/tabwriter"

	"github.com/rs/zerolog"
)

func run(ctx context.Context, o options, log zerolog.Logger) error {
	if o.Dir == "" {
		dir, err := os.MkdirTemp("", "storebench")
		if err != nil {
			return err
		}
		o.Dir = dir
		if !o.Keep {
			defer func() { _ = os.RemoveAll(dir) }()
		}
	}
	r, err := newRig(ctx, o, log)
	if r != nil {
		defer r.stop()
	}
	if err != nil {
		return err
	}
	log.Info().Int("calls", o.Calls).Str("dir", o.Dir).Msg("filling the topic")
	bytes, err := fill(ctx, o, r.Broker)
	if err != nil {
		return fmt.Errorf("fill topic: %w", err)
	}
	if bytes > 0 {
		fmt.Printf("topic: %d calls, %d envelopes, %d bytes per call\n", o.Calls, 2*o.Calls, bytes)
	}
	results := map[string][]result{}
	for i := range o.Runs {
		for _, what := range []string{"consume", "insert", "store"} {
			if o.Only != "" && o.Only != what {
				continue
			}
			res, err := one(ctx, o, r, what, i)
			if err != nil {
				return err
			}
			results[what] = append(results[what], res)
		}
	}
	fmt.Printf("measured process: GOMAXPROCS=%d GOGC=%s GOMEMLIMIT=%s, %d partitions, %d envelopes per batch\n", o.Procs, o.GOGC, o.MemLimit, o.Partitions, o.Rows)
	show(results)
	return nil
}

func one(ctx context.Context, o options, r *rig, what string, i int) (result, error) {
	t := task{Options: o, Rig: *r, Database: "bench_" + what, Group: fmt.Sprintf("bench-%s-%d-%d", what, i, os.Getpid())}
	if what != "consume" {
		if err := r.database(ctx, t.Database); err != nil {
			return result{}, err
		}
	}
	if what == "store" && o.Refused > 0 {
		if err := r.conn.Exec(ctx, "ALTER TABLE "+t.Database+".calls ADD CONSTRAINT no_poison CHECK NOT startsWith(call_id, '"+poison+"')"); err != nil {
			return result{}, err
		}
	}
	res, err := measure(ctx, what, t)
	if err != nil || what != "store" {
		return res, err
	}
	res.Detail, err = r.oracle(ctx, t.Database, o)
	return res, err
}

// oracle compares what is stored with what the topic holds; a difference makes the measurement void.
func (r *rig) oracle(ctx context.Context, database string, o options) (string, error) {
	var envelopes, distinct, calls, letters, payloads, tools, stored uint64
	query := fmt.Sprintf(`SELECT count(), uniqExact(partition, offset), countIf(status = 'stored'), (SELECT count() FROM %[1]s.calls), (SELECT count() FROM %[1]s.dead_letters),
		(SELECT count() FROM %[1]s.payloads), (SELECT count() FROM %[1]s.tool_calls) FROM %[1]s.envelopes`, database)
	if err := r.conn.QueryRow(ctx, query).Scan(&envelopes, &distinct, &stored, &calls, &letters, &payloads, &tools); err != nil {
		return "", fmt.Errorf("count rows: %w", err)
	}
	var priced, known uint64
	query = fmt.Sprintf("SELECT countIf(cost_usd IS NOT NULL), countIf(team_id != 'unknown') FROM %s.calls", database)
	if err := r.conn.QueryRow(ctx, query).Scan(&priced, &known); err != nil {
		return "", fmt.Errorf("count rows: %w", err)
	}
	detail := fmt.Sprintf("envelopes %d (distinct offsets %d, stored %d), calls %d (priced %d, team known %d), payloads %d, tool_calls %d, dead_letters %d",
		envelopes, distinct, stored, calls, priced, known, payloads, tools, letters)
	if want := uint64(2*o.Calls + o.Unread); envelopes != want || distinct != want || calls != uint64(o.Calls-o.Refused) || letters != uint64(o.Refused+o.Unread) { //nolint:gosec // flags
		return "", fmt.Errorf("void: %s, want %d envelopes", detail, want)
	}
	return detail, nil
}

func show(results map[string][]result) {
	w := tabwriter.NewWriter(os.Stdout, 0, 4, 2, ' ', 0)
	fmt.Fprintln(w, "measured\tcalls/core-s\tcalls/s\tCPU s\twall s\tCPU us/call\tallocs/call\tbytes/call\tpeak RSS MiB\t")
	cpu := map[string]float64{}
	for _, what := range []string{"consume", "insert", "store"} {
		for _, r := range results[what] {
			n := float64(r.Calls)
			fmt.Fprintf(w, "%s\t%.0f\t%.0f\t%.2f\t%.2f\t%.2f\t%.1f\t%.0f\t%.0f\t\n", what, n/r.CPU, n/r.Seconds, r.CPU, r.Seconds,
				r.CPU/n*1e6, float64(r.Allocations)/n, float64(r.AllocBytes)/n, float64(r.PeakRSS)/(1<<20))
			if per := r.CPU / n; cpu[what] == 0 || per < cpu[what] {
				cpu[what] = per
			}
		}
	}
	_ = w.Flush()
	if cpu["store"] > 0 && cpu["consume"] > 0 && cpu["insert"] > 0 {
		fmt.Printf("store / bare consume = %.2f, store / bare insert = %.2f, store / (consume + insert) = %.2f (CPU per call, best run of each)\n",
			cpu["store"]/cpu["consume"], cpu["store"]/cpu["insert"], cpu["store"]/(cpu["consume"]+cpu["insert"]))
	}
	for _, r := range results["store"] {
		fmt.Println("rows:", r.Detail)
	}
}
