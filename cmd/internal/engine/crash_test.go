package engine_test

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net/http"
	"os"
	osexec "os/exec"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
)

// postNative inserts one Native block under a token and returns the HTTP status, 0 when there was none.
func postNative(e *engine.Engine, u engine.User, table, token string, block []byte) int {
	query := q("INSERT INTO "+table+" (a, s) FORMAT Native", "insert_deduplication_token", token)
	req, err := http.NewRequest(http.MethodPost, "http://"+e.HTTPAddr()+"/"+query, bytes.NewReader(block))
	if err != nil {
		return 0
	}
	req.SetBasicAuth(u.Name, u.Password.Value())
	client := http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(req)
	if err != nil {
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	return res.StatusCode
}

// TestInsert_KilledEngine_SameTokenAgain_RowsAreExact kills the engine at a moving point of an insert and sends the
// same block under the same token until it is acknowledged. Blocks span three partitions.
func TestInsert_KilledEngine_SameTokenAgain_RowsAreExact(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	c := admin(t, e)
	exec(t, c, `CREATE TABLE k (a UInt64, s String) ENGINE = MergeTree PARTITION BY a % 3 ORDER BY a
		SETTINGS non_replicated_deduplication_window = 1000`)
	const trials, rows = 24, 20000
	interrupted := 0
	for trial := range trials {
		block := nativeBlock(trial*rows, rows)
		token := fmt.Sprint("token-", trial)
		done := make(chan int, 1)
		go func() { done <- postNative(e, u, "k", token, block) }()
		time.Sleep(time.Duration(trial) * 1500 * time.Microsecond)
		kill9(t, e.PID())
		status := <-done
		if status != http.StatusOK {
			interrupted++
		}
		for attempt := 0; status != http.StatusOK || attempt == 0; attempt++ {
			if status = postNative(e, u, "k", token, block); attempt > 50 {
				t.Fatalf("trial %d: still status %d", trial, status)
			}
		}
	}
	answering(t, c)
	const want = trials * rows
	if count, exact := number(t, c, "SELECT count() FROM k"), number(t, c, "SELECT uniqExact(a) FROM k"); count != want || exact != want {
		t.Errorf("%d rows, %d different, want %d", count, exact, want)
	}
	t.Logf("%d of %d inserts were cut by the kill, the others were acknowledged before", interrupted, trials)
}

func TestInsert_Acknowledged_SurvivesTheKill(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	c := admin(t, e)
	exec(t, c, "CREATE TABLE k (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	acknowledged := 0
	for round := range 5 {
		for i := range 4 {
			if status := postNative(e, u, "k", "", nativeBlock((round*4+i)*1000, 1000)); status != http.StatusOK {
				t.Fatalf("status %d", status)
			}
			acknowledged += 1000
		}
		kill9(t, e.PID())
		answering(t, c)
		if got := number(t, c, "SELECT uniqExact(a) FROM k"); got != uint64(acknowledged) {
			t.Fatalf("round %d: %d rows, %d were acknowledged", round, got, acknowledged)
		}
	}
}

func TestInsert_OneBlock_BecomesOnePartPerPartition(t *testing.T) {
	e := enginetest.Start(t)
	u, _ := e.Users()
	c := admin(t, e)
	exec(t, c, "CREATE TABLE p (a UInt64, s String) ENGINE = MergeTree PARTITION BY a % 2 ORDER BY a SETTINGS non_replicated_deduplication_window = 100")
	block := nativeBlock(0, 1500000)
	for range 2 {
		if status := postNative(e, u, "p", "one", block); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	parts := number(t, c, "SELECT count() FROM system.parts WHERE table = 'p' AND active AND level = 0")
	if rows := number(t, c, "SELECT count() FROM p"); parts != 2 || rows != 1500000 {
		t.Errorf("%d parts, %d rows, want 2 and 1500000", parts, rows)
	}
}

func TestEngine_ConcurrentInsertsAndSelects_AgreeInTheEnd(t *testing.T) {
	e := enginetest.Start(t)
	u, r := e.Users()
	c := admin(t, e)
	exec(t, c, "CREATE TABLE k (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	const writers, blocks, rows = 4, 15, 2000
	var failed atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for b := range blocks {
				if postNative(e, u, "k", "", nativeBlock((w*blocks+b)*rows, rows)) != http.StatusOK {
					failed.Add(1)
				}
			}
		})
	}
	stop := make(chan struct{})
	var selects atomic.Int64
	var readers sync.WaitGroup
	for range 3 {
		rc := open(t, e, r)
		readers.Go(func() {
			last := uint64(0)
			for {
				select {
				case <-stop:
					return
				default:
				}
				var n uint64
				if err := rc.QueryRow(context.Background(), "SELECT count() FROM k").Scan(&n); err != nil || n < last || n%rows != 0 {
					failed.Add(1)
					return
				}
				last = n
				selects.Add(1)
			}
		})
	}
	wg.Wait()
	close(stop)
	readers.Wait()
	if got := number(t, c, "SELECT uniqExact(a) FROM k"); got != writers*blocks*rows || failed.Load() != 0 {
		t.Errorf("%d rows, want %d; %d failures", got, writers*blocks*rows, failed.Load())
	}
	t.Logf("%d selects beside %d inserts", selects.Load(), writers*blocks)
}

// parentEnv makes the test binary a parent of its own engine, to be killed.
const parentEnv = "MODELTRAIL_ENGINETEST_PARENT"

func TestEngine_ParentKilled_TakesItsChildAlong(t *testing.T) {
	if os.Getenv(parentEnv) != "" {
		beParent(t)
		return
	}
	cfg := enginetest.Config(t)
	cmd := osexec.Command(os.Args[0], "-test.run=^TestEngine_ParentKilled_TakesItsChildAlong$", "-test.v")
	cmd.Env = append(os.Environ(), parentEnv+"="+cfg.DataDir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	child := 0
	lines := bufio.NewScanner(out)
	for child == 0 && lines.Scan() {
		if pid, ok := strings.CutPrefix(lines.Text(), "engine process "); ok {
			child, _ = strconv.Atoi(pid)
		}
	}
	if child == 0 {
		t.Fatal("parent started no engine")
	}
	kill9(t, cmd.Process.Pid)
	_ = cmd.Wait()
	deadline := time.Now().Add(10 * time.Second)
	for syscall.Kill(child, 0) == nil {
		if time.Now().After(deadline) {
			kill9(t, child)
			t.Fatalf("engine process %d outlived its parent by 10 s", child)
		}
		time.Sleep(10 * time.Millisecond)
	}
	e, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatalf("start on the folder of the killed engine: %v", err)
	}
	if err := e.Close(t.Context()); err != nil {
		t.Error(err)
	}
}

func beParent(t *testing.T) {
	cfg := enginetest.Config(t)
	cfg.DataDir = os.Getenv(parentEnv)
	e, err := engine.Start(t.Context(), cfg, zerolog.Nop())
	if err != nil {
		t.Fatal(err)
	}
	fmt.Printf("engine process %d\n", e.PID())
	time.Sleep(time.Minute)
}

// BenchmarkInsertNative inserts blocks of 10 000 rows of about 60 bytes; rows/s and the engine's memory are
// reported beside the time of one block.
func BenchmarkInsertNative(b *testing.B) {
	e := enginetest.Start(b)
	u, _ := e.Users()
	c := admin(b, e)
	exec(b, c, "CREATE TABLE k (a UInt64, s String) ENGINE = MergeTree ORDER BY a")
	idle := rss(b, e)
	const rows = 10000
	block := nativeBlock(0, rows)
	b.SetBytes(int64(len(block)))
	before := cpuSeconds(b, e)
	for b.Loop() {
		if status := postNative(e, u, "k", "", block); status != http.StatusOK {
			b.Fatalf("status %d", status)
		}
	}
	b.ReportMetric(float64(b.N)*rows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*rows/(cpuSeconds(b, e)-before), "rows/engine-cpu-s")
	b.ReportMetric(float64(idle>>20), "idle-MiB")
	b.ReportMetric(float64(rss(b, e)>>20), "busy-MiB")
}

// BenchmarkInsertCalls inserts blocks of 10 000 rows of plausible variety into the schema's widest table, with its
// materialized views, as one Native block each.
func BenchmarkInsertCalls(b *testing.B) {
	e := enginetest.Start(b)
	c := admin(b, e)
	schemaTables(b, c, e.Database())
	exec(b, c, "CREATE TABLE pool ENGINE = MergeTree ORDER BY tuple() AS SELECT "+plausible(b, c, "calls")+" FROM numbers(10000)")
	data := call(b, e, mustAdmin(e), http.MethodPost, q("SELECT * FROM pool FORMAT Native", "max_threads", "1", "max_block_size", "10000", "preferred_block_size_bytes", "0"), nil)
	if data.status != http.StatusOK {
		b.Fatal(data.body)
	}
	raw := []byte(data.body)
	b.SetBytes(int64(len(raw)))
	before := cpuSeconds(b, e)
	for b.Loop() {
		req, _ := http.NewRequest(http.MethodPost, "http://"+e.HTTPAddr()+"/"+q("INSERT INTO calls FORMAT Native"), bytes.NewReader(raw))
		u := mustAdmin(e)
		req.SetBasicAuth(u.Name, u.Password.Value())
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			b.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusOK {
			b.Fatalf("status %d", res.StatusCode)
		}
	}
	b.ReportMetric(float64(b.N)*10000/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(float64(b.N)*10000/(cpuSeconds(b, e)-before), "rows/engine-cpu-s")
	b.ReportMetric(float64(rss(b, e)>>20), "busy-MiB")
}

func mustAdmin(e *engine.Engine) engine.User { u, _ := e.Users(); return u }

// plausible is a select list with a value of plausible variety for each column of a table.
func plausible(t testing.TB, c clickhouse.Conn, table string) string {
	t.Helper()
	var columns []struct {
		Name string `ch:"name"`
		Type string `ch:"type"`
	}
	if err := c.Select(t.Context(), &columns, "SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = {t:String} ORDER BY position", clickhouse.Named("t", table)); err != nil {
		t.Fatal(err)
	}
	list := make([]string, len(columns))
	for i, column := range columns {
		value := "number % 5000"
		for prefix, expression := range map[string]string{
			"LowCardinality(": "concat('value-', toString(number % 12))", "String": "lower(hex(sipHash128(number)))",
			"Array(": "['1', '2']", "Map(": "map('key', toString(number % 10))", "Enum8(": "1", "Bool": "number % 2",
			"Nullable(Decimal": "number / 1000000", "DateTime64(": "toDateTime64('2026-01-01 00:00:00', 6, 'UTC') + number / 1000",
		} {
			if strings.HasPrefix(column.Type, prefix) {
				value = expression
			}
		}
		list[i] = fmt.Sprintf("CAST(%s AS %s) AS %s", value, column.Type, column.Name)
	}
	return strings.Join(list, ", ")
}
