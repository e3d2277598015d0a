package publish

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

const (
	// windowBytes is how much the client holds at once. A batch can never be larger, so that one of small records is
	// under the brokers' default limit (1048588) however badly it compresses; a larger record travels alone.
	windowBytes = 960 << 10
	// minWindowBytes is down to which the window shrinks when brokers refuse batches.
	minWindowBytes = 64 << 10
	// framing is what a record takes in a batch besides its value, in bytes: key, headers, lengths.
	framing = 512
	// maxTries bounds how often a record that is too large is sent again.
	maxTries = 4
	// retryPause is the rest before what the client gave up is sent again.
	retryPause = time.Second
)

func (it *item) wire() int64 { return int64(len(it.record.Value)) + framing }

// pump hands to the client what the window has room for, in order. The caller holds mu. What is only in the spool is
// read by the drainer, which is woken for it.
func (p *Publisher) pump() {
	if p.ending {
		return
	}
	if p.failures > 0 && !p.resend() {
		return
	}
	for {
		var it *item
		if len(p.fetched) > 0 {
			it = p.fetched[0]
		} else if n := p.line.front(); n == nil {
			return
		} else if it = n.it; it == nil {
			if p.outBytes < p.window && !p.lone && time.Now().After(p.readAt) {
				p.signal()
			}
			return
		}
		if p.lone || p.outstanding > 0 && p.outBytes+it.wire() > p.window {
			return
		}
		if len(p.fetched) > 0 {
			p.fetched = p.fetched[1:]
		} else {
			p.line.pop()
		}
		p.flight.push(it)
		p.send(it, it.wire() > p.window)
	}
}

// send hands one item to the client. Its promise may come at any time after, on the client's goroutine.
func (p *Publisher) send(it *item, alone bool) {
	it.fate, it.alone, p.lone = sent, alone, alone
	p.outstanding++
	size := it.wire()
	p.outBytes += size
	r := *it.record // the client writes to it, and one that failed is not sent twice
	p.client.TryProduce(context.Background(), &r, func(_ *kgo.Record, err error) { p.acknowledged(it, size, err) })
}

// acknowledged is the promise of one item.
func (p *Publisher) acknowledged(it *item, size int64, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.outstanding--
	p.outBytes -= size
	if it.alone {
		p.lone = false
	}
	switch {
	case it.fate == done: // given up meanwhile
	case err == nil:
		p.progress = time.Now()
		p.metrics.published.Inc()
		p.finish(it, nil)
	case p.ending && it.how.Spooled():
		it.fate, it.err = failed, err // Close decides
	case it.how == Memory && !errors.Is(err, kerr.MessageTooLarge) && !errors.Is(err, kgo.ErrMaxBuffered), p.ending, poison(err):
		p.giveUp(it, failure(err), err)
	default:
		it.fate, it.err = failed, err
		p.failures++
		if errors.Is(err, kerr.MessageTooLarge) {
			if !it.alone {
				p.window = max(p.window/2, minWindowBytes)
			}
			break
		}
		p.retryAt = time.Now().Add(retryPause)
		p.warn.retry(err)
	}
	p.settle()
	if p.failures > 0 || !p.line.empty() || len(p.fetched) > 0 {
		p.signal()
	}
}

// poison reports an error that says of the record itself that no broker will take it.
func poison(err error) bool {
	return errors.Is(err, kerr.InvalidRecord) || errors.Is(err, kerr.InvalidTimestamp)
}

// finish ends an item: nil for acknowledged.
func (p *Publisher) finish(it *item, err error) {
	if it.loose() {
		p.loose--
	}
	it.fate = done
	p.pending.Add(-1)
	p.free(it)
	if it.settled != nil {
		it.settled <- err
	}
}

// giveUp drops an item that had been taken.
func (p *Publisher) giveUp(it *item, reason string, err error) {
	p.finish(it, err)
	p.lost.Add(1)
	p.metrics.drop(reason)
	p.warn.say(reason, err)
	if p.set.GivenUp != nil {
		p.set.GivenUp(it.record.Value, reason)
	}
}

// settle forgets what has ended at the head of the flight and retires it from the spool, in order.
func (p *Publisher) settle() {
	var retire uint64
	for !p.flight.empty() && p.flight.front().fate == done {
		if seq := p.flight.front().seq; seq > 0 {
			retire = seq
		}
		p.flight.pop()
	}
	if retire > 0 {
		p.spool.Retire(retire)
	}
	p.endSpill()
}

// resend sends again what failed, in order, before anything new. What was too large goes alone: first unchanged, since
// it may have failed only because it shared a batch, then without its body. False means that something has to be waited
// for.
func (p *Publisher) resend() bool {
	if p.lone || time.Now().Before(p.retryAt) {
		return false
	}
	for _, it := range p.flight.items[p.flight.head:] {
		if it.fate != failed {
			continue
		}
		if !errors.Is(it.err, kerr.MessageTooLarge) {
			p.failures--
			p.send(it, false)
			continue
		}
		if p.outstanding > 0 {
			return false
		}
		p.failures--
		if it.alone && !p.strip(it) {
			p.giveUp(it, reasonTooLarge, it.err)
			continue
		}
		p.send(it, true)
		return false
	}
	p.settle()
	return !p.lone
}

// strip removes the body of an item that is too large. False means that it has none, or is still too large without.
func (p *Publisher) strip(it *item) bool {
	if it.tries++; it.tries >= maxTries {
		return false
	}
	value, had, err := withoutBody(it.record.Value)
	if err != nil || !had {
		return false
	}
	light := *it.record
	light.Value = value
	p.free(it)
	it.record, it.size = &light, int64(len(value))+recordOverhead
	p.keep(it)
	p.metrics.stripped.Inc()
	return true
}

// signal wakes the drainer.
func (p *Publisher) signal() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}
