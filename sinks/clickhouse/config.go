package clickhouse

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/schemas/secret"
	"github.com/modeltrail/modeltrail/schemas/tlsclient"
)

// Config is the `clickhouse` section of the configuration.
type Config struct {
	Addr          []string         `yaml:"addr" json:"addr" jsonschema_description:"Servers as host:port. Empty means the embedded engine of 'modeltrail up'."`
	Protocol      string           `yaml:"protocol" json:"protocol" jsonschema_description:"Protocol: native (port 9000, TLS 9440) or http (port 8123, TLS 8443). Default native."`
	Database      string           `yaml:"database" json:"database" jsonschema_description:"Database of the tables. Default modeltrail."`
	Cluster       string           `yaml:"cluster" json:"cluster" jsonschema_description:"ClickHouse cluster as in system.clusters; empty (default) means a single node."`
	User          string           `yaml:"user" json:"user" jsonschema_description:"User name. Default is the server's default user."`
	Password      secret.Secret    `yaml:"password" json:"password" jsonschema_description:"Password, by env or file."`
	TLS           tlsclient.Config `yaml:"tls" json:"tls" jsonschema_description:"Encryption toward the servers."`
	Compression   string           `yaml:"compression" json:"compression" jsonschema_description:"Compression of inserts on the network: none, lz4 or zstd. Default none."`
	MaxOpenConns  int              `yaml:"max_open_conns" json:"max_open_conns" jsonschema_description:"Connections opened at most; it bounds parallel inserts. Default 4."`
	DialTimeout   time.Duration    `yaml:"dial_timeout" json:"dial_timeout" jsonschema_description:"Time to open a connection. Default 5s."`
	InsertTimeout time.Duration    `yaml:"insert_timeout" json:"insert_timeout" jsonschema_description:"Time for one insert before it is repeated with the same token. Default 60s."`
}

// Protocols and compressions of Config.
const (
	ProtocolNative  = "native"
	ProtocolHTTP    = "http"
	CompressionNone = "none"
	CompressionLZ4  = "lz4"
	CompressionZSTD = "zstd"
)

// DefaultConfig returns the defaults; addr is the deployment's.
func DefaultConfig() Config {
	return Config{
		Protocol: ProtocolNative, Database: "modeltrail", Compression: CompressionNone,
		MaxOpenConns: 4, DialTimeout: 5 * time.Second, InsertTimeout: time.Minute,
	}
}

// Validate reports every setting that cannot work.
func (c Config) Validate() error {
	var errs []error
	for _, addr := range c.Addr {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			errs = append(errs, fmt.Errorf("addr: %q is not host:port", addr))
		}
	}
	if !slices.Contains([]string{ProtocolNative, ProtocolHTTP}, c.Protocol) {
		errs = append(errs, fmt.Errorf("protocol: %q is neither native nor http", c.Protocol))
	}
	if !slices.Contains([]string{CompressionNone, CompressionLZ4, CompressionZSTD}, c.Compression) {
		errs = append(errs, fmt.Errorf("compression: %q is none of none, lz4, zstd", c.Compression))
	}
	if c.Database == "" || strings.ContainsAny(c.Database, " `'\"\\;") {
		errs = append(errs, fmt.Errorf("database: %q is not a plain name", c.Database))
	}
	if c.MaxOpenConns < 1 {
		errs = append(errs, errors.New("max_open_conns: must be at least 1"))
	}
	if c.DialTimeout <= 0 {
		errs = append(errs, errors.New("dial_timeout: must be positive, for example 5s"))
	}
	if c.InsertTimeout <= 0 {
		errs = append(errs, errors.New("insert_timeout: must be positive, for example 60s"))
	}
	if err := c.TLS.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("tls: %w", err))
	}
	return errors.Join(errs...)
}
