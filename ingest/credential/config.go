package credential

import (
	"errors"
	"fmt"
	"slices"

	"github.com/modeltrail/modeltrail/schemas/secret"
)

// Config is the `credential` section of the tap.
type Config struct {
	Key          secret.Secret `yaml:"key" json:"key" jsonschema_description:"Key of the fingerprints as hex or base64 of 32 bytes or more; every tap of one organisation needs the same. Empty means key_file."`
	KeyFile      string        `yaml:"key_file" json:"key_file" jsonschema_description:"File that holds the key when key is empty; created with a random key and mode 0600 if missing. Default modeltrail-fingerprint.key."`
	CacheEntries int           `yaml:"cache_entries" json:"cache_entries" jsonschema_description:"Recent credentials whose fingerprint is remembered, as a number of entries. Default 4096."`
	JWT          JWT           `yaml:"jwt" json:"jwt" jsonschema_description:"How bearer tokens in JWT form are read."`
}

// JWT says how bearer tokens in JWT form are read.
type JWT struct {
	Enabled           bool     `yaml:"enabled" json:"enabled" jsonschema_description:"Read claims of JWT bearer tokens. Default true."`
	Claims            []string `yaml:"claims" json:"claims" jsonschema_description:"Claims that may be kept; all others are dropped. Default sub, iss, aud, azp, client_id, email, groups."`
	FingerprintClaims []string `yaml:"fingerprint_claims" json:"fingerprint_claims" jsonschema_description:"Claims the fingerprint is made from, so that it survives renewals; a token that lacks one is fingerprinted whole. Default iss, sub."`
	JWKSFile          string   `yaml:"jwks_file" json:"jwks_file" jsonschema_description:"File with a JSON Web Key Set; when set, only tokens whose signature verifies give claims. Empty means claims are taken unverified and marked so."`
}

// DefaultConfig returns the defaults.
func DefaultConfig() Config {
	return Config{
		KeyFile: "modeltrail-fingerprint.key", CacheEntries: 4096,
		JWT: JWT{
			Enabled:           true,
			Claims:            []string{"sub", "iss", "aud", "azp", "client_id", "email", "groups"},
			FingerprintClaims: []string{"iss", "sub"},
		},
	}
}

// Validate reports every fault of the section. It reads no file.
func (c Config) Validate() error {
	var errs []error
	if c.Key.IsZero() && c.KeyFile == "" {
		errs = append(errs, errors.New("credential.key_file: give key or key_file"))
	}
	if !c.Key.IsZero() {
		if _, err := decodeKey(c.Key.Value()); err != nil {
			errs = append(errs, fmt.Errorf("credential.key: %w", err))
		}
	}
	if c.CacheEntries < 0 {
		errs = append(errs, errors.New("credential.cache_entries: must be 0 or more"))
	}
	if c.JWT.Enabled && len(c.JWT.FingerprintClaims) == 0 {
		errs = append(errs, errors.New("credential.jwt.fingerprint_claims: name one claim or more, for example iss and sub"))
	}
	if slices.Contains(c.JWT.Claims, "") || slices.Contains(c.JWT.FingerprintClaims, "") {
		errs = append(errs, errors.New("credential.jwt: a claim name must not be empty"))
	}
	return errors.Join(errs...)
}
