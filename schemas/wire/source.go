package wire

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/url"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// StatementDomain stands, with a zero byte behind it, before the bytes of a statement that its signature covers, so that a
// signature over anything else is never one over a statement.
const StatementDomain = "modeltrail-source-statement-v1"

// Limits of one statement.
const (
	MaxStatementBytes = 256 << 10
	MaxStatementHours = 128
)

// Reason codes of a refused statement.
const (
	ReasonMissingSource = "missing_source"
	ReasonTooManyHours  = "too_many_hours"
)

// ErrSignature reports a statement whose signature does not hold. The statement was read nevertheless.
var ErrSignature = errors.New("signature does not hold")

// signatureField is the number of SourceStatement.signature, the last field on the wire.
const signatureField = 100

// signatureTail is what ends every signed value before the signature itself: its tag and length.
var signatureTail = protowire.AppendVarint(protowire.AppendTag(nil, signatureField, protowire.BytesType), ed25519.SignatureSize)

// KeyID names a public key: the first 16 hex digits of its SHA-256.
func KeyID(key ed25519.PublicKey) string {
	sum := sha256.Sum256(key)
	return hex.EncodeToString(sum[:8])
}

// MarshalStatement fills in key and signature of s and returns its value.
func MarshalStatement(s *event.SourceStatement, key ed25519.PrivateKey) []byte {
	s.PublicKey = key.Public().(ed25519.PublicKey)
	s.KeyId, s.Signature = KeyID(s.PublicKey), nil
	content := appendMessage(nil, s)
	s.Signature = ed25519.Sign(key, signed(content))
	return append(append(content, signatureTail...), s.Signature...)
}

func signed(content []byte) []byte {
	out := make([]byte, 0, len(StatementDomain)+1+len(content))
	return append(append(append(out, StatementDomain...), 0), content...)
}

// UnmarshalStatement reads b, which it copies. An *Error means that b is no statement; ErrSignature that it is one, which
// is returned too, but was not signed as it stands by the key it names.
func UnmarshalStatement(b []byte) (*event.SourceStatement, error) {
	if err := checkSize(b, MaxStatementBytes); err != nil {
		return nil, err
	}
	s := &event.SourceStatement{}
	if err := s.UnmarshalVT(b); err != nil {
		return nil, &Error{Reason: ReasonNotProtobuf, Err: err}
	}
	if err := checkVersion(s.SchemaVersion); err != nil {
		return nil, err
	}
	switch {
	case s.GetSource().GetKind() == "" || s.GetSource().GetInstance() == "" || s.GetSource().GetBootEpoch() == 0:
		return nil, &Error{Reason: ReasonMissingSource}
	case len(s.Hours) > MaxStatementHours:
		return nil, refuse(ReasonTooManyHours, "%d hours exceed %d", len(s.Hours), MaxStatementHours)
	}
	if !verify(b, s) {
		return s, ErrSignature
	}
	return s, nil
}

// verify checks the signature over the bytes as they came; they are never encoded again.
func verify(b []byte, s *event.SourceStatement) bool {
	at := len(b) - ed25519.SignatureSize
	if len(s.PublicKey) != ed25519.PublicKeySize || s.KeyId != KeyID(s.PublicKey) || at < len(signatureTail) {
		return false
	}
	content, found := bytes.CutSuffix(b[:at], signatureTail)
	return found && bytes.Equal(s.Signature, b[at:]) && ed25519.Verify(s.PublicKey, signed(content), b[at:])
}

// StatementHeaders returns the CloudEvents attributes of a statement. ce_id is epoch and number: unique within the source.
func StatementHeaders(s *event.SourceStatement) []batch.Header {
	source := "/" + url.PathEscape(s.GetSource().GetKind()) + "/" + url.PathEscape(s.GetSource().GetInstance())
	id := strconv.FormatUint(s.GetSource().GetBootEpoch(), 10) + "/" + strconv.FormatUint(s.GetNumber(), 10)
	return headers(id, event.TypeSource, source, s.GetIssuedUnixNano())
}

// Numbering is what an envelope's value says of its place among those of its source.
type Numbering struct {
	Epoch, Sequence  uint64
	ObservedUnixNano uint64
}

// Field numbers of Envelope and Source.
const (
	envelopeSource   = 4
	envelopeObserved = 6
	sourceEpoch      = 3
	sourceSequence   = 4
)

// ReadNumbering finds epoch and sequence in an envelope's value without decoding the rest. False means that it has none.
func ReadNumbering(value []byte) (n Numbering, ok bool) {
	for len(value) > 0 && (n.Sequence == 0 || n.ObservedUnixNano == 0) {
		number, kind, size := protowire.ConsumeTag(value)
		if size < 0 {
			return n, false
		}
		value = value[size:]
		switch {
		case number == envelopeSource && kind == protowire.BytesType:
			source, size := protowire.ConsumeBytes(value)
			if size < 0 {
				return n, false
			}
			n.source(source)
			value = value[size:]
			continue
		case number == envelopeObserved && kind == protowire.Fixed64Type:
			n.ObservedUnixNano, size = protowire.ConsumeFixed64(value)
		default:
			size = protowire.ConsumeFieldValue(number, kind, value)
		}
		if size < 0 {
			return n, false
		}
		value = value[size:]
	}
	return n, n.Sequence > 0 && n.Epoch > 0
}

func (n *Numbering) source(value []byte) {
	for len(value) > 0 {
		number, kind, size := protowire.ConsumeTag(value)
		if size < 0 {
			return
		}
		value = value[size:]
		switch {
		case number == sourceEpoch && kind == protowire.Fixed64Type:
			n.Epoch, size = protowire.ConsumeFixed64(value)
		case number == sourceSequence && kind == protowire.VarintType:
			n.Sequence, size = protowire.ConsumeVarint(value)
		default:
			size = protowire.ConsumeFieldValue(number, kind, value)
		}
		if size < 0 {
			return
		}
		value = value[size:]
	}
}
