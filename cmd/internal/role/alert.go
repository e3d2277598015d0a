package role

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"golang.org/x/sync/errgroup"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/sinks/alert"
	"github.com/modeltrail/modeltrail/sinks/alert/jsonl"
	"github.com/modeltrail/modeltrail/sinks/alert/webhook"
	"github.com/modeltrail/modeltrail/sinks/dlq"
)

// Kinds of alert sink.
const (
	SinkWebhook = "webhook"
	SinkJSONL   = "jsonl"
)

// StageAlert begins the stage of a dead letter that a sink gave up on; the sink's name follows.
const StageAlert = "alert."

// AlertConfig is the section `alert` of the configuration.
type AlertConfig struct {
	Stream stream.Config     `yaml:"stream" json:"stream" jsonschema_description:"Consumption of the findings topic; each sink is a consumer group of its own, named <group>.<sink>."`
	Sinks  []AlertSinkConfig `yaml:"sinks" json:"sinks" jsonschema_description:"Receivers of findings. Default none."`
}

// AlertSinkConfig is one receiver. Zero values stand for the defaults.
type AlertSinkConfig struct {
	Name        string            `yaml:"name" json:"name" jsonschema_description:"Name of the sink in its consumer group, metrics and logs; lower-case letters, digits, - and _. Required."`
	Type        string            `yaml:"type" json:"type" jsonschema_description:"Kind of receiver: webhook or jsonl. Required." jsonschema:"enum=webhook,enum=jsonl"`
	MinSeverity string            `yaml:"min_severity" json:"min_severity" jsonschema_description:"Least severity that is delivered: informational, low, medium, high or critical. Default informational." jsonschema:"enum=,enum=informational,enum=low,enum=medium,enum=high,enum=critical"`
	MaxAge      time.Duration     `yaml:"max_age" json:"max_age" jsonschema_description:"Findings that have been in the topic for longer are counted as stale and not delivered, so that a new sink does not start with a flood. Default 24h."`
	Parallel    int               `yaml:"parallel" json:"parallel" jsonschema_description:"Deliveries under way at the same time. Default 4."`
	Remember    int               `yaml:"remember" json:"remember" jsonschema_description:"Newest finding keys per partition that are known as delivered, read back from the topic at start; about 100 bytes each. Default 50000."`
	Retry       alert.RetryConfig `yaml:"retry" json:"retry" jsonschema_description:"Repetition of failed deliveries."`
	Webhook     webhook.Config    `yaml:"webhook" json:"webhook" jsonschema_description:"Settings of type webhook."`
	JSONL       jsonl.Config      `yaml:"jsonl" json:"jsonl" jsonschema_description:"Settings of type jsonl."`
}

// DefaultAlertConfig returns the defaults: no sinks, small batches.
func DefaultAlertConfig() AlertConfig {
	cfg := AlertConfig{Stream: stream.DefaultConfig()}
	cfg.Stream.Group = "modeltrail.alert"
	cfg.Stream.MaxBatchRows = 50
	cfg.Stream.FlushInterval = 50 * time.Millisecond
	cfg.Stream.DrainTimeout = 5 * time.Second // what a dead receiver may hold up a stop; the next owner goes on
	return cfg
}

// withDefaults replaces zero values, since a list's elements have no defaults of their own in YAML.
func (c AlertSinkConfig) withDefaults() AlertSinkConfig {
	orElse(&c.MinSeverity, "informational")
	orElse(&c.MaxAge, 24*time.Hour)
	orElse(&c.Parallel, 4)
	orElse(&c.Remember, 50_000)
	retry := alert.DefaultRetryConfig()
	orElse(&c.Retry.InitialPause, retry.InitialPause)
	orElse(&c.Retry.MaxPause, retry.MaxPause)
	orElse(&c.Retry.AttemptTimeout, retry.AttemptTimeout)
	orElse(&c.Retry.GiveUpAfter, retry.GiveUpAfter)
	orElse(&c.Webhook.DialTimeout, webhook.DefaultConfig().DialTimeout)
	return c
}

func orElse[T comparable](v *T, other T) {
	var zero T
	if *v == zero {
		*v = other
	}
}

// Validate reports every value that cannot work.
func (c AlertConfig) Validate() error {
	var errs []error
	names := map[string]bool{}
	for i, sink := range c.Sinks {
		sink = sink.withDefaults()
		prefix := fmt.Sprintf("alert.sinks[%d].", i)
		if !validSinkName(sink.Name) {
			errs = append(errs, errors.New(prefix+"name: must be 1 to 40 lower-case letters, digits, - or _"))
		}
		if names[sink.Name] {
			errs = append(errs, errors.New(prefix+"name: is used twice"))
		}
		names[sink.Name] = true
		errs = append(errs, within(prefix, errors.Join(sink.validate()...))...)
	}
	return errors.Join(errs...)
}

func (c AlertSinkConfig) validate() []error {
	errs := []error{c.Retry.Validate()}
	switch c.Type {
	case SinkWebhook:
		errs = append(errs, within("webhook.", c.Webhook.Validate())...)
	case SinkJSONL:
		errs = append(errs, within("jsonl.", c.JSONL.Validate())...)
	default:
		errs = append(errs, errors.New("type: must be webhook or jsonl"))
	}
	if _, ok := severityByName(c.MinSeverity); !ok {
		errs = append(errs, errors.New("min_severity: must be informational, low, medium, high or critical"))
	}
	if c.MaxAge < 0 {
		errs = append(errs, errors.New("max_age: must not be negative"))
	}
	if c.Parallel < 1 || c.Parallel > 64 {
		errs = append(errs, errors.New("parallel: must be between 1 and 64"))
	}
	if c.Remember < 1 || c.Remember > 10_000_000 {
		errs = append(errs, errors.New("remember: must be between 1 and 10000000"))
	}
	return errs
}

// within puts a section's key before every fault of it.
func within(prefix string, err error) []error {
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		var out []error
		for _, e := range joined.Unwrap() {
			out = append(out, within(prefix, e)...)
		}
		return out
	}
	if err == nil {
		return nil
	}
	return []error{fmt.Errorf("%s%w", prefix, err)}
}

func validSinkName(name string) bool {
	const allowed = "abcdefghijklmnopqrstuvwxyz0123456789-_"
	return name != "" && len(name) <= 40 && strings.Trim(name, allowed) == ""
}

func severityByName(name string) (event.Severity, bool) {
	for s := event.Severity_SEVERITY_INFORMATIONAL; s <= event.Severity_SEVERITY_CRITICAL; s++ {
		if alert.SeverityName(s) == name {
			return s, true
		}
	}
	return 0, false
}

// AlertSettings is what code injects into the alert role.
type AlertSettings struct {
	Dial        Dial
	Findings    string      // topic read
	DeadLetters *dlq.Writer // keeps findings that were given up
	Logger      zerolog.Logger
	Registerer  prometheus.Registerer
}

// Alert delivers findings to every configured sink. Each sink is a consumer group of its own: a receiver that is
// down holds back nobody else.
type Alert struct{ sinks []*alertSink }

// alertSink is one receiver with its consumer.
type alertSink struct {
	cfg      AlertSinkConfig
	set      AlertSettings
	group    string
	ctx      context.Context
	loop     *stream.Consumption
	notifier alert.Notifier
	raw      alert.Notifier // without retries
	severity event.Severity
	log      zerolog.Logger
	met      *alert.Metrics
	lost     *prometheus.CounterVec
}

// NewAlert returns the role. Every configured sink must be usable: one that cannot be built stops the start. Run
// starts it and closes what NewAlert opened.
func NewAlert(cfg AlertConfig, set AlertSettings) (*Alert, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("configure alert: %w", err)
	}
	if set.DeadLetters == nil {
		return nil, errors.New("create role alert: dead letters are required")
	}
	lost := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "modeltrail_alert_undelivered_findings_total",
		Help: "Findings that a sink will not get, by reason (permanent_failure, gave_up, stale, unreadable).",
	}, []string{"sink", "reason"})
	if err := register(set.Registerer, lost); err != nil {
		return nil, err
	}
	met, err := alert.NewMetrics(set.Registerer)
	if err != nil {
		return nil, err
	}
	a := &Alert{}
	for _, c := range cfg.Sinks {
		sink := &alertSink{
			cfg: c.withDefaults(), set: set, group: cfg.Stream.Group + "." + c.Name, met: met, lost: lost,
			log: set.Logger.With().Str("component", "alert").Str("sink", c.Name).Logger(),
		}
		if err := sink.open(cfg.Stream); err != nil {
			a.close()
			return nil, fmt.Errorf("open alert sink %s: %w", c.Name, err)
		}
		a.sinks = append(a.sinks, sink)
	}
	return a, nil
}

// Run delivers until ctx ends or one sink's consumer cannot go on; see stream.Runner.Run for the error.
func (a *Alert) Run(ctx context.Context) error {
	defer a.close()
	group, ctx := errgroup.WithContext(ctx)
	for _, sink := range a.sinks {
		group.Go(func() error { return sink.run(ctx) })
	}
	group.Go(func() error { // without sinks the role waits to be stopped
		<-ctx.Done()
		return nil
	})
	return group.Wait()
}

// Reopen makes the file sinks open their paths anew, for SIGHUP.
func (a *Alert) Reopen() {
	for _, sink := range a.sinks {
		if r, ok := sink.raw.(interface{ Reopen() }); ok {
			r.Reopen()
		}
	}
}

func (a *Alert) close() {
	for _, sink := range a.sinks {
		sink.loop.Close()
		if c, ok := sink.raw.(io.Closer); ok {
			if err := c.Close(); err != nil {
				sink.log.Warn().Err(err).Msg("alert sink did not close cleanly")
			}
		}
	}
}

func (s *alertSink) open(cfg stream.Config) error {
	var err error
	s.severity, _ = severityByName(s.cfg.MinSeverity)
	switch s.cfg.Type {
	case SinkWebhook:
		s.raw, err = webhook.New(s.cfg.Name, s.cfg.Webhook)
	case SinkJSONL:
		s.raw, err = jsonl.New(s.cfg.Name, s.cfg.JSONL)
	}
	if err != nil {
		return err
	}
	s.notifier = alert.Retry(s.raw, s.cfg.Retry, s.set.Logger, s.met)
	cfg.Group, cfg.Topics = s.group, []string{s.set.Findings}
	s.loop, err = stream.Consume(stream.Dial(s.set.Dial), s.newBatch, cfg, stream.Settings{Name: "alert." + s.cfg.Name, Logger: s.log, Registerer: s.set.Registerer})
	return err
}

func (s *alertSink) run(ctx context.Context) error {
	s.ctx = ctx
	return s.loop.Run(ctx)
}
