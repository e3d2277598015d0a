package decode_test

import (
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// fill sets every field of a message, and of the messages below, to something that is not its zero value.
func fill(m protoreflect.Message) {
	fields := m.Descriptor().Fields()
	for i := range fields.Len() {
		fd := fields.Get(i)
		switch {
		case fd.IsList() && fd.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(fd).List().AppendMutable().Message())
			fill(m.Mutable(fd).List().AppendMutable().Message())
		case fd.IsList():
			m.Mutable(fd).List().Append(protoreflect.ValueOfString("leak"))
		case fd.Kind() == protoreflect.MessageKind:
			fill(m.Mutable(fd).Message())
		default:
			m.Set(fd, scalar(fd))
		}
	}
}

func scalar(fd protoreflect.FieldDescriptor) protoreflect.Value {
	switch fd.Kind() {
	case protoreflect.StringKind:
		return protoreflect.ValueOfString("leak")
	case protoreflect.BytesKind:
		return protoreflect.ValueOfBytes([]byte("leak"))
	case protoreflect.BoolKind:
		return protoreflect.ValueOfBool(true)
	case protoreflect.EnumKind:
		return protoreflect.ValueOfEnum(1)
	case protoreflect.DoubleKind:
		return protoreflect.ValueOfFloat64(666)
	case protoreflect.Int32Kind:
		return protoreflect.ValueOfInt32(666)
	case protoreflect.Uint32Kind:
		return protoreflect.ValueOfUint32(666)
	case protoreflect.Int64Kind, protoreflect.Sfixed64Kind:
		return protoreflect.ValueOfInt64(666)
	default:
		return protoreflect.ValueOfUint64(666)
	}
}

func bare(phase event.Phase) *event.Envelope {
	env := &event.Envelope{
		SchemaVersion: 1, CallId: "bare", Phase: phase, Source: &event.Source{Kind: "tap", Instance: "i", Sequence: 1},
		StartedUnixNano: 1, Request: &event.Request{},
	}
	if phase == event.Phase_PHASE_RESPONSE {
		env.Response = &event.Response{}
	}
	return env
}

func TestNothingLeaksFromOneRecordIntoTheNext(t *testing.T) {
	step := decode.New()
	for name, env := range map[string]*event.Envelope{
		"bare request": bare(event.Phase_PHASE_REQUEST), "bare response": bare(event.Phase_PHASE_RESPONSE),
		"full request": request(), "full response": response(),
	} {
		fresh := record(env)
		step.Process(fresh)

		used := record(env)
		used.Event = &event.Event{}
		fill(used.Event.ProtoReflect())
		step.Process(used)
		used.Event.Identity, used.Event.Policy = emptyToNil(t, used.Event.Identity), emptyToNil(t, used.Event.Policy)
		if !proto.Equal(fresh.Event, used.Event) {
			t.Errorf("%s differs:\nfresh %v\nused  %v", name, fresh.Event, used.Event)
		}
	}
}

// emptyToNil checks that a group of a later step is empty, and drops it: a fresh event has none.
func emptyToNil[M proto.Message](t *testing.T, m M) M {
	t.Helper()
	if proto.Size(m) != 0 {
		t.Errorf("%T is not empty", m)
	}
	var none M
	return none
}

func TestRejectedRecordLeavesAnEmptyEvent(t *testing.T) {
	r := record(&event.Envelope{})
	r.Event = &event.Event{}
	fill(r.Event.ProtoReflect())
	decode.New().Process(r)
	if got := proto.Size(r.Event); got > 32 { // seven empty messages
		t.Errorf("event still has %d bytes: %v", got, r.Event)
	}
}

func TestReuseWritesIntoNoEnvelope(t *testing.T) {
	first, second := response(), request()
	before := proto.Clone(first)
	r := record(first)
	step := decode.New()
	step.Process(r)
	r.Envelope = second
	step.Process(r)
	if !proto.Equal(before, first) {
		t.Error("the first record's envelope was changed by the second")
	}
}

func TestReuseKeepsMemory(t *testing.T) {
	r := record(response())
	step := decode.New()
	step.Process(r)
	call, usage, position, facts := r.Event.Call, r.Event.Usage, r.Event.Position, r.Event.ResponsePayload
	tool := r.Event.Call.ToolCalls[0]
	step.Process(r)
	if r.Event.Call != call || r.Event.Usage != usage || r.Event.Position != position || r.Event.ResponsePayload != facts || r.Event.Call.ToolCalls[0] != tool {
		t.Error("messages were allocated anew")
	}
}

func FuzzProcess(f *testing.F) {
	for _, env := range []*event.Envelope{request(), response(), bare(event.Phase_PHASE_RESPONSE)} {
		raw, err := proto.Marshal(env)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	step := decode.New()
	f.Fuzz(func(t *testing.T, raw []byte) {
		var env event.Envelope
		if proto.Unmarshal(raw, &env) != nil {
			return
		}
		fresh, used := record(&env), record(&env)
		used.Event = &event.Event{}
		fill(used.Event.ProtoReflect())
		if v, w := step.Process(fresh), step.Process(used); v != w {
			t.Fatalf("verdicts %+v and %+v", v, w)
		}
		used.Event.Identity, used.Event.Policy = nil, nil
		if !proto.Equal(fresh.Event, used.Event) {
			t.Fatal("the result depends on what the event held before")
		}
		if _, err := proto.Marshal(fresh.Event); err != nil {
			t.Fatal(err)
		}
	})
}

func BenchmarkProcess(b *testing.B) {
	step := decode.New()
	whole := response()
	whole.Provider, whole.Request.Path = "openai", "/v1/chat/completions"
	whole.Response.Payload.ContentType = "application/json"
	whole.Response.Payload.Body = []byte(`{"id":"chatcmpl-Ax81","object":"chat.completion","created":1787565600,"model":"gpt-5.5-2026-04-14","choices":[{"index":0,"message":{"role":"assistant","content":"Invoice 17 is due. Invoice 17 is due. Invoice 17 is due. Invoice 17 is due.","refusal":null,"annotations":[]},"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":910,"completion_tokens":120,"total_tokens":1030,"prompt_tokens_details":{"cached_tokens":512,"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":64,"audio_tokens":0,"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},"service_tier":"default","system_fingerprint":"fp_9a"}`)
	for name, env := range map[string]*event.Envelope{"request": request(), "whole response": whole, "stream": response()} {
		b.Run(name, func(b *testing.B) {
			r := &batch.Record{Envelope: env, Event: &event.Event{}}
			b.ReportAllocs()
			for b.Loop() {
				step.Process(r)
			}
		})
	}
}
