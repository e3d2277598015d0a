package main

import (
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/schemas/batch"
	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// values are the envelopes of n calls as they stand in Kafka.
func values(n int) (out [][]byte, bodies int) {
	g := newGenerator()
	for range n {
		request, response := g.call()
		bodies += len(request.Request.Payload.Body) + len(response.Response.Payload.Body)
		out = append(out, wire.MarshalEnvelope(nil, request), wire.MarshalEnvelope(nil, response))
	}
	return out, bodies / n
}

func TestGenerator_MakesCallsOfTheStatedSizeThatTheChainUnderstands(t *testing.T) {
	chain, err := fullChain()
	if err != nil {
		t.Fatal(err)
	}
	records, bodies := values(2000)
	if bodies < 1350 || bodies > 1650 {
		t.Errorf("%d bytes of bodies per call, want about 1500", bodies)
	}
	var d wire.Decoder
	counts := map[string]int{}
	record := batch.Record{Event: &event.Event{}, IngestedAt: time.Now()}
	for _, v := range records {
		if record.Envelope, err = d.Envelope(v); err != nil {
			t.Fatal(err)
		}
		if verdict := chain.Process(&record); verdict.Reason != "" {
			t.Fatalf("rejected: %+v", verdict)
		}
		if record.Envelope.Phase != event.Phase_PHASE_RESPONSE {
			continue
		}
		counts["calls"]++
		counts[record.Event.Call.DecodeError]++
		if record.Event.Call.Stream {
			counts["stream"]++
		}
		if record.Event.Usage.InTotal != nil && record.Event.Usage.OutTotal != nil {
			counts["usage"]++
		}
		if record.Event.Cost.GetStatus() == event.CostStatus_COST_STATUS_PRICED {
			counts["priced"]++
		}
		if record.Event.Identity.TeamId != event.Unknown {
			counts["team"]++
		}
	}
	if counts["calls"] != 2000 || counts[""] != 2000 || counts["usage"] != 2000 || counts["stream"] < 500 || counts["team"] < 1700 || counts["priced"] < 1000 {
		t.Errorf("%v", counts)
	}
}

// BenchmarkChain is the work per call without Kafka and ClickHouse: two envelopes from bytes to columns. Run it with
// GOMAXPROCS=1.
func BenchmarkChain(b *testing.B) {
	records, _ := values(2000)
	chain, err := fullChain()
	if err != nil {
		b.Fatal(err)
	}
	now := time.Now()
	stages := []struct {
		name                 string
		decode, chain, table bool
	}{
		{"decode", true, false, false}, {"decode+chain", true, true, false}, {"decode+chain+columns", true, true, true},
	}
	for _, stage := range stages {
		b.Run(stage.name, func(b *testing.B) {
			var d wire.Decoder
			tables := clickhouse.NewTables(&clickhouse.Buffers{})
			record := batch.Record{Event: &event.Event{}, IngestedAt: now}
			b.ReportAllocs()
			i, cpu := 0, cpuSeconds()
			for b.Loop() {
				for range 2 {
					value := records[i%len(records)]
					i++
					env, err := d.Envelope(value)
					if err != nil {
						b.Fatal(err)
					}
					record.Envelope = env
					if stage.chain {
						chain.Process(&record)
					}
					if stage.table {
						tables.AddEnvelope(&record, len(value))
						if tables.Rows() == 10_000 {
							tables.Reset()
						}
					}
				}
			}
			// CPU time, not wall: the machine may have other work.
			b.ReportMetric(float64(b.N)/(cpuSeconds()-cpu), "calls/core-s")
			b.ReportMetric((cpuSeconds()-cpu)/float64(b.N)*1e9, "cpu-ns/call")
		})
	}
}
