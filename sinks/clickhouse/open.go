package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strconv"

	clickhousego "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// Open returns a connection pool for inserts and queries. It does not connect; Close it when done.
func Open(cfg Config) (driver.Conn, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("check clickhouse config: %w", err)
	}
	if len(cfg.Addr) == 0 {
		return nil, errors.New("open clickhouse: addr names no server")
	}
	conf, err := cfg.TLS.Client()
	if err != nil {
		return nil, fmt.Errorf("clickhouse.tls: %w", err)
	}
	options := &clickhousego.Options{
		Addr:         cfg.Addr,
		Auth:         clickhousego.Auth{Database: cfg.Database, Username: cfg.User, Password: cfg.Password.Value()},
		TLS:          conf,
		DialTimeout:  cfg.DialTimeout,
		ReadTimeout:  cfg.InsertTimeout,
		MaxOpenConns: cfg.MaxOpenConns,
		MaxIdleConns: cfg.MaxOpenConns,
		ClientInfo: clickhousego.ClientInfo{Products: []struct{ Name, Version string }{
			{Name: "modeltrail", Version: "1"},
		}},
	}
	// With dialers of our own the files of the section are read anew for every connection.
	secured := cfg.TLS.Dialer(cfg.DialTimeout)
	if cfg.Protocol == ProtocolHTTP {
		// Over HTTP the blocks are compressed here, frame by frame; the driver sends them as they are.
		options.Protocol = clickhousego.HTTP
		options.TransportFunc = func(t *http.Transport) (http.RoundTripper, error) {
			if cfg.TLS.Enabled {
				t.DialTLSContext = secured
			}
			return compressedBodies{t}, nil
		}
	} else {
		if cfg.TLS.Enabled {
			options.DialContext = func(ctx context.Context, addr string) (net.Conn, error) { return secured(ctx, "tcp", addr) }
		}
		options.Protocol = clickhousego.Native
		switch cfg.Compression {
		case CompressionLZ4:
			options.Compression = &clickhousego.Compression{Method: clickhousego.CompressionLZ4}
		case CompressionZSTD:
			options.Compression = &clickhousego.Compression{Method: clickhousego.CompressionZSTD}
		}
	}
	conn, err := clickhousego.Open(options)
	if err != nil {
		return nil, fmt.Errorf("open clickhouse: %w", err)
	}
	return conn, nil
}

// compressedKey marks the context of an insert whose body is compressed.
type compressedKey struct{}

// compressedBodies tells the server which request bodies are sequences of ClickHouse's compressed frames. It cannot
// be said as a setting of the insert: the driver gives an insert's settings to the greeting of a new connection too,
// and that has a plain body.
type compressedBodies struct{ next http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (c compressedBodies) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Context().Value(compressedKey{}) != nil && req.Header.Get("Content-Type") == "application/octet-stream" {
		req = req.Clone(req.Context())
		req.URL.RawQuery += "&decompress=1"
	}
	return c.next.RoundTrip(req)
}

// ErrNoDeduplication reports a table that would store a repeated insert twice.
var ErrNoDeduplication = errors.New("table does not deduplicate inserts")

// ErrNoTable reports a table that does not exist.
var ErrNoTable = errors.New("table does not exist")

var windowSetting = regexp.MustCompile(`(non_replicated|replicated)_deduplication_window = (\d+)`)

// CheckTables refuses tables that do not exist or would store a repeated insert twice. It is called once at start:
// a pipeline that cannot repeat an insert safely must not begin.
func CheckTables(ctx context.Context, conn driver.Conn, database string, tables ...string) error {
	var errs []error
	for _, table := range tables {
		engine, create, err := describe(ctx, conn, database, table)
		if err == nil && engine == "Distributed" {
			engine, create, err = describe(ctx, conn, database, table+"_local")
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		if !deduplicates(engine, create) {
			errs = append(errs, fmt.Errorf("check table %s.%s: %w", database, table, ErrNoDeduplication))
		}
	}
	return errors.Join(errs...)
}

func describe(ctx context.Context, conn driver.Conn, database, table string) (engine, create string, err error) {
	rows, err := conn.Query(ctx, "SELECT engine, create_table_query FROM system.tables WHERE database = ? AND name = ?", database, table)
	if err != nil {
		return "", "", fmt.Errorf("check table %s.%s: %w", database, table, err)
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	if !rows.Next() {
		if err := rows.Err(); err != nil {
			return "", "", fmt.Errorf("check table %s.%s: %w", database, table, err)
		}
		return "", "", fmt.Errorf("check table %s.%s: %w; run `modeltrail migrate`", database, table, ErrNoTable)
	}
	if err := rows.Scan(&engine, &create); err != nil {
		return "", "", fmt.Errorf("check table %s.%s: %w", database, table, err)
	}
	return engine, create, nil
}

// deduplicates reads the window out of a CREATE TABLE statement. Replicated tables have one by default, plain
// ones have none.
func deduplicates(engine, create string) bool {
	kind, window := "non_replicated", 0
	if len(engine) > 10 && engine[:10] == "Replicated" {
		kind, window = "replicated", 1
	}
	for _, m := range windowSetting.FindAllStringSubmatch(create, -1) {
		if m[1] == kind {
			if n, err := strconv.Atoi(m[2]); err == nil {
				window = n
			}
		}
	}
	return window > 0
}
