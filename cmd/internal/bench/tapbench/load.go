package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// load is one thing that is measured for every target.
type load struct {
	name string
	path string
	kind kind
	busy bool // other programs want every processor
}

type kind int

const (
	closedLoop kind = iota
	openLoop
	streaming
)

// A target's turn is block calls of a single caller, turn of an open loop, or turnStreams streams; then it is the next
// one's. Turns are short, so that those that are compared meet the same machine.
const (
	block       = 200
	turn        = 250 * time.Millisecond
	turnStreams = 2
)

func loads(cfg config) []load {
	var all []load
	for _, size := range sizes() {
		all = append(all, load{fmt.Sprintf("one caller, %s", human(size)), fmt.Sprintf("/json/%d", size), closedLoop, false})
	}
	for _, size := range sizes() {
		all = append(all, load{fmt.Sprintf("%d calls/s, %s", cfg.rate, human(size)), fmt.Sprintf("/json/%d", size), openLoop, false})
	}
	all = append(all, load{fmt.Sprintf("%d calls/s, 1 KB, busy machine", cfg.rate), "/json/1024", openLoop, true})
	all = append(all, load{"64 frames, delay of a frame", "/sse/" + cfg.frameGap.String(), streaming, false})
	var chosen []load
	for _, l := range all {
		if cfg.only.MatchString(l.name) {
			chosen = append(chosen, l)
		}
	}
	return chosen
}

func human(size int) string {
	if size >= 1_000_000 {
		return fmt.Sprintf("%d MB", size/1_000_000)
	}
	return fmt.Sprintf("%d KB", size>>10)
}

// samples are the durations per target, of all calls and by turn; gaps are, for streams, how far a gap between frames was
// off. Failed calls are counted and have no duration.
type samples struct {
	calls, gaps     map[string][]time.Duration
	turns, gapTurns map[string][][]time.Duration
	failed          map[string]int
}

func newSamples() samples {
	return samples{
		calls: map[string][]time.Duration{}, gaps: map[string][]time.Duration{},
		turns: map[string][][]time.Duration{}, gapTurns: map[string][][]time.Duration{}, failed: map[string]int{},
	}
}

// take adds what one target did in its turn.
func (s *samples) take(target string, calls, gaps []time.Duration, failed int) {
	s.calls[target] = append(s.calls[target], calls...)
	s.turns[target] = append(s.turns[target], calls)
	s.failed[target] += failed
	if gaps != nil {
		s.gaps[target] = append(s.gaps[target], gaps...)
		s.gapTurns[target] = append(s.gapTurns[target], gaps)
	}
}

func measure(ctx context.Context, s *scene, cfg config, l load) (samples, error) {
	out := newSamples()
	question := completion(1 << 10)
	for _, t := range s.targets { // warm up connections and caches
		if l.kind != streaming {
			_, _ = closed(ctx, t, l.path, question, 20)
		}
	}
	random := rand.New(rand.NewPCG(7, 8))
	for n := range cfg.rounds * turns(cfg, l.kind) {
		for _, i := range random.Perm(len(s.targets)) { // nobody always comes behind the same other
			one(ctx, s.targets[i], cfg, l, question, uint64(n), &out)
			if err := ctx.Err(); err != nil {
				return out, err
			}
			time.Sleep(10 * time.Millisecond)
		}
	}
	return out, nil
}

// turns is how many each target has in a round.
func turns(cfg config, k kind) int {
	switch k {
	case closedLoop:
		return max(1, cfg.calls/block)
	case openLoop:
		return max(1, int(cfg.open/turn))
	default:
		return max(1, cfg.streams/turnStreams)
	}
}

// one is a target's turn. All targets get the same arrivals in their n-th.
func one(ctx context.Context, t target, cfg config, l load, question []byte, n uint64, out *samples) {
	switch l.kind {
	case closedLoop:
		d, failed := closed(ctx, t, l.path, question, min(block, cfg.calls))
		out.take(t.name, d, nil, failed)
	case openLoop:
		d, failed := open(ctx, t, l.path, question, rand.New(rand.NewPCG(5, n)), cfg.rate, min(turn, cfg.open))
		out.take(t.name, d, nil, failed)
	case streaming:
		failed := 0
		delays, gaps := []time.Duration{}, []time.Duration{}
		for range min(turnStreams, cfg.streams) {
			d, g, err := frameDelays(ctx, t, l.path, question)
			if err != nil {
				failed++
			}
			delays, gaps = append(delays, d...), append(gaps, g...)
		}
		out.take(t.name, delays, gaps, failed)
	}
}

func call(ctx context.Context, t target, path string, question []byte) (*http.Response, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, t.base+path, bytes.NewReader(question))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer sk-bench-0123456789abcdef0123456789abcdef")
	response, err := t.client.Do(r)
	if err == nil && response.StatusCode != http.StatusOK {
		err = fmt.Errorf("status %d", response.StatusCode)
		response.Body.Close()
	}
	return response, err
}

func timed(ctx context.Context, t target, path string, question []byte, from time.Time) (time.Duration, error) {
	response, err := call(ctx, t, path, question)
	if err != nil {
		return 0, err
	}
	_, err = io.Copy(io.Discard, response.Body)
	d := time.Since(from)
	response.Body.Close()
	return d, err
}

// closed is one caller that calls again as soon as it has its answer.
func closed(ctx context.Context, t target, path string, question []byte, n int) (out []time.Duration, failed int) {
	out = make([]time.Duration, 0, n)
	for range n {
		d, err := timed(ctx, t, path, question, time.Now())
		if err != nil {
			failed++
			continue
		}
		out = append(out, d)
	}
	return out, failed
}

// open starts calls at random moments, on average rate per second, whether or not earlier ones are answered, and
// counts from the moment a call was due.
func open(ctx context.Context, t target, path string, question []byte, random *rand.Rand, rate int, length time.Duration) (out []time.Duration, failed int) {
	var (
		mu sync.Mutex
		wg sync.WaitGroup
	)
	tapscene.Arrivals(ctx, random, rate, length, func(due time.Time) {
		wg.Go(func() {
			d, err := timed(ctx, t, path, question, due)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed++
				return
			}
			out = append(out, d)
		})
	})
	wg.Wait()
	return out, failed
}

// frameDelays reads one stream. A delay is from the provider's write to the client's read; a gap's error is the
// difference between the pauses before a frame at both ends. Both ends read the same clock of the machine.
func frameDelays(ctx context.Context, t target, path string, question []byte) (delays, gaps []time.Duration, err error) {
	response, err := call(ctx, t, path, question)
	if err != nil {
		return nil, nil, err
	}
	defer response.Body.Close()
	lines := bufio.NewReader(response.Body)
	var lastSent, lastSeen int64
	for {
		line, err := lines.ReadString('\n')
		now := time.Now().UnixNano()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, nil, err
		}
		sent, ok := sentAt(line)
		if !ok {
			continue
		}
		delays = append(delays, time.Duration(now-sent))
		if lastSent != 0 {
			gaps = append(gaps, time.Duration((now-lastSeen)-(sent-lastSent)).Abs())
		}
		lastSent, lastSeen = sent, now
	}
	if len(delays) != frames {
		return nil, nil, fmt.Errorf("%d frames", len(delays))
	}
	return delays, gaps, nil
}
