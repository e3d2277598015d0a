package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/demo/provider"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

const goodBody = `{"model":"gpt-5.5","messages":[{"role":"user","content":"how much is it"}]}`

func TestBadInput_EachGivesARowADeadLetterOrAnAnswer_AndNothingElseIsLost(t *testing.T) {
	t.Parallel()
	odd := &oddProvider{next: provider.New(), seen: map[string]string{}}
	upstream := httptest.NewServer(odd)
	t.Cleanup(upstream.Close)
	prices := writeFile(t, string(pricing.BuiltinSource()))
	n := Start(t, Setup{Upstream: upstream.URL, Directory: goodDirectory, Config: `
prices: {file: "` + prices + `"}
tap:
  routes:
    - {name: openai, prefix: /openai, upstream: "` + upstream.URL + `", provider: openai}
    - {name: down, prefix: /down, upstream: "http://127.0.0.1:9", provider: openai}
`})
	good := 0
	between := func(c caller) {
		good++
		c.good(fmt.Sprintf("good-%d", good))
	}
	between(newCaller(t, n))
	t.Run("bodies", func(t *testing.T) { badBodies(t, newCaller(t, n), odd) })
	between(newCaller(t, n))
	t.Run("answers", func(t *testing.T) { badAnswers(t, newCaller(t, n)) })
	between(newCaller(t, n))
	t.Run("calls that cannot be relayed", func(t *testing.T) { unrelayed(t, newCaller(t, n)) })
	between(newCaller(t, n))
	t.Run("records", func(t *testing.T) { badRecords(t, n) })
	between(newCaller(t, n))
	t.Run("directory", func(t *testing.T) {
		badFile(t, newCaller(t, n), n.DirectoryPath, "directory_version", "teams:\n  - id: finance\n   broken\n", goodDirectory+"users: [{id: anna, team: finance}]\n")
	})
	between(newCaller(t, n))
	t.Run("prices", func(t *testing.T) {
		badFile(t, newCaller(t, n), prices, "price_version", "prices: [\n", "")
	})
	between(newCaller(t, n))
	n.CheckComplete()
	for i := 1; i <= good; i++ {
		id := fmt.Sprintf("good-%d", i)
		if got := newCaller(t, n).row(id, "http_status, stream_outcome, usage_source, cost_status"); got != "200\tcomplete\tprovider\tpriced" {
			t.Errorf("%s: %q", id, got)
		}
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d; want 0", code)
	}
}

// badBodies sends request bodies that cannot be read. The provider accepts them: its answer is stored as usual.
func badBodies(t *testing.T, c caller, odd *oddProvider) {
	words := strings.Repeat("all work and no play ", 5_000_000)
	big := []byte(strings.Replace(goodBody, "how much is it", words, 1)) // 105 MB
	gz := zipped(goodBody)
	for name, bad := range map[string]struct {
		body    []byte
		headers []string
		want    string // request_payload_state, request_bytes, decode_error, request_model, in_total
	}{
		"empty":          {nil, nil, "absent\t0\trequest_absent\t\t9"},
		"no JSON":        {[]byte(`{"model": gpt`), nil, "full\t13\trequest_not_json\t\t9"},
		"JSON cut off":   {[]byte(goodBody[:40]), nil, "full\t40\trequest_truncated\tgpt-5.5\t9"},
		"no object":      {[]byte(`[1,2]`), nil, "full\t5\trequest_not_json\t\t9"},
		"binary":         {[]byte{0, 1, 2, 0xff}, []string{"Content-Type", "application/octet-stream"}, "binary\t4\trequest_not_json\t\t9"},
		"binary as JSON": {[]byte{0, 1, 2, 0xff}, nil, "undecodable\t4\trequest_not_json\t\t9"},
		"truncated gzip": {gz[:len(gz)-10], []string{"Content-Encoding", "gzip"}, fmt.Sprintf("truncated\t%d\trequest_truncated\tgpt-5.5\t9", len(gz)-10)},
		"no gzip":        {[]byte(goodBody), []string{"Content-Encoding", "gzip"}, fmt.Sprintf("undecodable\t%d\trequest_absent\t\t9", len(goodBody))},
		"unknown coding": {[]byte(goodBody), []string{"Content-Encoding", "x-own"}, fmt.Sprintf("undecodable\t%d\trequest_absent\t\t9", len(goodBody))},
		"105 MB":         {big, nil, fmt.Sprintf("truncated\t%d\trequest_truncated\tgpt-5.5\t9", len(big))},
	} {
		t.Run(name, func(t *testing.T) {
			c := caller{t, c.node, c.http}
			id := "body " + name
			a := c.call("/openai/v1/chat/completions", id, bytes.NewReader(bad.body), append(bad.headers, "X-Odd", "accept")...)
			if a.status != http.StatusOK {
				t.Errorf("status is %d: %s", a.status, a.body)
			}
			got := c.row(id, "request_payload_state, request_bytes, decode_error, request_model, in_total")
			if diff := cmp.Diff(bad.want, got); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
			sum := sha256.Sum256(bad.body)
			if odd.digest(id) != hex.EncodeToString(sum[:]) {
				t.Error("the provider got other bytes than the caller sent")
			}
		})
	}
}

// badAnswers has the provider send what cannot be read or counted.
func badAnswers(t *testing.T, c caller) {
	for name, want := range map[string]string{
		"negative":       "full\t['negative_count']\t\\N\t5\t",
		"not a number":   "full\t['invalid_count']\t\\N\t\\N\t",
		"truncated gzip": "truncated\t[]\t9\t5\tresponse_truncated",
		"no gzip":        "undecodable\t[]\t\\N\t\\N\tresponse_absent",
		"not json":       "full\t[]\t\\N\t\\N\tresponse_not_json",
		"binary":         "binary\t[]\t\\N\t\\N\tresponse_not_json",
	} {
		t.Run(name, func(t *testing.T) {
			c := caller{t, c.node, &http.Client{Timeout: time.Minute, Transport: &http.Transport{DisableCompression: true}}}
			id := "answer " + name
			if a := c.call("/openai/v1/chat/completions", id, strings.NewReader(goodBody), "X-Odd", name); a.status != http.StatusOK {
				t.Errorf("status is %d", a.status)
			}
			if diff := cmp.Diff(want, c.row(id, "response_payload_state, usage_flags, in_total, out_total, decode_error")); diff != "" {
				t.Errorf("row (-want +got):\n%s", diff)
			}
		})
	}
}

// unrelayed makes calls that the tap has to refuse itself.
func unrelayed(t *testing.T, c caller) {
	t.Run("provider is down", func(t *testing.T) {
		c := caller{t, c.node, c.http}
		a := c.call("/down/v1/chat/completions", "down", strings.NewReader(goodBody))
		var problem struct {
			Error struct{ Type, Message, Class string }
		}
		if err := json.Unmarshal(a.body, &problem); err != nil || a.status != http.StatusBadGateway {
			t.Fatalf("status %d, body %s; want 502 and JSON", a.status, a.body)
		}
		if problem.Error.Type != "upstream_unreachable" || problem.Error.Class != "refused" || problem.Error.Message == "" {
			t.Errorf("answer is %s", a.body)
		}
		if got := c.row("down", "http_status, stream_outcome, error_class, cost_usd, cost_status, request_model"); got != "0\tno_response\trefused\t\\N\tnot_billed\tgpt-5.5" {
			t.Errorf("row is %q", got)
		}
	})
	t.Run("path without a route", func(t *testing.T) {
		c := caller{t, c.node, c.http}
		a := c.call("/nowhere", "unrouted", strings.NewReader(goodBody))
		if a.status != http.StatusNotFound || !strings.Contains(string(a.body), "no_route") {
			t.Errorf("status %d: %s", a.status, a.body)
		}
	})
	t.Run("headers too large", func(t *testing.T) {
		c := caller{t, c.node, c.http}
		a := c.call("/openai/v1/chat/completions", "headers", strings.NewReader(goodBody), "X-Large", strings.Repeat("x", 300<<10))
		if a.status != http.StatusRequestHeaderFieldsTooLarge {
			t.Errorf("status is %d; want 431", a.status)
		}
	})
}

func goodEnvelope(id string) *event.Envelope {
	now := uint64(time.Now().UnixNano())
	return &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: id, Phase: event.Phase_PHASE_REQUEST,
		Source:          &event.Source{Kind: "test", Instance: "e2e", BootEpoch: now, Sequence: 1},
		StartedUnixNano: now, ObservedUnixNano: now, Gateway: "e2e", Route: "none",
		Request: &event.Request{Method: "POST", Path: "/v1/chat/completions"},
	}
}

// badRecords writes into the envelopes topic what is no envelope.
func badRecords(t *testing.T, n *Node) {
	future, nameless := goodEnvelope("future"), goodEnvelope("")
	future.SchemaVersion = event.SchemaVersion + 1
	phaseless, answerless := goodEnvelope("phaseless"), goodEnvelope("answerless")
	phaseless.Phase = event.Phase_PHASE_UNSPECIFIED
	answerless.Phase = event.Phase_PHASE_RESPONSE
	good := wire.MarshalEnvelope(nil, goodEnvelope("cut"))
	for name, bad := range map[string]struct {
		value         []byte
		stage, reason string
	}{
		"garbage":                {[]byte("\x00\xff this is no protobuf \x80"), "wire", wire.ReasonNotProtobuf},
		"nothing":                {nil, "wire", wire.ReasonEmpty},
		"cut off":                {good[:len(good)-3], "wire", wire.ReasonNotProtobuf},
		"later schema version":   {wire.MarshalEnvelope(nil, future), "wire", wire.ReasonUnknownSchemaVersion},
		"no call id":             {wire.MarshalEnvelope(nil, nameless), "wire", wire.ReasonMissingCallID},
		"no phase":               {wire.MarshalEnvelope(nil, phaseless), "wire", wire.ReasonUnknownPhase},
		"response without one":   {wire.MarshalEnvelope(nil, answerless), "wire", wire.ReasonMissingResponse},
		"JSON in place of bytes": {[]byte(goodBody), "wire", wire.ReasonNotProtobuf},
	} {
		t.Run(name, func(t *testing.T) {
			record := n.Produce(&kgo.Record{
				Topic: n.Topics().Envelopes, Key: []byte("key of " + name), Value: bad.value,
				Headers: []kgo.RecordHeader{{Key: "origin", Value: []byte("e2e")}},
			})[0]
			where := fmt.Sprintf("topic = '%s' AND partition = %d AND offset = %d", record.Topic, record.Partition, record.Offset)
			n.WaitCount("dead_letters", where, 1)
			got := n.Query("SELECT stage, reason, record_key, hex(record_value), headers['origin'] FROM dead_letters WHERE " + where)
			want := fmt.Sprintf("%s\t%s\tkey of %s\t%X\te2e", bad.stage, bad.reason, name, bad.value)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("dead letter (-want +got):\n%s", diff)
			}
			n.WaitCount("envelopes", where, 1) // tables are written one after the other
			if got := n.Query("SELECT status, reject_reason FROM envelopes WHERE " + where); got != "rejected\t"+bad.reason {
				t.Errorf("row of the envelope is %q", got)
			}
			checkLetter(t, n, record, bad.reason)
		})
	}
}

// checkLetter finds the record in the dead letter topic, with its original bytes.
func checkLetter(t *testing.T, n *Node, original *kgo.Record, reason string) {
	t.Helper()
	for _, r := range n.Records(n.Topics().DeadLetters) {
		headers := map[string]string{}
		for _, h := range r.Headers {
			headers[h.Key] = string(h.Value)
		}
		if headers["dlq-partition"] != fmt.Sprint(original.Partition) || headers["dlq-offset"] != fmt.Sprint(original.Offset) {
			continue
		}
		if !bytes.Equal(r.Value, original.Value) || !bytes.Equal(r.Key, original.Key) || headers["origin"] != "e2e" {
			t.Errorf("dead letter has key %q, value %X, headers %v", r.Key, r.Value, headers)
		}
		if headers["dlq-reason"] != reason || headers["dlq-topic"] != original.Topic {
			t.Errorf("dead letter's headers are %v", headers)
		}
		return
	}
	t.Errorf("no dead letter for %s/%d/%d", original.Topic, original.Partition, original.Offset)
}

// badFile breaks the directory or the price file under the running process and mends it again. column tells the version
// that a call was judged by; a mended text of "" stands for the text before.
func badFile(t *testing.T, c caller, path, column, broken, mended string) {
	n := c.node
	calls := 0
	version := func() string {
		calls++
		id := fmt.Sprintf("%s %d", column, calls)
		c.good(id)
		return c.row(id, column)
	}
	text, before := read(t, path), version()
	if before == "" {
		t.Fatal("no version is in force")
	}
	n.WriteFile(path, broken)
	refused := func() int {
		count := 0
		for line := range strings.Lines(n.Log()) {
			if strings.Contains(line, path) && strings.Contains(line, "new version refused; the one before stays in force") {
				count++
			}
		}
		return count
	}
	n.Eventually(10*time.Second, "the fault is logged with the file", func() error {
		if refused() == 0 {
			return fmt.Errorf("no such line")
		}
		return nil
	})
	if got := version(); got != before {
		t.Errorf("version is %q; want the one before, %q", got, before)
	}
	time.Sleep(time.Second) // five more looks at the file
	if got := refused(); got != 1 {
		t.Errorf("the fault is logged %d times; want once", got)
	}
	if mended == "" {
		n.WriteFile(path, text)
		return
	}
	n.WriteFile(path, mended)
	n.Eventually(15*time.Second, "the mended version is in force", func() error {
		if got := version(); got == before {
			return fmt.Errorf("still %s", got)
		}
		return nil
	})
}
