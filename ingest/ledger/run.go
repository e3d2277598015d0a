package ledger

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Start publishes what earlier epochs left, the first statement, and then one per interval until Close.
func (l *Ledger) Start() {
	if l.started.Swap(true) {
		return
	}
	go func() {
		defer close(l.done)
		l.speak(l.speech)
	}()
}

// speak sends one statement after the other until Close. While one cannot be sent the next is not made.
func (l *Ledger) speak(ctx context.Context) {
	ticker := time.NewTicker(l.cfg.Interval)
	defer ticker.Stop()
	for {
		_ = l.tell(ctx, l.statement(false))
		l.bury(ctx)
		l.keep()
		select {
		case <-ticker.C:
		case <-l.closing:
			return
		}
	}
}

// tell sends one statement and notes what was acknowledged.
func (l *Ledger) tell(ctx context.Context, s Statement) error {
	if err := l.set.Send(ctx, s); err != nil {
		l.metrics.failed.Inc()
		if ctx.Err() == nil {
			l.log.Warn().Err(err).Msg("statement not sent; the next one says all")
		}
		return err
	}
	l.metrics.sent.Inc()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.told = s.told
	return nil
}

// bury sends the closing statements of earlier epochs and removes their files once they are acknowledged.
func (l *Ledger) bury(ctx context.Context) {
	for len(l.dead) > 0 && !l.isClosing() {
		s := l.dead[0]
		statement, lost := l.obituary(s)
		if err := l.set.Send(ctx, statement); err != nil {
			return
		}
		l.metrics.crashed.Add(float64(lost))
		if s.phase.Load() == phaseRunning {
			l.log.Warn().Uint64("epoch", s.epoch).Uint64("lost_envelopes", lost).Msg("the last process was killed; its counts are published")
		}
		if err := l.folder.forget(s.epoch); err != nil {
			l.log.Error().Err(err).Msg("closing statement will be repeated")
		}
		l.dead = l.dead[1:]
	}
}

func (l *Ledger) isClosing() bool {
	select {
	case <-l.closing:
		return true
	default:
		return false
	}
}

// keep brings the counts to the disk.
func (l *Ledger) keep() {
	if l.memory == nil {
		return
	}
	if err := l.memory.sync(); err != nil {
		l.log.Error().Err(err).Msg("counts could not be written to ledger.state_dir")
	}
}

// Close publishes the closing statement; what is counted later is lost with reason shutdown. When ctx ends first the
// statement stays in the folder for the next boot and the context's error is returned. A ledger that was not started
// says nothing. Close is idempotent and comes when no envelope is numbered any more.
func (l *Ledger) Close(ctx context.Context) error {
	var err error
	l.once.Do(func() {
		close(l.closing)
		if l.started.Load() {
			l.silence(ctx)
			err = l.tell(ctx, l.statement(true))
		}
		if err == nil {
			l.state.phase.Store(phaseDone)
		} else {
			err = fmt.Errorf("send closing statement: %w", err)
		}
		if l.memory != nil {
			err = errors.Join(err, l.memory.close())
		}
		if l.folder != nil {
			err = errors.Join(err, l.folder.lock.Close())
		}
	})
	return err
}

// silence waits for the statement on its way until ctx ends. It is not broken off before: a franz-go client that gives up
// the first record of a partition gives up what waits behind it too, which would be the closing statement.
func (l *Ledger) silence(ctx context.Context) {
	defer context.AfterFunc(ctx, l.breakOff)()
	<-l.done
}

// Cut ends a ledger as a kill does: nothing more is said, and the next one of its folder finds a killed epoch. It is for
// tests of what comes after a crash.
func (l *Ledger) Cut() {
	l.once.Do(func() {
		close(l.closing)
		l.breakOff()
		if l.started.Load() {
			<-l.done
		}
		if l.folder != nil {
			_ = l.folder.lock.Close()
		}
	})
}
