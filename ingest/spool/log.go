package spool

import (
	"context"
	"crypto/cipher"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
)

var (
	// ErrFull means that max_bytes is reached.
	ErrFull = errors.New("spool is full")
	// ErrClosed means that the log was closed.
	ErrClosed = errors.New("spool is closed")
	// ErrTooLarge means that a record alone is beyond what a log takes.
	ErrTooLarge = errors.New("record is too large for the spool")
)

// Settings is what code supplies.
type Settings struct {
	Logger     zerolog.Logger
	Registerer prometheus.Registerer // nil keeps the metrics unregistered
	Key        []byte                // 32 bytes: records are sealed; nil: they are not
}

// keepInterval is how often a moved cursor is persisted and retired segments are deleted.
const keepInterval = 100 * time.Millisecond

// Log is the bounded log of one folder. Its methods are safe for concurrent use.
type Log struct {
	cfg     Config
	log     zerolog.Logger
	key     *sealKey
	metrics metrics
	lock    *os.File
	cursor  *cursorFile // the keeper's

	mu       sync.Mutex
	closed   bool
	segments []*segment // by first sequence
	file     *os.File   // of the last segment while it is appended to, else nil
	aead     cipher.AEAD
	seed     uint32
	bytes    int64  // of all segments
	last     uint64 // last sequence appended
	retired  uint64 // all up to it are
	err      error  // of the last append or probe, nil after one that went well
	buf      []byte // scratch of an append
	plain    []byte // scratch of a record before it is sealed
	arrived  chan struct{}

	synced, wanted uint64 // fsynced up to; waited for up to
	syncErr        error  // of the last fsync
	syncErrTo      uint64 // which sequences it concerns
	syncDone       chan struct{}
	kick           chan struct{}

	stop    chan struct{}
	stopped sync.WaitGroup
}

// Open takes the folder, which is made when it is missing, repairs what an earlier process left and returns the log.
// ErrInUse means that another process has the folder, ErrKey that it holds records sealed with another key.
func Open(cfg Config, set Settings) (*Log, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if cfg.Dir == "" {
		return nil, errors.New("open spool: spool.dir is empty")
	}
	key, err := newSealKey(set.Key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("create spool.dir: %w", err)
	}
	l := &Log{
		cfg: cfg, log: set.Logger.With().Str("component", "spool").Logger(), key: key,
		arrived: make(chan struct{}, 1), syncDone: make(chan struct{}), kick: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	l.metrics = newMetrics(l)
	if l.lock, err = lockDir(cfg.Dir); err != nil {
		return nil, err
	}
	if err := l.load(); err != nil {
		return nil, errors.Join(err, l.release())
	}
	if err := l.metrics.register(set.Registerer); err != nil {
		return nil, errors.Join(err, l.release())
	}
	l.stopped.Go(l.keep)
	l.stopped.Go(l.syncLoop)
	return l, nil
}

func (l *Log) release() error {
	var errs []error
	if l.cursor != nil {
		errs = append(errs, l.cursor.file.Close())
	}
	return errors.Join(append(errs, l.lock.Close())...)
}

// Append writes the records behind all others, sets their sequences and returns the last of them. When it returns
// nil they survive a kill of the process. ErrFull means that the bound is reached; any other error is the disk's.
// After an error none of the records is in the log.
func (l *Log) Append(records []Record) (uint64, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.append(records)
}

// AppendDurable is like Append and returns after fsync, so that the records survive a loss of power. When ctx ends
// first, or fsync fails, its error is returned and the records may or may not be in the log.
func (l *Log) AppendDurable(ctx context.Context, records []Record) (uint64, error) {
	last, wait, err := l.AppendThenSync(records)
	if err != nil {
		return 0, err
	}
	return last, wait(ctx)
}

// AppendThenSync is AppendDurable in two steps: wait returns after the fsync, its error or the end of ctx.
func (l *Log) AppendThenSync(records []Record) (last uint64, wait func(context.Context) error, err error) {
	l.mu.Lock()
	if last, err = l.append(records); err == nil {
		l.wanted = max(l.wanted, last)
	}
	l.mu.Unlock()
	if err != nil {
		return 0, nil, err
	}
	l.kickSync()
	return last, func(ctx context.Context) error { return l.awaitSync(ctx, last) }, nil
}

// Retire says that all records up to seq are no longer needed. It costs no I/O here: the cursor is persisted and
// segments are deleted within 100 ms.
func (l *Log) Retire(seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if seq = min(seq, l.last); seq > l.retired {
		l.metrics.retired.Add(float64(seq - l.retired))
		l.retired = seq
	}
}

// Pending returns the first and last sequence that are not retired; first is above last when there is none.
func (l *Log) Pending() (first, last uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.retired + 1, l.last
}

// Err is why the log takes no records: the error of the last append or probe, nil when it went well.
func (l *Log) Err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// Broken is Err without ErrFull: a full spool works as it should.
func (l *Log) Broken() error {
	if err := l.Err(); !errors.Is(err, ErrFull) {
		return err
	}
	return nil
}

// Bytes is the size of all segments.
func (l *Log) Bytes() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.bytes
}

// Probe finds out whether records can be appended again after Append has failed: there must be a sixteenth of the
// bound free, and the disk must take a piece of 64 KiB, which is removed again.
func (l *Log) Probe() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return ErrClosed
	}
	l.reclaim()
	if l.bytes > l.cfg.MaxBytes-l.cfg.MaxBytes/16 {
		l.err = ErrFull
		return l.err
	}
	l.err = l.tryWrite()
	return l.err
}

func (l *Log) tryWrite() error {
	if l.file == nil {
		if err := l.begin(); err != nil {
			return fmt.Errorf("probe spool: %w", err)
		}
	}
	if _, err := l.file.Write(make([]byte, 64<<10)); err != nil {
		l.undo()
		return fmt.Errorf("probe spool: %w", err)
	}
	active := l.segments[len(l.segments)-1]
	if err := l.file.Truncate(active.size); err != nil {
		l.undo()
		return fmt.Errorf("probe spool: %w", err)
	}
	if _, err := l.file.Seek(active.size, 0); err != nil {
		l.undo()
		return fmt.Errorf("probe spool: %w", err)
	}
	return nil
}

// Close syncs, persists the cursor and gives the folder back. Appends that come later get ErrClosed.
func (l *Log) Close() error {
	l.mu.Lock()
	if l.closed {
		l.mu.Unlock()
		return nil
	}
	l.closed = true
	errs := []error{l.seal()}
	retired := l.retired
	l.reclaim()
	l.mu.Unlock()
	close(l.stop)
	l.stopped.Wait()
	errs = append(errs, l.cursor.write(retired))
	if l.cfg.SyncInterval > 0 {
		errs = append(errs, l.cursor.file.Sync())
	}
	errs = append(errs, l.release())
	l.mu.Lock()
	defer l.mu.Unlock()
	l.wakeSync()
	l.signal()
	return errors.Join(errs...)
}

// keep persists the cursor and deletes what is retired.
func (l *Log) keep() {
	ticker := time.NewTicker(keepInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
		}
		l.mu.Lock()
		retired := l.retired
		l.mu.Unlock()
		if err := l.cursor.write(retired); err != nil {
			l.log.Error().Err(err).Msg("spool cursor not persisted; a restart would repeat records")
			continue
		}
		l.mu.Lock()
		l.reclaim()
		l.mu.Unlock()
	}
}
