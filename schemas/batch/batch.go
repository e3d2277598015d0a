// Package batch defines what one consumer step carries: a decoded record, a rejected one, and the span of
// offsets that one delivery covers. Values only; no I/O.
package batch

import (
	"fmt"
	"time"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Position is where a Kafka record stands.
type Position struct {
	Topic     string
	Partition int32
	Offset    int64
}

// Span is the closed interval [First, Last] of offsets of one partition that one delivery covers.
type Span struct {
	Topic       string
	Partition   int32
	First, Last int64
	// Part tells apart deliveries of one interval that hold different rows: a part of a bisected batch ("b3-7"), a
	// replay ("r1764000000"). Empty for a whole batch.
	Part string
}

// Token is the delivery's retry identity: equal for every repetition of the same span into the same table version.
// Form: cluster/topic/partition/first-last[/part]/table/v<schema>.
func (s Span) Token(cluster, table string, schemaVersion int) string {
	part := ""
	if s.Part != "" {
		part = "/" + s.Part
	}
	return fmt.Sprintf("%s/%s/%d/%d-%d%s/%s/v%d", cluster, s.Topic, s.Partition, s.First, s.Last, part, table, schemaVersion)
}

// Record is one envelope on its way through the chain. Envelope is read-only for the steps; each step writes
// only its own field group of Event. A Record is reused after the sink's Add has returned: nothing may keep a
// reference to it or to its strings and byte slices.
type Record struct {
	Position   Position
	IngestedAt time.Time // broker timestamp: the time by which directory versions are chosen
	Envelope   *event.Envelope
	Event      *event.Event
}

// Header is one Kafka header of a rejected record.
type Header struct {
	Key   string
	Value []byte
}

// Reject is a record that cannot become a row. It keeps the original bytes.
type Reject struct {
	Position   Position
	IngestedAt time.Time
	Key, Value []byte
	Headers    []Header
	Stage      string // the step that refused: "wire", "decode", "sink" ...
	Reason     string // snake_case, from a closed set
	Detail     string // error text; never quotes payload
}
