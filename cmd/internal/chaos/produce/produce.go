// Package produce is the producer of a conservation test. It publishes the records of a workload as a tap would, with
// acks=all, goes on until each one is acknowledged, and writes down every acknowledgement.
package produce

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/journal"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/manifest"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// maxInFlight bounds the records that wait for an acknowledgement.
const maxInFlight = 5000

// producer is one run.
type producer struct {
	work    *workload.Workload
	client  *kgo.Client
	acks    *journal.Writer
	allowed atomic.Int64 // calls that may be published so far
	wake    chan struct{}
	slots   chan struct{}
	pending sync.WaitGroup
	retried atomic.Int64
	repeats atomic.Int64
}

// Run publishes the workload of the manifest. Lines "allow N" on control raise the number of calls that may be
// published; the end of control stops the run where it is. Once a second a line of progress goes to out; Run returns
// nil when every record of every call is acknowledged.
func Run(ctx context.Context, m *manifest.Manifest, control io.Reader, out io.Writer) error {
	acks, err := journal.Create(m.Path(m.Journal))
	if err != nil {
		return err
	}
	p := &producer{work: workload.New(m.Workload), acks: acks, wake: make(chan struct{}, 1), slots: make(chan struct{}, maxInFlight)}
	p.client, err = kgo.NewClient(
		kgo.SeedBrokers(m.Brokers...), kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerLinger(5*time.Millisecond),
		kgo.ProducerBatchMaxBytes(1<<20), kgo.MaxBufferedRecords(2*maxInFlight), kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)),
		kgo.DialTimeout(2*time.Second), kgo.RequestTimeoutOverhead(5*time.Second), kgo.ProduceRequestTimeout(5*time.Second),
		kgo.RetryTimeout(10*time.Second),
	)
	if err != nil {
		return errors.Join(fmt.Errorf("make producer client: %w", err), acks.Close())
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	go p.listen(control, cancel)
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.all(ctx)
		p.pending.Wait()
	}()
	for {
		select {
		case <-ticker.C:
			fmt.Fprintln(out, p.progress())
			if err := acks.Flush(); err != nil {
				return fmt.Errorf("write journal: %w", err)
			}
		case <-done:
			p.client.Close()
			fmt.Fprintln(out, p.progress())
			return errors.Join(acks.Close(), ctx.Err())
		}
	}
}

// progress is "acknowledged N retried N repeats N".
func (p *producer) progress() string {
	return fmt.Sprintf("acknowledged %d retried %d repeats %d", p.acks.Entries(), p.retried.Load(), p.repeats.Load())
}

func (p *producer) listen(control io.Reader, cancel context.CancelFunc) {
	defer cancel()
	for lines := bufio.NewScanner(control); lines.Scan(); {
		text, ok := strings.CutPrefix(lines.Text(), "allow ")
		n, err := strconv.ParseInt(text, 10, 64)
		if !ok || err != nil {
			continue
		}
		p.allowed.Store(n)
		select {
		case p.wake <- struct{}{}:
		default:
		}
	}
}

func (p *producer) all(ctx context.Context) {
	for i := range p.work.Config().Calls {
		for int64(i) >= p.allowed.Load() {
			select {
			case <-p.wake:
			case <-ctx.Done():
				return
			}
		}
		call := p.work.Call(i)
		for _, r := range p.work.Records(i) {
			times := 1
			if call.Repeated && r.Phase > 0 {
				times = 2
				p.repeats.Add(1)
			}
			for range times {
				if !p.publish(ctx, r) {
					return
				}
			}
		}
	}
}

// publish hands one record to the client. A record that fails is published again: whether the broker has it is not
// known, so it may stand twice in the topic.
func (p *producer) publish(ctx context.Context, r workload.Record) bool {
	select {
	case p.slots <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	p.pending.Add(1)
	p.produce(ctx, r)
	return true
}

func (p *producer) produce(ctx context.Context, r workload.Record) {
	rec := &kgo.Record{Topic: event.TopicEnvelopes, Key: r.Key, Value: r.Value}
	for _, h := range r.Headers {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h[0], Value: []byte(h[1])})
	}
	p.client.Produce(ctx, rec, func(rec *kgo.Record, err error) {
		if err != nil && ctx.Err() == nil {
			p.retried.Add(1)
			time.AfterFunc(50*time.Millisecond, func() { p.produce(ctx, r) })
			return
		}
		if err == nil {
			err = p.acks.Append(journal.Entry{Index: r.Index, Phase: r.Phase, Partition: rec.Partition, Offset: rec.Offset, Digest: journal.Digest(rec.Value)})
		}
		_ = err // a full disk shows at the next flush
		<-p.slots
		p.pending.Done()
	})
}
