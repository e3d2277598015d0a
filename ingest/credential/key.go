package credential

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	minKeyBytes = 32
	prefix      = "mt1:"
)

// LoadKey returns the configured key, or the key in KeyFile, which it creates when it is missing. Two processes
// that start at once end with the same key: the file appears whole or not at all, and the first one wins.
func LoadKey(cfg Config) ([]byte, error) {
	if !cfg.Key.IsZero() {
		key, err := decodeKey(cfg.Key.Value())
		if err != nil {
			return nil, fmt.Errorf("read credential.key: %w", err)
		}
		return key, nil
	}
	data, err := os.ReadFile(cfg.KeyFile)
	if errors.Is(err, fs.ErrNotExist) {
		if err := createKey(cfg.KeyFile); err != nil {
			return nil, fmt.Errorf("create credential.key_file: %w", err)
		}
		data, err = os.ReadFile(cfg.KeyFile)
	}
	if err != nil {
		return nil, fmt.Errorf("read credential.key_file: %w", err)
	}
	key, err := decodeKey(string(data))
	if err != nil {
		return nil, fmt.Errorf("read credential.key_file %s: %w", cfg.KeyFile, err)
	}
	return key, nil
}

// createKey writes a random key under a temporary name and links it into place, which fails if the name exists.
func createKey(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	key := make([]byte, minKeyBytes)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(path), ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(temp.Name()) }()
	_, err = temp.WriteString(hex.EncodeToString(key) + "\n")
	err = errors.Join(err, temp.Sync(), temp.Close())
	if err != nil {
		return err
	}
	if err := os.Link(temp.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

// decodeKey accepts hex and the base64 alphabets, padded or not.
func decodeKey(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	if key, err := hex.DecodeString(text); err == nil {
		return checkKey(key)
	}
	bare := strings.TrimRight(text, "=")
	for _, encoding := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		if key, err := encoding.DecodeString(bare); err == nil {
			return checkKey(key)
		}
	}
	return nil, errors.New("not hex or base64; make one with `openssl rand -hex 32`")
}

func checkKey(key []byte) ([]byte, error) {
	if len(key) < minKeyBytes {
		return nil, fmt.Errorf("%d bytes are too few, %d are needed; make one with `openssl rand -hex 32`", len(key), minKeyBytes)
	}
	return key, nil
}

// Fingerprint returns "mt1:" and 32 hex digits: HMAC-SHA-256 of secret under key, truncated to 128 bits. Tools
// that fill the directory of credentials use it to name a key without keeping it.
func Fingerprint(key []byte, secret string) string {
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(secret))
	var sum [sha256.Size]byte
	var out [len(prefix) + 32]byte
	copy(out[:], prefix)
	hex.Encode(out[len(prefix):], mac.Sum(sum[:0])[:16])
	return string(out[:])
}
