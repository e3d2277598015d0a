package receive

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"testing"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// FuzzModelTrail feeds any bytes as any media type. Whatever is accepted must be readable again, and smaller than its
// bound; nothing may panic.
func FuzzModelTrail(f *testing.F) {
	medias := []string{MediaProtobuf, MediaJSON, MediaNDJSON}
	e := envelope("call-1", event.Phase_PHASE_RESPONSE)
	value, err := proto.Marshal(e)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(uint8(0), append([]byte{byte(len(value)&0x7f | 0x80), byte(len(value) >> 7)}, value...))
	f.Add(uint8(1), []byte(`[{"schemaVersion":1,"callId":"a","phase":"PHASE_REQUEST","request":{"path":"/v1"}},{}]`))
	f.Add(uint8(2), []byte("{\"schemaVersion\":1,\"callId\":\"a\",\"phase\":1,\"request\":{}}\n{"))
	f.Add(uint8(1), []byte(`{"schema_version":1,"captureMode":"CAPTURE_MODE_FULL","request":{"payload":{"body":"AAAA"}}}`))
	g := looseGate(f, redact.Config{}) // the rules have fuzz targets of their own, and are slow when instrumented
	f.Fuzz(func(t *testing.T, media uint8, body []byte) { checkBody(t, g, medias[int(media)%len(medias)], body) })
}

func looseGate(t testing.TB, cfg redact.Config) *gate {
	t.Helper()
	redactor, err := redact.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return &gate{redactor: redactor, most: event.CaptureMode_CAPTURE_MODE_FULL, maxBytes: 1 << 20, reduced: func(string) {}}
}

// checkBody takes a body as the receiver does and fails where what is accepted cannot be read again.
func checkBody(t *testing.T, g *gate, media string, body []byte) {
	t.Helper()
	enough := errors.New("enough")
	records := 0
	err := ModelTrail{}.Decode(context.Background(), http.Header{"Content-Type": {media}}, body, func(r Record) error {
		if records++; records > 50 {
			return enough
		}
		if r.Err != nil {
			g.letter(&source{}, "modeltrail", "topic", records, r, refusal(r.Err), time.Unix(0, 0))
			return nil
		}
		for _, env := range r.Envelopes {
			if _, err := g.admit(&source{}, env); err != nil {
				continue
			}
			value, err := env.MarshalVT()
			if err != nil || len(value) > g.maxBytes {
				t.Fatalf("accepted envelope of %d bytes: %v", len(value), err)
			}
			if err := proto.Unmarshal(value, &event.Envelope{}); err != nil {
				t.Fatalf("accepted envelope cannot be read: %v", err)
			}
		}
		return nil
	})
	if errors.Is(err, enough) && records != 51 {
		t.Fatal("Decode goes on after emit has refused")
	}
}

func TestBodyCutOrDamagedAtAnyByte_GivesNothingUnreadable(t *testing.T) {
	g := looseGate(t, redact.DefaultConfig())
	e := envelope("call-1", event.Phase_PHASE_RESPONSE)
	for media, body := range map[string][]byte{MediaProtobuf: delimited(t, e), MediaJSON: asJSON(t, e)} {
		for at := range body {
			checkBody(t, g, media, body[:at])
			damaged := bytes.Clone(body)
			damaged[at] ^= 0xff
			checkBody(t, g, media, damaged)
			damaged[at] ^= 0xff ^ 0x01
			checkBody(t, g, media, damaged)
		}
	}
}
