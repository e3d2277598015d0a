package traffic

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Outcomes of a call as the caller saw it.
const (
	OutcomeComplete    = "complete"
	OutcomeHTTPError   = "http_error"    // the provider answered with an error status
	OutcomeErrorEvent  = "error_event"   // the stream ended with an error
	OutcomeBroken      = "broken"        // the answer broke off
	OutcomeClientAbort = "client_abort"  // the caller left as planned
	OutcomeUnsent      = "not_connected" // no answer at all
)

// TeamStats are the calls of one team, of whatever outcome, and the tokens of those that were complete.
type TeamStats struct {
	Calls            int
	PromptTokens     int
	CompletionTokens int
}

// Stats is what a run did.
type Stats struct {
	Calls    int
	Kinds    map[string]int       // by KindBaseline and its kin
	Outcomes map[string]int       // by OutcomeComplete and its kin
	Teams    map[string]TeamStats // by team id
	Apps     map[string]int       // calls by app id
	Streamed int
	Bytes    int64         // of all answers
	Waited   int           // calls that started late because Concurrency was reached
	Elapsed  time.Duration // until the last call ended
}

// runner is one run.
type runner struct {
	cfg    Config
	client *http.Client
	log    zerolog.Logger

	mu    sync.Mutex
	stats Stats
}

// Run plays the plan against the tap until Duration or MaxCalls is reached or ctx ends, and waits for the calls
// under way. A failing call is counted, not returned; the error says that the configuration is wrong.
func Run(ctx context.Context, cfg Config, log zerolog.Logger) (Stats, error) {
	if err := cfg.Validate(); err != nil {
		return Stats{}, fmt.Errorf("check traffic config: %w", err)
	}
	transport := &http.Transport{MaxIdleConnsPerHost: cfg.Concurrency, MaxConnsPerHost: 0, DisableCompression: true, IdleConnTimeout: time.Minute}
	defer transport.CloseIdleConnections()
	r := &runner{cfg: cfg, client: &http.Client{Transport: transport}, log: log.With().Str("component", "traffic").Logger(),
		stats: Stats{Kinds: map[string]int{}, Outcomes: map[string]int{}, Teams: map[string]TeamStats{}, Apps: map[string]int{}}}
	start := time.Now()
	r.play(ctx, start)
	r.stats.Elapsed = time.Since(start)
	r.log.Info().Int("calls", r.stats.Calls).Dur("elapsed", r.stats.Elapsed).Msg("traffic ended")
	return r.stats, nil
}

// play starts every call at its time.
func (r *runner) play(ctx context.Context, start time.Time) {
	plan := newPlanner(r.cfg)
	slots := make(chan struct{}, r.cfg.Concurrency)
	var calls sync.WaitGroup
	defer calls.Wait()
	for n := 0; r.cfg.MaxCalls == 0 || n < r.cfg.MaxCalls; n++ {
		c := plan.next()
		if r.cfg.Duration > 0 && c.at > r.cfg.Duration {
			return
		}
		if !wait(ctx, time.Until(start.Add(c.at))) {
			return
		}
		select {
		case slots <- struct{}{}:
		default:
			r.late()
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
		}
		if c.kind != KindBaseline {
			r.log.Debug().Str("kind", c.kind).Str("app", c.app.id).Msg("scenario call")
		}
		calls.Go(func() {
			defer func() { <-slots }()
			r.call(ctx, &c)
		})
	}
}

func wait(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func (r *runner) late() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.stats.Waited++
}

// call makes one call and counts it.
func (r *runner) call(ctx context.Context, c *planned) {
	outcome, n := r.send(ctx, c)
	r.mu.Lock()
	defer r.mu.Unlock()
	s := &r.stats
	s.Calls++
	s.Bytes += n
	s.Kinds[c.kind]++
	s.Outcomes[outcome]++
	s.Apps[c.app.id]++
	if c.stream {
		s.Streamed++
	}
	team := s.Teams[c.app.team]
	team.Calls++
	if outcome == OutcomeComplete {
		team.PromptTokens += c.script.PromptTokens
		team.CompletionTokens += c.script.CompletionTokens
	}
	s.Teams[c.app.team] = team
}

// send makes the call and reads the answer to its end, or to the piece at which the caller leaves.
func (r *runner) send(ctx context.Context, c *planned) (outcome string, n int64) {
	ctx, leave := context.WithCancel(ctx)
	defer leave()
	data, err := json.Marshal(c.body())
	if err != nil {
		return OutcomeUnsent, 0
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.cfg.TapURL+c.path(&r.cfg), bytes.NewReader(data))
	if err != nil {
		return OutcomeUnsent, 0
	}
	c.headers(req.Header)
	res, err := r.client.Do(req)
	if err != nil {
		return OutcomeUnsent, 0
	}
	defer func() { _ = res.Body.Close() }() // read to the end or given up on purpose
	n, left, err := read(res.Body, c.abort, leave)
	switch {
	case left:
		return OutcomeClientAbort, n
	case errors.Is(err, context.Canceled):
		return OutcomeClientAbort, n
	case err != nil:
		return OutcomeBroken, n
	case res.StatusCode >= 400:
		return OutcomeHTTPError, n
	case c.script.ErrorAfter > 0:
		return OutcomeErrorEvent, n
	}
	return OutcomeComplete, n
}

// read reads an answer. With abort it leaves after so many frames.
func read(body io.Reader, abort int, leave func()) (n int64, left bool, err error) {
	buf := make([]byte, 4096)
	frames := 0
	for {
		k, err := body.Read(buf)
		n += int64(k)
		frames += bytes.Count(buf[:k], []byte("\n\n"))
		if abort > 0 && frames >= abort {
			leave()
			return n, true, nil
		}
		if err == io.EOF {
			return n, false, nil
		}
		if err != nil {
			return n, false, err
		}
	}
}
