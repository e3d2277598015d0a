package ledger

import (
	"context"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// A client gives up all that waits for a partition with the first record whose context ends.
func TestLedger_ClosedWhileAStatementIsOnItsWay_SaysGoodbye(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, event.TopicSources))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	arrived := make(chan struct{}, 1)
	cluster.ControlKey(int16(kmsg.InitProducerID), func(kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		arrived <- struct{}{}
		time.Sleep(5 * time.Millisecond)
		return nil, nil, false
	})
	closings := map[uint64]bool{}
	key := filepath.Join(t.TempDir(), "key")
	for range 60 {
		client, err := kgo.NewClient(append(Options(), kgo.SeedBrokers(cluster.ListenAddrs()...))...)
		if err != nil {
			t.Fatal(err)
		}
		cfg := DefaultConfig()
		cfg.SourceKeyFile = key
		l, err := New(cfg, Settings{Kind: "tap", Instance: "edge-1", Send: Produce(client, event.TopicSources), Logger: zerolog.Nop()})
		if err != nil {
			t.Fatal(err)
		}
		l.Start()
		<-arrived
		if err := l.Close(t.Context()); err != nil {
			t.Errorf("closed: %v", err)
		}
		closings[l.Epoch()] = false
		client.Close()
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(event.TopicSources), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
	defer cancel()
	for ctx.Err() == nil {
		reader.PollFetches(ctx).EachRecord(func(r *kgo.Record) {
			m, err := wire.UnmarshalStatement(r.Value)
			if err != nil {
				t.Fatal(err)
			}
			if m.State == event.EpochState_EPOCH_STATE_CLOSED {
				closings[m.Source.BootEpoch] = true
			}
		})
	}
	for epoch, said := range closings {
		if !said {
			t.Errorf("epoch %d has no closing statement", epoch)
		}
	}
}
