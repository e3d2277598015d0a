package replay

import (
	"slices"
	"strings"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// Stage and reason of a record whose rows the server refuses.
const (
	stageSink     = "sink"
	reasonRefused = "refused_by_server"
	detailRefused = "ClickHouse refuses the rows of this record"
)

// rewriter turns records into rows of one version. One goroutine uses it.
type rewriter struct {
	chain    processors.Chain
	findings string
	tables   *clickhouse.Tables
	decoder  wire.Decoder
	record   batch.Record
	event    event.Event
	finding  event.Finding
}

func newRewriter(chain processors.Chain, findings string) *rewriter {
	w := &rewriter{chain: chain, findings: findings, tables: clickhouse.NewTables(&clickhouse.Buffers{})}
	w.record.Event = &w.event
	return w
}

// facts is what the store says of the offsets of a chunk.
type facts struct {
	rejected map[int64]uint32 // the row_version of rejected rows
	repeated map[int64]bool   // second deliveries: they stay as they are
	present  map[int64]bool   // findings that are rows already
	copies   map[origin]bool  // sequences of records to be resolved that stand elsewhere
}

// origin identifies an envelope, however often it was delivered.
type origin struct {
	instance        string
	epoch, sequence uint64
}

func originOf(env *event.Envelope) origin {
	s := env.GetSource()
	return origin{s.GetInstance(), s.GetBootEpoch(), s.GetSequence()}
}

// resolution is one row of dead_letter_resolutions.
type resolution struct {
	offset                int64
	ingestedMillis        int64
	replaced              uint32
	refused               bool
	stage, reason, detail string
}

// origins returns where the records come from that are rejected now and can be read: those that could stand twice.
func (w *rewriter) origins(span Span, records []Record, f *facts) []origin {
	var out []origin
	if span.Topic == w.findings {
		return nil
	}
	for i := range records {
		if _, ok := f.rejected[records[i].Offset]; !ok {
			continue
		}
		if env, err := w.decoder.Envelope(records[i].Value); err == nil && env.GetSource().GetSequence() > 0 {
			o := originOf(env)
			o.instance = strings.Clone(o.instance) // it aliases the record
			out = append(out, o)
		}
	}
	return out
}

// fill empties the tables and writes the records' rows into them; it returns what became of dead letters.
func (w *rewriter) fill(version uint32, kind Kind, span Span, records []Record, f *facts) []resolution {
	w.tables.Reset()
	w.tables.SetVersion(version)
	var out []resolution
	within := map[origin]bool{}
	for i := range records {
		r := &records[i]
		if f.repeated[r.Offset] {
			continue
		}
		if span.Topic == w.findings {
			out = append(out, w.addFinding(span, r, f))
			continue
		}
		replaced, standing := f.rejected[r.Offset]
		verdict := w.judge(span, r)
		switch {
		case verdict.Action == processors.ActionKeep && standing && f.seen(originOf(w.record.Envelope), within):
			w.tables.AddRepeat(&w.record, len(r.Value))
		case verdict.Action == processors.ActionKeep:
			w.tables.AddEnvelope(&w.record, len(r.Value))
		case standing && kind == KindSpan:
			w.tables.AddStanding(&w.record, len(r.Value), verdict.Reason)
		case !standing:
			w.tables.AddReject(reject(span, r, verdict), &w.record)
		}
		if standing {
			out = append(out, resolutionOf(r, replaced, verdict))
		}
	}
	return out
}

// seen reports a second delivery and notes the first of those within the chunk.
func (f *facts) seen(o origin, within map[origin]bool) bool {
	if o.sequence == 0 {
		return false
	}
	if f.copies[o] || within[o] {
		return true
	}
	o.instance = strings.Clone(o.instance)
	within[o] = true
	return false
}

func resolutionOf(r *Record, replaced uint32, v processors.Verdict) resolution {
	return resolution{
		offset: r.Offset, ingestedMillis: r.IngestedAt.UnixMilli(), replaced: replaced,
		refused: v.Action != processors.ActionKeep, stage: v.Stage, reason: v.Reason, detail: v.Detail,
	}
}

// judge decodes a record into w.record and passes it through the chain.
func (w *rewriter) judge(span Span, r *Record) processors.Verdict {
	w.record.Position = batch.Position{Topic: span.Topic, Partition: span.Partition, Offset: r.Offset}
	w.record.IngestedAt = r.IngestedAt
	w.record.Envelope, w.record.Event = nil, nil
	env, err := w.decoder.Envelope(r.Value)
	if err != nil {
		return processors.Verdict{Action: processors.ActionReject, Stage: wire.Stage, Reason: wire.Reason(err), Detail: err.Error()}
	}
	w.record.Envelope, w.record.Event = env, &w.event
	if slices.Contains(span.excluded, r.Offset) {
		return processors.Verdict{Action: processors.ActionReject, Stage: stageSink, Reason: reasonRefused, Detail: detailRefused}
	}
	return run(w.chain, &w.record)
}

// run passes one record through the chain; a panic in a step rejects the record, as in the role store.
func run(chain processors.Chain, r *batch.Record) (v processors.Verdict) {
	defer func() {
		if p := recover(); p != nil {
			v = processors.Verdict{Action: processors.ActionReject, Stage: "chain", Reason: "panic", Detail: "a step panicked"}
		}
	}()
	return chain.Process(r)
}

func (w *rewriter) addFinding(span Span, r *Record, f *facts) resolution {
	at := batch.Position{Topic: span.Topic, Partition: span.Partition, Offset: r.Offset}
	var v processors.Verdict
	if err := wire.UnmarshalFinding(r.Value, &w.finding); err != nil {
		v = processors.Verdict{Action: processors.ActionReject, Stage: wire.Stage, Reason: wire.Reason(err), Detail: err.Error()}
	} else if slices.Contains(span.excluded, r.Offset) {
		v = processors.Verdict{Action: processors.ActionReject, Stage: stageSink, Reason: reasonRefused, Detail: detailRefused}
	} else if !f.present[r.Offset] {
		w.tables.AddFinding(&w.finding, at, r.IngestedAt.UnixMilli(), len(r.Value))
	}
	return resolutionOf(r, 0, v)
}

func reject(span Span, r *Record, v processors.Verdict) *batch.Reject {
	return &batch.Reject{
		Position: batch.Position{Topic: span.Topic, Partition: span.Partition, Offset: r.Offset}, IngestedAt: r.IngestedAt,
		Key: r.Key, Value: r.Value, Headers: r.Headers, Stage: v.Stage, Reason: v.Reason, Detail: v.Detail,
	}
}
