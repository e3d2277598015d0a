package receive

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// Media types of ModelTrail's own format.
const (
	MediaProtobuf = "application/x-protobuf" // Envelopes, each after its length as a varint
	MediaJSON     = "application/json"       // one Envelope as protojson, an array of them, or one per line
	MediaNDJSON   = "application/x-ndjson"   // one Envelope as protojson per line
)

// ModelTrail is ModelTrail's own format: modeltrail.v1.Envelope in protobuf or protojson.
type ModelTrail struct{}

// Name implements Format.
func (ModelTrail) Name() string { return "modeltrail" }

// Paths implements Format.
func (ModelTrail) Paths() []string { return []string{"/v1/envelopes"} }

// Decode implements Format.
func (ModelTrail) Decode(ctx context.Context, header http.Header, body []byte, emit func(Record) error) error {
	media, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil {
		return fmt.Errorf("%w: Content-Type must be %s, %s or %s", ErrMediaType, MediaProtobuf, MediaJSON, MediaNDJSON)
	}
	switch media {
	case MediaProtobuf, "application/protobuf", "application/vnd.google.protobuf":
		return splitDelimited(ctx, body, func(b []byte) error { return emit(fromProtobuf(b)) })
	case MediaJSON:
		return splitJSON(ctx, body, func(b []byte) error { return emit(fromJSON(b)) })
	case MediaNDJSON, "application/ndjson", "application/jsonl":
		return splitLines(ctx, body, func(b []byte) error { return emit(fromJSON(b)) })
	}
	return fmt.Errorf("%w: Content-Type must be %s, %s or %s", ErrMediaType, MediaProtobuf, MediaJSON, MediaNDJSON)
}

func fromProtobuf(b []byte) Record {
	env := &event.Envelope{}
	if err := wire.UnmarshalEnvelope(b, env); err != nil {
		return Record{Original: b, Err: &Refusal{Reason: wire.Reason(err)}}
	}
	return Record{Original: b, Envelopes: []*event.Envelope{env}}
}

// ReasonNotJSON is the reason of a record that is no Envelope in protojson.
const ReasonNotJSON = "not_json_envelope"

// fromJSON reads protojson, then lets the reader of the binary form judge the result, so that both forms obey the
// same rules.
func fromJSON(b []byte) Record {
	read := &event.Envelope{}
	if err := protojson.Unmarshal(b, read); err != nil { // its text may quote a value
		return Record{Original: b, Err: &Refusal{ReasonNotJSON, "a field is unknown, doubled or of another type than in envelope.proto"}}
	}
	record := fromProtobuf(wire.MarshalEnvelope(nil, read))
	record.Original = b
	return record
}

// splitDelimited divides messages that each follow their length.
func splitDelimited(ctx context.Context, body []byte, each func([]byte) error) error {
	for record := 0; len(body) > 0; record++ {
		if err := ctx.Err(); err != nil {
			return err
		}
		length, n := protowire.ConsumeVarint(body)
		if n < 0 || length > uint64(len(body)-n) { //nolint:gosec // n is at most len(body)
			return fmt.Errorf("record %d: its length does not fit the body; each message follows its length as a varint", record)
		}
		end := n + int(length) //nolint:gosec // bounded by len(body)
		if err := each(body[n:end:end]); err != nil {
			return err
		}
		body = body[end:]
	}
	return nil
}

// splitJSON divides an array into its elements, takes a single object whole, and reads anything longer as lines.
func splitJSON(ctx context.Context, body []byte, each func([]byte) error) error {
	decoder := json.NewDecoder(bytes.NewReader(body))
	if trimmed := bytes.TrimLeft(body, " \t\r\n"); len(trimmed) > 0 && trimmed[0] == '[' {
		if _, err := decoder.Token(); err != nil {
			return errNotJSON(0)
		}
		for record := 0; decoder.More(); record++ {
			if err := ctx.Err(); err != nil {
				return err
			}
			var element json.RawMessage
			if err := decoder.Decode(&element); err != nil {
				return errNotJSON(record)
			}
			if err := each(element); err != nil {
				return err
			}
		}
		if _, err := decoder.Token(); err != nil {
			return errors.New("the array has no end")
		}
		if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
			return errors.New("something follows the array")
		}
		return nil
	}
	var first json.RawMessage
	if err := decoder.Decode(&first); err == nil {
		if len(bytes.TrimSpace(body[decoder.InputOffset():])) == 0 {
			return each(first)
		}
	}
	return splitLines(ctx, body, each)
}

func errNotJSON(record int) error { return fmt.Errorf("record %d: not JSON", record) }

// splitLines divides NDJSON. Empty lines count for nothing.
func splitLines(ctx context.Context, body []byte, each func([]byte) error) error {
	for line := range bytes.Lines(body) {
		if err := ctx.Err(); err != nil {
			return err
		}
		if line = bytes.TrimSpace(line); len(line) == 0 {
			continue
		}
		if err := each(line); err != nil {
			return err
		}
	}
	return nil
}
