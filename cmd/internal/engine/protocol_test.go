package engine_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	chproto "github.com/ClickHouse/ch-go/proto"
	"github.com/ClickHouse/clickhouse-go/v2"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
)

// answer is an HTTP response read to its end.
type answer struct {
	status int
	header http.Header
	body   string
}

// call speaks to the HTTP interface as curl does.
func call(t testing.TB, e *engine.Engine, u engine.User, method, query string, body io.Reader, headers ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, "http://"+e.HTTPAddr()+"/"+query, body)
	if err != nil {
		t.Fatal(err)
	}
	if u.Name != "" {
		req.Header.Set("X-ClickHouse-User", u.Name)
		req.Header.Set("X-ClickHouse-Key", u.Password.Value())
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	res, err := (&http.Transport{DisableCompression: true}).RoundTrip(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	out, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{res.StatusCode, res.Header, string(out)}
}

func q(sql string, more ...string) string {
	v := url.Values{"query": {sql}}
	for i := 0; i+1 < len(more); i += 2 {
		v.Set(more[i], more[i+1])
	}
	return "?" + v.Encode()
}

func TestHTTP_Curl_ReadsAndWritesAsWithAServer(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	post := func(query, body string, headers ...string) answer {
		return call(t, e, u, http.MethodPost, query, strings.NewReader(body), headers...)
	}
	if a := post("", "CREATE TABLE c (a Int64, s String) ENGINE = MergeTree ORDER BY a"); a.status != 200 || a.body != "" {
		t.Fatalf("create: %+v", a)
	}
	for _, insert := range [][2]string{
		{"", "INSERT INTO c VALUES (1, 'one'), (2, 'two')"},
		{"", "INSERT INTO c (s, a) FORMAT CSV\nthree,3\n"},
		{q("INSERT INTO c FORMAT TSV"), "4\tfour\n"},
		{q("INSERT INTO c VALUES"), "(5, 'five')"},
		{q("INSERT INTO c (a, s) FORMAT JSONEachRow SETTINGS input_format_skip_unknown_fields = 1"), `{"a":6,"s":"six","x":1}`},
		{q("INSERT INTO c SELECT number, toString(number) FROM numbers(7, 1)"), ""},
		{q("INSERT INTO c", "default_format", "CSV"), "8,eight\n"},
	} {
		if a := post(insert[0], insert[1]); a.status != 200 || a.body != "" {
			t.Errorf("%v: %d %s", insert, a.status, a.body)
		} else if !strings.Contains(a.header.Get("X-ClickHouse-Summary"), `"written_rows":"`) {
			t.Errorf("%v: summary %q", insert, a.header.Get("X-ClickHouse-Summary"))
		}
	}
	for _, tc := range []struct{ query, body, want, format string }{
		{q("SELECT count() FROM c"), "", "8\n", "TabSeparated"},
		{"", "SELECT sum(a) FROM c FORMAT JSONCompactEachRow", "[36]\n", "JSONCompactEachRow"},
		{q("SELECT a FROM c WHERE s = {s:String}", "param_s", "six"), "", "6\n", "TabSeparated"},
		{q("SELECT a FROM c ORDER BY a LIMIT 1;"), "", "1\n", "TabSeparated"},
		{q("SELECT getSetting('max_threads')", "max_threads", "1"), "", "1\n", "TabSeparated"},
		{q("SELECT a"), " FROM c WHERE a = 2", "2\n", "TabSeparated"},
		{q("SELECT a FROM c ORDER BY a LIMIT 2", "default_format", "CSVWithNames"), "", "\"a\"\n1\n2\n", "CSVWithNames"},
		{q("DESCRIBE TABLE c FORMAT TSV"), "", "a\tInt64\t\t\t\t\t\ns\tString\t\t\t\t\t\n", "TSV"},
		{q("EXISTS TABLE c"), "", "1\n", "TabSeparated"},
		{q("SELECT currentDatabase()"), "", "modeltrail\n", "TabSeparated"},
		{q("SELECT currentDatabase()", "database", "system"), "", "system\n", "TabSeparated"},
		{q("SELECT 1 WHERE 0"), "", "", "TabSeparated"},
	} {
		a := post(tc.query, tc.body)
		if a.status != 200 || a.body != tc.want || a.header.Get("X-ClickHouse-Format") != tc.format {
			t.Errorf("%s %s: got %d %q in %s, want %q in %s", tc.query, tc.body, a.status, a.body, a.header.Get("X-ClickHouse-Format"), tc.want, tc.format)
		}
	}
	if a := call(t, e, u, http.MethodGet, q("SELECT 1", "query_id", "abc"), nil); a.header.Get("X-ClickHouse-Query-Id") != "abc" || a.header.Get("X-ClickHouse-Timezone") == "" {
		t.Errorf("headers %v", a.header)
	}
	if a := call(t, e, engine.User{}, http.MethodGet, "ping", nil); a.status != 200 || a.body != "Ok.\n" {
		t.Errorf("ping: %+v", a)
	}
}

func TestHTTP_JSON_IsOneDocumentOverManyBlocks(t *testing.T) {
	e := enginetest.Start(t)
	_, u := e.Users()
	a := call(t, e, u, http.MethodPost, "", strings.NewReader("SELECT number FROM numbers(200000) FORMAT JSONCompact"))
	if a.status != 200 || strings.Count(a.body, `"meta"`) != 1 || !strings.Contains(a.body, `"rows": 200000`) {
		t.Errorf("status %d, %d heads, %d bytes", a.status, strings.Count(a.body, `"meta"`), len(a.body))
	}
}

func TestHTTP_Settings_DoNotOutliveTheirRequest(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	call(t, e, u, http.MethodPost, "", strings.NewReader("SET max_threads = 7"))
	call(t, e, u, http.MethodPost, "", strings.NewReader("USE system"))
	a := call(t, e, u, http.MethodPost, "", strings.NewReader("SELECT getSetting('max_threads') = 7, currentDatabase()"))
	if a.body != "false\tmodeltrail\n" && a.body != "0\tmodeltrail\n" {
		t.Errorf("got %q", a.body)
	}
}

func TestHTTP_Errors_HaveCodeTextAndStatus(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	for _, tc := range []struct {
		query        string
		code, status int
	}{
		{q("SELEC 1"), 62, 400},
		{q("SELECT * FROM nosuch"), 60, 404},
		{q("SELECT nosuch"), 47, 404},
		{q("SELECT 1", "nosuch_setting", "1"), 115, 404},
		{q("SELECT 1", "database", "nosuch"), 81, 404},
		{q("SELECT 1 FORMAT Nosuch"), 73, 404},
		{q("SELECT {a:UInt8}"), 456, 500},
		{q("SELECT toUInt8({a:UInt8})", "param_a", "x"), 457, 500},
		{q("SELECT throwIf(1)"), 395, 500},
		{q("SELECT 1; SELECT 2"), 62, 400},
		{q(""), 62, 400},
		{q("-- nothing"), 62, 400},
		{q("SELECT 1", "session_id", "s"), 48, 501},
		{q("SELECT 1", "client_protocol_version", "x"), 36, 500},
		{q("SELECT 1", "a b", "1"), 115, 404},
		{q("SELECT 1", "max_threads", "many"), 0, 0},
		{q("INSERT INTO nosuch FORMAT CSV"), 60, 404},
		{q("SELECT sleepEachRow(1) FROM numbers(3)", "max_execution_time", "1", "max_block_size", "1"), 159, 500},
	} {
		a := call(t, e, u, http.MethodPost, tc.query, nil)
		code := a.header.Get("X-ClickHouse-Exception-Code")
		if tc.code == 0 {
			if a.status == 200 || code == "" {
				t.Errorf("%s: got %d %s", tc.query, a.status, a.body)
			}
			continue
		}
		if a.status != tc.status || code != fmt.Sprint(tc.code) || !strings.HasPrefix(a.body, fmt.Sprintf("Code: %d. DB::Exception: ", tc.code)) {
			t.Errorf("%s: got status %d, code %s, %s", tc.query, a.status, code, a.body)
		}
		if strings.Count(a.body, "DB::Exception") != 1 || !strings.Contains(a.body, "(version 26.") {
			t.Errorf("%s: text is not one exception with a version: %s", tc.query, a.body)
		}
	}
	var exception *clickhouse.Exception
	err := admin(t, e).Exec(t.Context(), "SELECT * FROM nosuch")
	if !errors.As(err, &exception) || exception.Code != 60 {
		t.Errorf("clickhouse-go got %v", err)
	}
}

func TestHTTP_Authentication_RefusesEverybodyElse(t *testing.T) {
	e := enginetest.Start(t)
	a, r := e.Users()
	for _, u := range []engine.User{{}, {Name: "default"}, {Name: a.Name}, {Name: a.Name, Password: r.Password}, {Name: "nobody", Password: a.Password}} {
		if got := call(t, e, u, http.MethodGet, q("SELECT 1"), nil); got.status != 403 || got.header.Get("X-ClickHouse-Exception-Code") != "516" {
			t.Errorf("%s: got %d %s", u.Name, got.status, got.body)
		}
	}
	query := q("SELECT 1", "user", a.Name, "password", a.Password.Value())
	if got := call(t, e, engine.User{}, http.MethodGet, query, nil); got.status != 200 {
		t.Errorf("user parameter: %d %s", got.status, got.body)
	}
}

func TestHTTP_MidStreamError_ReachesClickHouseGo(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	for _, method := range []clickhouse.CompressionMethod{clickhouse.CompressionNone, clickhouse.CompressionLZ4, clickhouse.CompressionGZIP} {
		c := open(t, e, u, func(o *clickhouse.Options) {
			o.Compression = &clickhouse.Compression{Method: method}
			o.Settings = clickhouse.Settings{"max_block_size": 1000, "max_threads": 1, "enable_http_compression": 1}
		})
		rows, err := c.Query(t.Context(), "SELECT throwIf(number = 900000, 'late') FROM numbers(1000000)")
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		n := 0
		for rows.Next() {
			n++
		}
		var exception *clickhouse.Exception
		if !errors.As(rows.Err(), &exception) || exception.Code != 395 || n == 0 {
			t.Errorf("%s: %d rows, then %v", method, n, rows.Err())
		}
	}
}

func TestHTTP_HugeResult_StreamsInBoundedMemory(t *testing.T) {
	e := enginetest.Start(t)
	c := reader(t, e)
	before := rss(t, e)
	rows, err := c.Query(t.Context(), "SELECT number, repeat('x', 100) FROM numbers(4000000)")
	if err != nil {
		t.Fatal(err)
	}
	n, peak := 0, before
	for rows.Next() {
		if n++; n%500000 == 0 {
			peak = max(peak, rss(t, e))
		}
	}
	if rows.Err() != nil || n != 4000000 {
		t.Fatalf("%d rows, %v", n, rows.Err())
	}
	t.Logf("engine held %d MiB before and %d MiB during a result of 430 MB", before>>20, peak>>20)
	if peak-before > 400<<20 {
		t.Errorf("engine grew by %d MiB", (peak-before)>>20)
	}
}

func TestHTTP_ClientGone_StatementIsKilled(t *testing.T) {
	e := enginetest.Start(t)
	c := admin(t, e)
	ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
	defer cancel()
	err := c.Exec(ctx, "SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number))")
	if err == nil {
		t.Fatal("no error")
	}
	deadline := time.Now().Add(5 * time.Second)
	for number(t, c, "SELECT count() FROM system.processes WHERE query LIKE '%100000000000%' AND query NOT LIKE '%processes%'") > 0 {
		if time.Now().After(deadline) {
			t.Fatal("statement still runs 5 s after its client left")
		}
		time.Sleep(50 * time.Millisecond)
	}
}

func TestHTTP_SlowSelect_DoesNotHoldInsertsUp(t *testing.T) {
	e := enginetest.Start(t)
	c := admin(t, e)
	exec(t, c, "CREATE TABLE w (a UInt64) ENGINE = MergeTree ORDER BY a")
	slow := make(chan error, 3)
	for range 3 {
		go func() {
			slow <- reader(t, e).Exec(t.Context(), "SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_block_size = 1")
		}()
	}
	time.Sleep(200 * time.Millisecond)
	var longest time.Duration
	for i := range 20 {
		start := time.Now()
		exec(t, c, fmt.Sprintf("INSERT INTO w SELECT number + %d FROM numbers(1000)", i))
		longest = max(longest, time.Since(start))
	}
	t.Logf("slowest insert beside three sleeping SELECTs: %s", longest)
	if longest > 2*time.Second {
		t.Errorf("an insert took %s", longest)
	}
	for range 3 {
		if err := <-slow; err != nil {
			t.Error(err)
		}
	}
}

// nativeBlock is one block of rows (a UInt64, s String) at revision 0.
func nativeBlock(first, rows int) []byte {
	a, s := make(chproto.ColUInt64, rows), chproto.ColStr{}
	for i := range rows {
		a[i] = uint64(first + i)
		s.Append(fmt.Sprint("row ", first+i))
	}
	var out chproto.Buffer
	block := chproto.Block{Columns: 2, Rows: rows}
	if err := block.EncodeRawBlock(&out, 0, []chproto.InputColumn{{Name: "a", Data: a}, {Name: "s", Data: s}}); err != nil {
		panic(err)
	}
	return out.Buf
}

func TestHTTP_MalformedNative_IsAnErrorAndStoresNothing(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	c, pid := admin(t, e), e.PID()
	exec(t, c, "CREATE TABLE m (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	good := nativeBlock(0, 1000)
	insert := q("INSERT INTO m (a, s) FORMAT Native")
	bodies := map[string][]byte{
		"half":    good[:len(good)/2],
		"short":   good[:len(good)-1],
		"garbage": bytes.Repeat([]byte{0xff, 0x13, 0x37}, 1000),
		"tail":    append(append([]byte{}, good...), "tail"...),
		"html":    []byte("<html><body>502 Bad Gateway</body></html>"),
	}
	for i := 0; i < len(good); i += len(good) / 40 {
		broken := append([]byte{}, good...)
		broken[i] ^= 0x5a
		bodies[fmt.Sprint("byte ", i)] = broken[:len(broken)-3]
	}
	for name, body := range bodies {
		a := call(t, e, u, http.MethodPost, insert, bytes.NewReader(body))
		if a.status == 200 || a.header.Get("X-ClickHouse-Exception-Code") == "" {
			t.Errorf("%s: got %d", name, a.status)
		}
	}
	a := call(t, e, u, http.MethodPost, q("INSERT INTO m (a, s) FORMAT Native", "decompress", "1"), bytes.NewReader(good))
	if a.status == 200 {
		t.Error("uncompressed data was taken for compressed data")
	}
	a = call(t, e, u, http.MethodPost, insert, bytes.NewReader(good), "Content-Encoding", "gzip")
	if a.status == 200 {
		t.Error("plain data was taken for gzip")
	}
	if got := number(t, c, "SELECT count() FROM m"); got != 0 || e.PID() != pid {
		t.Errorf("%d rows stored, process %d -> %d", got, pid, e.PID())
	}
}

func TestHTTP_RefusedLargeBody_StillGetsItsAnswer(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	body := bytes.Repeat([]byte("x"), 40<<20)
	for range 5 {
		if a := call(t, e, u, http.MethodPost, q("INSERT INTO nosuch FORMAT Native"), bytes.NewReader(body)); a.status != 404 {
			t.Errorf("got %d %s", a.status, a.body)
		}
	}
}

func TestHTTP_StatementTimeout_EndsReadersAndSparesWriters(t *testing.T) {
	e := enginetest.Start(t, func(c *engine.Config) { c.StatementTimeout = time.Second })
	u, _ := e.Users()
	exec(t, admin(t, e), "CREATE TABLE s (a UInt8) ENGINE = MergeTree ORDER BY a")
	a := call(t, e, u, http.MethodPost, q("SELECT count() FROM numbers(100000000000) WHERE NOT ignore(sipHash64(number)) FORMAT JSON"), nil)
	if a.header.Get("X-ClickHouse-Exception-Code") != "159" {
		t.Errorf("reading statement: %d %s", a.status, a.body)
	}
	a = call(t, e, u, http.MethodPost, q("INSERT INTO s SELECT sleepEachRow(1) FROM numbers(2) SETTINGS max_block_size = 1"), nil)
	if a.status != 200 {
		t.Errorf("writing statement: %d %s", a.status, a.body)
	}
}

func TestHTTP_BrokenOffBody_StoresNothing(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	c := admin(t, e)
	exec(t, c, "CREATE TABLE m (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	whole := nativeBlock(0, 5000)
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, _ = z.Write(whole)
	_ = z.Close()
	for name, head := range map[string]string{
		"length":  fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 2*len(whole), whole),
		"chunked": fmt.Sprintf("Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n", len(whole), whole),
		"gzip":    fmt.Sprintf("Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n%s", zipped.Len()-4, zipped.Bytes()[:zipped.Len()-4]),
	} {
		conn, err := net.Dial("tcp", e.HTTPAddr())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nX-ClickHouse-User: %s\r\nX-ClickHouse-Key: %s\r\n%s",
			q("INSERT INTO m (a, s) FORMAT Native"), u.Name, u.Password.Value(), head)
		_ = conn.(*net.TCPConn).CloseWrite()
		out, _ := io.ReadAll(conn)
		_ = conn.Close()
		if bytes.Contains(out, []byte(" 200 OK")) {
			t.Errorf("%s: got %s", name, out)
		}
	}
	if got := number(t, c, "SELECT count() FROM m"); got != 0 {
		t.Errorf("%d rows of broken bodies were stored", got)
	}
}
