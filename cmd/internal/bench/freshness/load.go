package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

const (
	tick     = 10 * time.Millisecond
	thinking = 20 // ticks between the request envelope and the response envelope of a call
)

// load writes envelopes on a schedule that waits for nobody.
type load struct {
	client    *kgo.Client
	topic     string
	perSecond int

	sequence uint64
	epoch    uint64
	open     [][]*event.Envelope // requests of the last ticks, oldest first
	bytes    int
	requests int
	answers  int
	behind   time.Duration // worst lateness of a tick

	mu  sync.Mutex
	err error
}

func (l *load) envelopes() int { return l.requests + l.answers }
func (l *load) responses() int { return l.answers }

func (l *load) bytesPerCall() int {
	if l.answers == 0 {
		return 0
	}
	return l.bytes / l.answers
}

// run produces for the given time, ends every call it began and waits until the broker has all of it.
func (l *load) run(ctx context.Context, duration time.Duration) error {
	started := time.Now()
	l.epoch = uint64(started.UnixNano())
	carry := 0.0
	for i := 0; ; i++ {
		at := started.Add(time.Duration(i) * tick)
		if wait := time.Until(at); wait > 0 {
			time.Sleep(wait)
		} else {
			l.behind = max(l.behind, -wait)
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		begins := at.Sub(started) < duration
		if !begins && len(l.open) == 0 {
			break
		}
		carry += float64(l.perSecond) * tick.Seconds()
		n := int(carry)
		carry -= float64(n)
		l.step(n, begins)
	}
	if err := l.client.Flush(ctx); err != nil {
		return fmt.Errorf("flush envelopes: %w", err)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.err
}

// step begins n calls and ends those that were begun `thinking` ticks ago.
func (l *load) step(n int, begins bool) {
	if begins {
		var batch []*event.Envelope
		for range n {
			env := l.request()
			l.produce(env)
			l.requests++
			batch = append(batch, env)
		}
		l.open = append(l.open, batch)
	}
	if len(l.open) > thinking || !begins {
		for _, env := range l.open[0] {
			l.produce(l.response(env))
			l.answers++
		}
		l.open = l.open[1:]
	}
}

func (l *load) produce(env *event.Envelope) {
	l.sequence++
	env.Source.Sequence = l.sequence
	now := time.Now()
	env.ObservedUnixNano = uint64(now.UnixNano())
	if env.Response != nil {
		env.Response.EndedUnixNano = env.ObservedUnixNano
	}
	record := &kgo.Record{Topic: l.topic, Key: []byte(env.CallId), Value: wire.MarshalEnvelope(nil, env), Timestamp: now}
	for _, h := range wire.EnvelopeHeaders(env) {
		record.Headers = append(record.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
	}
	l.bytes += len(record.Value)
	l.client.Produce(context.Background(), record, func(_ *kgo.Record, err error) {
		if err != nil {
			l.mu.Lock()
			defer l.mu.Unlock()
			l.err = fmt.Errorf("produce envelope: %w", err)
		}
	})
}

func (l *load) request() *event.Envelope {
	now := uint64(time.Now().UnixNano())
	n := l.sequence
	body := fmt.Appendf(nil, `{"model":"gpt-5.5","messages":[{"role":"system","content":"You extract figures from invoices."},{"role":"user","content":%q}],"temperature":0.2,"max_completion_tokens":400,"user":"u-%d"}`,
		prose(200), n%5000)
	outline := fmt.Appendf(nil, `{"model":"gpt-5.5","temperature":0.2,"max_completion_tokens":400,"user":"u-%d"}`, n%5000)
	return &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: fmt.Sprintf("fresh-%d-%d", l.epoch, n), Phase: event.Phase_PHASE_REQUEST,
		Source:          &event.Source{Kind: "bench", Instance: "freshness", BootEpoch: l.epoch, Version: "bench"},
		StartedUnixNano: now, Gateway: "bench", Route: "openai", Provider: "openai", CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Credential: &event.Credential{Fingerprint: fmt.Sprintf("mt1:%032x", n%50), Last4: "cdef", Kind: "bearer"},
		Request: &event.Request{
			Method: "POST", Host: "api.openai.com", Path: "/v1/chat/completions", HttpVersion: "1.1",
			Headers:       []*event.Attribute{{Key: "user-agent", Value: "OpenAI/Python 2.8.0"}, {Key: "content-type", Value: "application/json"}},
			ClientAddress: "10.0.0.7", UserAgent: "OpenAI/Python 2.8.0", RequestId: fmt.Sprintf("req-%d", n),
			Payload: payload(body, outline),
		},
	}
}

func (l *load) response(asked *event.Envelope) *event.Envelope {
	in, out := 100+rand.IntN(900), 20+rand.IntN(300)
	body := fmt.Appendf(nil, `{"id":"chatcmpl-%d","object":"chat.completion","model":"gpt-5.5","choices":[{"index":0,"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}}`,
		l.sequence, prose(80), in, out, in+out)
	request := &event.Request{
		Method: asked.Request.Method, Host: asked.Request.Host, Path: asked.Request.Path, HttpVersion: asked.Request.HttpVersion,
		Headers: asked.Request.Headers, ClientAddress: asked.Request.ClientAddress, UserAgent: asked.Request.UserAgent,
		RequestId: asked.Request.RequestId, Payload: payload(nil, asked.Request.Payload.Outline),
	}
	return &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: asked.CallId, Phase: event.Phase_PHASE_RESPONSE,
		Source:          &event.Source{Kind: "bench", Instance: "freshness", BootEpoch: l.epoch, Version: "bench"},
		StartedUnixNano: asked.StartedUnixNano, Gateway: asked.Gateway, Route: asked.Route, Provider: asked.Provider,
		CaptureMode: asked.CaptureMode, Credential: asked.Credential, Request: request,
		Response: &event.Response{
			StatusCode: 200, Headers: []*event.Attribute{{Key: "content-type", Value: "application/json"}}, Payload: payload(body, nil),
			HeadersUnixNano: uint64(time.Now().UnixNano()), FirstByteUnixNano: uint64(time.Now().UnixNano()),
			Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE,
		},
	}
}

func payload(body, outline []byte) *event.Payload {
	return &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_FULL, Body: body, Outline: outline, ContentType: "application/json",
		WireBytes: int64(len(body)), CapturedBytes: int64(len(body)), Digest: make([]byte, 32),
	}
}

// prose is text of about length bytes that compresses like prose does.
func prose(length int) string {
	words := [...]string{"invoice", "figure", "total", "of", "the", "for", "supplier", "and", "is", "due", "amount", "in", "tax", "number", "please", "date"}
	var s strings.Builder
	for s.Len() < length {
		fmt.Fprintf(&s, "%s %d ", words[rand.IntN(len(words))], rand.IntN(1000))
	}
	return s.String()
}
