// Package secret holds values that must never be printed: they are named in the configuration by environment
// variable or file and read once at start.
package secret

import (
	"errors"
	"fmt"
	"os"
	"strings"
)

const redacted = "<redacted>"

// Secret is a value that prints as "<redacted>" in every format. In YAML it is a mapping with one key,
// `env: NAME` or `file: PATH`; a plain string is accepted and reported by Literal so that a check can warn.
type Secret struct {
	value   string
	literal bool
	file    string // where the value was read, for Current
}

// New returns a Secret made by code, such as a generated key.
func New(value string) Secret { return Secret{value: value} }

// Value returns the secret itself. Callers MUST NOT log or store it.
func (s Secret) Value() string { return s.value }

// Current returns the secret as it stands now: a secret that was named by file is read anew, so that what a rotation
// wrote there counts without a restart. Callers MUST NOT log or store it. The error never holds the value.
func (s Secret) Current() (string, error) {
	if s.file == "" {
		return s.value, nil
	}
	return readFile(s.file)
}

// IsZero reports whether nothing was configured.
func (s Secret) IsZero() bool { return s.value == "" }

// Literal reports whether the secret stood in clear in the configuration file.
func (s Secret) Literal() bool { return s.literal }

// String implements fmt.Stringer without revealing the value.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return redacted
}

// GoString implements fmt.GoStringer without revealing the value.
func (s Secret) GoString() string { return s.String() }

// MarshalText implements encoding.TextMarshaler without revealing the value.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalYAML implements the YAML marshaler without revealing the value.
func (s Secret) MarshalYAML() (any, error) { return s.String(), nil }

// source is the YAML mapping form.
type source struct {
	Env  string `yaml:"env"`
	File string `yaml:"file"`
}

// UnmarshalYAML reads `env: NAME`, `file: PATH` or a plain string. A named source that is missing is an error.
func (s *Secret) UnmarshalYAML(decode func(any) error) error {
	var plain string
	if err := decode(&plain); err == nil {
		*s = Secret{value: plain, literal: plain != ""}
		return nil
	}
	var src source
	if err := decode(&src); err != nil {
		return errors.New("a secret is `env: NAME`, `file: PATH` or a plain string")
	}
	switch {
	case src.Env != "" && src.File != "":
		return errors.New("a secret names either env or file, not both")
	case src.Env != "":
		value, ok := os.LookupEnv(src.Env)
		if !ok || value == "" {
			return fmt.Errorf("environment variable %s is not set", src.Env)
		}
		*s = Secret{value: value}
	case src.File != "":
		value, err := readFile(src.File)
		if err != nil {
			return err
		}
		*s = Secret{value: value, file: src.File}
	default:
		*s = Secret{}
	}
	return nil
}

func readFile(path string) (string, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	value := strings.TrimRight(string(data), "\r\n")
	if value == "" {
		return "", fmt.Errorf("read secret: %s is empty", path)
	}
	return value, nil
}
