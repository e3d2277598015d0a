package alert

import (
	"context"
	"errors"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Notifier makes one attempt to deliver one finding. nil means the receiver has it. It MUST be safe for concurrent
// use and MUST return soon after ctx is done. Errors marked by Permanent are not worth repeating.
type Notifier interface {
	Name() string
	Notify(ctx context.Context, f *event.Finding) error
}

// NotifyFunc is a Notifier's attempt without a name.
type NotifyFunc func(ctx context.Context, f *event.Finding) error

// permanentError marks an error that repeating cannot cure.
type permanentError struct{ err error }

func (e *permanentError) Error() string { return e.err.Error() }
func (e *permanentError) Unwrap() error { return e.err }

// Permanent marks err as one that repeating cannot cure. Permanent(nil) is nil.
func Permanent(err error) error {
	if err == nil {
		return nil
	}
	return &permanentError{err}
}

// IsPermanent reports whether err, or an error it wraps, was marked by Permanent.
func IsPermanent(err error) bool {
	var p *permanentError
	return errors.As(err, &p)
}

// afterError carries the pause a receiver asked for.
type afterError struct {
	err   error
	pause time.Duration
}

func (e *afterError) Error() string { return e.err.Error() }
func (e *afterError) Unwrap() error { return e.err }

// After attaches the pause that a receiver asked for before the next attempt.
func After(err error, pause time.Duration) error {
	if err == nil || pause <= 0 {
		return err
	}
	return &afterError{err, pause}
}

// PauseOf returns the pause attached by After, or 0.
func PauseOf(err error) time.Duration {
	var a *afterError
	if errors.As(err, &a) {
		return a.pause
	}
	return 0
}
