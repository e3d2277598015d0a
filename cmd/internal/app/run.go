package app

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// Run runs the roles until ctx ends or one of them fails, then waits for all. Roles started together end together.
func Run(ctx context.Context, roles ...Role) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wait sync.WaitGroup
	errs := make([]error, len(roles))
	for i, r := range roles {
		wait.Go(func() {
			err := r.Run(ctx)
			switch {
			case err != nil:
				errs[i] = fmt.Errorf("role %s: %w", r.Name, err)
			case ctx.Err() == nil:
				errs[i] = fmt.Errorf("role %s: ended without being asked to", r.Name)
			}
			if errs[i] != nil {
				cancel(errs[i])
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
