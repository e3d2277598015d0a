package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// ErrOther reports that another replay is open.
var ErrOther = errors.New("another replay is open")

// ErrNothing reports that a replay would touch no record.
var ErrNothing = errors.New("nothing to replay")

// Kind is what a replay takes on.
type Kind string

// The kinds, as the table spells them.
const (
	KindSpan    Kind = "span"         // every record from the first offset to the last
	KindLetters Kind = "dead_letters" // single dead letters
)

// Span is the part of a replay that lies in one partition. First and Last are included.
type Span struct {
	Topic       string
	Partition   int32
	First, Last int64
	Offsets     []int64 // KindLetters: the offsets taken on, ascending
	excluded    []int64 // offsets whose rows the server refused
	since       time.Time
	until       time.Time
}

// records is how many records the span has at most.
func (s Span) records() int64 {
	if len(s.Offsets) > 0 {
		return int64(len(s.Offsets))
	}
	return s.Last - s.First + 1
}

// Record is one record as Kafka held it. Its memory is used until the next Read of its Source.
type Record struct {
	Offset     int64
	IngestedAt time.Time
	Key, Value []byte
	Headers    []batch.Header
}

// Limit bounds one Read; a Read returns at least one record where there is one.
type Limit struct {
	Records int
	Bytes   int64
}

// Source gives records again. One goroutine uses it.
type Source interface {
	// Read returns records of the span from offset first on, ascending, until last or the limit, and the offset through
	// which it read: last when the limit was not reached. Equal arguments MUST give equal records, also in another process.
	Read(ctx context.Context, span Span, first, last int64, limit Limit) (records []Record, through int64, err error)
}

// Job is a replay as it is asked for.
type Job struct {
	Kind    Kind
	Request string // the arguments in one form: an interrupted replay with an equal Request is resumed
	Reason  string
	// Spans computes what is to be replayed. It is not called when an interrupted replay is resumed.
	Spans func(ctx context.Context) ([]Span, error)
}

// Result is what a replay did.
type Result struct {
	Version uint32
	Resumed bool
	Records uint64 // read
	Stored  uint64 // became rows
	Refused uint64 // stay or became dead letters
	Spans   []Span
}

// Progress is told after each chunk. Done and Total count records.
type Progress struct {
	Version     uint32
	Topic       string
	Partition   int32
	Done, Total int64
}

// Settings is what code supplies to an Engine.
type Settings struct {
	Conn      driver.Conn
	Database  string
	Cluster   string // name of the Kafka cluster, the first part of every token
	Writer    *clickhouse.Writer
	Chain     processors.Chain // its first step empties the event, which is reused
	Envelopes string           // topic of envelopes
	Findings  string           // topic of findings
	Software  string           // version of this binary
	Logger    zerolog.Logger
	Progress  func(Progress) // nil: nobody looks
}

// Engine runs replays, one at a time.
type Engine struct {
	set      Settings
	log      zerolog.Logger
	rewriter *rewriter
	now      func() time.Time
	// reach is called at every point where a crash must be harmless; tests break off there.
	reach func(point string) error
}

// New returns an Engine. The connection and the writer stay the caller's.
func New(set Settings) (*Engine, error) {
	if set.Conn == nil || set.Writer == nil || len(set.Chain) == 0 || set.Cluster == "" {
		return nil, errors.New("create replay: connection, writer, chain and cluster are required")
	}
	if set.Progress == nil {
		set.Progress = func(Progress) {}
	}
	return &Engine{
		set: set, log: set.Logger.With().Str("component", "replay").Logger(), rewriter: newRewriter(set.Chain, set.Findings),
		now: time.Now, reach: func(string) error { return nil },
	}, nil
}

// Run does the job, or goes on with it when an earlier run was interrupted, and returns when its rows are visible and
// the sums have followed. After an error, or when ctx ends, running the same job again goes on.
func (e *Engine) Run(ctx context.Context, job Job, source Source) (Result, error) {
	state, resumed, err := e.begin(ctx, job)
	if err != nil {
		return Result{}, err
	}
	for {
		offenders, err := e.rewriteAll(ctx, state, source)
		if err != nil {
			return Result{Version: state.version, Resumed: resumed}, err
		}
		if len(offenders) == 0 {
			break
		}
		if state, err = e.restart(ctx, state, offenders); err != nil {
			return Result{}, err
		}
	}
	if err := e.finish(ctx, state); err != nil {
		return Result{Version: state.version, Resumed: resumed}, err
	}
	if err := e.settle(ctx, state); err != nil {
		return Result{Version: state.version, Resumed: resumed}, err
	}
	return Result{
		Version: state.version, Resumed: resumed, Records: state.records, Stored: state.stored, Refused: state.refused, Spans: state.spans,
	}, nil
}

// begin returns the replay to work on: the open one where it is the same job, else a new one.
func (e *Engine) begin(ctx context.Context, job Job) (state *state, resumed bool, err error) {
	open, err := e.open(ctx)
	if err != nil {
		return nil, false, err
	}
	if open != nil && open.finished {
		e.log.Info().Uint32("replay", open.version).Msg("the sums of an earlier replay are brought up first")
		if err := e.settle(ctx, open); err != nil {
			return nil, false, err
		}
		open = nil
	}
	if open != nil && (open.request != job.Request || open.kind != job.Kind) {
		return nil, false, fmt.Errorf("%w: number %d (%s, begun %s): repeat it with its arguments to finish it, or give it up with `modeltrail replay --abandon %d`",
			ErrOther, open.version, open.request, open.at.UTC().Format(time.RFC3339), open.version)
	}
	if open != nil {
		return open, true, nil
	}
	spans, err := job.Spans(ctx)
	if err != nil {
		return nil, false, err
	}
	if len(spans) == 0 {
		return nil, false, ErrNothing
	}
	if state, err = e.start(ctx, job, spans); err != nil {
		return nil, false, err
	}
	return state, false, e.reach("started")
}

// restart starts the job of an abandoned replay anew, without the records whose rows the server refused.
func (e *Engine) restart(ctx context.Context, old *state, offenders map[partition][]int64) (*state, error) {
	spans := make([]Span, len(old.spans))
	for i, span := range old.spans {
		spans[i] = span
		spans[i].excluded = append(append([]int64(nil), span.excluded...), offenders[partition{span.Topic, span.Partition}]...)
	}
	return e.start(ctx, Job{Kind: old.kind, Request: old.request, Reason: old.reason}, spans)
}

// Abandon gives an open replay up: its rows stay unseen. One that is finished cannot be given up.
func (e *Engine) Abandon(ctx context.Context, version uint32) error {
	open, err := e.open(ctx)
	if err != nil {
		return err
	}
	switch {
	case open == nil || open.version != version:
		return fmt.Errorf("abandon replay %d: it is not open", version)
	case open.finished:
		return fmt.Errorf("abandon replay %d: its rows are visible already; run any replay to bring the sums up, then replay the span again", version)
	}
	return e.mark(ctx, open, stateAbandoned)
}
