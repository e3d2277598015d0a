package engine

import (
	"errors"
	"fmt"
	"net"
	"regexp"
	"runtime"
	"time"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// The modes of an embedded engine.
const (
	ModeAuto    = "auto"
	ModeLibrary = "library"
	ModeServer  = "server"
)

// Config is what an operator may set for the embedded engine.
type Config struct {
	DataDir           string        `yaml:"data_dir" json:"data_dir" jsonschema_description:"Folder of the engine's tables, one process at a time; default modeltrail-data/engine."`
	InstallDir        string        `yaml:"install_dir" json:"install_dir" jsonschema_description:"Folder the ClickHouse library is installed in, may be shared by several engines; default is data_dir."`
	Listen            string        `yaml:"listen" json:"listen" jsonschema_description:"Loopback address of the HTTP interface, port 0 takes a free one; default 127.0.0.1:8123."`
	NativeListen      string        `yaml:"native_listen" json:"native_listen" jsonschema_description:"Loopback address of the native protocol, used in server mode only; default 127.0.0.1:9000."`
	Mode              string        `yaml:"mode" json:"mode" jsonschema_description:"library loads libchdb, server starts a clickhouse binary, auto prefers the binary when there is one; default auto."`
	Library           string        `yaml:"library" json:"library" jsonschema_description:"Path of an existing libchdb.so, also read from MODELTRAIL_LIBCHDB; default is the installed one."`
	Server            string        `yaml:"server" json:"server" jsonschema_description:"Path of a clickhouse binary, version 23.8 or later; default is the one on PATH."`
	Database          string        `yaml:"database" json:"database" jsonschema_description:"Database that is created at the start and used by requests that name none; default modeltrail."`
	AdminUser         string        `yaml:"admin_user" json:"admin_user" jsonschema_description:"Name of the user that may write and change tables; default modeltrail."`
	AdminPassword     secret.Secret `yaml:"admin_password" json:"admin_password" jsonschema_description:"Password of the admin user; default is generated once and kept in data_dir."`
	ReadUser          string        `yaml:"read_user" json:"read_user" jsonschema_description:"Name of the user that may only read; default modeltrail_read."`
	ReadPassword      secret.Secret `yaml:"read_password" json:"read_password" jsonschema_description:"Password of the read user; default is generated once and kept in data_dir."`
	MaxMemoryBytes    int64         `yaml:"max_memory_bytes" json:"max_memory_bytes" jsonschema_description:"Memory the engine may hold in bytes, 0 is half of the machine's; default 0."`
	MarkCacheBytes    int64         `yaml:"mark_cache_bytes" json:"mark_cache_bytes" jsonschema_description:"Index marks kept in memory in bytes; default 67108864."`
	MaxReads          int           `yaml:"max_reads" json:"max_reads" jsonschema_description:"Statements without data that run at a time, the others wait; default 16."`
	MaxWrites         int           `yaml:"max_writes" json:"max_writes" jsonschema_description:"INSERTs with data that run at a time, the others wait; default 8."`
	MaxStatementBytes int64         `yaml:"max_statement_bytes" json:"max_statement_bytes" jsonschema_description:"Longest statement text in bytes, data apart; default 16777216."`
	MaxInsertBytes    int64         `yaml:"max_insert_bytes" json:"max_insert_bytes" jsonschema_description:"Longest data of one INSERT in bytes after decompression; default 1073741824."`
	StatementTimeout  time.Duration `yaml:"statement_timeout" json:"statement_timeout" jsonschema_description:"Longest run of one reading statement, 0 is none; default 10m."`
	StartTimeout      time.Duration `yaml:"start_timeout" json:"start_timeout" jsonschema_description:"Longest wait for the engine to answer after a start; default 60s."`

	// ChildCommand is the command line of a program that calls Main; it is set by code. Empty means this very
	// executable with the argument engine-child.
	ChildCommand []string `yaml:"-" json:"-"`
}

// DefaultConfig returns the embedded default.
func DefaultConfig() Config {
	return Config{
		DataDir:           "modeltrail-data/engine",
		Listen:            "127.0.0.1:8123",
		NativeListen:      "127.0.0.1:9000",
		Mode:              ModeAuto,
		Database:          "modeltrail",
		AdminUser:         "modeltrail",
		ReadUser:          "modeltrail_read",
		MarkCacheBytes:    64 << 20,
		MaxReads:          16,
		MaxWrites:         8,
		MaxStatementBytes: 16 << 20,
		MaxInsertBytes:    1 << 30,
		StatementTimeout:  10 * time.Minute,
		StartTimeout:      time.Minute,
	}
}

// namePattern is what database and user names may be, so that they can stand in SQL, XML and URLs as they are.
var namePattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]{0,63}$`)

// Validate names every key that is wrong and how to put it right.
func (c Config) Validate() error {
	var errs []error
	bad := func(key, fix string) { errs = append(errs, fmt.Errorf("%s: %s", key, fix)) }
	if c.DataDir == "" {
		bad("data_dir", "name a folder")
	}
	if !loopback(c.Listen) {
		bad("listen", "use a loopback address such as 127.0.0.1:8123; run a ClickHouse server to serve other hosts")
	}
	if !loopback(c.NativeListen) {
		bad("native_listen", "use a loopback address such as 127.0.0.1:9000")
	}
	if c.Mode != ModeAuto && c.Mode != ModeLibrary && c.Mode != ModeServer {
		bad("mode", "use auto, library or server")
	}
	for key, value := range map[string]string{"database": c.Database, "admin_user": c.AdminUser, "read_user": c.ReadUser} {
		if !namePattern.MatchString(value) {
			bad(key, "use letters, digits and underscores, starting with a letter")
		}
	}
	if c.AdminUser == c.ReadUser {
		bad("read_user", "must differ from admin_user")
	}
	if c.MaxMemoryBytes != 0 && c.MaxMemoryBytes < 256<<20 {
		bad("max_memory_bytes", "use 0 or at least 268435456")
	}
	if c.MarkCacheBytes < 1<<20 {
		bad("mark_cache_bytes", "use at least 1048576")
	}
	if c.MaxReads < 1 || c.MaxReads > 1000 {
		bad("max_reads", "use 1 to 1000")
	}
	if c.MaxWrites < 1 || c.MaxWrites > 1000 {
		bad("max_writes", "use 1 to 1000")
	}
	if c.MaxStatementBytes < 1<<16 || c.MaxStatementBytes > 1<<30 {
		bad("max_statement_bytes", "use 65536 to 1073741824")
	}
	if c.MaxInsertBytes < 1<<20 {
		bad("max_insert_bytes", "use at least 1048576")
	}
	if c.StatementTimeout < 0 {
		bad("statement_timeout", "use 0 or a positive duration")
	}
	if c.StartTimeout <= 0 {
		bad("start_timeout", "use a positive duration")
	}
	return errors.Join(errs...)
}

func loopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}

// platform is the name part of the library's npm package for this machine; empty when the lock file has none.
func platform() string {
	if runtime.GOOS == "linux" && runtime.GOARCH == "amd64" {
		return "linux-x64-gnu"
	}
	return ""
}
