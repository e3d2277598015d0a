package stream_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/processors/stream"
)

// TestConsumption_GroupForgetsTheMember_StartsOver has the coordinator say, in the middle of a rebalance, that it does
// not know the member. The client then joins under another id and keeps its partitions without a callback.
func TestConsumption_GroupForgetsTheMember_StartsOver(t *testing.T) {
	c, sink := broker(t, 2), newTable()
	produce(t, c, 0, 200)
	var forget atomic.Bool
	c.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		join := req.(*kmsg.JoinGroupRequest)
		if join.MemberID == "" || !forget.CompareAndSwap(true, false) {
			return nil, nil, false
		}
		response := join.ResponseKind().(*kmsg.JoinGroupResponse)
		response.ErrorCode = kerr.UnknownMemberID.Code
		return response, nil, true
	})
	var clients atomic.Int32
	var last atomic.Pointer[kgo.Client]
	dial := func(opts ...kgo.Opt) (*kgo.Client, error) {
		clients.Add(1)
		cl, err := kgo.NewClient(append(opts, kgo.SeedBrokers(c.ListenAddrs()...))...)
		last.Store(cl)
		return cl, err
	}
	loop, err := stream.Consume(dial, sink.newBatch, config(), stream.Settings{Name: "test", Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- loop.Run(ctx) }()
	eventually(t, "the first rows", func() bool { return sink.count() == 200 })
	member, _ := last.Load().GroupMetadata()
	forget.Store(true)
	last.Load().ForceRebalance()
	eventually(t, "another member id", func() bool { now, _ := last.Load().GroupMetadata(); return now != member && !forget.Load() })
	produce(t, c, 200, 400)
	eventually(t, "a new start", func() bool { return clients.Load() == 2 })
	eventually(t, "all rows", func() bool { return sink.count() == 400 })
	stop()
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("run: %v", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("run did not end")
	}
	sink.exactly(t, 400)
	sink.adjoining(t)
}
