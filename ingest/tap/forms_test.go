package tap

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/modeltrail/modeltrail/schemas/event"
)

func TestMiddlewareSeesWhatAHandlerDoes(t *testing.T) {
	for name, tc := range map[string]struct {
		handler http.HandlerFunc
		status  int32
		body    string
		outcome event.StreamOutcome
	}{
		"writes": {func(w http.ResponseWriter, r *http.Request) {
			sent, _ := io.ReadAll(r.Body)
			w.WriteHeader(201)
			_, _ = w.Write(sent)
		}, 201, question, event.StreamOutcome_STREAM_OUTCOME_COMPLETE},
		"writes nothing":         {func(http.ResponseWriter, *http.Request) {}, 200, "", event.StreamOutcome_STREAM_OUTCOME_COMPLETE},
		"does not read the body": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400) }, 400, "", event.StreamOutcome_STREAM_OUTCOME_COMPLETE},
		"aborts after some bytes": {func(w http.ResponseWriter, _ *http.Request) {
			_, _ = io.WriteString(w, "part")
			panic(http.ErrAbortHandler)
		}, 200, "part", event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT},
		"aborts at once": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, 0, "", event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE},
		"flushes and copies": {func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			_, _ = io.Copy(w, strings.NewReader("copied"))
			w.Header().Set(http.TrailerPrefix+"Retry-After", "1")
		}, 200, "copied", event.StreamOutcome_STREAM_OUTCOME_COMPLETE},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, benchOptions{upstream: "http://127.0.0.1:1"})
			url := serveOn(t, b.tap.Middleware(tc.handler))
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, url+"/openai/v1/x", strings.NewReader(question))
			if response, err := newClient(t).Do(r); err == nil {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
			request, end := b.pair()
			if request.Route != "openai" || end.Response.StatusCode != tc.status || end.Response.Outcome != tc.outcome ||
				end.Response.Payload.WireBytes != int64(len(tc.body)) {
				t.Errorf("%v", end)
			}
			if name == "flushes and copies" && attributeMap(end.Response.Trailers)["retry-after"] != "1" {
				t.Errorf("trailers %v", end.Response.Trailers)
			}
		})
	}
}

func TestMiddlewareNoticesThatTheClientLeft(t *testing.T) {
	b := newBench(t, benchOptions{})
	wrote := make(chan struct{})
	url := serveOn(t, b.tap.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "part")
		_ = http.NewResponseController(w).Flush()
		close(wrote)
		<-r.Context().Done()
	})))
	ctx, cancel := context.WithCancel(t.Context())
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, url+"/x", strings.NewReader(question))
	response, err := newClient(t).Do(r)
	if err != nil {
		t.Fatal(err)
	}
	<-wrote
	cancel()
	response.Body.Close()
	_, end := b.pair()
	if end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT || end.Route != "default" {
		t.Errorf("%v", end)
	}
}

func TestMiddlewareLetsConnectionsBeTakenOver(t *testing.T) {
	b := newBench(t, benchOptions{})
	url := serveOn(t, b.tap.Middleware(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		conn, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		_ = conn.Write(r.Context(), websocket.MessageText, []byte("hi"))
		_ = conn.Close(websocket.StatusNormalClosure, "")
	})))
	conn, _, err := websocket.Dial(t.Context(), url, &websocket.DialOptions{HTTPClient: newClient(t)})
	if err != nil {
		t.Fatal(err)
	}
	if _, p, err := conn.Read(t.Context()); err != nil || string(p) != "hi" {
		t.Errorf("%q %v", p, err)
	}
	_ = conn.CloseNow()
	_, end := b.pair()
	if end.Response.StatusCode != 101 || end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("%v", end.Response)
	}
}

func TestRoundTripperAuditsAClient(t *testing.T) {
	up := jsonUpstream(t)
	b := newBench(t, benchOptions{upstream: up.URL})
	client := newClient(t)
	client.Transport = b.tap.RoundTripper(client.Transport)
	response, body := post(t, client, up.URL+"/v1/chat/completions", question, "Authorization", "Bearer sk-planted-0123456789abcdef")
	if response.StatusCode != 200 || body != answer || response.Request.URL.Path != "/v1/chat/completions" {
		t.Errorf("%d %s", response.StatusCode, body)
	}
	request, end := b.pair()
	if string(request.Request.Payload.Body) != question || string(end.Response.Payload.Body) != answer || end.Route != "openai" ||
		end.Credential.Last4 != "cdef" || end.Response.Outcome != event.StreamOutcome_STREAM_OUTCOME_COMPLETE {
		t.Errorf("%v", end)
	}
}

func TestRoundTripperOutcomes(t *testing.T) {
	up := upstream(t, func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		switch r.URL.Path {
		case "/wait":
			<-r.Context().Done()
		case "/break":
			w.Header().Set("Content-Length", "100")
			_, _ = io.WriteString(w, "part")
		case "/long":
			for r.Context().Err() == nil {
				_, _ = w.Write(make([]byte, 10_000))
			}
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		}
	})
	for path, want := range map[string]event.StreamOutcome{
		"/wait":  event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT,
		"/break": event.StreamOutcome_STREAM_OUTCOME_UPSTREAM_ABORT,
		"/long":  event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT,
		"/none":  event.StreamOutcome_STREAM_OUTCOME_COMPLETE,
		"":       event.StreamOutcome_STREAM_OUTCOME_NO_RESPONSE,
	} {
		t.Run(path, func(t *testing.T) {
			b := newBench(t, benchOptions{})
			client := newClient(t)
			client.Transport = b.tap.RoundTripper(client.Transport)
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			url := up.URL + path
			if path == "" {
				url = "http://127.0.0.1:1/"
			}
			r, _ := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(question))
			if response, err := client.Do(r); err == nil {
				_, _ = io.CopyN(io.Discard, response.Body, 5000)
				response.Body.Close()
			}
			_, end := b.pair()
			if end.Response.Outcome != want {
				t.Errorf("outcome %v, want %v", end.Response.Outcome, want)
			}
		})
	}
}

// roundTrip is a transport made of a function.
type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestRoundTripperKeepsTheTransportsRetries(t *testing.T) {
	b := newBench(t, benchOptions{})
	inner := roundTrip(func(r *http.Request) (*http.Response, error) {
		_, _ = io.CopyN(io.Discard, r.Body, 10) // a first attempt dies half way
		again, err := r.GetBody()
		if err != nil {
			return nil, err
		}
		sent, err := io.ReadAll(again)
		if err != nil {
			return nil, err
		}
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(bytes.NewReader(sent)), Request: r}, nil
	})
	client := &http.Client{Transport: b.tap.RoundTripper(inner)}
	if _, body := post(t, client, "http://provider.test/v1", question); body != question {
		t.Errorf("%q", body)
	}
	request, _ := b.pair()
	if string(request.Request.Payload.Body) != question {
		t.Errorf("captured %q", request.Request.Payload.Body)
	}
}

func TestClosedTapCountsWhatComesLater(t *testing.T) {
	b := newBench(t, benchOptions{upstream: "http://127.0.0.1:1"})
	b.drain(time.Second)
	w := httptest.NewRecorder()
	b.tap.Middleware(http.NotFoundHandler()).ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/openai/x", nil))
	if w.Code != 404 || b.tap.Dropped() != 2 {
		t.Errorf("%d, %d dropped", w.Code, b.tap.Dropped())
	}
}

func TestNewNeedsAPublisher(t *testing.T) {
	if _, err := New(testConfig(t, ""), Settings{}); err == nil || errors.Is(err, context.Canceled) {
		t.Error(err)
	}
}
