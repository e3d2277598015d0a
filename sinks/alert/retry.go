package alert

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// RetryConfig is the section `retry` of an alert sink.
type RetryConfig struct {
	InitialPause   time.Duration `yaml:"initial_pause" json:"initial_pause" jsonschema_description:"Pause before the second attempt; it doubles with every further one; default 500ms."`
	MaxPause       time.Duration `yaml:"max_pause" json:"max_pause" jsonschema_description:"Longest pause between two attempts, also where the receiver asks for more; default 1m."`
	AttemptTimeout time.Duration `yaml:"attempt_timeout" json:"attempt_timeout" jsonschema_description:"Time limit of one attempt; default 10s."`
	GiveUpAfter    time.Duration `yaml:"give_up_after" json:"give_up_after" jsonschema_description:"Time after the first attempt at which a finding that the receiver does not take is given up and recorded; default 1h."`
}

// DefaultRetryConfig returns the defaults.
func DefaultRetryConfig() RetryConfig {
	return RetryConfig{
		InitialPause: 500 * time.Millisecond, MaxPause: time.Minute,
		AttemptTimeout: 10 * time.Second, GiveUpAfter: time.Hour,
	}
}

// Validate reports every value that cannot work. Messages begin with the key relative to the section.
func (c RetryConfig) Validate() error {
	var errs []error
	if c.InitialPause <= 0 {
		errs = append(errs, errors.New("retry.initial_pause: must be positive"))
	}
	if c.MaxPause < c.InitialPause {
		errs = append(errs, errors.New("retry.max_pause: must be at least retry.initial_pause"))
	}
	if c.AttemptTimeout <= 0 {
		errs = append(errs, errors.New("retry.attempt_timeout: must be positive"))
	}
	if c.GiveUpAfter < c.AttemptTimeout {
		errs = append(errs, errors.New("retry.give_up_after: must be at least retry.attempt_timeout"))
	}
	return errors.Join(errs...)
}

// ErrGaveUp is wrapped by the error of a delivery whose time was up.
var ErrGaveUp = errors.New("gave up")

// retry repeats the attempts of a notifier.
type retry struct {
	next Notifier
	cfg  RetryConfig
	log  zerolog.Logger
	met  *Metrics
}

// Retry decorates a notifier: attempts are repeated with exponential, jittered pauses, or the pause the receiver
// asked for, until one succeeds, the error is permanent, give_up_after has passed (then the error wraps ErrGaveUp)
// or ctx is done (then the error wraps ctx.Err()). cfg MUST be valid.
func Retry(next Notifier, cfg RetryConfig, log zerolog.Logger, met *Metrics) Notifier {
	return &retry{next: next, cfg: cfg, log: log.With().Str("component", "alert").Str("sink", next.Name()).Logger(), met: met}
}

// Name implements Notifier.
func (r *retry) Name() string { return r.next.Name() }

// Notify implements Notifier.
func (r *retry) Notify(ctx context.Context, f *event.Finding) error {
	begin := time.Now()
	for attempt := 1; ; attempt++ {
		err := r.attempt(ctx, f)
		if err == nil || IsPermanent(err) {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("notify %s: %w", r.Name(), ctx.Err())
		}
		pause := r.pause(attempt, err)
		left := r.cfg.GiveUpAfter - time.Since(begin)
		if left <= 0 {
			return fmt.Errorf("%w after %d attempts: %w", ErrGaveUp, attempt, err)
		}
		r.log.Warn().Err(err).Str("finding", f.GetKey()).Int("attempt", attempt).Dur("pause", pause).Msg("notification will be repeated")
		if err := sleep(ctx, min(pause, left)); err != nil {
			return fmt.Errorf("notify %s: %w", r.Name(), err)
		}
	}
}

func (r *retry) attempt(ctx context.Context, f *event.Finding) error {
	ctx, cancel := context.WithTimeout(ctx, r.cfg.AttemptTimeout)
	defer cancel()
	begin := time.Now()
	err := r.next.Notify(ctx, f)
	r.met.attempt(r.Name(), err, time.Since(begin))
	return err
}

// pause is the time before the attempt after the given one: what the receiver asked for, or a random point in the
// upper half of the exponential step, so that many senders do not return in step.
func (r *retry) pause(attempt int, err error) time.Duration {
	if asked := PauseOf(err); asked > 0 {
		return min(asked, r.cfg.MaxPause)
	}
	step := r.cfg.MaxPause
	if shift := attempt - 1; shift < 30 {
		step = min(step, r.cfg.InitialPause<<shift)
	}
	return step/2 + rand.N(step/2+1) //nolint:gosec // spreading load needs no secret randomness
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
