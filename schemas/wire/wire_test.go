package wire

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// populate fills a message at random; chance is the probability of each field.
func populate(rng *rand.Rand, m protoreflect.Message, chance float64) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		if rng.Float64() > chance {
			continue
		}
		switch {
		case fd.IsList():
			list := m.Mutable(fd).List()
			for range rng.IntN(4) + 1 {
				if fd.Kind() == protoreflect.MessageKind {
					item := list.NewElement()
					populate(rng, item.Message(), chance)
					list.Append(item)
				} else {
					list.Append(scalar(rng, fd))
				}
			}
		case fd.Kind() == protoreflect.MessageKind:
			populate(rng, m.Mutable(fd).Message(), chance)
		default:
			m.Set(fd, scalar(rng, fd))
		}
	}
}

func scalar(rng *rand.Rand, fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString(strings.Repeat("ä~x", rng.IntN(60)+1))
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes(bytes.Repeat([]byte{byte(rng.Int())}, rng.IntN(300)+1))
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(protoreflect.EnumNumber(rng.IntN(3) + 1))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(rng.Float64() + 1)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(rng.Uint32() | 1)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(int32(rng.Uint32() | 1))
	case protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return protoreflect.ValueOfUint64(rng.Uint64() | 1)
	default:
		return protoreflect.ValueOfInt64(int64(rng.Uint64() | 1))
	}
}

func randomEnvelope(rng *rand.Rand, chance float64) *event.Envelope {
	e := &event.Envelope{}
	populate(rng, e.ProtoReflect(), chance)
	e.SchemaVersion, e.CallId = event.SchemaVersion, "call"
	e.Phase = event.Phase(1 + rng.IntN(2))
	if e.Request == nil {
		e.Request = &event.Request{}
	}
	if e.Phase == event.Phase_PHASE_RESPONSE && e.Response == nil {
		e.Response = &event.Response{}
	}
	return e
}

func TestDecoder_ReadsEveryFieldOfTheSchema(t *testing.T) {
	e := randomEnvelope(rand.New(rand.NewPCG(1, 1)), 1)
	var got event.Envelope
	if err := UnmarshalEnvelope(MarshalEnvelope(nil, e), &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(e, &got, protocmp.Transform()); diff != "" {
		t.Errorf("a field is lost (-want +got):\n%s", diff)
	}
}

func TestDecoder_ReusedMessage_LeaksNothingFromTheRecordBefore(t *testing.T) {
	rng := rand.New(rand.NewPCG(7, 7))
	var d Decoder
	var reused event.Envelope
	for i := range 3000 {
		want := randomEnvelope(rng, rng.Float64())
		value := MarshalEnvelope(nil, want)
		if i%17 == 0 { // a refused record in between must leave nothing either
			_, err := d.Envelope(value[:len(value)-1])
			if err == nil {
				continue
			}
		}
		got, err := d.Envelope(value)
		if err != nil {
			t.Fatal(err)
		}
		if err := UnmarshalEnvelope(value, &reused); err != nil {
			t.Fatal(err)
		}
		for name, m := range map[string]*event.Envelope{"Decoder": got, "UnmarshalEnvelope": &reused} {
			if !proto.Equal(want, m) {
				t.Fatalf("%s, record %d (-want +got):\n%s", name, i, cmp.Diff(want, m, protocmp.Transform()))
			}
		}
	}
}

func TestDecoder_SteadyState_DoesNotAllocate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 3))
	var values [][]byte
	for range 20 {
		values = append(values, MarshalEnvelope(nil, randomEnvelope(rng, 0.8)))
	}
	var d Decoder
	read := func() {
		for _, v := range values {
			if _, err := d.Envelope(v); err != nil {
				t.Fatal(err)
			}
		}
	}
	read()
	if n := testing.AllocsPerRun(20, read); n > 0 {
		t.Errorf("%v allocations for 20 records", n)
	}
}

func TestEventAndFinding_ReadBackWhatWasWritten(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 5))
	var e event.Event
	var f event.Finding
	for range 500 {
		wantEvent, wantFinding := &event.Event{}, &event.Finding{}
		populate(rng, wantEvent.ProtoReflect(), rng.Float64())
		populate(rng, wantFinding.ProtoReflect(), rng.Float64())
		wantEvent.SchemaVersion, wantEvent.CallId, wantEvent.Phase = 1, "call", event.Phase_PHASE_REQUEST
		wantFinding.SchemaVersion, wantFinding.Key = 1, "key"
		if err := UnmarshalEvent(MarshalEvent(nil, wantEvent), &e); err != nil {
			t.Fatal(err)
		}
		if err := UnmarshalFinding(MarshalFinding(nil, wantFinding), &f); err != nil {
			t.Fatal(err)
		}
		if !proto.Equal(wantEvent, &e) || !proto.Equal(wantFinding, &f) {
			t.Fatal(cmp.Diff(wantEvent, &e, protocmp.Transform()), cmp.Diff(wantFinding, &f, protocmp.Transform()))
		}
	}
}

func TestMarshal_AppendsBehindWhatIsThere(t *testing.T) {
	e := &event.Envelope{SchemaVersion: 1, CallId: "c", Phase: event.Phase_PHASE_REQUEST, Request: &event.Request{}}
	got := MarshalEnvelope([]byte("head"), e)
	if !bytes.Equal(got, append([]byte("head"), MarshalEnvelope(nil, e)...)) {
		t.Errorf("got %x", got)
	}
}

func TestUnmarshal_RefusesWithABoundedReason(t *testing.T) {
	valid := func(change func(*event.Envelope)) []byte {
		e := &event.Envelope{SchemaVersion: 1, CallId: "c", Phase: event.Phase_PHASE_RESPONSE, Request: &event.Request{}, Response: &event.Response{}}
		change(e)
		return MarshalEnvelope(nil, e)
	}
	many := &event.Request{}
	for range MaxElements + 1 {
		many.Headers = append(many.Headers, &event.Attribute{})
	}
	for want, value := range map[string][]byte{
		ReasonEmpty:                nil,
		ReasonNotProtobuf:          []byte("{\"json\": true}"),
		ReasonTooLarge:             make([]byte, MaxEnvelopeBytes+1),
		ReasonUnknownSchemaVersion: valid(func(e *event.Envelope) { e.SchemaVersion = event.SchemaVersion + 1 }),
		ReasonMissingCallID:        valid(func(e *event.Envelope) { e.CallId = "" }),
		ReasonUnknownPhase:         valid(func(e *event.Envelope) { e.Phase = 9 }),
		ReasonMissingRequest:       valid(func(e *event.Envelope) { e.Request = nil }),
		ReasonMissingResponse:      valid(func(e *event.Envelope) { e.Response = nil }),
		ReasonTooManyElements:      valid(func(e *event.Envelope) { e.Request = many }),
	} {
		var e event.Envelope
		err := UnmarshalEnvelope(value, &e)
		var refusal *Error
		if !errors.As(err, &refusal) || Reason(err) != want {
			t.Errorf("%s: got %v", want, err)
		}
		if !proto.Equal(&e, &event.Envelope{}) {
			t.Errorf("%s: a refused message is not empty", want)
		}
	}
	var e event.Event
	if err := UnmarshalEvent(make([]byte, MaxEventBytes+1), &e); Reason(err) != ReasonTooLarge {
		t.Error(err)
	}
	var f event.Finding
	if err := UnmarshalFinding(MarshalFinding(nil, &event.Finding{SchemaVersion: 1}), &f); Reason(err) != ReasonMissingKey {
		t.Error(err)
	}
}

func TestHeaders_AreCloudEventsInBinaryMode(t *testing.T) {
	e := &event.Envelope{
		CallId: "01J", Phase: event.Phase_PHASE_RESPONSE, ObservedUnixNano: 1_700_000_000_123_456_789,
		Source: &event.Source{Kind: "tap", Instance: "gw 1/a"},
	}
	got := map[string]string{}
	for _, h := range EnvelopeHeaders(e) {
		got[h.Key] = string(h.Value)
	}
	want := map[string]string{
		"ce_specversion": "1.0", "ce_id": "01J/response", "ce_type": event.TypeResponse, "ce_source": "/tap/gw%201%2Fa",
		"ce_time": "2023-11-14T22:13:20.123456789Z", "content-type": "application/protobuf",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	ev := &event.Event{Position: &event.Position{Topic: "t", Partition: 3, Offset: 42}}
	if h := EventHeaders(ev); string(h[1].Value) != "42" || string(h[3].Value) != "/t/3" || string(h[2].Value) != event.TypeEvent {
		t.Errorf("event headers %s", h)
	}
	f := &event.Finding{Key: "k", Detector: "cost_spike"}
	if h := FindingHeaders(f); string(h[1].Value) != "k" || string(h[3].Value) != "/detect/cost_spike" || string(h[2].Value) != event.TypeFinding {
		t.Errorf("finding headers %s", h)
	}
}

func FuzzUnmarshalEnvelope_AgreesWithProtobuf(f *testing.F) {
	rng := rand.New(rand.NewPCG(9, 9))
	for range 10 {
		f.Add(MarshalEnvelope(nil, randomEnvelope(rng, 0.7)))
	}
	var d Decoder
	f.Fuzz(func(t *testing.T, value []byte) {
		got, err := d.Envelope(value)
		if err != nil {
			return
		}
		var want event.Envelope
		if err := want.UnmarshalVT(value); err != nil {
			t.Fatalf("read what the generated code refuses: %v", err)
		}
		again, wanted := MarshalEnvelope(nil, got), MarshalEnvelope(nil, withoutUnknown(&want))
		if !bytes.Equal(again, wanted) {
			t.Errorf("differs from the generated code:\n%x\n%x", again, wanted)
		}
	})
}

// withoutUnknown drops fields that the schema does not name; the decoder skips them.
func withoutUnknown(m *event.Envelope) *event.Envelope {
	var walk func(protoreflect.Message)
	walk = func(m protoreflect.Message) {
		m.SetUnknown(nil)
		m.Range(func(fd protoreflect.FieldDescriptor, v protoreflect.Value) bool {
			switch {
			case fd.Kind() != protoreflect.MessageKind:
			case fd.IsList():
				for i := range v.List().Len() {
					walk(v.List().Get(i).Message())
				}
			default:
				walk(v.Message())
			}
			return true
		})
	}
	walk(m.ProtoReflect())
	return m
}

func FuzzUnmarshalEvent_NeverPanics(f *testing.F) {
	f.Add(MarshalEvent(nil, &event.Event{SchemaVersion: 1, CallId: "c", Phase: event.Phase_PHASE_REQUEST}))
	f.Fuzz(func(_ *testing.T, value []byte) {
		var e event.Event
		var f event.Finding
		_ = UnmarshalEvent(value, &e)
		_ = UnmarshalFinding(value, &f)
	})
}

func BenchmarkDecoder(b *testing.B) {
	rng := rand.New(rand.NewPCG(3, 3))
	value := MarshalEnvelope(nil, randomEnvelope(rng, 0.8))
	b.Run("decoder", func(b *testing.B) {
		var d Decoder
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			if _, err := d.Envelope(value); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("generated", func(b *testing.B) {
		b.SetBytes(int64(len(value)))
		b.ReportAllocs()
		for b.Loop() {
			var e event.Envelope
			if err := e.UnmarshalVTUnsafe(value); err != nil {
				b.Fatal(err)
			}
		}
	})
}
