package engine_test

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
)

// TestInsert_TokenWrittenAndPartNot_SameTokenAgain_RowsAreThere makes what a kill between the two leaves behind, also
// in a table that a materialized view fills: a token in the log, and no part.
func TestInsert_TokenWrittenAndPartNot_SameTokenAgain_RowsAreThere(t *testing.T) {
	cfg := enginetest.Config(t)
	start := func() (*engine.Engine, engine.User, func()) {
		e, err := engine.Start(context.Background(), cfg, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		u, _ := e.Users()
		return e, u, func() {
			ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
			defer cancel()
			if err := e.Close(ctx); err != nil {
				t.Fatal(err)
			}
		}
	}
	e, u, stop := start()
	c := admin(t, e)
	exec(t, c, `CREATE TABLE k (a UInt64, s String) ENGINE = MergeTree ORDER BY a SETTINGS non_replicated_deduplication_window = 100`)
	exec(t, c, `CREATE TABLE v (n UInt64) ENGINE = MergeTree ORDER BY n SETTINGS non_replicated_deduplication_window = 100`)
	exec(t, c, `CREATE MATERIALIZED VIEW m TO v AS SELECT count() AS n FROM k`)
	first, second := nativeBlock(0, 100), nativeBlock(100, 100)
	for token, block := range map[string][]byte{"first": first, "second": second} {
		if status := postNative(e, u, "k", token, block); status != http.StatusOK {
			t.Fatalf("insert %s: status %d", token, status)
		}
	}
	stop()
	lost, err := filepath.Glob(filepath.Join(cfg.DataDir, "db", "store", "*", "*", "all_2_2_0"))
	if err != nil || len(lost) != 2 {
		t.Fatalf("parts of the second insert: %v, %v; want one of the table and one of the view's", lost, err)
	}
	for _, part := range lost {
		if err := os.RemoveAll(part); err != nil {
			t.Fatal(err)
		}
	}
	e, u, stop = start()
	defer stop()
	c = admin(t, e)
	if n := number(t, c, "SELECT count() FROM k"); n != 100 {
		t.Fatalf("%d rows before the repeat; want 100", n)
	}
	for token, block := range map[string][]byte{"first": first, "second": second} {
		if status := postNative(e, u, "k", token, block); status != http.StatusOK {
			t.Fatalf("repeat %s: status %d", token, status)
		}
	}
	if n, exact := number(t, c, "SELECT count() FROM k"), number(t, c, "SELECT uniqExact(a) FROM k"); n != 200 || exact != 200 {
		t.Errorf("%d rows, %d different; want 200", n, exact)
	}
	if n := number(t, c, "SELECT sum(n) FROM v"); n != 200 {
		t.Errorf("the view counts %d rows; want 200", n)
	}
}
