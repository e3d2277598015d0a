package clickhouse

import (
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// deadLettersBlock has every record that could not become a row.
type deadLettersBlock struct {
	block
	topic              dictionary
	partition          fixed[int32]
	offset, ingestedAt fixed[int64]
	stage, reason      dictionary
	detail, recordKey  text
	recordValue        bulk
	headers            mapping[*text]
	schemaVersion      fixed[uint16]
	rowVersion         fixed[uint32]
}

func newDeadLettersBlock(shared *Buffers) *deadLettersBlock {
	b := &deadLettersBlock{block: block{name: "dead_letters"}, recordValue: bulk{shared: shared}}
	b.headers.values = &text{}
	b.add("topic", kindDictionary, &b.topic)
	b.add("partition", kindInt32, &b.partition)
	b.add("offset", kindInt64, &b.offset)
	b.add("ingested_at", kindMillis, &b.ingestedAt)
	b.add("stage", kindDictionary, &b.stage)
	b.add("reason", kindDictionary, &b.reason)
	b.add("detail", kindText, &b.detail)
	b.add("record_key", kindText, &b.recordKey)
	b.add("record_value", kindText, &b.recordValue)
	b.add("headers", kindTexts, &b.headers)
	b.add("schema_version", kindUint16, &b.schemaVersion)
	b.add("row_version", kindUint32, &b.rowVersion)
	return b
}

func (t *Tables) addDeadLetter(reject *batch.Reject) {
	b := t.deadLetters
	b.topic.add(reject.Position.Topic)
	b.partition.add(reject.Position.Partition)
	b.offset.add(reject.Position.Offset)
	b.ingestedAt.add(reject.IngestedAt.UnixMilli())
	b.stage.add(reject.Stage)
	b.reason.add(reject.Reason)
	b.detail.add(reject.Detail)
	b.recordKey.addBytes(reject.Key)
	b.recordValue.addBytes(reject.Value)
	for _, h := range reject.Headers {
		b.headers.keys.add(h.Key)
		b.headers.values.addBytes(h.Value)
	}
	b.headers.endRow()
	b.schemaVersion.add(event.SchemaVersion)
	b.rowVersion.add(t.version)
}
