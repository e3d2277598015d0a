package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/goccy/go-yaml"

	"github.com/modeltrail/modeltrail/cmd/internal/admin"
	"github.com/modeltrail/modeltrail/cmd/internal/kafka"
	"github.com/modeltrail/modeltrail/ingest/ledger"
	"github.com/modeltrail/modeltrail/ingest/publish"
	"github.com/modeltrail/modeltrail/ingest/spool"
	"github.com/modeltrail/modeltrail/ingest/tap"
)

// maxConfigBytes bounds the configuration file.
const maxConfigBytes = 1 << 20

// Config is the whole file. Its sections have the same keys as in the configuration of modeltrail.
type Config struct {
	Tap     tap.Config     `yaml:"tap"`
	Ledger  ledger.Config  `yaml:"ledger"`
	Publish publish.Config `yaml:"publish"`
	Spool   spool.Config   `yaml:"spool"`
	Kafka   kafka.Config   `yaml:"kafka"`
	Admin   admin.Config   `yaml:"admin"`
}

func defaultConfig() Config {
	return Config{
		Tap: tap.DefaultConfig(), Ledger: ledger.DefaultConfig(), Publish: publish.DefaultConfig(), Spool: spool.DefaultConfig(), Kafka: kafka.DefaultConfig(), Admin: admin.DefaultConfig(),
	}
}

// Validate reports every fault of the file.
func (c Config) Validate() error {
	errs := []error{c.Tap.Validate(), c.Ledger.Validate(), c.Publish.Validate(), c.Spool.Validate(), c.Kafka.Validate(), c.Admin.Validate()}
	if len(c.Kafka.Brokers) == 0 {
		errs = append(errs, errors.New("kafka.brokers: name one broker or more, for example --brokers 127.0.0.1:9092"))
	}
	if len(c.Tap.Routes) == 0 {
		errs = append(errs, errors.New("tap.routes: name one route or more, for example --upstream openai=https://api.openai.com"))
	}
	return errors.Join(errs...)
}

// flags are the command line's values; set ones win over the file.
type flags struct {
	config, listen, admin, instance, capture, logLevel string
	spoolDir, durability                               string
	upstreams, brokers                                 []string
}

// load reads the file over the defaults and the flags over the file.
func (f flags) load() (Config, error) {
	cfg := defaultConfig()
	if f.config != "" {
		if err := readFile(f.config, &cfg); err != nil {
			return cfg, err
		}
	}
	for _, u := range f.upstreams {
		route, err := parseUpstream(u)
		if err != nil {
			return cfg, err
		}
		cfg.Tap.Routes = append(cfg.Tap.Routes, route)
	}
	for _, o := range []struct {
		value string
		field *string
	}{
		{f.listen, &cfg.Tap.Listen}, {f.instance, &cfg.Tap.Instance}, {f.capture, &cfg.Tap.Capture}, {f.admin, &cfg.Admin.Listen},
		{f.spoolDir, &cfg.Spool.Dir}, {f.durability, &cfg.Tap.Durability},
	} {
		if o.value != "" {
			*o.field = o.value
		}
	}
	if len(f.brokers) > 0 {
		cfg.Kafka.Brokers = f.brokers
	}
	return cfg, cfg.Validate()
}

func readFile(path string, cfg *Config) error {
	file, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("read --config: %w", err)
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, maxConfigBytes+1))
	if err != nil {
		return fmt.Errorf("read --config: %w", err)
	}
	if len(data) > maxConfigBytes {
		return fmt.Errorf("read --config: %s is larger than %d bytes", path, maxConfigBytes)
	}
	decoder := yaml.NewDecoder(bytes.NewReader(data), yaml.Strict())
	if err := decoder.Decode(cfg); err != nil && !errors.Is(err, io.EOF) {
		// Without the excerpt of the source that the library can show: it may quote a secret.
		return fmt.Errorf("read --config %s: %s", path, yaml.FormatError(err, false, false))
	}
	return nil
}

// providers maps well-known names to the provider name of the OpenTelemetry GenAI conventions.
var providers = map[string]string{
	"openai": "openai", "anthropic": "anthropic", "gemini": "gcp.gemini", "vertex": "gcp.vertex_ai",
	"azure": "azure.ai.openai", "bedrock": "aws.bedrock", "mistral": "mistral_ai", "cohere": "cohere", "groq": "groq",
	"deepseek": "deepseek", "xai": "x_ai", "perplexity": "perplexity",
}

// parseUpstream reads NAME=URL: calls below /NAME go to URL, without the prefix.
func parseUpstream(text string) (tap.Route, error) {
	name, target, found := strings.Cut(text, "=")
	if !found || name == "" || target == "" {
		return tap.Route{}, fmt.Errorf("--upstream %q: write NAME=URL, for example openai=https://api.openai.com", text)
	}
	return tap.Route{Name: name, Prefix: "/" + name, Upstream: target, Provider: providers[name]}, nil
}
