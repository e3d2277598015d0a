package alert

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// scripted is a notifier that answers from a list, then with nil.
type scripted struct {
	answers []error
	at      []time.Time
	block   bool
}

func (s *scripted) Name() string { return "scripted" }

func (s *scripted) Notify(ctx context.Context, _ *event.Finding) error {
	s.at = append(s.at, time.Now())
	if s.block {
		<-ctx.Done()
		return ctx.Err()
	}
	if len(s.at) <= len(s.answers) {
		return s.answers[len(s.at)-1]
	}
	return nil
}

var errDown = errors.New("down")

func TestRetryRepeatsWithGrowingPausesUntilSuccess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{answers: []error{errDown, errDown, errDown, errDown}}
		cfg := DefaultRetryConfig()
		if err := Retry(n, cfg, zerolog.Nop(), nil).Notify(t.Context(), &event.Finding{}); err != nil {
			t.Fatal(err)
		}
		if len(n.at) != 5 {
			t.Fatalf("%d attempts", len(n.at))
		}
		for i, step := 1, cfg.InitialPause; i < 5; i, step = i+1, 2*step {
			if pause := n.at[i].Sub(n.at[i-1]); pause < step/2 || pause > step {
				t.Errorf("pause %d was %s, outside %s to %s", i, pause, step/2, step)
			}
		}
	})
}

func TestRetryStopsAtPermanentErrors(t *testing.T) {
	n := &scripted{answers: []error{Permanent(errDown)}}
	err := Retry(n, DefaultRetryConfig(), zerolog.Nop(), nil).Notify(t.Context(), &event.Finding{})
	if !IsPermanent(err) || !errors.Is(err, errDown) || len(n.at) != 1 {
		t.Errorf("%v after %d attempts", err, len(n.at))
	}
}

func TestRetryWaitsAsLongAsTheReceiverAsksWithinItsBound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{answers: []error{After(errDown, 7*time.Second), After(errDown, time.Hour)}}
		if err := Retry(n, DefaultRetryConfig(), zerolog.Nop(), nil).Notify(t.Context(), &event.Finding{}); err != nil {
			t.Fatal(err)
		}
		if got := n.at[1].Sub(n.at[0]); got != 7*time.Second {
			t.Errorf("first pause %s", got)
		}
		if got := n.at[2].Sub(n.at[1]); got != time.Minute {
			t.Errorf("second pause %s, not the longest allowed", got)
		}
	})
}

func TestRetryGivesUpAndSaysSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		answers := make([]error, 10000)
		for i := range answers {
			answers[i] = errDown
		}
		n := &scripted{answers: answers}
		begin := time.Now()
		err := Retry(n, DefaultRetryConfig(), zerolog.Nop(), nil).Notify(t.Context(), &event.Finding{})
		if !errors.Is(err, ErrGaveUp) || !errors.Is(err, errDown) || IsPermanent(err) {
			t.Errorf("error %v", err)
		}
		if took := time.Since(begin); took < time.Hour || took > time.Hour+time.Minute {
			t.Errorf("gave up after %s", took)
		}
	})
}

func TestRetryBoundsOneAttemptAndEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := &scripted{block: true}
		ctx, cancel := context.WithTimeout(t.Context(), 25*time.Second)
		defer cancel()
		begin := time.Now()
		err := Retry(n, DefaultRetryConfig(), zerolog.Nop(), nil).Notify(ctx, &event.Finding{})
		if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrGaveUp) || time.Since(begin) != 25*time.Second {
			t.Errorf("error %v after %s", err, time.Since(begin))
		}
		if len(n.at) != 3 {
			t.Errorf("%d attempts in 25 s of 10 s each", len(n.at))
		}
	})
}

func TestRetryConfigFaultsNameTheirKey(t *testing.T) {
	if err := DefaultRetryConfig().Validate(); err != nil {
		t.Fatal(err)
	}
	if err := (RetryConfig{}).Validate(); err == nil {
		t.Error("zero configuration accepted")
	}
}
