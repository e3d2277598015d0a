package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/outline"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

const credentials = 200

// fingerprint is that of the i-th caller's key; the directory knows nine of ten.
func fingerprint(i int) string {
	sum := sha256.Sum256(fmt.Appendf(nil, "key %d", i))
	return "mt1:" + hex.EncodeToString(sum[:16])
}

// generator makes the two envelopes of a call as the tap does.
type generator struct {
	rng      *rand.Rand
	words    *vocabulary
	sequence uint64
	now      time.Time
}

func newGenerator() *generator {
	rng := rand.New(rand.NewPCG(1, 2)) //nolint:gosec // the same topic at every run
	return &generator{rng: rng, words: newVocabulary(rng), now: time.Now().Add(-time.Hour)}
}

func (g *generator) call() (request, response *event.Envelope) {
	x := newExchange(g.rng, g.words)
	g.now = g.now.Add(500 * time.Microsecond)
	started := uint64(g.now.UnixNano()) //nolint:gosec // after 1970
	id, _ := uuid.NewRandomFromReader(rngReader{g.rng})
	caller := g.rng.IntN(credentials)
	client := fmt.Sprintf("10.0.%d.%d", caller/16, caller%16)
	envelope := func(phase event.Phase, observed uint64) *event.Envelope {
		g.sequence++
		return &event.Envelope{
			SchemaVersion: event.SchemaVersion, CallId: id.String(), Phase: phase,
			Source:          &event.Source{Kind: "tap", Instance: "gateway-1", BootEpoch: 1_790_000_000_000_000_000, Sequence: g.sequence, Version: "1.0.0"},
			StartedUnixNano: started, ObservedUnixNano: observed,
			Gateway: "gateway", Route: x.provider, Provider: x.provider, Dialect: x.dialect, CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
			Credential: &event.Credential{Fingerprint: fingerprint(caller), Last4: fmt.Sprintf("%04d", caller), Kind: "bearer"},
			Request: &event.Request{
				Method: "POST", Host: x.host, Path: x.path, HttpVersion: "HTTP/1.1", ClientAddress: client,
				UserAgent: "OpenAI/Python 2.14.0", RequestId: id.String(),
				Headers: []*event.Attribute{{Key: "x-stainless-lang", Value: "python"}, {Key: "x-team", Value: fmt.Sprintf("team-%d", caller%20)}},
				Payload: payload("application/json", x.request, g.rng),
			},
		}
	}
	request = envelope(event.Phase_PHASE_REQUEST, started+2_000_000)
	response = envelope(event.Phase_PHASE_RESPONSE, started+1_300_000_000)
	// As the tap does: the request's body travels once, and on the answer its outline stands for it.
	response.Request.Payload.Body = nil
	response.Request.Payload.Outline = outline.Append(nil, "application/json", x.request)
	kind := "application/json"
	if x.stream {
		kind = "text/event-stream"
	}
	response.Response = &event.Response{
		StatusCode: 200, Payload: payload(kind, x.response, g.rng), HeadersUnixNano: started + 300_000_000,
		FirstByteUnixNano: started + 310_000_000, EndedUnixNano: started + 1_300_000_000,
		Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE,
		Headers: []*event.Attribute{{Key: "x-request-id", Value: id.String()}},
	}
	for frame := range min(x.frames, 16) {
		response.Response.Chunks = append(response.Response.Chunks, &event.ChunkMark{Frames: frame + 1, AtUnixNano: started + 310_000_000 + uint64(frame)*20_000_000})
	}
	return request, response
}

// rngReader makes call ids repeatable.
type rngReader struct{ rng *rand.Rand }

func (r rngReader) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r.rng.Uint32())
	}
	return len(p), nil
}

func payload(kind string, body []byte, rng *rand.Rand) *event.Payload {
	digest := make([]byte, 32)
	_, _ = rngReader{rng}.Read(digest)
	return &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_FULL, Body: body, ContentType: kind,
		WireBytes: int64(len(body)), CapturedBytes: int64(len(body)), Digest: digest,
	}
}

// poison begins the ids of calls that are refused.
const poison = "poison-"

// every spreads n events evenly over all.
func every(i, all, n int) bool { return n > 0 && i%(all/n) == all/n/2 && i/(all/n) < n }

// fill writes the topic, unless it is there with that many records. It returns the mean size of a call's values.
func fill(ctx context.Context, o options, broker string) (int, error) {
	client, err := kgo.NewClient(append(publish.DefaultConfig().Options(), kgo.SeedBrokers(broker))...)
	if err != nil {
		return 0, err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	created, err := admin.CreateTopic(ctx, int32(o.Partitions), 1, nil, event.TopicEnvelopes)
	if errors.Is(err, kerr.TopicAlreadyExists) || errors.Is(created.Err, kerr.TopicAlreadyExists) {
		return 0, nil
	} else if err != nil {
		return 0, err
	}
	if _, err := admin.CreateTopic(ctx, 1, 1, nil, event.TopicDeadLetters); err != nil {
		return 0, err
	}
	g := newGenerator()
	var failed error
	bytes := 0
	produced := func(_ *kgo.Record, err error) {
		if err != nil {
			failed = err
		}
	}
	for i := range o.Calls {
		request, response := g.call()
		if every(i, o.Calls, o.Refused) {
			response.CallId = poison + response.CallId
		}
		if every(i, o.Calls, o.Unread) {
			client.Produce(ctx, &kgo.Record{Topic: event.TopicEnvelopes, Key: []byte(request.CallId), Value: []byte("no envelope")}, produced)
		}
		for _, e := range []*event.Envelope{request, response} {
			value := wire.MarshalEnvelope(nil, e)
			bytes += len(value)
			rec := &kgo.Record{Topic: event.TopicEnvelopes, Key: []byte(e.CallId), Value: value}
			for _, h := range wire.EnvelopeHeaders(e) {
				rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
			}
			client.Produce(ctx, rec, produced)
		}
	}
	if err := client.Flush(ctx); err != nil {
		return 0, err
	}
	return bytes / o.Calls, failed
}

// directoryFile names the callers: nine of ten are known, twenty teams, one policy each.
func directoryFile() []byte {
	var s strings.Builder
	s.WriteString("teams:\n")
	for t := range 20 {
		fmt.Fprintf(&s, "  - {id: team-%d, owner: owner-%d@example.com}\n", t, t)
	}
	s.WriteString("apps:\n")
	for t := range 20 {
		fmt.Fprintf(&s, "  - {id: app-%d, team: team-%d, owner: owner-%d@example.com, purpose: invoices}\n", t, t, t)
	}
	s.WriteString("credentials:\n")
	for i := range credentials * 9 / 10 {
		fmt.Fprintf(&s, "  - {id: key-%d, fingerprint: %q, app: app-%d}\n", i, fingerprint(i), i%20)
	}
	s.WriteString("policies:\n")
	for t := range 20 {
		fmt.Fprintf(&s, "  - {id: policy-%d, applies_to: {teams: [team-%d]}, allow: {models: [\"gpt-*\", \"claude-*\"]}}\n", t, t)
	}
	return []byte(s.String())
}
