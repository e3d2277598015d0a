package wire

import (
	"net/url"
	"strconv"
	"time"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Names of the record headers: CloudEvents 1.0, Kafka protocol binding section 3.2.
const (
	HeaderSpecVersion = "ce_specversion"
	HeaderID          = "ce_id"
	HeaderType        = "ce_type"
	HeaderSource      = "ce_source"
	HeaderTime        = "ce_time"
	HeaderContentType = "content-type"
)

const specVersion = "1.0"

func headers(id, kind, source string, unixNano uint64) []batch.Header {
	return []batch.Header{
		{Key: HeaderSpecVersion, Value: []byte(specVersion)},
		{Key: HeaderID, Value: []byte(id)},
		{Key: HeaderType, Value: []byte(kind)},
		{Key: HeaderSource, Value: []byte(source)},
		{Key: HeaderTime, Value: timestamp(unixNano)},
		{Key: HeaderContentType, Value: []byte(event.ContentType)},
	}
}

func timestamp(unixNano uint64) []byte {
	t := time.Unix(0, int64(unixNano)).UTC() //nolint:gosec // unix nanoseconds fit until the year 2262
	return t.AppendFormat(make([]byte, 0, len(time.RFC3339Nano)), time.RFC3339Nano)
}

// EnvelopeHeaders returns the CloudEvents attributes of an envelope. ce_source is "/<kind>/<instance>", ce_id the
// call id and the phase: unique within the source. The strings are copied.
func EnvelopeHeaders(e *event.Envelope) []batch.Header {
	kind, phase := event.TypeRequest, "/request"
	if e.GetPhase() == event.Phase_PHASE_RESPONSE {
		kind, phase = event.TypeResponse, "/response"
	}
	source := "/" + url.PathEscape(e.GetSource().GetKind()) + "/" + url.PathEscape(e.GetSource().GetInstance())
	return headers(e.GetCallId()+phase, kind, source, e.GetObservedUnixNano())
}

// EventHeaders returns the CloudEvents attributes of an event. ce_source names the envelope's partition and ce_id
// its offset, so that an event made twice from one envelope has the same identity.
func EventHeaders(e *event.Event) []batch.Header {
	p := e.GetPosition()
	source := "/" + url.PathEscape(p.GetTopic()) + "/" + strconv.Itoa(int(p.GetPartition()))
	return headers(strconv.FormatInt(p.GetOffset(), 10), event.TypeEvent, source, e.GetObservedUnixNano())
}

// FindingHeaders returns the CloudEvents attributes of a finding. ce_id is its key: a repeat has the same identity.
func FindingHeaders(f *event.Finding) []batch.Header {
	return headers(f.GetKey(), event.TypeFinding, "/detect/"+url.PathEscape(f.GetDetector()), f.GetDetectedUnixNano())
}
