package spool

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"
)

// syncLoop is the group fsync: one for all that was written within sync_interval, or at once for those who wait when
// it is 0s.
func (l *Log) syncLoop() {
	for {
		select {
		case <-l.kick:
		case <-l.stop:
			return
		}
		if l.cfg.SyncInterval > 0 {
			timer := time.NewTimer(l.cfg.SyncInterval)
			select {
			case <-timer.C:
			case <-l.stop:
				timer.Stop()
				return
			}
		}
		l.syncNow()
	}
}

func (l *Log) kickSync() {
	select {
	case l.kick <- struct{}{}:
	default:
	}
}

func (l *Log) syncNow() {
	l.mu.Lock()
	f, upto := l.file, l.last
	done := f == nil || l.synced >= upto
	l.mu.Unlock()
	if done {
		return
	}
	begun := time.Now()
	err := f.Sync()
	took := time.Since(begun)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case errors.Is(err, os.ErrClosed): // the segment was sealed meanwhile, which synced it
	case err != nil:
		l.failSync(upto, err)
		if l.file == f { // the kernel may have dropped what it could not write: nothing goes behind it
			l.leave()
		}
	default:
		l.metrics.fsync.Observe(took.Seconds())
		l.synced = max(l.synced, upto)
		l.wakeSync()
	}
}

// failSync tells those who wait for sequences up to seq. The records may still be read and sent.
func (l *Log) failSync(seq uint64, err error) {
	l.syncErr, l.syncErrTo = fmt.Errorf("sync spool: %w", err), seq
	l.err = l.syncErr
	l.log.Error().Err(err).Msg("spool not synced; a loss of power could cost its last records")
	l.synced = max(l.synced, seq) // never tried again: a second fsync would claim what the first has lost
	l.wakeSync()
}

func (l *Log) wakeSync() {
	close(l.syncDone)
	l.syncDone = make(chan struct{})
}

func (l *Log) awaitSync(ctx context.Context, seq uint64) error {
	for {
		l.mu.Lock()
		synced, failedTo, err, done, closed := l.synced, l.syncErrTo, l.syncErr, l.syncDone, l.closed
		l.mu.Unlock()
		switch {
		case seq <= failedTo:
			return err
		case seq <= synced:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-done:
		case <-ctx.Done():
			return fmt.Errorf("await sync of spool: %w", ctx.Err())
		}
	}
}
