package main

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// watch prints a line now and then until the phase is over.
func (s *scene) watch(ctx context.Context, cfg config, c *callers, phase string, length time.Duration) error {
	begun := time.Now()
	for {
		left := length - time.Since(begun)
		if left <= 0 {
			return s.line(c, phase, length)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(min(cfg.every, left)):
		}
		if length-time.Since(begun) > cfg.every/2 {
			if err := s.line(c, phase, time.Since(begun)); err != nil {
				return err
			}
		}
	}
}

func (s *scene) line(c *callers, phase string, after time.Duration) error {
	peak, now, err := s.tap.Memory()
	if err != nil {
		return err
	}
	bytes, err := s.tap.Metric("modeltrail_spool_bytes")
	if err != nil {
		return err
	}
	inFlight, err := s.tap.Metric("modeltrail_publish_in_flight_envelopes")
	if err != nil {
		return err
	}
	fmt.Printf("%-10s %-8v %10.1f %10.1f %12.1f %12.0f %10d\n", phase, after.Round(time.Second), peak, now, bytes/(1<<20), inFlight, c.count())
	return nil
}

// awaitDrained waits until no more lies in the spool than comes within half a second.
func (s *scene) awaitDrained(ctx context.Context, cfg config, c *callers) (time.Duration, error) {
	begun, said := time.Now(), time.Now()
	for {
		waiting, err := s.tap.Metric("modeltrail_publish_in_flight_envelopes")
		if err != nil {
			return 0, err
		}
		if waiting < float64(cfg.rate) {
			return time.Since(begun), nil
		}
		if time.Since(said) > min(cfg.every, 10*time.Second) {
			said = time.Now()
			if err := s.line(c, "after", time.Since(begun)); err != nil {
				return 0, err
			}
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// found is what the topic holds.
type found struct {
	phases   map[string]byte // by request id: bit 0 the request, bit 1 the response
	numbers  map[uint64]bool
	last     map[int32]uint64
	repeats  int
	disorder int
	read     int64
}

// verify reads the whole topic.
func (s *scene) verify(ctx context.Context, served []string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(s.broker.Addr), kgo.ConsumeTopics(event.TopicEnvelopes), kgo.FetchMaxWait(200*time.Millisecond))
	if err != nil {
		return err
	}
	defer client.Close()
	f := found{phases: make(map[string]byte, len(served)), numbers: make(map[uint64]bool, 2*len(served)), last: map[int32]uint64{}}
	var decode wire.Decoder
	for idle := 0; idle < 10; {
		poll, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		fetches := client.PollFetches(poll)
		cancel()
		if err := ctx.Err(); err != nil {
			return err
		}
		if fetches.NumRecords() == 0 {
			idle++
			continue
		}
		idle = 0
		for _, r := range fetches.Records() {
			env, err := decode.Envelope(r.Value)
			if err != nil {
				return fmt.Errorf("read envelope at %d/%d: %w", r.Partition, r.Offset, err)
			}
			f.note(env, r.Partition)
		}
	}
	return f.judge(served)
}

func (f *found) note(env *event.Envelope, partition int32) {
	f.read++
	seq := env.Source.Sequence
	if f.numbers[seq] {
		f.repeats++
		return
	}
	f.numbers[seq] = true
	if seq < f.last[partition] {
		f.disorder++
	}
	f.last[partition] = max(f.last[partition], seq)
	bit := byte(1)
	if env.Phase == event.Phase_PHASE_RESPONSE {
		bit = 2
	}
	id := string([]byte(env.Request.RequestId)) // the decoder's memory is used again
	f.phases[id] |= bit
}

func (f *found) judge(served []string) error {
	missing := 0
	for _, id := range served {
		if f.phases[id] != 3 {
			missing++
		}
	}
	gaps := 0
	for seq := range uint64(len(f.numbers)) {
		if !f.numbers[seq+1] {
			gaps++
		}
	}
	fmt.Printf("\n%d calls answered, %d envelopes read, %d repeats, %d calls incomplete, %d gaps in the numbers, %d out of order\n",
		len(served), f.read, f.repeats, missing, gaps, f.disorder)
	if missing > 0 || gaps > 0 || f.disorder > 0 {
		return fmt.Errorf("%w: calls incomplete, numbers missing or out of order", errExpectation)
	}
	return nil
}
