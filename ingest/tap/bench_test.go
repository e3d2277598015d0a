package tap

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// marshalling is a publisher that does what the real one does before the client takes over.
type marshalling struct{ buf []byte }

func (m *marshalling) PublishAs(env *event.Envelope, _ publish.Durability) error {
	m.buf = wire.MarshalEnvelope(m.buf[:0], env)
	return nil
}

func (*marshalling) Takes(publish.Durability) bool { return true }

func (*marshalling) Lost() uint64 { return 0 }

func benchTap(b *testing.B, mode string) *Tap {
	cfg := DefaultConfig()
	cfg.Capture, cfg.Credential.KeyFile = mode, b.TempDir()+"/key"
	t, err := New(cfg, Settings{Publisher: &marshalling{}, Logger: zerolog.Nop()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = t.Close(b.Context()) })
	return t
}

func benchRequest() *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", nil)
	r.Header = http.Header{
		"Authorization": {"Bearer sk-bench-0123456789abcdef0123456789abcdef"}, "Content-Type": {"application/json"},
		"User-Agent": {"openai-python/1.99"}, "X-Stainless-Lang": {"python"}, "Accept-Encoding": {"identity"}, "X-Request-Id": {"r-1"},
	}
	return r
}

// BenchmarkCallerSide is what a call's own goroutine pays: both captures and both enqueues, without the worker.
func BenchmarkCallerSide(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			t := benchTap(b, "redacted")
			w := newWorker(t) // not running
			t.workers = []*worker{w}
			r, head, body := benchRequest(), http.Header{"Content-Type": {"application/json"}}, []byte(strings.Repeat("x", size))
			b.ReportAllocs()
			for b.Loop() {
				c := t.begin(r, t.fallback)
				c.request.write(&t.chunks, body[:1024])
				c.head(200, head)
				for rest := body; len(rest) > 0; {
					n := min(len(rest), relayBytes)
					c.relayed(rest[:n])
					rest = rest[n:]
				}
				c.end(event.StreamOutcome_STREAM_OUTCOME_COMPLETE, "", nil)
				c.request.free(&t.chunks)
				c.answer.free(&t.chunks)
				t.budget.give(2 * envelopeCost)
				w.queue = w.queue[:0]
			}
		})
	}
}

// BenchmarkWorkerSide is what the worker pays for the two envelopes of a call, up to the publisher's client.
func BenchmarkWorkerSide(b *testing.B) {
	for _, mode := range []string{"metadata", "redacted"} {
		for _, size := range []int{1 << 10, 16 << 10, 256 << 10} {
			b.Run(fmt.Sprint(mode, "/", size), func(b *testing.B) {
				t := benchTap(b, mode)
				w := newWorker(t)
				t.workers = []*worker{w}
				r, head := benchRequest(), http.Header{"Content-Type": {"application/json"}}
				body := []byte(`{"id":"c","model":"gpt-5","choices":[{"message":{"content":"` + strings.Repeat("the river carries small stones ", size/31) + `"}}],"usage":{"prompt_tokens":3}}`)
				b.SetBytes(int64(len(body)))
				b.ReportAllocs()
				for b.Loop() {
					c := t.begin(r, t.fallback)
					c.request.write(&t.chunks, []byte(question))
					c.head(200, head)
					c.relayed(body)
					c.end(event.StreamOutcome_STREAM_OUTCOME_COMPLETE, "", nil)
					for _, j := range w.queue {
						w.make(j.call, j.phase)
						t.budget.give(envelopeCost)
					}
					w.queue = w.queue[:0]
				}
			})
		}
	}
}
