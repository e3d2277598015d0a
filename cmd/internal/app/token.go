package app

import (
	"context"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
)

// tokenContext makes an insert idempotent: the server drops a block whose token it has seen.
func tokenContext(ctx context.Context, token string) context.Context {
	return clickhousego.Context(ctx, clickhousego.WithSettings(clickhousego.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "insert_deduplication_token": token,
	}))
}
