package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"

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
