package receive

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

func TestEveryWayOfWriting_GivesTheSameEnvelopes_ExactlyAsSent(t *testing.T) {
	one, two := envelope("call-1", event.Phase_PHASE_REQUEST), envelope("call-1", event.Phase_PHASE_RESPONSE)
	a, b := asJSON(t, one), asJSON(t, two)
	pretty, err := protojson.MarshalOptions{Multiline: true, UseProtoNames: true}.Marshal(one)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		media, coding string
		body          []byte
		want          []*event.Envelope
	}{
		"protobuf":            {MediaProtobuf, "", delimited(t, one, two), []*event.Envelope{one, two}},
		"protobuf, gzip":      {MediaProtobuf, "gzip", delimited(t, one, two), []*event.Envelope{one, two}},
		"JSON array":          {"application/json; charset=utf-8", "", fmt.Appendf(nil, " [%s,\n%s]\n", a, b), []*event.Envelope{one, two}},
		"JSON array, zstd":    {MediaJSON, "zstd", fmt.Appendf(nil, "[%s,%s]", a, b), []*event.Envelope{one, two}},
		"JSON object":         {MediaJSON, "", a, []*event.Envelope{one}},
		"JSON, many lines":    {MediaJSON, "", pretty, []*event.Envelope{one}},
		"JSON, one per line":  {MediaJSON, "", fmt.Appendf(nil, "%s\n\n%s", a, b), []*event.Envelope{one, two}},
		"NDJSON":              {MediaNDJSON, "", fmt.Appendf(nil, "%s\r\n%s\n", a, b), []*event.Envelope{one, two}},
		"two codings at once": {MediaNDJSON, "gzip, zstd", fmt.Appendf(nil, "%s\n%s", a, b), []*event.Envelope{one, two}},
	} {
		for _, trusted := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, trusted %v", name, trusted), func(t *testing.T) {
				sender := bearer("tap-far", tokenA)
				sender.TrustedRedaction = trusted
				r := start(t, config(sender))
				body := c.body
				for coding := range strings.SplitSeq(c.coding, ", ") {
					if coding != "" {
						body = compress(t, coding, body)
					}
				}
				h := token(tokenA).with("Content-Type", c.media)
				if c.coding != "" {
					h = h.with("Content-Encoding", c.coding)
				}
				if got := r.post(h, body); got.status != http.StatusOK || got.Accepted != len(c.want) || got.RejectedCount != 0 {
					t.Fatalf("answer %+v", got)
				}
				if diff := cmp.Diff(c.want, r.envelopes, protocmp.Transform()); diff != "" {
					t.Error(diff)
				}
			})
		}
	}
}

func TestBadRecordsOfAGoodRequest_AreNamedCountedAndDeadLetters(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	good := asJSON(t, envelope("call-1", event.Phase_PHASE_REQUEST))
	noID := envelope("", event.Phase_PHASE_REQUEST)
	newer := envelope("call-3", event.Phase_PHASE_REQUEST)
	newer.SchemaVersion = 999
	lines := [][]byte{good, []byte(`{"callId":`), asJSON(t, noID), []byte(`{"unknown":1}`), asJSON(t, newer), good, []byte(`17`)}
	got := r.post(token(tokenA).with("Content-Type", MediaNDJSON), bytes.Join(lines, []byte("\n")))
	if got.status != http.StatusMultiStatus || got.Accepted != 2 || got.RejectedCount != 5 {
		t.Fatalf("answer %+v", got)
	}
	want := []Rejected{
		{Index: 1, Reason: ReasonNotJSON}, {Index: 2, Reason: "missing_call_id"}, {Index: 3, Reason: ReasonNotJSON},
		{Index: 4, Reason: "unknown_schema_version"}, {Index: 6, Reason: ReasonNotJSON},
	}
	for i := range got.Rejected {
		got.Rejected[i].Detail = ""
	}
	if diff := cmp.Diff(want, got.Rejected); diff != "" {
		t.Error(diff)
	}
	for i, letter := range r.letters {
		if !bytes.Equal(letter.Value, lines[want[i].Index]) {
			t.Errorf("dead letter %d is %q; want the original bytes", i, letter.Value)
		}
		if letter.Stage != Stage || letter.Reason != want[i].Reason || letter.Position != (batch.Position{Topic: event.TopicEnvelopes, Partition: -1, Offset: -1}) {
			t.Errorf("dead letter %d: %+v", i, letter)
		}
	}
	if n := r.metric("modeltrail_receive_records_total", "source=tap-far", "result=rejected"); n != 5 {
		t.Errorf("%v rejected records counted", n)
	}
	if n := r.metric("modeltrail_receive_rejected_records_total", "reason="+ReasonNotJSON); n != 3 {
		t.Errorf("%v not_json_envelope counted", n)
	}
}

// The letters of all senders wait in one client, which gives up those behind a cancelled one.
func TestASenderThatGoesWhileItsDeadLettersAreWritten_DoesNotBreakThemOff(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	sender, leave := context.WithCancel(t.Context())
	var during error
	bounded := false
	r.writing = func(ctx context.Context) {
		leave()
		during = ctx.Err()
		_, bounded = ctx.Deadline()
	}
	request := httptest.NewRequestWithContext(sender, http.MethodPost, "/v1/envelopes", strings.NewReader(`17`))
	for k, v := range token(tokenA).with("Content-Type", MediaNDJSON) {
		request.Header.Set(k, v)
	}
	r.receiver.ServeHTTP(httptest.NewRecorder(), request)
	if during != nil || !bounded || len(r.letters) != 1 {
		t.Errorf("after the sender left: %v, bounded %v, %d letters", during, bounded, len(r.letters))
	}
}

func TestBodyThatCannotBeDivided_IsRefusedWhole(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	good := delimited(t, envelope("call-1", event.Phase_PHASE_REQUEST))
	for name, c := range map[string]struct {
		media string
		body  []byte
		want  int
	}{
		"length beyond the body": {MediaProtobuf, append(bytes.Clone(good), 0x7f, 1, 2), 400},
		"endless varint":         {MediaProtobuf, bytes.Repeat([]byte{0xff}, 12), 400},
		"array without end":      {MediaJSON, fmt.Appendf(nil, "[%s", asJSON(t, envelope("c", event.Phase_PHASE_REQUEST))), 400},
		"text after the array":   {MediaJSON, []byte("[] x"), 400},
		"broken array":           {MediaJSON, []byte("[{},,]"), 400},
		"empty":                  {MediaJSON, nil, 400},
		"other media type":       {"text/plain", good, 415},
		"no media type":          {"", good, 415},
	} {
		if got := r.post(token(tokenA).with("Content-Type", c.media), c.body); got.status != c.want || got.Error.Message == "" {
			t.Errorf("%s: %+v; want %d", name, got, c.want)
		}
	}
	if len(r.envelopes)+len(r.letters) != 0 {
		t.Errorf("%d envelopes and %d dead letters of refused requests", len(r.envelopes), len(r.letters))
	}
}

func TestWithoutADurableStep_NothingIsAnsweredWith2xx(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	body := asJSON(t, envelope("call-1", event.Phase_PHASE_REQUEST))
	r.refuse = errors.New("kafka is away")
	if got := r.post(token(tokenA), body); got.status != 503 || got.retryAfter != "5" || got.Error.Code != "not_durable" || got.Error.RetryAfterSeconds != 5 {
		t.Errorf("Kafka away: %+v", got)
	}
	r.refuse = fmt.Errorf("publish: %w", publish.ErrRefused)
	if got := r.post(token(tokenA), body); got.status != 503 || got.retryAfter != "1" || got.Error.Code != "overload" {
		t.Errorf("spool full: %+v", got)
	}
	r.refuse, r.lose = nil, errors.New("kafka is away")
	if got := r.post(token(tokenA), append(append(bytes.Clone(body), '\n'), "x"...)); got.status != 503 || got.retryAfter == "" {
		t.Errorf("dead letters away: %+v", got)
	}
	if len(r.envelopes) != 0 {
		t.Errorf("%d envelopes of refused requests", len(r.envelopes))
	}
}

func TestPublisherThatNeverAnswers_EndsIn503AfterTheDurableTimeout(t *testing.T) {
	cfg := config(bearer("tap-far", tokenA))
	cfg.DurableTimeout = 100 * time.Millisecond
	r := start(t, cfg)
	r.hold = make(chan struct{})
	started := time.Now()
	if got := r.post(token(tokenA), asJSON(t, envelope("call-1", event.Phase_PHASE_REQUEST))); got.status != 503 {
		t.Errorf("answer %+v", got)
	}
	if took := time.Since(started); took > 5*time.Second {
		t.Errorf("took %s", took)
	}
}

// buggy panics at its first body.
type buggy struct{ ModelTrail }

func (buggy) Decode(context.Context, http.Header, []byte, func(Record) error) error {
	panic("sk-secret in a panic")
}

func TestBugInADecoder_CostsOneRequest(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)), buggy{})
	for range 2 {
		if got := r.post(token(tokenA), []byte("{}")); got.status != http.StatusInternalServerError || strings.Contains(got.Error.Message, "secret") {
			t.Errorf("answer %+v", got)
		}
	}
	if n := r.metric("modeltrail_receive_in_flight_bytes") + r.metric("modeltrail_receive_in_flight_requests"); n != 0 {
		t.Errorf("%v bytes and requests are still reserved", n)
	}
}

func TestTwoFormatsOfOnePath_AreRefused(t *testing.T) {
	s := &store{}
	_, err := New(config(), Settings{Publisher: s, DeadLetters: s, Formats: []Format{ModelTrail{}, buggy{}}})
	if err == nil || !strings.Contains(err.Error(), "/v1/envelopes") {
		t.Errorf("error is %v", err)
	}
}

func TestOtherPathsAndMethods(t *testing.T) {
	r := start(t, config(bearer("tap-far", tokenA)))
	if got := postTo(t, http.DefaultClient, strings.Replace(r.url, "/v1/envelopes", "/v1/other", 1), token(tokenA), strings.NewReader("{}")); got.status != 404 {
		t.Errorf("other path: %+v", got)
	}
	response, err := http.Get(r.url)
	if err != nil {
		t.Fatal(err)
	}
	_ = response.Body.Close()
	if response.StatusCode != http.StatusMethodNotAllowed {
		t.Errorf("GET: %s", response.Status)
	}
}
