// Package watch tells the person in front of a demonstration what happens: findings as they come, and now and then
// what SQL says of calls and spend.
package watch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"
	"github.com/shopspring/decimal"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// every is the time between two looks at the tables.
const every = 20 * time.Second

// Watch prints to one writer.
type Watch struct {
	clickhouse clickhouse.Config
	kafka      kafka.Config

	mu  sync.Mutex
	out io.Writer
}

// New returns a Watch; Run starts it.
func New(ch clickhouse.Config, k kafka.Config, out io.Writer) *Watch {
	return &Watch{clickhouse: ch, kafka: k, out: out}
}

// Run prints until ctx ends.
func (w *Watch) Run(ctx context.Context) error {
	conn, err := clickhouse.Open(w.clickhouse)
	if err != nil {
		return err
	}
	defer conn.Close()
	client, err := kafka.NewClient(w.kafka, zerolog.Nop(), kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{
		w.kafka.Topics.Findings: {0: kgo.NewOffset().AtEnd()},
	}))
	if err != nil {
		return err
	}
	defer client.Close()
	var wait sync.WaitGroup
	wait.Go(func() { w.findings(ctx, client) })
	defer wait.Wait()
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		if err := w.spend(ctx, conn); err != nil && !errors.Is(err, context.Canceled) {
			w.say("  (spend could not be read: %v)\n", err)
		}
	}
}

func (w *Watch) say(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	fmt.Fprintf(w.out, format, args...)
}

// findings prints one line per finding.
func (w *Watch) findings(ctx context.Context, client *kgo.Client) {
	for ctx.Err() == nil {
		client.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			var f event.Finding
			if err := wire.UnmarshalFinding(r.Value, &f); err != nil {
				return
			}
			severity := f.GetSeverity().String()[len("SEVERITY_"):]
			w.say("%s  alert  %-8s %s: %s\n", time.Now().Format("15:04:05"), severity, f.GetDetector(), f.GetTitle())
		})
	}
}

// spend prints what each team spent today.
func (w *Watch) spend(ctx context.Context, conn driver.Conn) error {
	rows, err := conn.Query(ctx, `SELECT team_id, sum(calls), sum(in_tokens), sum(out_tokens), sum(cost_usd) AS spent
FROM spend_hourly WHERE hour >= toStartOfDay(now('UTC')) GROUP BY team_id ORDER BY spent DESC`)
	if err != nil {
		return err
	}
	defer rows.Close()
	w.say("%s  spend today, from SQL (spend_hourly)\n", time.Now().Format("15:04:05"))
	for rows.Next() {
		var team string
		var calls, in, out int64
		var spent decimal.Decimal
		if err := rows.Scan(&team, &calls, &in, &out, &spent); err != nil {
			return err
		}
		w.say("    %-12s %6d calls  %9d tokens in  %8d out  %12s USD\n", team, calls, in, out, spent.StringFixed(6))
	}
	return rows.Err()
}
