package role

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/identity"
	"github.com/modeltrail/modeltrail/processors/policy"
	"github.com/modeltrail/modeltrail/schemas/directory"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/timeline"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

func testEnvelope(i int) *event.Envelope {
	now := uint64(time.Now().UnixNano())
	return &event.Envelope{
		SchemaVersion: 1, CallId: fmt.Sprint("call-", i), Phase: event.Phase_PHASE_REQUEST,
		Source:          &event.Source{Kind: "tap", Instance: "edge-1", BootEpoch: 1, Sequence: uint64(i + 1)},
		StartedUnixNano: now, ObservedUnixNano: now, Gateway: "edge", Provider: "openai",
		Credential: &event.Credential{Fingerprint: "mt1:0123456789abcdef0123456789abcdef", Kind: "bearer"},
		Request: &event.Request{Method: "POST", Host: "api.openai.com", Path: "/v1/chat/completions",
			Payload: &event.Payload{State: event.PayloadState_PAYLOAD_STATE_FULL, ContentType: "application/json", Body: []byte(`{"model":"gpt-5.5","messages":[]}`), WireBytes: 33, CapturedBytes: 33}},
		CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
	}
}

func TestEnrichTurnsEnvelopesIntoEventsKeyedByTeam(t *testing.T) {
	c := newCluster(t, "envelopes", "events")
	reg := prometheus.NewRegistry()
	directories := &timeline.Timeline[*directory.Directory]{}
	enrich, err := NewEnrich(DefaultEnrichConfig(), EnrichSettings{
		Dial: c.dial, Envelopes: "envelopes", Events: "events",
		Chain:  processors.Chain{decode.New(), identity.New(directories), policy.New(directories)},
		Logger: zerolog.Nop(), Registerer: reg,
	})
	if err != nil {
		t.Fatal(err)
	}
	stop := start(t, enrich.Run)
	const n = 100
	for i := range n {
		if i%10 == 0 {
			c.produce(&kgo.Record{Topic: "envelopes", Value: []byte("no protobuf")})
		}
		c.produce(&kgo.Record{Topic: "envelopes", Key: []byte("k"), Value: wire.MarshalEnvelope(nil, testEnvelope(i))})
	}
	records := c.read("events", n)
	if len(records) != n {
		t.Fatalf("%d events", len(records))
	}
	for i, rec := range records {
		var e event.Event
		if err := wire.UnmarshalEvent(rec.Value, &e); err != nil {
			t.Fatal(err)
		}
		if e.GetCallId() != fmt.Sprint("call-", i) || e.GetIngestedUnixNano() == 0 || e.GetCall().GetRequestModel() != "gpt-5.5" {
			t.Fatalf("event %d: %v", i, &e)
		}
		if string(rec.Key) != e.GetIdentity().GetTeamId() || string(rec.Key) != event.Unknown {
			t.Fatalf("key %q", rec.Key)
		}
		if len(rec.Headers) == 0 || rec.Headers[0].Key != wire.HeaderSpecVersion {
			t.Fatalf("headers %v", rec.Headers)
		}
	}
	c.settle("modeltrail.enrich", "envelopes")
	stop()
	if got := counterSum(t, reg, "modeltrail_enrich_rejected_envelopes_total"); got != n/10 {
		t.Errorf("%v rejected", got)
	}
}

func TestOverlargeEventIsTrimmedToFitARecord(t *testing.T) {
	e := spendEvent(1, time.Now(), 1)
	for range 20000 {
		e.Call.ToolsOffered = append(e.Call.ToolsOffered, "a tool with a rather long name that repeats itself")
	}
	if !trim(e) || e.SizeVT() > largeEvent {
		t.Errorf("%d bytes", e.SizeVT())
	}
	if trim(spendEvent(1, time.Now(), 1)) {
		t.Error("a small event was trimmed")
	}
}
