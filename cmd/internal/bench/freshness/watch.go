package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// seen is what was found in one table.
type seen struct {
	query string
	last  map[int32]int64 // highest offset found, by partition

	mu       sync.Mutex
	rows     map[position]time.Time // event time of each row
	ages     map[position]time.Duration
	repeated int64
}

type position struct {
	partition int32
	offset    int64
}

func newSeen(query string) *seen {
	return &seen{query: query, last: map[int32]int64{}, rows: map[position]time.Time{}, ages: map[position]time.Duration{}}
}

func (s *seen) distinct() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.rows)
}

// since returns the sorted ages of the rows whose event is not before from.
func (s *seen) since(from time.Time) []time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []time.Duration
	for at, event := range s.rows {
		if !event.Before(from) {
			out = append(out, s.ages[at])
		}
	}
	return sorted(out)
}

// watch looks at the tables until its context ends.
type watch struct {
	conn      driver.Conn
	pause     time.Duration
	envelopes *seen
	calls     *seen
}

func newWatch(conn driver.Conn, pause time.Duration) *watch {
	return &watch{
		conn: conn, pause: pause,
		envelopes: newSeen("SELECT partition, offset, toUnixTimestamp64Micro(observed_at) FROM envelopes"),
		calls:     newSeen("SELECT partition, offset, toUnixTimestamp64Micro(ended_at) FROM calls"),
	}
}

func (w *watch) run(ctx context.Context) error {
	var wait sync.WaitGroup
	errs := make([]error, 2)
	for i, s := range []*seen{w.envelopes, w.calls} {
		wait.Go(func() {
			for ctx.Err() == nil {
				if errs[i] = w.look(ctx, s); errs[i] != nil {
					return
				}
				time.Sleep(w.pause)
			}
		})
	}
	wait.Wait()
	if err := errors.Join(errs...); err != nil && ctx.Err() == nil {
		return err
	}
	return nil
}

// look asks for the rows behind those already found. A row's age is taken when the answer has arrived.
func (w *watch) look(ctx context.Context, s *seen) error {
	query := s.query + " WHERE topic = 'modeltrail.envelopes' AND (partition NOT IN (-1"
	for partition := range s.last {
		query += fmt.Sprintf(", %d", partition)
	}
	query += ")"
	for partition, offset := range s.last {
		query += fmt.Sprintf(" OR (partition = %d AND offset > %d)", partition, offset)
	}
	rows, err := w.conn.Query(ctx, query+")")
	if err != nil {
		return fmt.Errorf("look at rows: %w", err)
	}
	defer rows.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	for rows.Next() {
		var at position
		var event int64
		if err := rows.Scan(&at.partition, &at.offset, &event); err != nil {
			return fmt.Errorf("look at rows: %w", err)
		}
		s.last[at.partition] = max(s.last[at.partition], at.offset)
		s.rows[at] = time.UnixMicro(event)
		s.ages[at] = now.Sub(time.UnixMicro(event))
	}
	return rows.Err()
}

// countRepeats counts the rows that stand more than once, when all are there.
func (w *watch) countRepeats(ctx context.Context) error {
	for table, s := range map[string]*seen{"envelopes": w.envelopes, "calls": w.calls} {
		var repeated int64
		if err := w.conn.QueryRow(ctx, "SELECT count() - uniqExact(topic, partition, offset) FROM "+table).Scan(&repeated); err != nil {
			return fmt.Errorf("count repeats: %w", err)
		}
		s.repeated = repeated
	}
	return nil
}

// await waits until as many rows were found as were written.
func (w *watch) await(ctx context.Context, envelopes, calls int, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for w.envelopes.distinct() < envelopes || w.calls.distinct() < calls {
		select {
		case <-ctx.Done():
			return fmt.Errorf("%d of %d envelopes and %d of %d calls within %s",
				w.envelopes.distinct(), envelopes, w.calls.distinct(), calls, patience)
		case <-time.After(w.pause):
		}
	}
	return nil
}
