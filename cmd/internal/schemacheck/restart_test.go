package schemacheck

import (
	"context"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/cmd/internal/engine/enginetest"
	"github.com/modeltrail/modeltrail/schemas/ddl"
)

// TestARepeatAfterARestartLeavesRowsAndSumsAsTheyAre repeats one insert in three lives of the engine.
func TestARepeatAfterARestartLeavesRowsAndSumsAsTheyAre(t *testing.T) {
	cfg := enginetest.Config(t)
	for round := range 3 {
		e, err := engine.Start(context.Background(), cfg, zerolog.Nop())
		if err != nil {
			t.Fatal(err)
		}
		u, _ := e.Users()
		conn, err := clickhouse.Open(&clickhouse.Options{Addr: []string{e.Addr()}, Protocol: clickhouse.HTTP, Auth: clickhouse.Auth{Database: "default", Username: u.Name, Password: u.Password.Value()}})
		if err != nil {
			t.Fatal(err)
		}
		if round == 0 {
			if _, err := ddl.Apply(t.Context(), conn, ddl.DefaultOptions()); err != nil {
				t.Fatal(err)
			}
		}
		for range 2 {
			if err := conn.Exec(t.Context(), "INSERT INTO modeltrail.calls (call_id, ingested_at, started_at) SETTINGS async_insert=0, insert_deduplicate=1, insert_deduplication_token='a/b', deduplicate_blocks_in_dependent_materialized_views=1 VALUES ('x', now(), now())"); err != nil {
				t.Fatal(err)
			}
			var c uint64
			var s int64
			if err := conn.QueryRow(t.Context(), "SELECT (SELECT count() FROM modeltrail.calls), (SELECT sum(calls) FROM modeltrail.spend_hourly)").Scan(&c, &s); err != nil {
				t.Fatal(err)
			}
			if c != 1 || s != 1 {
				t.Errorf("life %d: %d rows, %d calls in the sums; want 1", round, c, s)
			}
		}
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		if err := e.Close(ctx); err != nil {
			t.Error(err)
		}
		cancel()
	}
}
