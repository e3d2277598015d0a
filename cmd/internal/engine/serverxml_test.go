package engine

import (
	"encoding/xml"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// TestServerConfig_IsXMLForLoopbackWithTwoUsers checks what a server binary would be given.
func TestServerConfig_IsXMLForLoopbackWithTwoUsers(t *testing.T) {
	cfg := DefaultConfig()
	cfg.DataDir = filepath.Join(t.TempDir(), "a & <b>")
	e := &Engine{cfg: cfg, admin: User{"writer", secret.New("s3cret")}, reader: User{"watcher", secret.New("other")}}
	s := &serverLauncher{engine: e, http: "127.0.0.1:8123", native: "127.0.0.1:9000"}
	path, err := s.writeConfig()
	if err != nil {
		t.Fatal(err)
	}
	var server struct {
		Host  string `xml:"listen_host"`
		HTTP  int    `xml:"http_port"`
		TCP   int    `xml:"tcp_port"`
		Path  string `xml:"path"`
		Users string `xml:"users_config"`
	}
	parse(t, path, &server)
	if server.Host != "127.0.0.1" || server.HTTP != 8123 || server.TCP != 9000 || !strings.HasPrefix(server.Path, cfg.DataDir) {
		t.Errorf("%+v", server)
	}
	type user struct {
		Digest  string   `xml:"password_sha256_hex"`
		Profile string   `xml:"profile"`
		Grants  []string `xml:"grants>query"`
	}
	var users struct {
		Writer  user `xml:"users>writer"`
		Watcher user `xml:"users>watcher"`
		Reader  struct {
			Readonly int `xml:"readonly"`
		} `xml:"profiles>reader"`
	}
	raw := parse(t, server.Users, &users)
	if len(users.Writer.Digest) != 64 || users.Watcher.Profile != "reader" || users.Reader.Readonly != 2 || len(users.Watcher.Grants) != 1 {
		t.Errorf("%+v", users)
	}
	if strings.Contains(raw, "s3cret") {
		t.Error("password stands in clear")
	}
}

func TestEngineConfig_IsXML(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a & <b>")
	path, err := writeEngineConfig(childConfig{DataDir: dir, MaxMemoryBytes: 1 << 30, MarkCacheBytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	var config struct {
		Memory  int64  `xml:"max_server_memory_usage"`
		Users   string `xml:"users_config"`
		Backups string `xml:"backups>allowed_path"`
	}
	parse(t, path, &config)
	if config.Memory != 1<<30 || !strings.HasPrefix(config.Backups, dir) {
		t.Errorf("%+v", config)
	}
	var users struct {
		Grants []string `xml:"users>default>grants>query"`
	}
	parse(t, config.Users, &users)
	if len(users.Grants) != 1 || strings.Contains(users.Grants[0], "ALL") || strings.Contains(users.Grants[0], "FILE") {
		t.Errorf("%+v", users)
	}
}

func parse(t *testing.T, path string, into any) string {
	t.Helper()
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := xml.Unmarshal(raw, into); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return string(raw)
}
