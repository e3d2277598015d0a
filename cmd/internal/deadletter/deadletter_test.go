package deadletter

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/cmd/internal/output"
	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

func book(t *testing.T) *Book {
	t.Helper()
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
	if _, err := ddl.Apply(t.Context(), conn, ddl.DefaultOptions()); err != nil {
		t.Fatal(err)
	}
	for _, statement := range []string{
		`INSERT INTO dead_letters (topic, partition, offset, ingested_at, stage, reason, detail, record_key, record_value, headers) SETTINGS async_insert = 0 VALUES
('modeltrail.envelopes', 0, 5, now64(3) - 3600, 'wire', 'not_protobuf', 'no protobuf', 'k', unhex('00ff7365637265742d70726f6d7074'), map('ce_id', 'x')),
('modeltrail.envelopes', 1, 9, now64(3) - 60, 'decode', 'no_source', 'no source', 'k', 'abc', map()),
('modeltrail.envelopes', 1, 11, now64(3) - 60, 'decode', 'no_source', 'no source', 'k', 'abcd', map()),
('modeltrail.findings', 0, 2, now64(3) - 60, 'wire', 'not_protobuf', '', '', 'x', map())`,
		// A finished replay resolved offset 11 and refused offset 9; an unfinished one changed nothing.
		`INSERT INTO replays (version, state, kind, topic, partition, first, last) SETTINGS async_insert = 0 VALUES (100, 'finished', 'dead_letters', 'modeltrail.envelopes', 1, 9, 11), (200, 'started', 'dead_letters', 'modeltrail.envelopes', 0, 5, 5)`,
		`INSERT INTO dead_letter_resolutions (topic, partition, offset, ingested_at, row_version, outcome, stage, reason, detail) SETTINGS async_insert = 0 VALUES
('modeltrail.envelopes', 1, 9, now64(3), 100, 'refused', 'chain', 'panic', 'a step panicked'), ('modeltrail.envelopes', 1, 11, now64(3), 100, 'resolved', '', '', ''),
('modeltrail.envelopes', 0, 5, now64(3), 200, 'resolved', '', '', '')`,
	} {
		if err := conn.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	return Open(conn, "modeltrail")
}

func shown(t *testing.T, rows driver.Rows, err error) string {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	var out bytes.Buffer
	if _, err := output.Write(&out, rows, output.Options{Format: output.FormatCSV}); err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestOpenLettersAreListedByWhatIsKnownLast(t *testing.T) {
	b := book(t)
	list := func(f Filter) string { rows, err := b.List(t.Context(), f); return shown(t, rows, err) }
	all := list(Filter{})
	if strings.Count(all, "\n") != 4 || strings.Contains(all, "/1/11") || !strings.Contains(all, "modeltrail.envelopes/1/9") || !strings.Contains(all, "chain,panic,2,3,a step panicked") {
		t.Errorf("all:\n%s", all)
	}
	if strings.Contains(all, "secret-prompt") {
		t.Error("the list shows original bytes")
	}
	for name, c := range map[string]struct {
		f    Filter
		want int
	}{
		"reason": {Filter{Reason: "not_protobuf"}, 2}, "stage": {Filter{Stage: "chain"}, 1}, "first stage": {Filter{Stage: "decode"}, 0}, "topic": {Filter{Topic: "modeltrail.findings"}, 1},
		"since": {Filter{Since: time.Now().Add(-10 * time.Minute)}, 2}, "until": {Filter{Until: time.Now().Add(-10 * time.Minute)}, 1}, "limit": {Filter{Limit: 2}, 2},
		"quotes": {Filter{Reason: "x' OR 1=1 --"}, 0},
	} {
		if got := strings.Count(list(c.f), "\n") - 1; got != c.want {
			t.Errorf("%s: %d letters, want %d", name, got, c.want)
		}
	}
	rows, err := b.Summary(t.Context(), Filter{})
	if got := shown(t, rows, err); strings.Count(got, "\n") != 4 || !strings.Contains(got, "modeltrail.envelopes,chain,panic,1,") {
		t.Errorf("summary:\n%s", got)
	}
	spans, err := b.Spans(t.Context(), Filter{}, "modeltrail.envelopes")
	if err != nil || len(spans) != 2 || spans[1].Offsets[0] != 9 || len(spans[1].Offsets) != 1 {
		t.Errorf("spans %+v, %v", spans, err)
	}
	checkShow(t, b)
}

func checkShow(t *testing.T, b *Book) {
	t.Helper()
	letter, err := b.Get(t.Context(), batch.Position{Topic: "modeltrail.envelopes", Partition: 0, Offset: 5})
	if err != nil {
		t.Fatal(err)
	}
	text := func(as Bytes) string {
		var out bytes.Buffer
		if err := letter.Print(&out, as); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if got := text(Bytes{}); strings.Contains(got, "secret") || !strings.Contains(got, "header     ce_id: x") || !strings.Contains(got, "value      15 bytes") || !strings.Contains(got, "open") {
		t.Errorf("shown:\n%s", got)
	}
	if got := text(Bytes{Raw: true}); got != "\x00\xffsecret-prompt" {
		t.Errorf("raw is %q", got)
	}
	if got := text(Bytes{Hex: true}); !strings.Contains(got, "00 ff 73 65 63 72 65 74") {
		t.Errorf("hex:\n%s", got)
	}
	letter.Detail = "a\x1b[2Jb"
	if got := text(Bytes{}); strings.Contains(got, "\x1b") {
		t.Error("an escape sequence reached the terminal")
	}
	if resolved, err := b.Get(t.Context(), batch.Position{Topic: "modeltrail.envelopes", Partition: 1, Offset: 11}); err != nil || resolved.Open {
		t.Errorf("resolved %+v, %v", resolved, err)
	}
	if _, err := b.Get(t.Context(), batch.Position{Topic: "modeltrail.envelopes", Partition: 7}); !errors.Is(err, ErrNone) {
		t.Errorf("error is %v", err)
	}
}
