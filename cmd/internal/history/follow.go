package history

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/pricing"
	"github.com/modeltrail/modeltrail/schemas/timeline"
)

// Loaded is one version that was read.
type Loaded struct {
	Kind      Kind
	Version   string
	Effective time.Time
	Directory *directory.Directory // set for KindDirectory
}

// Follower keeps the timelines of all versions that the topic holds. The timelines are safe for concurrent use.
type Follower struct {
	Directory *timeline.Timeline[*directory.Directory]
	Prices    *timeline.Timeline[*pricing.Table]

	client *kgo.Client
	topic  string
	log    zerolog.Logger
	done   chan struct{}

	mu        sync.Mutex
	hashes    map[Kind]string // the latest version's content hash
	loaded    []Loaded
	observers []func(Loaded)
}

// Follow reads the topic to its present end and then goes on in the background until Close. The client must be
// its own: Follow adds the topic to it and Close closes it.
func Follow(ctx context.Context, client *kgo.Client, topic string, log zerolog.Logger) (*Follower, error) {
	f := &Follower{
		Directory: &timeline.Timeline[*directory.Directory]{}, Prices: &timeline.Timeline[*pricing.Table]{},
		client: client, topic: topic, log: log.With().Str("component", "history").Logger(),
		done: make(chan struct{}), hashes: map[Kind]string{},
	}
	ends, err := kadm.NewClient(client).ListEndOffsets(ctx, topic)
	if err != nil {
		return nil, fmt.Errorf("list end of topic %s: %w", topic, err)
	}
	end, ok := ends.Lookup(topic, 0)
	if !ok || end.Err != nil {
		return nil, fmt.Errorf("list end of topic %s: %w", topic, errors.Join(end.Err, errors.New("no partition 0")))
	}
	client.AddConsumePartitions(map[string]map[int32]kgo.Offset{topic: {0: kgo.NewOffset().AtStart()}})
	next := int64(0)
	for next < end.Offset {
		fetches := client.PollFetches(ctx)
		if ctx.Err() != nil {
			return nil, fmt.Errorf("read topic %s to its end: %w", topic, ctx.Err())
		}
		next = f.consume(fetches, next)
	}
	go f.run()
	return f, nil
}

// Close stops following and closes the client.
func (f *Follower) Close() {
	f.client.Close()
	<-f.done
}

func (f *Follower) run() {
	defer close(f.done)
	for {
		fetches := f.client.PollFetches(context.Background())
		if fetches.IsClientClosed() {
			return
		}
		f.consume(fetches, 0)
	}
}

func (f *Follower) consume(fetches kgo.Fetches, next int64) int64 {
	fetches.EachError(func(_ string, _ int32, err error) {
		f.log.Warn().Err(err).Msg("read directory topic")
	})
	fetches.EachRecord(func(r *kgo.Record) {
		next = r.Offset + 1
		if err := f.load(r); err != nil {
			// The version was valid where it was published: this binary is older than that one.
			f.log.Error().Err(err).Int64("offset", r.Offset).Msg("skip unreadable version; update this process")
		}
	})
	return next
}

func (f *Follower) load(r *kgo.Record) error {
	v := Version{Kind: Kind(r.Key), Content: r.Value}
	var delay time.Duration
	for _, h := range r.Headers {
		switch h.Key {
		case headerFormat:
			v.Format = Format(h.Value)
		case headerDelay:
			ms, err := strconv.ParseInt(string(h.Value), 10, 64)
			if err != nil {
				return fmt.Errorf("parse activation delay: %w", err)
			}
			delay = time.Duration(ms) * time.Millisecond
		}
	}
	effective := r.Timestamp.Add(delay)
	p, err := v.parse()
	if err != nil {
		return err
	}
	switch {
	case p.directory != nil:
		f.Directory.Add(effective, p.version, p.directory)
	case p.prices != nil:
		f.Prices.Add(effective, p.version, p.prices)
	}
	loaded := Loaded{Kind: v.Kind, Version: p.version, Effective: effective, Directory: p.directory}
	f.log.Info().Str("kind", string(loaded.Kind)).Str("version", loaded.Version).Time("effective", effective).Msg("version loaded")
	f.mu.Lock()
	defer f.mu.Unlock()
	f.hashes[v.Kind] = v.hash()
	f.loaded = append(f.loaded, loaded)
	for _, observe := range f.observers {
		observe(loaded)
	}
	return nil
}

// Observe calls fn with every version that was loaded and will be, in order, one at a time. fn must not call the
// Follower.
func (f *Follower) Observe(fn func(Loaded)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, loaded := range f.loaded {
		fn(loaded)
	}
	f.observers = append(f.observers, fn)
}

// Await returns when a version of the kind is known. Before, calls would be priced or named differently than in a
// replay.
func (f *Follower) Await(ctx context.Context, kind Kind) error {
	ticker := time.NewTicker(20 * time.Millisecond)
	defer ticker.Stop()
	for f.latest(kind) == "" {
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for a version of %s in topic %s: %w", kind, f.topic, ctx.Err())
		case <-ticker.C:
		}
	}
	return nil
}

func (f *Follower) latest(kind Kind) string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hashes[kind]
}
