// Package generic defines the facts of a call that was decoded elsewhere: what an archive, or a source without a
// provider's bodies, says of a call. They travel in the outline of the request payload, as JSON, under the dialect
// "modeltrail"; package dialect reads them like any provider's body.
package generic

import (
	"encoding/json"
	"fmt"

	"github.com/modeltrail/modeltrail/schemas/event"
)

// Dialect is the name under which facts travel.
const Dialect = "modeltrail"

// Facts is what is known of a call without its bodies. Absent counts are unknown.
type Facts struct {
	Operation          string     `json:"operation,omitempty"`
	Provider           string     `json:"provider,omitempty"`
	RequestModel       string     `json:"request_model,omitempty"`
	ResponseModel      string     `json:"response_model,omitempty"`
	ResponseID         string     `json:"response_id,omitempty"`
	ServiceTier        string     `json:"service_tier,omitempty"`
	EndUser            string     `json:"end_user,omitempty"`
	ConversationID     string     `json:"conversation_id,omitempty"`
	ErrorType          string     `json:"error_type,omitempty"`
	Stream             bool       `json:"stream,omitempty"`
	FinishReasons      []string   `json:"finish_reasons,omitempty"`
	ToolsOffered       []string   `json:"tools_offered,omitempty"`
	ToolNames          []string   `json:"tool_names,omitempty"` // tools the model called
	TimeToFirstTokenUS *int64     `json:"time_to_first_token_us,omitempty"`
	CostPicoUSD        *int64     `json:"cost_pico_usd,omitempty"` // 1e-12 USD
	UsageSource        string     `json:"usage_source,omitempty"`  // provider, gateway, estimated, partial or none
	Usage              TokenUnits `json:"usage"`
}

// TokenUnits are counts that do not overlap: in_* sum to in_total, out_* to out_total.
type TokenUnits struct {
	InTotal             *int64 `json:"in_total,omitempty"`
	InUncached          *int64 `json:"in_uncached,omitempty"`
	InCacheRead         *int64 `json:"in_cache_read,omitempty"`
	InCacheWrite5m      *int64 `json:"in_cache_write_5m,omitempty"`
	InCacheWrite1h      *int64 `json:"in_cache_write_1h,omitempty"`
	InCacheWriteUnknown *int64 `json:"in_cache_write_unknown,omitempty"`
	InAudio             *int64 `json:"in_audio,omitempty"`
	InImage             *int64 `json:"in_image,omitempty"`
	OutTotal            *int64 `json:"out_total,omitempty"`
	OutText             *int64 `json:"out_text,omitempty"`
	OutReasoning        *int64 `json:"out_reasoning,omitempty"`
	OutAudio            *int64 `json:"out_audio,omitempty"`
	WebSearches         *int64 `json:"web_searches,omitempty"`
	Images              *int64 `json:"images,omitempty"`
	AudioMilliseconds   *int64 `json:"audio_milliseconds,omitempty"`
}

// UsageSources names the values of Facts.UsageSource.
func UsageSources() map[string]event.UsageSource {
	return map[string]event.UsageSource{
		"": event.UsageSource_USAGE_SOURCE_UNSPECIFIED, "unknown": event.UsageSource_USAGE_SOURCE_UNSPECIFIED,
		"provider": event.UsageSource_USAGE_SOURCE_PROVIDER, "gateway": event.UsageSource_USAGE_SOURCE_GATEWAY,
		"estimated": event.UsageSource_USAGE_SOURCE_ESTIMATED, "partial": event.UsageSource_USAGE_SOURCE_PARTIAL,
		"none": event.UsageSource_USAGE_SOURCE_NONE,
	}
}

// Marshal returns the facts in the form in which they travel.
func (f *Facts) Marshal() ([]byte, error) {
	text, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("encode facts: %w", err)
	}
	return text, nil
}

// Unmarshal reads facts; fields that it does not know are left out, so that an older reader reads newer facts.
func (f *Facts) Unmarshal(text []byte) error {
	if err := json.Unmarshal(text, f); err != nil {
		return fmt.Errorf("decode facts: %w", err)
	}
	return nil
}

// Any reports whether a token count is known.
func (u *TokenUnits) Any() bool { return u.InTotal != nil || u.OutTotal != nil }
