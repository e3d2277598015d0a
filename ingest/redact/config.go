package redact

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Names of the PII classes of Config.PII.
const (
	PIIEmail = "email"
	PIIPhone = "phone"
	PIICard  = "card"
	PIIIBAN  = "iban"
)

// Config selects what is removed. Secrets are on unless switched off, PII is chosen class by class.
type Config struct {
	Secrets      bool     `yaml:"secrets" json:"secrets" jsonschema_description:"Replace credentials (API keys, tokens, passwords, private keys) in bodies, headers and paths; default true."`
	PII          []string `yaml:"pii" json:"pii" jsonschema:"enum=email,enum=phone,enum=card,enum=iban" jsonschema_description:"Classes of personal data to replace: email, phone, card, iban; default all four, an empty list keeps personal data."`
	Allow        []string `yaml:"allow" json:"allow" jsonschema_description:"Exact strings that are never replaced, such as a published test key or the support address; default none."`
	DisableRules []string `yaml:"disable_rules" json:"disable_rules" jsonschema_description:"Names of single rules to switch off, as they appear after REDACTED: in a replaced text; default none."`
	MaxBodyBytes int      `yaml:"max_body_bytes" json:"max_body_bytes" jsonschema_description:"Longest body in bytes that is examined, a longer one is dropped rather than kept unread; default 16777216."`
}

// DefaultConfig removes secrets and all classes of personal data.
func DefaultConfig() Config {
	return Config{
		Secrets:      true,
		PII:          []string{PIIEmail, PIIPhone, PIICard, PIIIBAN},
		MaxBodyBytes: 16 << 20,
	}
}

// Validate reports every mistake by its YAML key.
func (c Config) Validate() error {
	var errs []error
	known := []string{PIIEmail, PIIPhone, PIICard, PIIIBAN}
	for _, class := range c.PII {
		if !slices.Contains(known, class) {
			errs = append(errs, fmt.Errorf("pii: unknown class %q, use one of %s", class, strings.Join(known, ", ")))
		}
	}
	for _, s := range c.Allow {
		if len(s) < 4 {
			errs = append(errs, errors.New("allow: strings of fewer than 4 bytes would hide too much, give the whole value"))
		}
	}
	if c.MaxBodyBytes < 0 {
		errs = append(errs, fmt.Errorf("max_body_bytes: %d is negative, give a number of bytes or leave the key out", c.MaxBodyBytes))
	}
	return errors.Join(errs...)
}
