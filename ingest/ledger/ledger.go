package ledger

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

const (
	hour = int64(time.Hour)
	// keepHours is how long an hour is told apart; what was never acknowledged until then is told under no hour.
	keepHours = 48
	// settleHours is how old an envelope may be when it opens an hour of its own; a later one is told under no hour.
	// So an hour that was let go after its end and this time can never begin anew.
	settleHours = 2
	// early is how far a clock may run ahead.
	early = 2 * time.Hour
)

// Send hands one signed statement to Kafka and returns when it is acknowledged or ctx ends. Nil means acknowledged.
type Send func(ctx context.Context, statement Statement) error

// Settings is what code supplies.
type Settings struct {
	Kind, Instance string // as in the envelopes' source
	Version        string // the software's version
	Send           Send
	// Tracked says that Delivered and Lost are called for every numbered envelope.
	Tracked bool
	// Spool tells how many records wait on disk and since when the oldest does; nil: there is no spool.
	Spool func() (records uint64, oldest time.Time)
	// Idle tells that the publisher holds nothing, neither in memory nor on disk. What was numbered a statement ago and is
	// still open then will never arrive. nil: such envelopes stay pending until the epoch ends.
	Idle       func() bool
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil keeps the metrics unregistered
	Now        func() time.Time      // nil: time.Now
}

// Ledger owns the counts of one source and boot. Its methods are safe for concurrent use and those that count never block
// on anything but each other.
type Ledger struct {
	cfg     Config
	set     Settings
	log     zerolog.Logger
	key     ed25519.PrivateKey
	folder  *folder // nil: counts in memory
	memory  *memory // nil: counts in memory
	state   *state
	metrics metrics

	mu      sync.Mutex
	recent  *hourState // the hour that was counted last
	ranges  ranges
	told    [maxHours]sums // what was acknowledged of each hour
	stopped bool           // the closing statement is made
	before  uint64         // envelopes numbered when the last statement was made

	dead     []*state
	started  atomic.Bool
	closing  chan struct{}
	speech   context.Context // of the statements before the closing one
	breakOff context.CancelFunc
	once     sync.Once
	done     chan struct{}
}

var kindName = regexp.MustCompile(`^[a-z0-9_]{1,32}$`)

// New opens the ledger of a new epoch and, where a folder keeps them, takes over what earlier epochs have not told.
// Start makes it speak.
func New(cfg Config, set Settings) (*Ledger, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	switch {
	case !kindName.MatchString(set.Kind):
		return nil, fmt.Errorf("create ledger: kind %q is not a short name", set.Kind)
	case set.Instance == "" || len(set.Instance) >= maxName:
		return nil, errors.New("create ledger: the source's instance must have 1 to 255 bytes")
	case set.Send == nil:
		return nil, errors.New("create ledger: settings need a sender")
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	l := &Ledger{
		cfg: cfg, set: set, log: set.Logger.With().Str("component", "ledger").Str("kind", set.Kind).Logger(),
		closing: make(chan struct{}), done: make(chan struct{}),
	}
	l.speech, l.breakOff = context.WithCancel(context.Background())
	var err error
	if l.key, err = LoadKey(cfg.SourceKeyFile); err != nil {
		return nil, err
	}
	if err := l.open(); err != nil {
		if l.folder != nil {
			err = errors.Join(err, l.folder.lock.Close())
		}
		return nil, err
	}
	l.metrics = newMetrics(l)
	return l, l.metrics.register(set.Registerer)
}

func (l *Ledger) open() (err error) {
	fresh := &state{}
	previous := uint64(0)
	if l.cfg.StateDir != "" {
		if l.folder, err = openFolder(l.cfg.StateDir, l.set.Kind, l.log); err != nil {
			return err
		}
		if previous, err = l.folder.retire(); err != nil {
			return fmt.Errorf("open ledger.state_dir: %w", err)
		}
		if l.dead, err = l.folder.dead(); err != nil {
			return fmt.Errorf("open ledger.state_dir: %w", err)
		}
	}
	now := l.set.Now()
	fresh.begin(l.set.Kind, l.set.Instance, max(uint64(now.UnixNano()), previous+1), previous)
	fresh.touched.Store(now.UnixNano())
	l.state = fresh
	if l.folder == nil {
		return nil
	}
	if l.memory, err = l.folder.create(fresh); err != nil {
		return fmt.Errorf("create ledger in ledger.state_dir: %w", err)
	}
	l.state = l.memory.state()
	return nil
}

// Epoch is the boot epoch that this ledger counts; envelopes carry it.
func (l *Ledger) Epoch() uint64 { return l.state.epoch }

// Expect notes that n envelopes are owed: a call that begins owes two. A receiver, whose sender repeats what was not
// acknowledged, owes none before it is durable.
func (l *Ledger) Expect(n uint64) { l.state.expected.Add(n) }

// Numbered notes that an envelope of this observed time gets this sequence, before it is handed over.
func (l *Ledger) Numbered(observedUnixNano, sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	h := l.at(observedUnixNano)
	h.span(sequence, sequence)
	h.numbered.Add(1)
}

// Refused takes Numbered back: the envelope was not taken and the next one gets its sequence. The caller counts it as
// Dropped.
func (l *Ledger) Refused(observedUnixNano, sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped {
		return
	}
	h := l.at(observedUnixNano)
	h.numbered.Add(^uint64(0))
	switch {
	case h.first.Load() == sequence:
		h.first.Store(0)
		h.last.Store(0)
	case h.last.Load() == sequence:
		h.last.Store(sequence - 1)
	}
}

// Dropped notes n envelopes that were given up before they got a sequence.
func (l *Ledger) Dropped(observedUnixNano uint64, reason string, n uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.stopped {
		l.at(observedUnixNano).dropped[reasonIndex(reason)].Add(n)
	}
}

// Delivered notes that Kafka acknowledged an envelope. Repeats and other epochs are ignored.
func (l *Ledger) Delivered(epoch, sequence uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if epoch != l.state.epoch || !l.ranges.add(sequence) {
		return
	}
	l.state.delivered.Add(1)
	l.state.through.Store(l.ranges.through)
}

// Lost notes that an envelope was given up after it got its sequence. Repeats and other epochs are ignored.
func (l *Ledger) Lost(epoch, sequence, observedUnixNano uint64, reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.stopped || epoch != l.state.epoch || !l.ranges.add(sequence) {
		return
	}
	l.at(observedUnixNano).lost[reasonIndex(reason)].Add(1)
	l.state.through.Store(l.ranges.through)
}

// at finds or makes the counters of the hour of a time. A time far from now has no hour of its own.
func (l *Ledger) at(unixNano uint64) *hourState {
	start := int64(unixNano) / hour * 3600 //nolint:gosec // until the year 2262
	if l.recent != nil && l.recent.hour.Load() == start {
		return l.recent
	}
	free := -1
	for i := range l.state.hours {
		switch l.state.hours[i].hour.Load() {
		case start:
			l.recent = &l.state.hours[i]
			return l.recent
		case 0:
			if free < 0 {
				free = i
			}
		}
	}
	now := l.set.Now()
	at := time.Unix(start, 0)
	if free < 0 || start <= 0 || at.After(now.Add(early)) || at.Before(now.Add(-settleHours*time.Hour)) {
		return &l.state.other
	}
	l.state.touched.Store(now.UnixNano())
	l.told[free] = sums{}
	l.state.hours[free].hour.Store(start)
	l.recent = &l.state.hours[free]
	return l.recent
}

// settle lets go of hours that are over: acknowledged ones soon, others after keepHours. The caller holds mu.
func (l *Ledger) settle(now time.Time) {
	for i := range l.state.hours {
		start := l.state.hours[i].hour.Load()
		if start == 0 {
			continue
		}
		age := now.Sub(time.Unix(start, 0))
		told := l.told[i] == l.state.hours[i].sums()
		if told && age > (settleHours+1)*time.Hour || age > (keepHours+1)*time.Hour {
			l.state.fold(i, told)
			l.told[i], l.recent = sums{}, nil
		}
	}
}
