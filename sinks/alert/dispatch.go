package alert

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Reasons why a finding was given up, for GiveUpFunc.
const (
	ReasonPermanent = "permanent_failure" // the receiver refused it
	ReasonGaveUp    = "gave_up"           // the receiver did not take it in time
)

// GiveUpFunc records durably that item i of the delivered batch will not be delivered. Its error stops the
// delivery, and the batch is then delivered again.
type GiveUpFunc func(ctx context.Context, i int, reason string, cause error) error

// Dispatcher delivers batches of findings to one notifier and remembers what was delivered. Deliver is called by
// one goroutine at a time.
type Dispatcher struct {
	notifier    Notifier
	parallel    int
	minSeverity event.Severity
	delivered   *keySet
	log         zerolog.Logger
	met         *Metrics
}

// NewDispatcher returns a dispatcher that remembers up to remember keys and makes up to parallel deliveries at
// once. Findings below minSeverity are not delivered.
func NewDispatcher(n Notifier, parallel, remember int, minSeverity event.Severity, log zerolog.Logger, met *Metrics) *Dispatcher {
	return &Dispatcher{
		notifier: n, parallel: parallel, minSeverity: minSeverity, delivered: newKeySet(remember),
		log: log.With().Str("component", "alert").Str("sink", n.Name()).Logger(), met: met,
	}
}

// Remember marks a key as delivered without delivering it: what an earlier owner of the partition did.
func (d *Dispatcher) Remember(key string) { d.delivered.add(key) }

// Deliver sends every finding whose key was not delivered before. nil means each one was delivered, was a repeat,
// was below the severity, or was recorded by giveUp. On error some may have been delivered; those are remembered
// and not sent again.
func (d *Dispatcher) Deliver(ctx context.Context, findings []*event.Finding, giveUp GiveUpFunc) error {
	slots := make(chan struct{}, d.parallel)
	results := make([]error, len(findings))
	var wait sync.WaitGroup
	for i := range findings {
		if !d.wants(findings[i]) {
			continue
		}
		slots <- struct{}{}
		wait.Go(func() {
			defer func() { <-slots }()
			results[i] = d.deliver(ctx, i, findings[i], giveUp)
		})
	}
	wait.Wait()
	for i, err := range results {
		if err != nil {
			d.delivered.remove(findings[i].GetKey())
		}
	}
	return errors.Join(results...)
}

// wants reports whether a finding is to be sent, and marks its key so that a repeat in the same batch is not.
func (d *Dispatcher) wants(f *event.Finding) bool {
	switch {
	case f.GetSeverity() < d.minSeverity:
		d.met.outcome(d.notifier.Name(), outcomeFiltered)
	case !d.delivered.add(f.GetKey()):
		d.met.outcome(d.notifier.Name(), outcomeRepeat)
	default:
		return true
	}
	return false
}

func (d *Dispatcher) deliver(ctx context.Context, i int, f *event.Finding, giveUp GiveUpFunc) error {
	err := d.notifier.Notify(ctx, f)
	if err == nil {
		d.met.outcome(d.notifier.Name(), outcomeDelivered)
		return nil
	}
	reason, outcome := ReasonGaveUp, outcomeGaveUp
	switch {
	case IsPermanent(err):
		reason, outcome = ReasonPermanent, outcomePermanent
	case ctx.Err() != nil || !errors.Is(err, ErrGaveUp):
		return fmt.Errorf("deliver finding %s: %w", f.GetKey(), err)
	}
	d.log.Error().Err(err).Str("finding", f.GetKey()).Str("reason", reason).Msg("notification given up")
	if err := giveUp(ctx, i, reason, err); err != nil {
		return fmt.Errorf("record give-up of finding %s: %w", f.GetKey(), err)
	}
	d.met.outcome(d.notifier.Name(), outcome)
	return nil
}

// keySet holds the newest keys up to a bound, in two generations.
type keySet struct {
	limit      int
	young, old map[string]struct{}
}

func newKeySet(limit int) *keySet {
	return &keySet{limit: max(1, limit/2), young: make(map[string]struct{})}
}

// add inserts a key and reports whether it was new.
func (s *keySet) add(key string) bool {
	if _, ok := s.young[key]; ok {
		return false
	}
	if _, ok := s.old[key]; ok {
		return false
	}
	if len(s.young) >= s.limit {
		s.old, s.young = s.young, make(map[string]struct{}, s.limit)
	}
	s.young[strings.Clone(key)] = struct{}{} // a key may alias the buffer of a whole batch
	return true
}

func (s *keySet) remove(key string) {
	delete(s.young, key)
	delete(s.old, key)
}
