package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml"
	"github.com/goccy/go-yaml/ast"
	"github.com/goccy/go-yaml/parser"
)

// maxConfigBytes bounds the file; a larger one is surely not a configuration.
const maxConfigBytes = 4 << 20

// Load reads the file over the defaults and validates the result. An unknown key is an error that shows its
// line. With an empty path the defaults are returned.
func Load(path string) (Config, error) {
	cfg := Default()
	if path == "" {
		return cfg, cfg.Validate()
	}
	file, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return cfg, fmt.Errorf("read --config: %s does not exist; `modeltrail config example` prints one to start from", path)
	}
	if err != nil {
		return cfg, fmt.Errorf("read --config: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return cfg, fmt.Errorf("read --config: %w", err)
	}
	if len(data) > maxConfigBytes {
		return cfg, fmt.Errorf("read --config: %s is larger than %d bytes", path, maxConfigBytes)
	}
	if err := Parse(data, &cfg); err != nil {
		return cfg, fmt.Errorf("%s: %w", path, err)
	}
	return cfg, nil
}

// Parse reads one YAML document over *cfg, which holds the defaults, and validates the result.
func Parse(data []byte, cfg *Config) error {
	file, err := parser.ParseBytes(data, 0)
	if err == nil && len(file.Docs) > 1 {
		return fmt.Errorf("parse configuration: %d documents; one file holds one configuration", len(file.Docs))
	}
	if err == nil && empty(file) {
		return cfg.Validate() // the library would reset *cfg
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := decoder.Decode(cfg); err != nil {
		// The source excerpt that the library can add may quote a secret; line, key and reason are enough.
		return fmt.Errorf("parse configuration: %s%s", place(data, err), yaml.FormatError(err, false, false))
	}
	return cfg.Validate()
}

// empty reports whether a file says nothing, for example because all its lines are comments.
func empty(file *ast.File) bool {
	for _, doc := range file.Docs {
		switch doc.Body.(type) {
		case nil, *ast.NullNode, *ast.CommentGroupNode:
		default:
			return false
		}
	}
	return true
}
