package wire

import (
	"bytes"
	"crypto/ed25519"
	"errors"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/event"
)

func testKey() ed25519.PrivateKey {
	return ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, ed25519.SeedSize))
}

func testStatement() *event.SourceStatement {
	return &event.SourceStatement{
		SchemaVersion: event.SchemaVersion, Source: &event.Source{Kind: "tap", Instance: "edge-1", BootEpoch: 1_700_000_000_000_000_000},
		Number: 3, IssuedUnixNano: 1_700_000_010_000_000_000, State: event.EpochState_EPOCH_STATE_RUNNING, Expected: 12, LastSequence: 10,
		Hours: []*event.HourCount{{HourUnix: 1_700_000_000 / 3600 * 3600, Numbered: 10, FirstSequence: 1, LastSequence: 10,
			Dropped: []*event.ReasonCount{{Reason: "memory", Count: 2}}}},
	}
}

func TestStatement_ReadBack_IsVerifiedAndEqual(t *testing.T) {
	value := MarshalStatement(testStatement(), testKey())
	got, err := UnmarshalStatement(value)
	if err != nil {
		t.Fatal(err)
	}
	if got.LastSequence != 10 || got.Hours[0].Dropped[0].Count != 2 || got.KeyId != KeyID(testKey().Public().(ed25519.PublicKey)) {
		t.Errorf("read back as %v", got)
	}
}

// TestStatement_AnyChangedBit_IsNoticed flips every bit: the value is refused, or read with ErrSignature.
func TestStatement_AnyChangedBit_IsNoticed(t *testing.T) {
	value := MarshalStatement(testStatement(), testKey())
	for i := range value {
		for bit := range 8 {
			changed := bytes.Clone(value)
			changed[i] ^= 1 << bit
			if _, err := UnmarshalStatement(changed); err == nil {
				t.Fatalf("bit %d of byte %d can be flipped unnoticed", bit, i)
			}
		}
	}
}

func TestStatement_Unsigned_Extended_OrSignedElsewhere_IsNoticed(t *testing.T) {
	value := MarshalStatement(testStatement(), testKey())
	bare := testStatement()
	bare.PublicKey = testKey().Public().(ed25519.PublicKey)
	bare.KeyId = KeyID(bare.PublicKey)
	content := appendMessage(nil, bare)
	withoutDomain := append(append(bytes.Clone(content), signatureTail...), ed25519.Sign(testKey(), content)...)
	for name, b := range map[string][]byte{
		"unsigned":          content,
		"extended":          append(bytes.Clone(value), 0x40, 0x01),
		"without domain":    withoutDomain,
		"signed twice over": append(bytes.Clone(value), value[len(value)-67:]...),
	} {
		if s, err := UnmarshalStatement(b); !errors.Is(err, ErrSignature) || s == nil {
			t.Errorf("%s: error is %v", name, err)
		}
	}
}

func TestStatement_ThatIsNone_IsRefused(t *testing.T) {
	many := testStatement()
	for range MaxStatementHours {
		many.Hours = append(many.Hours, &event.HourCount{})
	}
	nameless := testStatement()
	nameless.Source.Instance = ""
	newer := testStatement()
	newer.SchemaVersion = event.SchemaVersion + 1
	for want, b := range map[string][]byte{
		ReasonEmpty: nil, ReasonNotProtobuf: {0xff}, ReasonTooLarge: make([]byte, MaxStatementBytes+1),
		ReasonTooManyHours: MarshalStatement(many, testKey()), ReasonMissingSource: MarshalStatement(nameless, testKey()),
		ReasonUnknownSchemaVersion: MarshalStatement(newer, testKey()),
	} {
		if _, err := UnmarshalStatement(b); err == nil || Reason(err) != want {
			t.Errorf("error is %v; want reason %s", err, want)
		}
	}
}

func TestReadNumbering_OfAnEnvelope(t *testing.T) {
	value := MarshalEnvelope(nil, &event.Envelope{
		SchemaVersion: 1, CallId: "c", Source: &event.Source{Kind: "tap", Instance: "i", BootEpoch: 5, Sequence: 9, DroppedTotal: 3, Version: "v"},
		ObservedUnixNano: 77, Request: &event.Request{Method: "POST"},
	})
	if n, ok := ReadNumbering(value); !ok || n != (Numbering{Epoch: 5, Sequence: 9, ObservedUnixNano: 77}) {
		t.Errorf("got %v, %v", n, ok)
	}
	if _, ok := ReadNumbering(MarshalEnvelope(nil, &event.Envelope{CallId: "c"})); ok {
		t.Error("an envelope without source has a numbering")
	}
}

func FuzzStatement(f *testing.F) {
	f.Add(MarshalStatement(testStatement(), testKey()))
	f.Add([]byte{0x22, 0x05})
	f.Fuzz(func(t *testing.T, b []byte) {
		_, _ = ReadNumbering(b)
		s, err := UnmarshalStatement(b)
		if err == nil && !bytes.Equal(s.Signature, b[len(b)-ed25519.SignatureSize:]) {
			t.Error("verified with a signature that is not its end")
		}
	})
}
