package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// statementsBlock has a row for every hour that a source's statement tells, and one for a statement that tells none.
type statementsBlock struct {
	block
	kind, instance                                              dictionary
	epoch, number                                               fixed[uint64]
	hour                                                        fixed[uint32]
	numbered, firstSequence, lastSequence                       fixed[uint64]
	dropped, lost                                               mapping[*fixed[uint64]]
	issuedAt                                                    fixed[int64]
	state                                                       fixed[int8]
	started                                                     fixed[uint8]
	previousEpoch                                               fixed[uint64]
	epochExpected, epochLastSequence, epochDropped, epochLost   fixed[uint64]
	tracked                                                     fixed[uint8]
	delivered, deliveredThrough, acknowledged, pending, spooled fixed[uint64]
	oldestSpooledAt                                             fixed[int64]
	intervalMillis                                              fixed[uint64]
	sourceVersion, keyID                                        dictionary
	verified, pinned                                            fixed[uint8]
	signedValue                                                 text
	topic                                                       dictionary
	partition                                                   fixed[int32]
	offset, ingestedAt                                          fixed[int64]
	schemaVersion                                               fixed[uint16]
}

func newStatementsBlock() *statementsBlock {
	b := &statementsBlock{block: block{name: "source_statements"}}
	b.dropped.values, b.lost.values = &fixed[uint64]{}, &fixed[uint64]{}
	b.add("source_kind", kindDictionary, &b.kind)
	b.add("source_instance", kindDictionary, &b.instance)
	b.add("source_epoch", kindUint64, &b.epoch)
	b.add("statement", kindUint64, &b.number)
	b.add("hour", kindSeconds, &b.hour)
	b.add("numbered", kindUint64, &b.numbered)
	b.add("first_sequence", kindUint64, &b.firstSequence)
	b.add("last_sequence", kindUint64, &b.lastSequence)
	b.add("dropped", kindTotals, &b.dropped)
	b.add("lost", kindTotals, &b.lost)
	b.add("issued_at", kindMicros, &b.issuedAt)
	b.add("state", enumEpochState, &b.state)
	b.add("started", kindBool, &b.started)
	b.add("previous_epoch", kindUint64, &b.previousEpoch)
	b.add("epoch_expected", kindUint64, &b.epochExpected)
	b.add("epoch_last_sequence", kindUint64, &b.epochLastSequence)
	b.add("epoch_dropped", kindUint64, &b.epochDropped)
	b.add("epoch_lost", kindUint64, &b.epochLost)
	b.add("tracked", kindBool, &b.tracked)
	b.add("delivered", kindUint64, &b.delivered)
	b.add("delivered_through", kindUint64, &b.deliveredThrough)
	b.add("acknowledged", kindUint64, &b.acknowledged)
	b.add("pending", kindUint64, &b.pending)
	b.add("spooled", kindUint64, &b.spooled)
	b.add("oldest_spooled_at", kindMicros, &b.oldestSpooledAt)
	b.add("interval_ms", kindUint64, &b.intervalMillis)
	b.add("source_version", kindDictionary, &b.sourceVersion)
	b.add("key_id", kindDictionary, &b.keyID)
	b.add("verified", kindBool, &b.verified)
	b.add("pinned", kindBool, &b.pinned)
	b.add("signed_value", kindText, &b.signedValue)
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	return b
}

// Statement is a source's statement as it was read and checked.
type Statement struct {
	*event.SourceStatement
	Value            []byte // as it came
	Verified, Pinned bool
}

// AddStatement takes a source's statement with its place in Kafka.
func (t *Tables) AddStatement(s *Statement, at batch.Position, ingestedMillis int64) {
	t.take(at.Offset, len(s.Value))
	hours := s.Hours
	if len(hours) == 0 {
		hours = []*event.HourCount{{}}
	}
	for i, h := range hours {
		b := t.statements
		value := s.Value
		if i > 0 {
			value = nil
		}
		b.signedValue.addBytes(value)
		b.addHour(h)
		t.addStatementHead(s)
		b.topic.add(at.Topic)
		b.partition.add(at.Partition)
		b.offset.add(at.Offset)
		b.ingestedAt.add(ingestedMillis)
		unsigned(t.adjusted, &b.schemaVersion, "schema_version", int64(s.SchemaVersion))
	}
}

func (b *statementsBlock) addHour(h *event.HourCount) {
	b.hour.add(uint32(min(max(h.HourUnix, 0), 1<<32-1))) //nolint:gosec // bounded
	b.numbered.add(h.Numbered)
	b.firstSequence.add(h.FirstSequence)
	b.lastSequence.add(h.LastSequence)
	addReasons(&b.dropped, h.Dropped)
	addReasons(&b.lost, h.Lost)
}

func addReasons(column *mapping[*fixed[uint64]], counts []*event.ReasonCount) {
	for _, c := range counts {
		column.keys.add(c.Reason)
		column.values.add(c.Count)
	}
	column.endRow()
}

// addStatementHead adds what every row of a statement repeats.
func (t *Tables) addStatementHead(s *Statement) {
	b := t.statements
	b.kind.add(s.Source.Kind)
	b.instance.add(s.Source.Instance)
	b.epoch.add(s.Source.BootEpoch)
	b.number.add(s.Number)
	b.issuedAt.add(micros(s.IssuedUnixNano))
	enum(&b.state, s.State, event.EpochState_EPOCH_STATE_CRASHED)
	b.started.add(flag(s.Started))
	b.previousEpoch.add(s.PreviousEpoch)
	b.epochExpected.add(s.Expected)
	b.epochLastSequence.add(s.LastSequence)
	b.epochDropped.add(s.Dropped)
	b.epochLost.add(s.Lost)
	b.tracked.add(flag(s.Tracked))
	b.delivered.add(s.Delivered)
	b.deliveredThrough.add(s.DeliveredThrough)
	b.acknowledged.add(s.Acknowledged)
	b.pending.add(s.Pending)
	b.spooled.add(s.Spooled)
	b.oldestSpooledAt.add(micros(s.OldestSpooledUnixNano))
	b.intervalMillis.add(s.IntervalNano / 1e6)
	b.sourceVersion.add(s.Source.Version)
	b.keyID.add(s.KeyId)
	b.verified.add(flag(s.Verified))
	b.pinned.add(flag(s.Pinned))
}

func flag(b bool) uint8 {
	if b {
		return 1
	}
	return 0
}
