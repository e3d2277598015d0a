// Package backfill loads archives of calls: it reads JSON lines and Parquet, has package ingest/backfill make envelopes
// of their records, and publishes those with acks=all. Loading a file again gives the same envelopes, so a load that
// broke off is repeated as a whole.
package backfill

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/backfill"
	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// Format is how an archive is written.
type Format string

// The formats.
const (
	FormatAuto    Format = "auto"    // by the first bytes of the file
	FormatJSONL   Format = "jsonl"   // one JSON object a line, also compressed with gzip or Zstandard
	FormatParquet Format = "parquet" // Apache Parquet, one column for each field
)

// Settings is what code supplies to a Loader.
type Settings struct {
	Client   *kgo.Client // produces with acks=all; nil: nothing is published, for a dry run
	Topic    string      // of envelopes
	Source   string      // gateway of records that name none
	Version  string      // of this software
	Redactor *redact.Redactor
	Complain func(Fault)                           // told of each bad line
	Progress func(readBytes, total, records int64) // of the file
}

// Fault is a line that could not be loaded.
type Fault struct {
	Line   uint64
	Reason error
	Text   []byte // the line as it stands; may hold anything
}

// Result is what became of one file.
type Result struct {
	Instance string // source instance of its envelopes
	Records  int64  // lines that were published, or would be
	Rejected int64
	Took     time.Duration
}

// Loader loads files, one at a time.
type Loader struct{ set Settings }

// New returns a Loader.
func New(set Settings) (*Loader, error) {
	if set.Redactor == nil || set.Topic == "" {
		return nil, errors.New("create backfill: a redactor and a topic are required")
	}
	if set.Complain == nil {
		set.Complain = func(Fault) {}
	}
	if set.Progress == nil {
		set.Progress = func(int64, int64, int64) {}
	}
	return &Loader{set}, nil
}

// Load publishes every record of a file and returns when all are acknowledged. Bad lines are told and passed over. After
// an error, or when ctx ends, loading the file again is harmless: what was published is recognised.
func (l *Loader) Load(ctx context.Context, file *os.File, format Format) (Result, error) {
	started := time.Now()
	hash, size, err := digest(file)
	if err != nil {
		return Result{}, err
	}
	reader, err := backfill.NewReader(hash, l.set.Source, l.set.Version, l.set.Redactor)
	if err != nil {
		return Result{}, err
	}
	run := &load{loader: l, reader: reader, size: size, result: Result{Instance: reader.Instance()}}
	run.ctx, run.cancel = context.WithCancelCause(ctx)
	defer run.cancel(nil)
	read, err := open(file, format, size)
	if err == nil {
		err = read(run.ctx, run.line)
	}
	if err == nil && l.set.Client != nil {
		if flushed := l.set.Client.Flush(run.ctx); flushed != nil {
			err = fmt.Errorf("wait for acknowledgements: %w", flushed)
		}
	}
	if cause := context.Cause(run.ctx); cause != nil {
		err = cause
	}
	run.result.Took = time.Since(started)
	return run.result, err
}

// load is the loading of one file.
type load struct {
	loader *Loader
	reader *backfill.Reader
	ctx    context.Context //nolint:containedctx // ended by the first record that is not acknowledged
	cancel context.CancelCauseFunc
	size   int64
	result Result
}

// line takes one line; number counts from 1, at is how far the file is read.
func (r *load) line(number uint64, text []byte, problem error, at int64) error {
	var envelopes []*event.Envelope
	if problem == nil {
		envelopes, problem = r.reader.Envelopes(text, number)
	}
	if problem != nil {
		r.result.Rejected++
		r.loader.set.Complain(Fault{number, problem, text})
	} else {
		r.result.Records++
		for _, env := range envelopes {
			r.publish(number, env)
		}
	}
	r.loader.set.Progress(at, r.size, r.result.Records)
	return r.ctx.Err()
}

func (r *load) publish(number uint64, env *event.Envelope) {
	client := r.loader.set.Client
	if client == nil {
		return
	}
	rec := &kgo.Record{Topic: r.loader.set.Topic, Key: []byte(env.CallId), Value: wire.MarshalEnvelope(nil, env), Timestamp: time.Now()}
	for _, h := range wire.EnvelopeHeaders(env) {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	client.Produce(r.ctx, rec, func(_ *kgo.Record, err error) { // blocks while the client's buffer is full
		if err != nil {
			r.cancel(fmt.Errorf("publish line %d: %w; load the file again once it is mended: what was published is recognised", number, err))
		}
	})
}

// Options are the producer's: everything durable, memory bounded.
func Options() []kgo.Opt {
	return []kgo.Opt{
		kgo.RequiredAcks(kgo.AllISRAcks()), kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.NoCompression()),
		kgo.MaxBufferedBytes(32 << 20), kgo.ProducerLinger(20 * time.Millisecond), kgo.RecordDeliveryTimeout(2 * time.Minute),
	}
}

// Spool copies a stream to a temporary file, since the identity of an archive is its content. The caller closes the
// file, which has no name any more.
func Spool(from io.Reader) (*os.File, error) {
	file, err := os.CreateTemp("", "modeltrail-backfill-*")
	if err != nil {
		return nil, fmt.Errorf("spool standard input: %w", err)
	}
	_ = os.Remove(file.Name())
	if _, err := io.Copy(file, from); err != nil {
		return nil, errors.Join(fmt.Errorf("spool standard input: %w", err), file.Close())
	}
	return file, nil
}
