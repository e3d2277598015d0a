package dialect

import (
	"testing"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/generic"
)

func TestFactsBecomeTheCallTheyDescribe(t *testing.T) {
	in, out, cost, us := int64(10), int64(0), int64(7), int64(1500)
	text, err := (&generic.Facts{
		Operation: "chat", Provider: "openai", RequestModel: "gpt-5.5", ResponseModel: "gpt-5.5-2026", Stream: true, FinishReasons: []string{"stop"},
		ToolNames: []string{"search"}, TimeToFirstTokenUS: &us, CostPicoUSD: &cost, Usage: generic.TokenUnits{InTotal: &in, OutTotal: &out},
	}).Marshal()
	if err != nil {
		t.Fatal(err)
	}
	var call event.Call
	var usage event.Usage
	Decode(&Input{Dialect: generic.Dialect, RequestBody: text, HasResponse: true, Status: 200, Outcome: event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT}, &call, &usage)
	if call.DecodeError != "" || call.Dialect != generic.Dialect || call.Provider != "openai" || call.ResponseModel != "gpt-5.5-2026" || !call.Stream ||
		call.GetTimeToFirstTokenNs() != 1_500_000 || call.GetStatedPicoUsd() != 7 || call.ToolCalls[0].Name != "search" || call.Outcome != event.StreamOutcome_STREAM_OUTCOME_CLIENT_ABORT {
		t.Errorf("call %v", &call)
	}
	if usage.GetInTotal() != 10 || usage.OutTotal == nil || usage.GetOutTotal() != 0 || usage.InCacheRead != nil || usage.Source != event.UsageSource_USAGE_SOURCE_GATEWAY {
		t.Errorf("usage %v", &usage)
	}
	Decode(&Input{Dialect: generic.Dialect, RequestBody: text}, &call, &usage)
	if call.RequestModel != "gpt-5.5" || call.ResponseModel != "" || call.StatedPicoUsd != nil || usage.InTotal != nil {
		t.Errorf("a request has facts of an answer: %v %v", &call, &usage)
	}
	Decode(&Input{Dialect: generic.Dialect, RequestBody: []byte("{"), HasResponse: true}, &call, &usage)
	if call.DecodeError != ErrorRequestNotJSON {
		t.Errorf("decode error %q", call.DecodeError)
	}
}
