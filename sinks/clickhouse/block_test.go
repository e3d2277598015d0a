package clickhouse

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	chproto "github.com/ClickHouse/clickhouse-go/v2/lib/proto"
	"github.com/google/go-cmp/cmp"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
)

func ptr[T any](v T) *T { return &v }

// sample returns a record that fills every column; i varies what should vary.
func sample(i int) *batch.Record {
	start := uint64(1_790_000_000_000_000_000) + uint64(i)*1_000_000
	payload := func(body string) *event.Payload {
		return &event.Payload{
			State: event.PayloadState_PAYLOAD_STATE_FULL, Body: []byte(body), ContentType: "application/json",
			ContentEncoding: "gzip", WireBytes: 900, CapturedBytes: 800, Digest: bytes.Repeat([]byte{byte(i)}, 32),
			Redactions: []*event.Redaction{{Rule: "email", Count: 2}, {Rule: "phone", Count: 1}}, KeyId: "k1",
		}
	}
	env := &event.Envelope{
		SchemaVersion: 1, CallId: fmt.Sprintf("call-%d", i), Phase: event.Phase_PHASE_RESPONSE,
		Source:          &event.Source{Kind: "tap", Instance: "gw-1", BootEpoch: 7, Sequence: uint64(i), DroppedTotal: 3},
		StartedUnixNano: start, ObservedUnixNano: start + 2_000_000_000, Gateway: "kong", Route: "openai", Provider: "openai",
		CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Credential:  &event.Credential{Fingerprint: fmt.Sprintf("mt1:%032d", i%7), Last4: "abcd", Kind: "bearer"},
		Request: &event.Request{
			Method: "POST", Host: "api.openai.com", Path: "/v1/chat/completions", Payload: payload("request"),
			Headers: []*event.Attribute{{Key: "x-team", Value: "red"}, {Key: "x-run", Value: fmt.Sprint(i)}}, ClientAddress: "10.0.0.1",
			UserAgent: "sdk/1", RequestId: "r-1", Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		},
		Response: &event.Response{
			StatusCode: 200, Payload: payload(fmt.Sprintf("response %d", i)), FirstByteUnixNano: start + 400_000_000,
			EndedUnixNano: start + 1_500_000_000, Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, ErrorClass: "",
		},
	}
	ev := &event.Event{
		Call: &event.Call{
			Dialect: "openai", DecoderVersion: "1", Operation: "chat", Provider: "openai", RequestModel: "gpt-5.5",
			ResponseModel: "gpt-5.5-2026", ResponseId: "resp", Stream: i%2 == 0, FinishReasons: []string{"stop"},
			ToolsOffered: []string{"search", "fetch"}, TimeToFirstTokenNs: ptr(int64(500_000_000)),
			ToolCalls: []*event.ToolCall{{Id: "t1", Name: "search", Type: "function", ArgumentsBytes: ptr(int64(12))}, {Name: "fetch"}},
		},
		Usage: &event.Usage{Source: event.UsageSource_USAGE_SOURCE_PROVIDER, InTotal: ptr(int64(100 + i)), OutTotal: ptr(int64(0)), Flags: []string{"sum_mismatch"}},
		Identity: &event.Identity{Principal: "ana", PrincipalKind: "user", TeamId: "red", AppId: "bot", Owner: "o", Purpose: "p",
			CostCenter: "cc", CredentialId: "c", CredentialStatus: "active", Source: "credential", DirectoryVersion: "d1"},
		Policy: &event.Policy{PolicyId: "p", PolicyVersion: "v", Decision: event.PolicyDecision_POLICY_DECISION_DENY, Rule: "models.allow", Reason: "no"},
		Cost: &event.Cost{Status: event.CostStatus_COST_STATUS_PRICED, TotalPicoUsd: ptr(int64(1_250_000_000)),
			InputPicoUsd: ptr(int64(250_000_000)), OutputPicoUsd: ptr(int64(1_000_000_000)), PriceId: "id", PriceVersion: "pv"},
	}
	return &batch.Record{
		Position:   batch.Position{Topic: "modeltrail.envelopes", Partition: 3, Offset: int64(i)},
		IngestedAt: time.UnixMilli(1_790_000_001_000 + int64(i)).UTC(), Envelope: env, Event: ev,
	}
}

// decode reads a block with the driver's own code.
func decode(t *testing.T, b *block) *chproto.Block {
	t.Helper()
	raw, err := io.ReadAll(&partsReader{parts: b.native()})
	if err != nil {
		t.Fatal(err)
	}
	source := bytes.NewReader(raw)
	reader := proto.NewReader(source)
	out := chproto.NewBlock()
	out.ServerContext = &chcolumn.ServerContext{Timezone: time.UTC}
	if err := out.Decode(reader, 0); err != nil {
		t.Fatalf("%s: %v", b.name, err)
	}
	if _, err := reader.UInt8(); !errors.Is(err, io.EOF) {
		t.Errorf("%s: bytes are left behind the block: %v", b.name, err)
	}
	return out
}

func row(b *chproto.Block, i int) map[string]any {
	out := map[string]any{}
	for j, name := range b.ColumnsNames() {
		out[name] = b.Columns[j].Row(i, false)
	}
	return out
}

func TestTables_WriteWhatTheDriverReads(t *testing.T) {
	tables := NewTables(&Buffers{})
	for i := range 1000 {
		tables.AddEnvelope(sample(i), 1500)
	}
	for _, b := range tables.order {
		if err := b.check(); err != nil {
			t.Fatal(err)
		}
		if b.rows() == 0 {
			continue
		}
		out := decode(t, b)
		if out.Rows() != b.rows() {
			t.Errorf("%s has %d rows, want %d", b.name, out.Rows(), b.rows())
		}
	}
	call := row(decode(t, &tables.calls.block), 777)
	for name, want := range map[string]any{
		"call_id": "call-777", "duration_us": ptr(uint64(1_500_000)), "time_to_first_byte_us": ptr(uint64(400_000)),
		"time_to_first_token_us": ptr(uint64(500_000)), "http_status": uint16(200), "stream": false, "stream_outcome": "complete",
		"trace_id": "0af7651916cd43dd8448eb211c80319c", "team_id": "red", "policy_decision": "deny",
		"finish_reasons": []string{"stop"}, "tools_offered": []string{"search", "fetch"}, "tool_names": []string{"search", "fetch"},
		"in_total": ptr(uint64(877)), "out_total": ptr(uint64(0)), "in_audio": nil, "usage_source": "provider",
		"attributes": map[string]string{"x-team": "red", "x-run": "777"}, "redacted": uint32(6), "request_bytes": uint64(900),
		"offset": int64(777), "ingested_at": time.UnixMilli(1_790_000_001_777).UTC(), "capture_mode": "redacted",
		"credential_fingerprint": fmt.Sprintf("mt1:%032d", 0), "started_at": time.UnixMicro(1_790_000_000_777_000).UTC(),
	} {
		if diff := cmp.Diff(want, call[name]); diff != "" {
			t.Errorf("calls.%s (-want +got):\n%s", name, diff)
		}
	}
	if got := fmt.Sprint(call["cost_usd"]); got != "0.00125" {
		t.Errorf("cost_usd is %s", got)
	}
	payload := row(decode(t, &tables.payloads.block), 5)
	if diff := cmp.Diff(map[string]uint32{"email": 2, "phone": 1}, payload["redactions"]); diff != "" || payload["body"] != "response 5" {
		t.Errorf("payload %v %s", payload["body"], diff)
	}
	tool := row(decode(t, &tables.toolCalls.block), 3)
	if tool["tool_name"] != "fetch" || tool["position"] != uint16(1) || tool["call_id"] != "call-1" {
		t.Errorf("tool call %v", tool)
	}
}

func TestTables_Reset_LeavesNothingBehind(t *testing.T) {
	tables, fresh := NewTables(&Buffers{}), NewTables(&Buffers{})
	for i := range 300 {
		tables.AddEnvelope(sample(i), 1500)
		tables.AddReject(&batch.Reject{Reason: "empty_value"}, &batch.Record{})
	}
	tables.Reset()
	for i := range 50 {
		tables.AddEnvelope(sample(i), 1500)
		fresh.AddEnvelope(sample(i), 1500)
	}
	for i, b := range tables.order {
		got, _ := io.ReadAll(&partsReader{parts: b.native()})
		want, _ := io.ReadAll(&partsReader{parts: fresh.order[i].native()})
		if !bytes.Equal(got, want) {
			t.Errorf("%s differs after a reset", b.name)
		}
	}
}

func TestTables_ValuesOutOfRange_AreClampedOrNullAndCounted(t *testing.T) {
	r := sample(1)
	r.Envelope.Response.EndedUnixNano = r.Envelope.StartedUnixNano - 1
	r.Envelope.Response.StatusCode = -5
	r.Envelope.Request.Payload.WireBytes = -1
	r.Envelope.Source.BootEpoch = math.MaxUint64
	r.Envelope.ObservedUnixNano = math.MaxUint64
	r.Event.Usage.InTotal = ptr(int64(-3))
	r.Event.Cost.TotalPicoUsd = ptr(int64(math.MaxInt64))
	r.Event.Call.TimeToFirstTokenNs = ptr(int64(-1))
	r.Event.Policy.Decision = 77
	tables := NewTables(&Buffers{})
	tables.AddEnvelope(r, math.MaxInt)
	call := row(decode(t, &tables.calls.block), 0)
	for _, name := range []string{"duration_us", "in_total", "time_to_first_token_us"} {
		if got := call[name]; got != nil {
			t.Errorf("%s is %v, want null", name, got)
		}
	}
	if call["cost_usd"] != nil && fmt.Sprint(call["cost_usd"]) != "<nil>" {
		t.Errorf("cost_usd is %v, want null", call["cost_usd"])
	}
	if call["http_status"] != uint16(0) || call["policy_decision"] != "unknown" || call["request_bytes"] != uint64(0) {
		t.Errorf("http_status %v, policy_decision %v", call["http_status"], call["policy_decision"])
	}
	want := adjusted{"duration_us": 1, "in_total": 1, "time_to_first_token_us": 1, "cost_usd": 1, "http_status": 1, "request_bytes": 1, "value_bytes": 1}
	if diff := cmp.Diff(want, tables.adjusted); diff != "" {
		t.Error(diff)
	}
}

func TestPayload_RowsOnlyWhereABodyWasSeen(t *testing.T) {
	for _, c := range []struct {
		state event.PayloadState
		body  string
		want  int
	}{
		{event.PayloadState_PAYLOAD_STATE_FULL, "x", 1},
		{event.PayloadState_PAYLOAD_STATE_FULL, "", 0},
		{event.PayloadState_PAYLOAD_STATE_ABSENT, "", 0},
		{event.PayloadState_PAYLOAD_STATE_BINARY, "", 1},
		{event.PayloadState_PAYLOAD_STATE_UNDECODABLE, "", 1},
		{event.PayloadState_PAYLOAD_STATE_TRUNCATED, "", 1},
	} {
		r, tables := sample(0), NewTables(&Buffers{})
		r.Envelope.Response.Payload.State, r.Envelope.Response.Payload.Body = c.state, []byte(c.body)
		tables.AddEnvelope(r, 10)
		if got := tables.payloads.rows(); got != c.want {
			t.Errorf("%s with body %q: %d rows, want %d", c.state, c.body, got, c.want)
		}
	}
}

func TestReject_UnreadableRecord_LeavesEnvelopeAndDeadLetter(t *testing.T) {
	tables := NewTables(&Buffers{})
	position := batch.Position{Topic: "t", Partition: 1, Offset: 9}
	reject := &batch.Reject{Position: position, Key: []byte("k"), Value: []byte{0xff}, Stage: "wire", Reason: "not_protobuf",
		Headers: []batch.Header{{Key: "ce_id", Value: []byte("1")}}}
	tables.AddReject(reject, &batch.Record{Position: position})
	envelope, letter := row(decode(t, &tables.envelopes.block), 0), row(decode(t, &tables.deadLetters.block), 0)
	if envelope["status"] != "rejected" || envelope["reject_reason"] != "not_protobuf" || envelope["offset"] != int64(9) {
		t.Errorf("envelope %v", envelope)
	}
	if letter["record_value"] != "\xff" || letter["record_key"] != "k" || letter["stage"] != "wire" {
		t.Errorf("dead letter %v", letter)
	}
	if tables.calls.rows() != 0 || tables.payloads.rows() != 0 {
		t.Error("a reject left other rows")
	}
}

func TestDictionary_ReturnsEveryValueAtEveryKeyWidth(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	var c dictionary
	for _, distinct := range []int{1, 2, 255, 256, 257, 70_000, 3} {
		c.reset()
		var want []string
		for i := range distinct * 2 {
			v := fmt.Sprintf("value-%d", i)
			if i >= distinct {
				v = fmt.Sprintf("value-%d", rng.IntN(distinct))
			}
			if i == 1 {
				v = ""
			}
			want = append(want, v)
			c.add(v)
		}
		b := &block{name: "t"}
		b.add("v", kindDictionary, &c)
		out := decode(t, b)
		for i, v := range want {
			if got := out.Columns[0].Row(i, false); got != v {
				t.Fatalf("%d distinct: row %d is %q, want %q", distinct, i, got, v)
			}
		}
	}
}

func TestFill_GivesTheDriverTheSameBlock(t *testing.T) {
	tables := NewTables(&Buffers{})
	for i := range 400 {
		tables.AddEnvelope(sample(i), 1500)
	}
	for _, b := range []*block{&tables.calls.block, &tables.envelopes.block, &tables.payloads.block, &tables.toolCalls.block} {
		server := chproto.NewBlock()
		server.ServerContext = &chcolumn.ServerContext{Timezone: time.UTC}
		for _, c := range b.columns {
			if err := server.AddColumn(c.name, chcolumn.Type(c.kind)); err != nil {
				t.Fatal(err)
			}
		}
		if err := fill(server.Columns, b); err != nil {
			t.Fatal(err)
		}
		var encoded proto.Buffer
		if err := server.Encode(&encoded, 0); err != nil {
			t.Fatal(err)
		}
		raw, _ := io.ReadAll(&partsReader{parts: b.native()})
		if !bytes.Equal(encoded.Buf, raw) {
			t.Errorf("%s: the driver would send other bytes", b.name)
		}
		if err := fill(server.Columns[1:], b); err == nil {
			t.Errorf("%s: a missing column is accepted", b.name)
		}
	}
}

func BenchmarkTables_AddEnvelope(b *testing.B) {
	records := make([]*batch.Record, 1000)
	for i := range records {
		records[i] = sample(i)
	}
	tables := NewTables(&Buffers{})
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if tables.Rows() == 10_000 {
			tables.Reset()
		}
		tables.AddEnvelope(records[i%len(records)], 1500)
	}
}

func TestBulk_ReturnsValuesThatCrossItsChunks(t *testing.T) {
	shared := &Buffers{}
	for range 2 { // the second time from memory that was used before
		c := &bulk{shared: shared}
		var want []string
		for _, n := range []int{0, 1, chunkBytes - 5, 3, 1, 127, 128, 3 * chunkBytes, 0, 200} {
			v := strings.Repeat(string(rune('a'+len(want))), n)
			want = append(want, v)
			c.addBytes([]byte(v))
		}
		b := &block{name: "t"}
		b.add("v", kindText, c)
		out := decode(t, b)
		for i, v := range want {
			if got := out.Columns[0].Row(i, false); got != v {
				t.Fatalf("row %d has %d bytes, want %d", i, len(got.(string)), len(v))
			}
		}
		c.reset()
	}
}

// values renders every row of every column of a block as the driver reads it.
func values(t *testing.T, b *block) []string {
	t.Helper()
	decoded := decode(t, b)
	out := make([]string, b.rows())
	for _, c := range decoded.Columns {
		for row := range out {
			v := reflect.ValueOf(c.Row(row, false))
			if v.Kind() == reflect.Pointer && !v.IsNil() {
				v = v.Elem()
			}
			out[row] += fmt.Sprintf("%s=%v\n", c.Name(), v)
		}
	}
	return out
}

func TestSlice_HoldsExactlyItsRows(t *testing.T) {
	tables := NewTables(&Buffers{})
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range 300 {
		r := sample(i)
		r.Envelope.Response.Payload.Body = bytes.Repeat([]byte{byte(i)}, rng.IntN(4000))
		r.Event.Call.ToolCalls = r.Event.Call.ToolCalls[:rng.IntN(3)]
		r.Event.Call.FinishReasons = []string{fmt.Sprint("reason ", i%270)}
		if i%10 == 3 {
			tables.AddReject(&batch.Reject{Position: r.Position, Reason: "r", Value: bytes.Repeat([]byte("x"), 9000), Headers: []batch.Header{{Key: "h", Value: []byte{1}}}}, r)
			continue
		}
		tables.AddEnvelope(r, 100)
	}
	for _, b := range tables.order {
		if b.rows() == 0 {
			continue
		}
		whole := values(t, b)
		n := b.rows()
		for _, cut := range [][]run{
			{{0, n}}, {{0, 1}}, {{n - 1, n}}, {{0, n / 2}}, {{n / 2, n}}, {{n / 3, n/3 + 2}},
			{{1, n}}, {{0, 2}, {3, n}}, {{0, 1}, {2, 3}, {n - 2, n}}, {{3, n / 2}, {n/2 + 1, n - 4}},
		} {
			part := b.slice(cut)
			if err := part.check(); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(pick(whole, cut), values(t, part)); diff != "" {
				t.Errorf("%s %v (-want +got):\n%s", b.name, cut, diff)
			}
			if part.rows() > 2 { // a part of a part
				again := []run{{0, 1}, {2, part.rows()}}
				if diff := cmp.Diff(pick(pick(whole, cut), again), values(t, part.slice(again))); diff != "" {
					t.Errorf("%s %v of %v (-want +got):\n%s", b.name, again, cut, diff)
				}
			}
		}
		omit := []int64{99, 100, 103, 150, 151, 199, 200}
		for _, r := range b.without(100, 199, omit) {
			for _, offset := range b.offsets.values[r.from:r.to] {
				if _, left := slices.BinarySearch(omit, offset); left || offset < 100 || offset > 199 {
					t.Errorf("%s: a row of offset %d is not left out", b.name, offset)
				}
			}
		}
		all, left := count(b.without(100, 199, nil)), count(b.without(100, 199, omit))
		for _, offset := range omit {
			if offset >= 100 && offset <= 199 {
				all -= count(b.without(offset, offset, nil))
			}
		}
		if all != left {
			t.Errorf("%s: %d rows are left, not %d", b.name, left, all)
		}
		from, to := b.within(100, 199)
		if from > 0 && b.offsets.values[from-1] >= 100 || b.offsets.values[from] < 100 || b.offsets.values[to-1] > 199 || to < b.rows() && b.offsets.values[to] <= 199 {
			t.Errorf("%s: rows %d to %d are not those of the offsets 100 to 199", b.name, from, to)
		}
	}
}
