// Package traffic calls models through a tap the way an organisation does: several teams, apps, credentials, models
// and wire formats, streamed and not, with tool calls, embeddings, errors and callers that leave early. Arrivals and
// token counts follow the Azure LLM inference trace 2023 (table.go). On top of it plays one scenario: a call out of
// scope, a call with an unknown credential and a runaway agent. The plan is a pure function of the seed.
package traffic

import (
	"errors"
	"fmt"
	"net/url"
	"time"
)

// Config says how much traffic there is, where it goes and when the scenario plays. Times count from the start;
// a negative one leaves that part out.
type Config struct {
	TapURL            string        `yaml:"tap_url" json:"tap_url" jsonschema_description:"Base URL of the tap; required."`
	OpenAIPrefix      string        `yaml:"openai_prefix" json:"openai_prefix" jsonschema_description:"Path of the tap's OpenAI route; default /openai."`
	AnthropicPrefix   string        `yaml:"anthropic_prefix" json:"anthropic_prefix" jsonschema_description:"Path of the tap's Anthropic route; default /anthropic."`
	Rate              float64       `yaml:"rate" json:"rate" jsonschema_description:"Baseline calls per second, 0 for the trace's own 5.53; default 0."`
	Seed              uint64        `yaml:"seed" json:"seed" jsonschema_description:"Seed of the plan, equal seeds give equal calls; default 1."`
	Duration          time.Duration `yaml:"duration" json:"duration" jsonschema_description:"How long calls are started, 0 for until stopped; default 0s."`
	MaxCalls          int           `yaml:"max_calls" json:"max_calls" jsonschema_description:"How many calls are started at most, 0 for no limit; default 0."`
	Concurrency       int           `yaml:"concurrency" json:"concurrency" jsonschema_description:"Most calls under way at a time, further ones wait; default 256."`
	FrameDelay        time.Duration `yaml:"frame_delay" json:"frame_delay" jsonschema_description:"Time between two pieces of a streamed answer; default 15ms."`
	OutOfScopeAfter   time.Duration `yaml:"out_of_scope_after" json:"out_of_scope_after" jsonschema_description:"When the out-of-scope call happens, negative for never; default 8s."`
	UnknownAfter      time.Duration `yaml:"unknown_after" json:"unknown_after" jsonschema_description:"When the call with an unknown credential happens, negative for never; default 14s."`
	SpikeAfter        time.Duration `yaml:"spike_after" json:"spike_after" jsonschema_description:"When the runaway agent starts, negative for never; default 75s."`
	SpikeFor          time.Duration `yaml:"spike_for" json:"spike_for" jsonschema_description:"How long the runaway agent runs; default 15s."`
	SpikeRate         float64       `yaml:"spike_rate" json:"spike_rate" jsonschema_description:"Calls per second of the runaway agent; default 4."`
	Repeat            time.Duration `yaml:"repeat" json:"repeat" jsonschema_description:"Time after which the scenario plays again, 0 for once; default 0s."`
	ErrorShare        float64       `yaml:"error_share" json:"error_share" jsonschema_description:"Share of calls that the provider answers with an error or breaks off; default 0.03."`
	AbortShare        float64       `yaml:"abort_share" json:"abort_share" jsonschema_description:"Share of streamed calls that the caller leaves mid-stream; default 0.02."`
	PersonalDataShare float64       `yaml:"personal_data_share" json:"personal_data_share" jsonschema_description:"Share of prompts that hold an invented e-mail address, card number or key; default 0.02."`
}

// DefaultConfig is the traffic of a demonstration; TapURL is left to the caller.
func DefaultConfig() Config {
	return Config{
		OpenAIPrefix: "/openai", AnthropicPrefix: "/anthropic", Seed: 1, Concurrency: 256, FrameDelay: 15 * time.Millisecond,
		OutOfScopeAfter: 8 * time.Second, UnknownAfter: 14 * time.Second, SpikeAfter: 75 * time.Second, SpikeFor: 15 * time.Second,
		SpikeRate: 4, ErrorShare: 0.03, AbortShare: 0.02, PersonalDataShare: 0.02,
	}
}

// Validate reports every mistake by its YAML key.
func (c Config) Validate() error {
	var errs []error
	if u, err := url.Parse(c.TapURL); err != nil || u.Scheme == "" || u.Host == "" {
		errs = append(errs, errors.New("tap_url: give the tap's base URL, such as http://127.0.0.1:8080"))
	}
	if c.Rate < 0 || c.Rate > 100000 {
		errs = append(errs, fmt.Errorf("rate: %v is not between 0 and 100000 calls per second", c.Rate))
	}
	if c.Concurrency < 1 {
		errs = append(errs, fmt.Errorf("concurrency: %d calls at a time is too few, give at least 1", c.Concurrency))
	}
	if c.SpikeAfter >= 0 && (c.SpikeRate <= 0 || c.SpikeFor <= 0) {
		errs = append(errs, errors.New("spike_rate, spike_for: must be positive, or set spike_after to a negative time"))
	}
	if c.Duration < 0 || c.MaxCalls < 0 || c.Repeat < 0 || c.FrameDelay < 0 {
		errs = append(errs, errors.New("duration, max_calls, repeat, frame_delay: must not be negative"))
	}
	for name, share := range map[string]float64{"error_share": c.ErrorShare, "abort_share": c.AbortShare, "personal_data_share": c.PersonalDataShare} {
		if share < 0 || share > 1 {
			errs = append(errs, fmt.Errorf("%s: %v is not between 0 and 1", name, share))
		}
	}
	return errors.Join(errs...)
}
