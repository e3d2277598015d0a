package stream

import (
	"context"
	"sync"
)

// budget counts the bytes in flight of all partitions and holds the poll loop above a mark.
type budget struct {
	mu    sync.Mutex
	used  int64
	limit int64
	below chan struct{} // closed and replaced whenever used falls below the limit
}

func newBudget(limit int64) *budget { return &budget{limit: limit, below: make(chan struct{})} }

func (b *budget) add(n int64) {
	b.mu.Lock()
	defer b.mu.Unlock()
	above := b.used >= b.limit
	b.used += n
	if above && b.used < b.limit {
		close(b.below)
		b.below = make(chan struct{})
	}
}

// wait returns when there is room; false when ctx ended first.
func (b *budget) wait(ctx context.Context) bool {
	for {
		b.mu.Lock()
		free, below := b.used < b.limit, b.below
		b.mu.Unlock()
		if free {
			return true
		}
		select {
		case <-below:
		case <-ctx.Done():
			return false
		}
	}
}
