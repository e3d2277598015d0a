package dialect

import (
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
)

// readGeneric takes the facts of a call that was decoded elsewhere.
func readGeneric(in *Input, call *event.Call, usage *event.Usage) {
	call.Dialect = generic.Dialect
	if len(in.RequestBody) == 0 {
		call.DecodeError = ErrorRequestAbsent
		return
	}
	var f generic.Facts
	if f.Unmarshal(in.RequestBody) != nil {
		call.DecodeError = ErrorRequestNotJSON
		return
	}
	call.Operation = clip(f.Operation, maxString)
	if f.Provider != "" {
		call.Provider = clip(f.Provider, maxString)
	}
	call.RequestModel = clip(f.RequestModel, maxString)
	call.Stream = f.Stream
	call.EndUser = clip(f.EndUser, maxString)
	call.ConversationId = clip(f.ConversationID, maxString)
	for _, name := range f.ToolsOffered[:min(len(f.ToolsOffered), maxToolsOffered)] {
		call.ToolsOffered = append(call.ToolsOffered, clip(name, maxString))
	}
	if !in.HasResponse {
		return
	}
	call.ResponseModel = clip(f.ResponseModel, maxString)
	call.ResponseId = clip(f.ResponseID, maxString)
	call.ServiceTier = clip(f.ServiceTier, maxString)
	call.ErrorType = clip(f.ErrorType, maxErrorType)
	for _, reason := range f.FinishReasons[:min(len(f.FinishReasons), maxFinishReasons)] {
		call.FinishReasons = append(call.FinishReasons, clip(reason, maxString))
	}
	for _, name := range f.ToolNames[:min(len(f.ToolNames), maxToolCalls)] {
		call.ToolCalls = append(call.ToolCalls, &event.ToolCall{Name: clip(name, maxString)})
	}
	if us := f.TimeToFirstTokenUS; us != nil {
		ns := *us * 1000
		call.TimeToFirstTokenNs = &ns
	}
	call.StatedPicoUsd = f.CostPicoUSD
	genericUsage(&f, usage)
}

func genericUsage(f *generic.Facts, usage *event.Usage) {
	u := &f.Usage
	switch source, ok := generic.UsageSources()[f.UsageSource]; {
	case ok && source != event.UsageSource_USAGE_SOURCE_UNSPECIFIED:
		usage.Source = source
	case u.Any():
		usage.Source = event.UsageSource_USAGE_SOURCE_GATEWAY
	}
	usage.InTotal, usage.InUncached, usage.InCacheRead = u.InTotal, u.InUncached, u.InCacheRead
	usage.InCacheWrite_5M, usage.InCacheWrite_1H, usage.InCacheWriteUnknown = u.InCacheWrite5m, u.InCacheWrite1h, u.InCacheWriteUnknown
	usage.InAudio, usage.InImage = u.InAudio, u.InImage
	usage.OutTotal, usage.OutText, usage.OutReasoning, usage.OutAudio = u.OutTotal, u.OutText, u.OutReasoning, u.OutAudio
	usage.WebSearches, usage.Images, usage.AudioMilliseconds = u.WebSearches, u.Images, u.AudioMilliseconds
}
