package receive

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// DeadLetters keeps what could not become an envelope. sinks/dlq.Writer is the one in use.
type DeadLetters interface {
	// Write returns nil when every reject is durable.
	Write(ctx context.Context, rejects []batch.Reject) error
}

// Stage is the stage under which refusals of this package are dead letters.
const Stage = "receive"

// Headers of a dead letter beside those of sinks/dlq.
const (
	HeaderLetterSource   = "receive-source"   // name of the sender
	HeaderLetterFormat   = "receive-format"   // name of the format
	HeaderLetterIndex    = "receive-index"    // place in its request, from 0
	HeaderLetterOriginal = "receive-original" // how the value stands to the original bytes: whole, redacted, withheld
	HeaderLetterDigest   = "receive-sha256"   // of the original bytes, in hex, where they are not whole
)

// letter makes the dead letter of one record. Its position is that of a record that never got one: offset -1.
func (g *gate) letter(s *source, format, topic string, index int, record Record, why *Refusal, now time.Time) batch.Reject {
	value, how := g.letterValue(s, record.Original, why)
	headers := []batch.Header{
		{Key: HeaderLetterSource, Value: []byte(s.Name)},
		{Key: HeaderLetterFormat, Value: []byte(format)},
		{Key: HeaderLetterIndex, Value: strconv.AppendInt(nil, int64(index), 10)},
		{Key: HeaderLetterOriginal, Value: []byte(how)},
	}
	if how != "whole" {
		sum := sha256.Sum256(record.Original)
		headers = append(headers, batch.Header{Key: HeaderLetterDigest, Value: hex.AppendEncode(nil, sum[:])})
	}
	return batch.Reject{
		Position: batch.Position{Topic: topic, Partition: -1, Offset: -1}, IngestedAt: now, Value: value, Headers: headers,
		Stage: Stage, Reason: why.Reason, Detail: why.Detail,
	}
}

// letterValue keeps the original bytes unless a secret stands in them: nothing is durable before it was redacted, and
// a record that was refused is the likeliest to hold what must not be kept.
func (g *gate) letterValue(s *source, original []byte, why *Refusal) (value []byte, how string) {
	if why.Reason == ReasonRawCredential {
		return nil, "withheld"
	}
	if s.TrustedRedaction {
		return original, "whole"
	}
	text := legible(original)
	clean, counts, err := g.redactor.Body("", text)
	switch {
	case err != nil:
		return nil, "withheld"
	case len(counts) == 0:
		return original, "whole"
	}
	return clean, "redacted"
}

// legible puts a blank for every byte that is no text, so that the redactor reads what is.
func legible(b []byte) []byte {
	if utf8.Valid(b) && bytes.IndexFunc(b, hidden) < 0 {
		return b
	}
	out := make([]byte, 0, len(b))
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if (r == utf8.RuneError && n <= 1) || hidden(r) {
			out = append(out, ' ')
		} else {
			out = append(out, b[:n]...)
		}
		b = b[n:]
	}
	return out
}

func hidden(r rune) bool { return unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' }

// numbered reports whether an envelope has the numbers of its own source.
func numbered(env *event.Envelope) bool {
	s := env.GetSource()
	return s.GetInstance() != "" && s.GetBootEpoch() != 0 && s.GetSequence() != 0
}
