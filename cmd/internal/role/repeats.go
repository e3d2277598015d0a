package role

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/repeats"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// repeatFilter finds the records of one partition that their source delivered before. What it must look up in the
// store it looks up when the batch is delivered; if that shows a repeat, the batch is built once more from the log.
type repeatFilter struct {
	batch    *storeBatch
	index    *repeats.Index
	at       clickhouse.Place
	resolved bool      // of the open batch
	rebuild  bool      // the open batch holds repeats as ordinary rows
	lagging  time.Time // since when the store lacks the row before the batch
}

func newRepeats(b *storeBatch, topic string, partition int32) *repeatFilter {
	return &repeatFilter{batch: b, index: repeats.New(repeats.DefaultLimits()), at: clickhouse.Place{Topic: topic, Partition: partition}}
}

// repeated takes the next record's number and says whether it was there before. A dead letter that is sent again on
// purpose, which its headers say, is one only if a row of it was stored.
func (f *repeatFilter) repeated(rec *kgo.Record, s *event.Source) bool {
	if s == nil || f.index.Add(s.Instance, s.BootEpoch, s.Sequence) != repeats.VerdictRepeat {
		return false
	}
	return !resent(rec) || !f.index.Readmit(s.Instance, s.BootEpoch, s.Sequence)
}

func (f *repeatFilter) reject(s *event.Source) {
	if s != nil {
		f.index.Reject(s.Instance, s.BootEpoch, s.Sequence)
	}
}

// resent reports whether a record comes from the dead letter topic.
func resent(rec *kgo.Record) bool {
	return slices.ContainsFunc(rec.Headers, func(h kgo.RecordHeader) bool { return strings.HasPrefix(h.Key, "dlq-") })
}

// commit ends the open batch.
func (f *repeatFilter) commit() {
	f.index.Commit()
	f.resolved, f.rebuild, f.lagging = false, false, time.Time{}
}

// resolve settles what Add could not know of the open batch, whose span begins at first.
func (f *repeatFilter) resolve(ctx context.Context, first int64) error {
	if f.resolved {
		return nil
	}
	if f.index.Pending() {
		f.at.Below = first
		if err := f.visible(ctx); err != nil {
			return err
		}
		found, err := f.index.Load(ctx, known{f.batch.deps.History, f.at})
		if err != nil {
			return err
		}
		f.rebuild = f.rebuild || found
	}
	if f.rebuild {
		if err := f.build(ctx); err != nil {
			return err
		}
	}
	f.resolved = true
	return nil
}

// lagPatience is how long a missing row is taken for a replica that lags. Afterwards offsets are taken to have been
// skipped by hand: the pipeline must not stand still for that.
const lagPatience = 30 * time.Second

// visible makes sure that the store shows what was delivered before the batch: its last row is there, or there are
// none at all.
func (f *repeatFilter) visible(ctx context.Context) error {
	last, any, err := f.batch.deps.History.Last(ctx, f.at)
	if err != nil || !any || last == f.at.Below-1 {
		return err
	}
	if f.lagging.IsZero() {
		f.lagging = time.Now()
	}
	if time.Since(f.lagging) < lagPatience {
		return fmt.Errorf("look for repeats: table envelopes ends at offset %d of %s/%d, not at %d; its replica lags", last, f.at.Topic, f.at.Partition, f.at.Below-1)
	}
	f.batch.deps.Logger.Error().Str("topic", f.at.Topic).Int32("partition", f.at.Partition).Int64("offset", f.at.Below-1).Int64("last_stored", last).
		Msg("table envelopes lacks the offset before the batch; repeats from between may be stored")
	return nil
}

// build adds the open batch's records once more, now that the index knows. Until all of them have been read the old
// rows stay.
func (f *repeatFilter) build(ctx context.Context) error {
	b := f.batch
	old := b.delivery
	offsets := old.tables.Offsets()
	f.index.Rollback()
	b.delivery = newDelivery(b.deps, b.counts, b.shared)
	b.letter, b.end = old.letter, old.end
	left := len(offsets)
	err := b.deps.Reread(ctx, f.at.Topic, f.at.Partition, offsets[0], offsets[left-1], func(rec *kgo.Record) {
		if _, ours := slices.BinarySearch(offsets, rec.Offset); ours {
			b.Add(rec)
			left--
		}
	})
	if err == nil && left == 0 {
		old.tables.Reset()
		f.rebuild = false
		return nil
	}
	b.delivery = old
	if err != nil {
		return err
	}
	b.deps.Logger.Error().Str("topic", f.at.Topic).Int32("partition", f.at.Partition).Int("records", left).
		Msg("records left the log before repeats among them could be told apart; they are stored as they are")
	f.rebuild = false
	return nil
}

// known asks the store for what was delivered before an offset.
type known struct {
	history *clickhouse.History
	at      clickhouse.Place
}

// Highest implements repeats.History.
func (k known) Highest(ctx context.Context, sources []repeats.Source, each func(repeats.Number)) error {
	asked := make([]clickhouse.Numbers, len(sources))
	for i, s := range sources {
		asked[i] = clickhouse.Numbers{Instance: s.Instance, Epoch: s.Epoch}
	}
	return k.history.Highest(ctx, k.at, asked, number(each))
}

// Within implements repeats.History.
func (k known) Within(ctx context.Context, ranges []repeats.Range, each func(repeats.Number)) error {
	asked := make([]clickhouse.Numbers, len(ranges))
	for i, r := range ranges {
		asked[i] = clickhouse.Numbers{Instance: r.Instance, Epoch: r.Epoch, First: r.First, Last: r.Last}
	}
	return k.history.Within(ctx, k.at, asked, number(each))
}

func number(each func(repeats.Number)) func(clickhouse.Number) {
	return func(n clickhouse.Number) {
		each(repeats.Number{Source: repeats.Source{Instance: n.Instance, Epoch: n.Epoch}, Sequence: n.Sequence, Rejected: n.Rejected})
	}
}
