package role_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// TestStoreTables_OnARealEngine starts one real ClickHouse for all tests below.
func TestStoreTables_OnARealEngine(t *testing.T) {
	e := enginetest.Start(t)
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol = []string{e.HTTPAddr()}, clickhouse.ProtocolHTTP
	admin, _ := e.Users()
	cfg.User, cfg.Password = admin.Name, admin.Password
	s := &suite{cfg: cfg, conn: open(t, cfg)}
	for name, test := range map[string]func(*testing.T, *suite){
		"columns are those of the schema":             testColumns,
		"tables without a window are refused":         testCheckTables,
		"rows arrive as they were appended":           testRows,
		"equal spans are stored once":                 testRepeatedSpan,
		"other spans with equal rows are stored":      testOtherSpan,
		"compressed inserts":                          testCompression,
		"a lost answer is repaired by a repeat":       testLostAnswer,
		"a missing table is a configuration error":    testMissingTable,
		"a large batch is one insert and one block":   testLargeBatch,
		"findings and dead letters":                   testFindings,
		"every offset becomes a row or a dead letter": testStoreRole,
		"refused rows stand alone as dead letters":    testRefused,
		"rows refused by two tables":                  testRefusedByTwo,
		"a crash inside a division changes nothing":   testRefusedCrash,
		"refused rows that are accepted later":        testRefusedThenAccepted,
		"stored rows that are refused later":          testStoredThenRefused,
		"what a source sends again is a repeat":       testRepeats,
		"a crash around repeats changes nothing":      testRepeatsCrash,
		"dead letters that are sent again are stored": testResent,
		"a dead letter topic that is down":            testLettersDown,
		"a server that hangs":                         testHangingServer,
		"start checks":                                testStartChecks,
		"a broken guarantee is noticed":               testFaults,
		"refused findings":                            testFindingsRefused,
		"letters of programs without ClickHouse":      testForeignLetters,
	} {
		t.Run(name, func(t *testing.T) { test(t, s) })
	}
}

type suite struct {
	cfg  clickhouse.Config
	conn driver.Conn
	n    atomic.Int32
}

func open(t *testing.T, cfg clickhouse.Config) driver.Conn {
	t.Helper()
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// fresh migrates a database of its own and returns its configuration.
func (s *suite) fresh(t *testing.T) clickhouse.Config {
	t.Helper()
	options := ddl.DefaultOptions()
	options.Database = fmt.Sprintf("test_%d", s.n.Add(1))
	if _, err := ddl.Apply(t.Context(), s.conn, options); err != nil {
		t.Fatal(err)
	}
	cfg := s.cfg
	cfg.Database = options.Database
	return cfg
}

func writer(t *testing.T, conn driver.Conn, cfg clickhouse.Config) *clickhouse.Writer {
	t.Helper()
	w, err := clickhouse.NewWriter(conn, cfg, clickhouse.Settings{Cluster: "main", Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func tableRows(t *testing.T, s *suite, cfg clickhouse.Config, table string) (n uint64) {
	t.Helper()
	if err := s.conn.QueryRow(t.Context(), "SELECT count() FROM "+cfg.Database+"."+table).Scan(&n); err != nil {
		t.Fatal(err)
	}
	return n
}

var span = batch.Span{Topic: "modeltrail.envelopes", Partition: 3, First: 0, Last: 499}

func filled(n int) *clickhouse.Tables {
	tables := clickhouse.NewTables(&clickhouse.Buffers{})
	for i := range n {
		tables.AddEnvelope(sample(i), 1500)
	}
	return tables
}

func testColumns(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	for table, want := range clickhouse.Schema() {
		rows, err := s.conn.Query(t.Context(), "SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position", cfg.Database, table)
		if err != nil {
			t.Fatal(err)
		}
		var got []clickhouse.Column
		for rows.Next() {
			var column clickhouse.Column
			if err := rows.Scan(&column.Name, &column.Type); err != nil {
				t.Fatal(err)
			}
			got = append(got, column)
		}
		if diff := cmp.Diff(got, want); diff != "" {
			t.Errorf("%s (-schema +sink):\n%s", table, diff)
		}
	}
}

func testCheckTables(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	if err := clickhouse.CheckTables(t.Context(), s.conn, cfg.Database, "envelopes", "calls", "payloads", "tool_calls", "findings", "dead_letters"); err != nil {
		t.Error(err)
	}
	if err := s.conn.Exec(t.Context(), "CREATE TABLE "+cfg.Database+".bare (x Int8) ENGINE = MergeTree ORDER BY x"); err != nil {
		t.Fatal(err)
	}
	err := clickhouse.CheckTables(t.Context(), s.conn, cfg.Database, "bare", "absent")
	if !errors.Is(err, clickhouse.ErrNoDeduplication) || !errors.Is(err, clickhouse.ErrNoTable) {
		t.Errorf("got %v", err)
	}
}

func testRows(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	if err := writer(t, s.conn, cfg).Write(t.Context(), filled(500), span); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]uint64{"envelopes": 500, "calls": 500, "payloads": 500, "tool_calls": 1000, "dead_letters": 0} {
		if got := tableRows(t, s, cfg, table); got != want {
			t.Errorf("%s has %d rows, want %d", table, got, want)
		}
	}
	var got string
	query := `SELECT concat(call_id, ' ', toString(duration_us), ' ', toString(cost_usd), ' ', toString(in_total), ' ', toString(in_audio IS NULL), ' ',
		trace_id, ' ', policy_decision, ' ', arrayStringConcat(tools_offered, '+'), ' ', attributes['x-run'], ' ', toString(started_at), ' ', toString(ingested_at), ' ',
		credential_fingerprint, ' ', toString(stream), ' ', usage_source, ' ', hex(request_digest)) FROM ` + cfg.Database + `.calls WHERE offset = 77`
	if err := s.conn.QueryRow(t.Context(), query).Scan(&got); err != nil {
		t.Fatal(err)
	}
	started, ingested := base.Add(77*time.Millisecond), base.Add(1077*time.Millisecond)
	want := "call-77 1500000 0.00125 177 1 0af7651916cd43dd8448eb211c80319c deny search+fetch 77 " +
		started.Format("2006-01-02 15:04:05.000000") + " " + ingested.Format("2006-01-02 15:04:05.000") + " " +
		fmt.Sprintf("mt1:%032d", 0) + " false provider " + strings.Repeat("4D", 32)
	if got != want {
		t.Errorf("\ngot  %s\nwant %s", got, want)
	}
	var oracle bool
	query = "SELECT count() = uniqExact(offset) AND count() = max(offset) - min(offset) + 1 FROM " + cfg.Database + ".envelopes"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&oracle); err != nil || !oracle {
		t.Errorf("the completeness oracle says %v, %v", oracle, err)
	}
}

func testRepeatedSpan(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	for range 3 { // new tables each time: as after a crash
		if err := writer(t, s.conn, cfg).Write(t.Context(), filled(500), span); err != nil {
			t.Fatal(err)
		}
	}
	for table, want := range map[string]uint64{"envelopes": 500, "calls": 500, "payloads": 500, "tool_calls": 1000} {
		if got := tableRows(t, s, cfg, table); got != want {
			t.Errorf("%s has %d rows after three equal deliveries, want %d", table, got, want)
		}
	}
}

func testOtherSpan(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	other := span
	other.Last++ // the negative control: another token for the same rows must double them
	for _, sp := range []batch.Span{span, other} {
		if err := writer(t, s.conn, cfg).Write(t.Context(), filled(10), sp); err != nil {
			t.Fatal(err)
		}
	}
	if got := tableRows(t, s, cfg, "calls"); got != 20 {
		t.Errorf("%d rows, want 20: the server deduplicates by content, not by token", got)
	}
}

func testCompression(t *testing.T, s *suite) {
	for _, method := range []string{clickhouse.CompressionLZ4, clickhouse.CompressionZSTD} {
		cfg := s.fresh(t)
		cfg.Compression = method
		if err := writer(t, open(t, cfg), cfg).Write(t.Context(), filled(3000), span); err != nil {
			t.Errorf("%s: %v", method, err)
			continue
		}
		if got := tableRows(t, s, cfg, "calls"); got != 3000 {
			t.Errorf("%s: %d rows", method, got)
		}
	}
}

// testLostAnswer puts a proxy before the engine that swallows the first answer to an INSERT.
func testLostAnswer(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	proxied := cfg
	var swallow atomic.Bool
	swallow.Store(true)
	proxied.Addr = []string{losesAnswers(t, cfg.Addr[0], &swallow)}
	proxied.InsertTimeout = 3 * time.Second
	w, tables := writer(t, open(t, proxied), proxied), filled(500)
	if err := w.Write(t.Context(), tables, span); err == nil {
		t.Fatal("an insert without an answer is taken for done")
	} else if class := clickhouse.Classify(err); class != clickhouse.ClassTransient {
		t.Errorf("class %s of %v", class, err)
	}
	swallow.Store(false)
	if err := w.Write(t.Context(), tables, span); err != nil {
		t.Fatal(err)
	}
	for table, want := range map[string]uint64{"envelopes": 500, "calls": 500, "payloads": 500, "tool_calls": 1000} {
		if got := tableRows(t, s, cfg, table); got != want {
			t.Errorf("%s has %d rows, want %d", table, got, want)
		}
	}
}

func losesAnswers(t *testing.T, target string, swallow *atomic.Bool) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	go func() {
		for {
			down, err := listener.Accept()
			if err != nil {
				return
			}
			up, err := net.Dial("tcp", target)
			if err != nil {
				_ = down.Close()
				continue
			}
			go func() { pipe(up, down, nil) }()
			go func() { pipe(down, up, swallow) }()
		}
	}()
	return listener.Addr().String()
}

func pipe(to, from net.Conn, swallow *atomic.Bool) {
	defer func() { _, _ = to.Close(), from.Close() }()
	buffer := make([]byte, 64<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		if swallow != nil && swallow.Load() {
			return
		}
		if _, err := to.Write(buffer[:n]); err != nil {
			return
		}
	}
}

func testMissingTable(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	if err := s.conn.Exec(t.Context(), "DROP TABLE "+cfg.Database+".payloads"); err != nil {
		t.Fatal(err)
	}
	err := writer(t, s.conn, cfg).Write(t.Context(), filled(1), span)
	if class := clickhouse.Classify(err); class != clickhouse.ClassConfig {
		t.Errorf("class %s of %v", class, err)
	}
}

func testLargeBatch(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	if err := writer(t, s.conn, cfg).Write(t.Context(), filled(30_000), span); err != nil {
		t.Fatal(err)
	}
	var parts uint64
	query := "SELECT count() FROM system.parts WHERE database = ? AND table = 'envelopes' AND level = 0"
	if err := s.conn.QueryRow(t.Context(), query, cfg.Database).Scan(&parts); err != nil {
		t.Fatal(err)
	}
	if got := tableRows(t, s, cfg, "envelopes"); got != 30_000 || parts != 1 {
		t.Errorf("%d rows in %d parts, want 30000 in one", got, parts)
	}
}

func testFindings(t *testing.T, s *suite) {
	cfg := s.fresh(t)
	tables := clickhouse.NewTables(&clickhouse.Buffers{})
	impact := int64(5_000_000_000_000)
	tables.AddFinding(&event.Finding{
		SchemaVersion: 1, Key: "k", Detector: "cost_spike", Severity: event.Severity_SEVERITY_HIGH, ImpactPicoUsd: &impact,
		Evidence: []*event.Attribute{{Key: "factor", Value: "7"}},
	}, batch.Position{Topic: "modeltrail.findings"}, time.Now().UnixMilli(), 100)
	tables.AddFindingReject(&batch.Reject{Position: batch.Position{Topic: "modeltrail.findings", Offset: 1}, Reason: "not_protobuf",
		Value: []byte{0, 0xff}, Headers: []batch.Header{{Key: "h", Value: []byte{1}}}})
	if err := writer(t, s.conn, cfg).Write(context.Background(), tables, span); err != nil {
		t.Fatal(err)
	}
	var got string
	query := "SELECT concat(severity, ' ', toString(impact_usd), ' ', evidence['factor']) FROM " + cfg.Database + ".findings"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&got); err != nil || got != "high 5 7" {
		t.Errorf("finding %q, %v", got, err)
	}
	query = "SELECT concat(reason, ' ', hex(record_value), ' ', hex(headers['h'])) FROM " + cfg.Database + ".dead_letters"
	if err := s.conn.QueryRow(t.Context(), query).Scan(&got); err != nil || got != "not_protobuf 00FF 01" {
		t.Errorf("dead letter %q, %v", got, err)
	}
}

// base is recent: rows older than their table's retention vanish as they arrive.
var base = time.Now().UTC().Truncate(time.Hour).Add(-time.Hour)

// sample is a finished call with every kind of column filled; i varies what should vary.
func sample(i int) *batch.Record {
	start := uint64(base.UnixNano()) + uint64(i)*1_000_000
	body := func(text string) *event.Payload {
		return &event.Payload{
			State: event.PayloadState_PAYLOAD_STATE_FULL, Body: []byte(text), ContentType: "application/json", WireBytes: 900,
			CapturedBytes: 800, Digest: bytes.Repeat([]byte{byte(i)}, 32), Redactions: []*event.Redaction{{Rule: "email", Count: 2}},
		}
	}
	argumentBytes, in, cost := int64(12), int64(100+i), int64(1_250_000_000)
	return &batch.Record{
		Position:   batch.Position{Topic: "modeltrail.envelopes", Partition: 3, Offset: int64(i)},
		IngestedAt: base.Add(time.Second + time.Duration(i)*time.Millisecond),
		Envelope: &event.Envelope{
			SchemaVersion: 1, CallId: fmt.Sprintf("call-%d", i), Phase: event.Phase_PHASE_RESPONSE,
			Source:          &event.Source{Kind: "tap", Instance: "gw-1", BootEpoch: 7, Sequence: uint64(i) + 1},
			StartedUnixNano: start, ObservedUnixNano: start + 2_000_000_000, Gateway: "kong", Provider: "openai",
			CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
			Credential:  &event.Credential{Fingerprint: fmt.Sprintf("mt1:%032d", i%7), Last4: "abcd", Kind: "bearer"},
			Request: &event.Request{
				Method: "POST", Host: "api.openai.com", Path: "/v1/chat/completions", Payload: body("request"),
				Headers:     []*event.Attribute{{Key: "x-run", Value: fmt.Sprint(i)}},
				Traceparent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			},
			Response: &event.Response{StatusCode: 200, Payload: body("response"), EndedUnixNano: start + 1_500_000_000},
		},
		Event: &event.Event{
			Call: &event.Call{
				Operation: "chat", Stream: i%2 == 0, FinishReasons: []string{"stop"}, ToolsOffered: []string{"search", "fetch"},
				ToolCalls: []*event.ToolCall{{Id: "t1", Name: "search", ArgumentsBytes: &argumentBytes}, {Name: "fetch"}},
			},
			Usage:    &event.Usage{Source: event.UsageSource_USAGE_SOURCE_PROVIDER, InTotal: &in},
			Identity: &event.Identity{TeamId: "red", AppId: "bot"},
			Policy:   &event.Policy{Decision: event.PolicyDecision_POLICY_DECISION_DENY},
			Cost:     &event.Cost{Status: event.CostStatus_COST_STATUS_PRICED, TotalPicoUsd: &cost},
		},
	}
}
