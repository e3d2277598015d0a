package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"

	"github.com/goccy/go-yaml"
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

// Parse reads YAML over *cfg, which holds the defaults, and validates the result.
func Parse(data []byte, cfg *Config) error {
	decoder := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := decoder.Decode(cfg); err != nil && !errors.Is(err, io.EOF) {
		// The source excerpt that the library can add may quote a secret; line and reason are enough.
		return fmt.Errorf("parse configuration: %s", yaml.FormatError(err, false, false))
	}
	return cfg.Validate()
}
