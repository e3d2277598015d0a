// Package history makes the directory and the price table the same for every consumer at every moment: each
// version travels once through a Kafka topic of one partition, and takes effect at its broker time plus an
// activation delay. A role that follows the topic therefore knows a version before the first envelope that it
// governs, and a replay next year finds the version that was in force.
package history

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strconv"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/pricing"
)

// Kind is what a version describes.
type Kind string

// The kinds. They are the keys of the topic's records.
const (
	KindDirectory Kind = "directory"
	KindPrices    Kind = "prices"
)

// Format is how a version is written.
type Format string

// The formats.
const (
	FormatModelTrail Format = "modeltrail"
	FormatLiteLLM    Format = "litellm"
)

// Names of the record headers.
const (
	headerFormat = "mt-format"
	headerDelay  = "mt-activation-delay-ms"
	headerHash   = "mt-sha256"
)

// maxVersionBytes bounds one version on its way in; the largest public price map is below 2 MiB.
const maxVersionBytes = 16 << 20

// Version is one state of the directory or of the price table, as its file holds it.
type Version struct {
	Kind    Kind
	Format  Format
	Content []byte
}

// hash identifies the content; equal contents are one version.
func (v Version) hash() string {
	sum := sha256.Sum256(append([]byte(v.Format+"\n"), v.Content...))
	return hex.EncodeToString(sum[:])
}

// parsed is a Version ready for use; one of the pointers is set.
type parsed struct {
	version   string
	directory *directory.Directory
	prices    *pricing.Table
}

// parse validates a version.
func (v Version) parse() (parsed, error) {
	switch {
	case v.Kind == KindDirectory && v.Format == FormatModelTrail:
		d, err := directory.Parse(v.Content)
		if err != nil {
			return parsed{}, fmt.Errorf("parse directory: %w", err)
		}
		return parsed{version: d.Version(), directory: d}, nil
	case v.Kind == KindPrices && v.Format == FormatModelTrail:
		t, err := pricing.Parse(v.Content)
		if err != nil {
			return parsed{}, fmt.Errorf("parse prices: %w", err)
		}
		return parsed{version: t.Version(), prices: t}, nil
	case v.Kind == KindPrices && v.Format == FormatLiteLLM:
		// The map knows no dates: its rows hold from the beginning until another version comes.
		t, err := pricing.LoadLiteLLM(v.Content, time.Unix(0, 0).UTC(), v.hash()[:12])
		if err != nil {
			return parsed{}, fmt.Errorf("parse price map: %w", err)
		}
		return parsed{version: t.Version(), prices: t}, nil
	}
	return parsed{}, fmt.Errorf("unknown version kind %q in format %q", v.Kind, v.Format)
}

// ReadFile reads a version from a file and validates it.
func ReadFile(kind Kind, format Format, path string) (Version, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Version{}, fmt.Errorf("read %s: %w", kind, err)
	}
	if info.Size() > maxVersionBytes {
		return Version{}, fmt.Errorf("read %s: %s has %d bytes; the limit is %d", kind, path, info.Size(), maxVersionBytes)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return Version{}, fmt.Errorf("read %s: %w", kind, err)
	}
	v := Version{Kind: kind, Format: format, Content: content}
	if _, err := v.parse(); err != nil {
		return Version{}, fmt.Errorf("%s: %w", path, err)
	}
	return v, nil
}

// Publisher writes versions to the topic. It is safe for concurrent use.
type Publisher struct {
	client *kgo.Client
	topic  string
	delay  time.Duration
	follow *Follower

	mu      sync.Mutex
	offered map[Kind]string // hash of the version last offered by this process
}

// NewPublisher returns a Publisher that consults follow, so that a version already in force is not repeated.
func NewPublisher(client *kgo.Client, topic string, delay time.Duration, follow *Follower) *Publisher {
	return &Publisher{client: client, topic: topic, delay: delay, follow: follow, offered: map[Kind]string{}}
}

// Publish makes v the latest version of its kind unless it is already. It returns when the broker has it.
func (p *Publisher) Publish(ctx context.Context, v Version) (published bool, err error) {
	if _, err := v.parse(); err != nil {
		return false, err
	}
	if p.follow.latest(v.Kind) == v.hash() {
		p.note(v)
		return false, nil
	}
	record := &kgo.Record{
		Topic: p.topic, Key: []byte(v.Kind), Value: v.Content,
		Headers: []kgo.RecordHeader{
			{Key: headerFormat, Value: []byte(v.Format)},
			{Key: headerDelay, Value: strconv.AppendInt(nil, p.delay.Milliseconds(), 10)},
			{Key: headerHash, Value: []byte(v.hash())},
		},
	}
	if err := p.client.ProduceSync(ctx, record).FirstErr(); err != nil {
		return false, fmt.Errorf("publish %s version: %w", v.Kind, err)
	}
	p.note(v)
	return true, nil
}

// note remembers what this process has offered. Its unchanged file must not undo what another process publishes later.
func (p *Publisher) note(v Version) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.offered[v.Kind] = v.hash()
}

func (p *Publisher) known(v Version) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.offered[v.Kind] == v.hash()
}

// Watch publishes the file's versions as it changes, looking every interval, until ctx ends. A faulty version is
// reported once through report and the one before stays in force.
func (p *Publisher) Watch(ctx context.Context, kind Kind, format Format, path string, interval time.Duration, report func(published bool, err error)) {
	var lastErr string
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		v, err := ReadFile(kind, format, path)
		published := false
		if err == nil && !p.known(v) {
			published, err = p.Publish(ctx, v)
		}
		switch {
		case errors.Is(err, context.Canceled):
			return
		case err != nil && err.Error() != lastErr:
			lastErr = err.Error()
			report(false, err)
		case err == nil:
			lastErr = ""
			if published {
				report(true, nil)
			}
		}
	}
}
