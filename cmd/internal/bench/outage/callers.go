package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"text/tabwriter"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/bench/tapscene"
)

// phases are the parts of a run, in order.
var phases = [...]string{"before", "away", "after"}

// turns are how long each target has the machine for itself, one after the other: a call is compared with one that met the
// same conditions, not with one that competed with it. The rest of the backlog drains in the plain proxy's turns too.
var turns = [...]struct {
	target string
	length time.Duration
}{{"tap", 2 * time.Second}, {"plain", 500 * time.Millisecond}}

// withTurns is how long a phase lasts in which the tap has calls for the given time.
func withTurns(calls time.Duration) time.Duration {
	return calls + time.Duration(float64(calls)*turns[1].length.Seconds()/turns[0].length.Seconds())
}

// callers send calls at random moments, by turns to both proxies, whether or not earlier ones are answered, and count from
// the moment a call was due.
type callers struct {
	cancel context.CancelFunc
	wait   sync.WaitGroup
	phase  atomic.Int64

	mu     sync.Mutex
	times  map[string]*[len(phases)][][]time.Duration // by target, phase and turn
	failed map[string]*[len(phases)]int
	ok     []string // ids of the tap's calls that were answered
}

func startCallers(ctx context.Context, cfg config, s *scene) *callers {
	ctx, cancel := context.WithCancel(ctx)
	c := &callers{cancel: cancel, times: map[string]*[len(phases)][][]time.Duration{}, failed: map[string]*[len(phases)]int{}}
	for _, t := range turns {
		c.times[t.target], c.failed[t.target] = new([len(phases)][][]time.Duration), new([len(phases)]int)
	}
	c.wait.Go(func() { c.takeTurns(ctx, cfg, map[string]string{"tap": s.tap.URL, "plain": s.plainURL}) })
	return c
}

func (c *callers) takeTurns(ctx context.Context, cfg config, bases map[string]string) {
	random := rand.New(rand.NewPCG(1, 1))
	body, sent := question(cfg.size), 0
	clients := map[string]*http.Client{}
	for name := range bases {
		clients[name] = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 256, MaxIdleConns: 512}}
	}
	for ctx.Err() == nil {
		phase := c.pair()
		for _, turn := range turns {
			var open sync.WaitGroup
			tapscene.Arrivals(ctx, random, cfg.rate, turn.length, func(due time.Time) {
				sent++
				id := "call-" + strconv.Itoa(sent)
				open.Go(func() {
					err := c.call(clients[turn.target], bases[turn.target], id, body)
					c.note(turn.target, phase, id, time.Since(due), err)
				})
			})
			open.Wait()
		}
	}
}

// pair begins a turn of each target and returns the phase to which both belong.
func (c *callers) pair() (phase int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	phase = c.phase.Load()
	for _, times := range c.times {
		times[phase] = append(times[phase], nil)
	}
	return phase
}

func (c *callers) note(target string, phase int64, id string, took time.Duration, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		c.failed[target][phase]++
		return
	}
	turn := &c.times[target][phase][len(c.times[target][phase])-1]
	*turn = append(*turn, took)
	if target == "tap" {
		c.ok = append(c.ok, id)
	}
}

func (c *callers) call(client *http.Client, base, id string, body []byte) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, base+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Authorization", "Bearer sk-bench-0123456789abcdef0123456789abcdef")
	r.Header.Set("X-Request-Id", id)
	response, err := client.Do(r)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("status %d", response.StatusCode)
	}
	return nil
}

func (c *callers) enter(phase string) { c.phase.Store(int64(slices.Index(phases[:], phase))) }

func (c *callers) stop() {
	c.cancel()
	c.wait.Wait()
}

func (c *callers) count() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.ok)
}

func (c *callers) served() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ok
}

// print shows the latency of both in each phase, in microseconds.
func (c *callers) print() {
	c.mu.Lock()
	defer c.mu.Unlock()
	w := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprint(w, "\nphase\tcalls\tfailed")
	for _, p := range []string{"p50", "p99"} {
		fmt.Fprintf(w, "\ttap %s\tplain\tadded\tby turns\ttap/plain", p)
	}
	fmt.Fprintln(w, "\t")
	for i, phase := range phases {
		tap, plain := c.times["tap"][i], c.times["plain"][i]
		through, beside := slices.Concat(tap...), slices.Concat(plain...)
		fmt.Fprintf(w, "%s\t%d\t%d", phase, len(through), c.failed["tap"][i])
		for _, p := range []float64{0.5, 0.99} {
			t, b := tapscene.Percentile(through, p), tapscene.Percentile(beside, p)
			fmt.Fprintf(w, "\t%d\t%d\t%s\t%s\t%.2f", t.Microseconds(), b.Microseconds(), tapscene.Signed(t-b), tapscene.ByTurns(plain, tap, p), float64(t)/float64(max(b, 1)))
		}
		fmt.Fprintln(w, "\t")
	}
	_ = w.Flush()
	fmt.Println("microseconds; by turns = the median, over pairs of turns, of the difference, and its 95 % interval")
}
