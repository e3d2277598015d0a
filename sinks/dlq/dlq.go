// Package dlq writes rejected records to the dead letter topic: the original key, value and headers, and dlq-*
// headers that say where the record stood and which step refused it and why. Such a record can be read, repaired
// and produced again as it was.
//
// Delivery is at least once: after a crash the rejects of an unfinished batch are written again. dlq-topic,
// dlq-partition and dlq-offset identify a repeat.
package dlq

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/batch"
)

// Headers that Writer adds. Original headers of these names are replaced.
const (
	HeaderTopic     = "dlq-topic"     // where the record stood
	HeaderPartition = "dlq-partition" // decimal
	HeaderOffset    = "dlq-offset"    // decimal
	HeaderStage     = "dlq-stage"     // the step that refused
	HeaderReason    = "dlq-reason"    // snake_case, from a closed set
	HeaderDetail    = "dlq-detail"    // error text; never quotes payload
	HeaderTimestamp = "dlq-timestamp" // broker time of the original record, RFC 3339 with nanoseconds
	HeaderVersion   = "dlq-version"   // software version that refused it
	HeaderTruncated = "dlq-truncated" // original length in bytes, only where the topic could not hold the value
)

// prefix of the headers above; original headers with it are dropped, so that a record refused twice says why last.
const prefix = "dlq-"

// Settings is what code supplies to a Writer.
type Settings struct {
	Topic      string // the dead letter topic
	Version    string // software version
	Registerer prometheus.Registerer
}

// Writer produces rejects. It is safe for concurrent use.
type Writer struct {
	client  *kgo.Client
	set     Settings
	written *prometheus.CounterVec
}

// New returns a Writer over a client that produces with acks=all. The client stays the caller's.
func New(client *kgo.Client, set Settings) (*Writer, error) {
	if set.Topic == "" {
		return nil, errors.New("create dlq writer: settings lack the topic")
	}
	written := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "modeltrail_dlq_written_records_total", Help: "Records acknowledged by the dead letter topic.",
	}, []string{"stage", "reason"})
	if err := set.Registerer.Register(written); err != nil {
		return nil, fmt.Errorf("register dlq metrics: %w", err)
	}
	return &Writer{client: client, set: set, written: written}, nil
}

// Write produces all rejects and waits for their acknowledgement; nil means that every one is durable. After an
// error the call may be repeated; what was acknowledged is then written twice. The rejects' memory is used until
// Write returns.
func (w *Writer) Write(ctx context.Context, rejects []batch.Reject) error {
	if len(rejects) == 0 {
		return nil
	}
	records := make([]*kgo.Record, len(rejects))
	for i := range rejects {
		records[i] = w.record(&rejects[i])
	}
	var errs []error
	for i, result := range w.client.ProduceSync(ctx, records...) {
		err := result.Err
		if errors.Is(err, kerr.MessageTooLarge) {
			err = w.writeTruncated(ctx, result.Record)
		}
		if err != nil {
			errs = append(errs, err)
			if len(errs) == 10 {
				break
			}
			continue
		}
		w.written.WithLabelValues(rejects[i].Stage, rejects[i].Reason).Inc()
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("produce dead letters: %w", err)
	}
	return nil
}

// truncatedBytes is what is kept of a value that the topic refuses as too large. The dead_letters table has all of it.
const truncatedBytes = 64 << 10

func (w *Writer) writeTruncated(ctx context.Context, rec *kgo.Record) error {
	short := &kgo.Record{Topic: rec.Topic, Key: rec.Key, Value: rec.Value, Headers: rec.Headers}
	if len(short.Value) > truncatedBytes {
		short.Value = short.Value[:truncatedBytes]
	}
	short.Headers = append(short.Headers, kgo.RecordHeader{Key: HeaderTruncated, Value: []byte(strconv.Itoa(len(rec.Value)))})
	return w.client.ProduceSync(ctx, short).FirstErr()
}

// Cause reads why a record of the dead letter topic is there; stage is "" for one that is no letter.
func Cause(rec *kgo.Record) (stage, reason, detail string) {
	for _, h := range rec.Headers {
		switch h.Key {
		case HeaderStage:
			stage = string(h.Value)
		case HeaderReason:
			reason = string(h.Value)
		case HeaderDetail:
			detail = string(h.Value)
		}
	}
	return stage, reason, detail
}

func (w *Writer) record(r *batch.Reject) *kgo.Record {
	rec := &kgo.Record{Topic: w.set.Topic, Key: r.Key, Value: r.Value}
	rec.Headers = make([]kgo.RecordHeader, 0, len(r.Headers)+8)
	for _, h := range r.Headers {
		if len(h.Key) >= len(prefix) && h.Key[:len(prefix)] == prefix {
			continue
		}
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	for _, h := range [...]struct{ key, value string }{
		{HeaderTopic, r.Position.Topic},
		{HeaderPartition, strconv.Itoa(int(r.Position.Partition))},
		{HeaderOffset, strconv.FormatInt(r.Position.Offset, 10)},
		{HeaderStage, r.Stage},
		{HeaderReason, r.Reason},
		{HeaderDetail, r.Detail},
		{HeaderTimestamp, r.IngestedAt.UTC().Format(time.RFC3339Nano)},
		{HeaderVersion, w.set.Version},
	} {
		rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.key, Value: []byte(h.value)})
	}
	return rec
}
