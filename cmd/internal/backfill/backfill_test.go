package backfill

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/google/go-cmp/cmp"
	"github.com/klauspost/compress/zstd"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/cmd/internal/output"
	"github.com/modeltrail/modeltrail/ingest/redact"
	"github.com/modeltrail/modeltrail/processors"
	"github.com/modeltrail/modeltrail/processors/decode"
	"github.com/modeltrail/modeltrail/processors/price"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/pricing"
	"github.com/modeltrail/modeltrail/schemas/timeline"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

func write(t *testing.T, name string, content []byte) *os.File {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = file.Close() })
	return file
}

func gzipped(t *testing.T, content []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(content); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func zstded(t *testing.T, content []byte) []byte {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return w.EncodeAll(content, nil)
}

// broker is a topic with one partition.
type broker struct {
	t       *testing.T
	cluster *kfake.Cluster
}

func newBroker(t *testing.T) *broker {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicEnvelopes))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return &broker{t, cluster}
}

func (b *broker) client(opts ...kgo.Opt) *kgo.Client {
	b.t.Helper()
	client, err := kgo.NewClient(append(opts, kgo.SeedBrokers(b.cluster.ListenAddrs()...))...)
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(client.Close)
	return client
}

// records returns all records of the topic.
func (b *broker) records(n int) (out []*kgo.Record) {
	b.t.Helper()
	reader := b.client(kgo.ConsumeTopics(event.TopicEnvelopes), kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()))
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	for len(out) < n {
		fetches := reader.PollFetches(ctx)
		if ctx.Err() != nil {
			b.t.Fatalf("%d records, want %d", len(out), n)
		}
		out = append(out, fetches.Records()...)
	}
	return out
}

func loader(t *testing.T, client *kgo.Client, faults *[]Fault) *Loader {
	t.Helper()
	redactor, err := redact.New(redact.DefaultConfig())
	if err != nil {
		t.Fatal(err)
	}
	l, err := New(Settings{Client: client, Topic: event.TopicEnvelopes, Source: "old", Version: "test", Redactor: redactor, Complain: func(f Fault) {
		f.Text = bytes.Clone(f.Text)
		*faults = append(*faults, f)
	}})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func archive() []byte {
	var b strings.Builder
	for i := range 50 {
		fmt.Fprintf(&b, `{"call_id":"c-%d","started_at":"2026-01-02T03:04:%02dZ","model":"gpt-5.5","in_total":%d}`+"\n", i, i, i)
	}
	b.WriteString("\n{broken\n" + `{"started_at":"2026-01-01T00:00:00Z","model":"` + strings.Repeat("x", maxLine) + "\"}\n")
	b.WriteString(`{"call_id":"last","started_at":"2026-01-02T03:05:00Z","model":"gpt-5.5"}`)
	return []byte(b.String())
}

func TestEveryFormOfAnArchiveGivesItsLines_AndASecondLoadingTheSame(t *testing.T) {
	for name, content := range map[string][]byte{"plain": archive(), "gzip": gzipped(t, archive()), "zstd": zstded(t, archive())} {
		t.Run(name, func(t *testing.T) {
			b := newBroker(t)
			file := write(t, "calls", content)
			var faults []Fault
			for range 2 {
				faults = nil
				result, err := loader(t, b.client(Options()...), &faults).Load(t.Context(), file, FormatAuto)
				if err != nil || result.Records != 51 || result.Rejected != 2 {
					t.Fatalf("%+v, %v", result, err)
				}
			}
			if len(faults) != 2 || faults[0].Line != 52 || string(faults[0].Text) != "{broken" || faults[1].Line != 53 || len(faults[1].Text) > 2000 {
				t.Errorf("faults %v", faults)
			}
			records := b.records(102)
			for i, r := range records[:51] {
				if again := records[51+i]; !bytes.Equal(r.Value, again.Value) || !bytes.Equal(r.Key, again.Key) {
					t.Errorf("record %d differs in the second loading", i)
				}
				var env event.Envelope
				if err := wire.UnmarshalEnvelope(r.Value, &env); err != nil {
					t.Fatal(err)
				}
				want := uint64(i + 1) //nolint:gosec // small
				if i == 50 {
					want = 54
				}
				if env.Source.Sequence != want {
					t.Errorf("record %d has sequence %d, want %d", i, env.Source.Sequence, want)
				}
			}
		})
	}
}

func TestADryRunPublishesNothing_AndAStreamIsSpooled(t *testing.T) {
	file, err := Spool(bytes.NewReader(archive()))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	var faults []Fault
	result, err := loader(t, nil, &faults).Load(t.Context(), file, FormatJSONL)
	if err != nil || result.Records != 51 || len(faults) != 2 {
		t.Errorf("%+v, %v", result, err)
	}
	if _, err := loader(t, nil, &faults).Load(t.Context(), file, FormatParquet); err == nil {
		t.Error("lines were read as Parquet")
	}
}

func TestALoadEndsWithItsContext_AndWhenKafkaRefuses(t *testing.T) {
	b := newBroker(t)
	var faults []Fault
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := loader(t, b.client(Options()...), &faults).Load(ctx, write(t, "calls", archive()), FormatAuto); !errors.Is(err, context.Canceled) {
		t.Errorf("error is %v", err)
	}
	refusing := b.client(append(Options(), kgo.ProducerBatchMaxBytes(1<<10))...)
	large := `{"started_at":"2026-01-01T00:00:00Z","model":"m","response_body":"` + strings.Repeat("word ", 10_000) + `"}`
	if _, err := loader(t, refusing, &faults).Load(t.Context(), write(t, "calls", []byte(large)), FormatAuto); err == nil || !strings.Contains(err.Error(), "publish line 1") {
		t.Errorf("error is %v", err)
	}
}

const columns = `call_id, started_at, ended_at, duration_us, time_to_first_byte_us, time_to_first_token_us, gateway, route, method, host, path, http_status, stream, stream_outcome,
error_class, error_type, client_address, user_agent, request_id, trace_id, conversation_id, credential_fingerprint, credential_last4, credential_kind, end_user, provider, operation,
request_model, response_model, response_id, service_tier, finish_reasons, tools_offered, tool_names, usage_source, in_total, in_uncached, in_cache_read, out_total, out_text,
out_reasoning, cost_usd, request_bytes, response_bytes, attributes`

// TestWhatQueryWroteIsLoadedAsItWas takes calls out of a real ClickHouse, loads them into another database and compares.
func TestWhatQueryWroteIsLoadedAsItWas(t *testing.T) {
	e := enginetest.Start(t)
	cfg := clickhouse.DefaultConfig()
	cfg.Addr, cfg.Protocol = []string{e.HTTPAddr()}, clickhouse.ProtocolHTTP
	admin, _ := e.Users()
	cfg.User, cfg.Password = admin.Name, admin.Password
	conn, err := clickhouse.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	migrate(t, conn, "first")
	if err := conn.Exec(t.Context(), original); err != nil {
		t.Fatal(err)
	}
	for _, format := range []output.Format{output.FormatJSON, output.FormatParquet} {
		var archive bytes.Buffer
		rows, err := conn.Query(t.Context(), "SELECT * FROM first.v_calls ORDER BY call_id")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := output.Write(&archive, rows, output.Options{Format: format}); err != nil {
			t.Fatal(err)
		}
		_ = rows.Close()
		b := newBroker(t)
		var faults []Fault
		result, err := loader(t, b.client(Options()...), &faults).Load(t.Context(), write(t, "calls", archive.Bytes()), FormatAuto)
		if err != nil || result.Records != 40 || len(faults) > 0 {
			t.Fatalf("%s: %+v, %v, %v", format, result, err, faults)
		}
		database := "second_" + string(format)
		migrate(t, conn, database)
		store(t, conn, cfg, database, b.records(40))
		for _, order := range [][2]string{{"first", database}, {database, "first"}} {
			var differ []string
			query := fmt.Sprintf("SELECT toString(tuple(*)) AS row FROM (SELECT %s FROM %s.v_calls EXCEPT SELECT %s FROM %s.v_calls) LIMIT 2", columns, order[0], columns, order[1])
			var found []struct {
				Row string `ch:"row"`
			}
			if err := conn.Select(t.Context(), &found, query); err != nil {
				t.Fatal(err)
			}
			for _, f := range found {
				differ = append(differ, f.Row)
			}
			if diff := cmp.Diff([]string(nil), differ); diff != "" {
				t.Errorf("%s: calls of %s that are not in %s:\n%s", format, order[0], order[1], diff)
			}
		}
	}
}

func migrate(t *testing.T, conn driver.Conn, database string) {
	t.Helper()
	opt := ddl.DefaultOptions()
	opt.Database = database
	if _, err := ddl.Apply(t.Context(), conn, opt); err != nil {
		t.Fatal(err)
	}
}

// store passes records through the chain into a database.
func store(t *testing.T, conn driver.Conn, cfg clickhouse.Config, database string, records []*kgo.Record) {
	t.Helper()
	cfg.Database = database
	w, err := clickhouse.NewWriter(conn, cfg, clickhouse.Settings{Cluster: database, Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	chain := processors.Chain{decode.New(), price.New(&timeline.Timeline[*pricing.Table]{})}
	tables := clickhouse.NewTables(&clickhouse.Buffers{})
	for _, r := range records {
		rec := &batch.Record{Position: batch.Position{Topic: r.Topic, Offset: r.Offset}, IngestedAt: r.Timestamp, Envelope: &event.Envelope{}}
		if err := wire.UnmarshalEnvelope(r.Value, rec.Envelope); err != nil {
			t.Fatal(err)
		}
		if v := chain.Process(rec); v.Action != processors.ActionKeep {
			t.Fatalf("%+v", v)
		}
		tables.AddEnvelope(rec, len(r.Value))
	}
	if err := w.Write(t.Context(), tables, batch.Span{Topic: event.TopicEnvelopes, Last: int64(len(records) - 1)}); err != nil {
		t.Fatal(err)
	}
}

const original = `INSERT INTO first.calls (` + columns + `, cost_status, policy_decision, team_id, ingested_at)
SELECT concat('call-', toString(number)), now64(6) - number, now64(6) - number + toIntervalMicrosecond(1500123), 1500123, if(number % 2 = 0, 120001, NULL), if(number % 3 = 0, 300777, NULL),
'edge', 'llm', 'POST', 'api.openai.com', '/v1/chat/completions', if(number % 7 = 0, 429, 200), number % 2 = 0, ['complete', 'client_abort', 'upstream_abort'][1 + number % 3],
'', if(number % 7 = 0, 'rate_limit', ''), '10.0.0.1', 'sdk/1', concat('req-', toString(number)), lower(hex(MD5(toString(number)))), 'conv', 'mt1:00112233445566778899aabbccddeeff', 'abcd', 'bearer', 'user-1',
'openai', 'chat', 'gpt-5.5', 'gpt-5.5-2026', concat('resp_', toString(number)), 'default', ['stop'], ['search', 'fetch'], if(number % 4 = 0, ['search'], []),
if(number % 5 = 0, 'none', 'provider'), if(number % 5 = 0, NULL, 100 + number), if(number % 5 = 0, NULL, 60), if(number % 5 = 0, NULL, 40 + number), if(number % 5 = 0, NULL, 9), if(number % 5 = 0, NULL, 9), NULL,
if(number % 5 = 0, NULL, toDecimal64(0.000123456789, 12)), 900, 800, map('x-team', 'red'), 'priced', 'allow', 'red', now64(3) FROM numbers(40)`
