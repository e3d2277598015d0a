package publish

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Close stops taking envelopes and waits until all are with the brokers. With a spool it waits only while the brokers
// take some, and then leaves the rest on disk: what was only in memory is appended to the spool. Without one, or where
// the disk refuses, the rest is dropped and counted when ctx ends, and an error is returned. The client stays open.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		return nil
	}
	p.closed = true
	p.progress = time.Now()
	before := p.lost.Load()
	p.mu.Unlock()
	err := p.drain(ctx)
	if err != nil {
		p.abort()
	}
	close(p.stop)
	<-p.stopped
	p.leaveRest()
	if p.reader != nil {
		p.reader.Close()
	}
	lost := p.lost.Load() - before
	if lost == 0 || err == nil {
		return nil
	}
	return fmt.Errorf("drain envelopes: %d dropped: %w", lost, err)
}

// errStalled means that the brokers take nothing and the spool will do.
var errStalled = errors.New("brokers take no envelopes")

// drain waits for the end of all that is under way.
func (p *Publisher) drain(ctx context.Context) error {
	for {
		flush, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
		_ = p.client.Flush(flush) // a batch that lingers goes now
		cancel()
		if p.pending.Load() == 0 {
			return nil
		}
		p.mu.Lock()
		stalled := p.spool != nil && p.spoolDown == nil && time.Since(p.progress) > p.cfg.SpillAfter
		p.mu.Unlock()
		if stalled {
			return errStalled
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Millisecond):
		}
	}
}

// abort takes back what the client holds.
func (p *Publisher) abort() {
	p.mu.Lock()
	p.ending = true
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = p.client.AbortBufferedRecords(ctx)
}

// leaveRest appends what is only in memory to the spool, drops what cannot lie there.
func (p *Publisher) leaveRest() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.spool != nil {
		if p.spoolDown != nil {
			p.spoolDown = p.spool.Probe()
		}
		if p.spoolDown == nil {
			_ = p.spoolLoose()
		}
	}
	drop := func(it *item) {
		if it.seq == 0 && it.fate != done {
			p.giveUp(it, reasonAborted, errStalled)
		}
	}
	for _, it := range p.flight.items[p.flight.head:] {
		drop(it)
	}
	p.line.each(drop)
	p.settle()
	if p.spool != nil {
		if first, last := p.spool.Pending(); last >= first {
			p.log.Warn().Uint64("envelopes", last+1-first).Msg("Kafka did not take all: the rest waits in the spool for the next start")
		}
	}
}
