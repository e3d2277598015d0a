package stream_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
)

func TestRunner_Delivers_EveryRecordOnceAndCommits(t *testing.T) {
	c, sink := broker(t, 4), newTable()
	produce(t, c, 0, 3000)
	r := start(t, c, config(), sink.newBatch)
	eventually(t, "all rows", func() bool { return sink.count() == 3000 })
	eventually(t, "nothing in flight", func() bool { return r.metric("modeltrail_stream_in_flight_bytes") == 0 })
	if got := r.metric("modeltrail_stream_delivered_records_total"); got != 3000 {
		t.Errorf("delivered %v, want 3000", got)
	}
	if got := r.metric("modeltrail_stream_lag_records"); got != 0 {
		t.Errorf("lag %v after everything was committed", got)
	}
	r.stop()
	sink.exactly(t, 3000)
	sink.adjoining(t)
	var total int64
	for _, state := range committed(t, c) {
		total += state.offset
		if state.metadata != "" {
			t.Errorf("metadata %q is left behind", state.metadata)
		}
	}
	if total != 3000 {
		t.Errorf("committed %d offsets, want 3000", total)
	}
}

func TestRunner_SinkFails_DoesNotCommitAndRepeatsTheSameSpan(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	produce(t, c, 0, 150)
	sink.set(func(batch.Span) error { return errSink }, nil)
	r := start(t, c, config(), sink.newBatch)
	first := <-sink.started
	for range 5 {
		if again := <-sink.started; again != first {
			t.Fatalf("repeated with %v, first was %v", again, first)
		}
	}
	if diff := cmp.Diff(map[int32]commitState{0: {0, "v1;99"}}, committed(t, c), cmp.AllowUnexported(commitState{})); diff != "" {
		t.Errorf("only the plan is committed (-want +got):\n%s", diff)
	}
	if lag := r.metric("modeltrail_stream_lag_records"); lag != 150 {
		t.Errorf("lag %v, want 150", lag)
	}
	if age := r.metric("modeltrail_stream_oldest_age_seconds"); age <= 0 {
		t.Errorf("age %v of the waiting record", age)
	}
	sink.set(nil, nil)
	eventually(t, "all rows", func() bool { return sink.count() == 150 })
	r.stop()
	sink.exactly(t, 150)
	sink.adjoining(t)
}

// refuseCommits makes the broker refuse offset commits for which when says so.
func refuseCommits(c interface {
	ControlKey(int16, func(kmsg.Request) (kmsg.Response, error, bool))
	KeepControl()
}, code int16, when func(offset int64, metadata string) bool) {
	c.ControlKey(kmsg.OffsetCommit.Int16(), func(request kmsg.Request) (kmsg.Response, error, bool) {
		c.KeepControl()
		req := request.(*kmsg.OffsetCommitRequest)
		p := req.Topics[0].Partitions[0]
		metadata := ""
		if p.Metadata != nil {
			metadata = *p.Metadata
		}
		if !when(p.Offset, metadata) {
			return nil, nil, false
		}
		resp := req.ResponseKind().(*kmsg.OffsetCommitResponse)
		for _, rt := range req.Topics {
			st := kmsg.NewOffsetCommitResponseTopic()
			st.Topic, st.TopicID = rt.Topic, rt.TopicID
			for _, rp := range rt.Partitions {
				sp := kmsg.NewOffsetCommitResponseTopicPartition()
				sp.Partition, sp.ErrorCode = rp.Partition, code
				st.Partitions = append(st.Partitions, sp)
			}
			resp.Topics = append(resp.Topics, st)
		}
		return resp, nil, true
	})
}

func TestRunner_CommitFails_DeliversOnce(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.RebalanceInProgress, kerr.CoordinatorLoadInProgress, kerr.UnknownServerError} {
		t.Run(refusal.Message, func(t *testing.T) {
			c, sink := broker(t, 1), newTable()
			produce(t, c, 0, 120)
			var refused atomic.Int32
			refuseCommits(c, refusal.Code, func(_ int64, metadata string) bool { return metadata == "" && refused.Add(1) <= 4 })
			r := start(t, c, config(), sink.newBatch)
			eventually(t, "all rows", func() bool { return sink.count() == 120 })
			eventually(t, "commit", func() bool { return committed(t, c)[0] == commitState{120, ""} })
			r.stop()
			sink.exactly(t, 120)
			for token, n := range sink.tokens {
				if n != 1 {
					t.Errorf("%s was delivered %d times", token, n)
				}
			}
		})
	}
}

func TestRunner_PlanRefused_InsertsNothing(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	produce(t, c, 0, 100)
	var open atomic.Bool
	refuseCommits(c, kerr.GroupAuthorizationFailed.Code, func(_ int64, metadata string) bool { return metadata != "" && !open.Load() })
	r := start(t, c, config(), sink.newBatch)
	eventually(t, "refusals", func() bool { return r.metric("modeltrail_stream_commit_errors_total") >= 3 })
	if n := len(sink.started); n != 0 {
		t.Errorf("%d deliveries without a plan", n)
	}
	open.Store(true)
	eventually(t, "all rows", func() bool { return sink.count() == 100 })
	r.stop()
}

func TestRunner_Fenced_DiscardsAndTheNextOwnerRepeatsTheSpan(t *testing.T) {
	for _, refusal := range []*kerr.Error{kerr.IllegalGeneration, kerr.UnknownMemberID} {
		t.Run(refusal.Message, func(t *testing.T) {
			c, sink := broker(t, 1), newTable()
			produce(t, c, 0, 100)
			var refused atomic.Bool
			// The commit after the insert is refused once: the coordinator has forgotten this member.
			refuseCommits(c, refusal.Code, func(_ int64, metadata string) bool { return metadata == "" && !refused.Swap(true) })
			r := start(t, c, config(), sink.newBatch)
			eventually(t, "commit", func() bool { return committed(t, c)[0] == commitState{100, ""} })
			r.stop()
			sink.exactly(t, 100)
			sink.adjoining(t)
		})
	}
}

func TestRunner_RestartAfterPlan_RepeatsTheSameSpanWhateverTheConfigSays(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	produce(t, c, 0, 300)
	cfg := config()
	cfg.DrainTimeout = 100 * time.Millisecond
	sink.set(nil, make(chan struct{})) // the insert hangs for ever
	r := start(t, c, cfg, sink.newBatch)
	planned := <-sink.started
	r.stop()
	if got := committed(t, c)[0]; got != (commitState{0, "v1;99"}) {
		t.Fatalf("committed %v, want the plan of the hanging batch", got)
	}
	sink.set(nil, nil)
	cfg = config()
	cfg.MaxBatchRows, cfg.FlushInterval = 7, time.Millisecond
	r = start(t, c, cfg, sink.newBatch)
	if again := <-sink.started; again != planned {
		t.Errorf("the successor delivered %v, planned was %v", again, planned)
	}
	eventually(t, "all rows", func() bool { return sink.count() == 300 })
	r.stop()
	sink.exactly(t, 300)
	sink.adjoining(t)
}

func TestRunner_KilledBetweenInsertAndCommit_StoresNothingTwice(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	produce(t, c, 0, 250)
	var open atomic.Bool
	refuseCommits(c, kerr.UnknownServerError.Code, func(offset int64, metadata string) bool {
		return metadata == "" && offset == 200 && !open.Load()
	})
	cfg := config()
	cfg.DrainTimeout = 100 * time.Millisecond
	r := start(t, c, cfg, sink.newBatch)
	eventually(t, "second batch inserted", func() bool { return sink.count() == 200 })
	eventually(t, "its commit refused", func() bool { return r.metric("modeltrail_stream_commit_errors_total") > 0 })
	r.stop()
	if got := committed(t, c)[0]; got != (commitState{100, "v1;199"}) {
		t.Fatalf("committed %v, want the plan of the inserted batch", got)
	}
	open.Store(true)
	r = start(t, c, config(), sink.newBatch)
	eventually(t, "all rows", func() bool { return sink.count() == 250 })
	r.stop()
	sink.exactly(t, 250)
	sink.adjoining(t)
	repeated := batch.Span{Topic: topic, Partition: 0, First: 100, Last: 199}
	if n := sink.tokens[repeated.Token("main", "rows", 1)]; n != 2 {
		t.Errorf("the inserted batch was delivered %d times under its token, want 2", n)
	}
}

func TestRunner_Revoked_DrainsThenCommits(t *testing.T) {
	c, sink := broker(t, 4), newTable()
	produce(t, c, 0, 2000)
	cfg := config()
	cfg.FlushInterval = time.Hour // only the drain can deliver the open remainder
	first := start(t, c, cfg, sink.newBatch)
	eventually(t, "first rows", func() bool { return sink.count() == 2000 })
	produce(t, c, 2000, 2040)
	eventually(t, "open batches", func() bool { return first.metric("modeltrail_stream_in_flight_bytes") > 0 })
	second := start(t, c, cfg, sink.newBatch)
	eventually(t, "revoked partitions drained", func() bool { return sink.count() > 2000 })
	first.stop()
	second.stop()
	eventually(t, "all rows", func() bool { return sink.count() == 2040 })
	sink.exactly(t, 2040)
	sink.adjoining(t)
}

func TestRunner_MembersComeAndGo_EveryRecordIsStoredOnce(t *testing.T) {
	c, sink := broker(t, 6), newTable()
	stay := start(t, c, config(), sink.newBatch)
	for round := range 4 {
		guest := start(t, c, config(), sink.newBatch)
		produce(t, c, round*1000, round*1000+1000)
		time.Sleep(100 * time.Millisecond)
		guest.stop()
	}
	eventually(t, "all rows", func() bool { return sink.count() == 4000 })
	stay.stop()
	sink.exactly(t, 4000)
	sink.adjoining(t)
}

func TestRunner_HolesInOffsets_AreCrossed(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	producer := client(t, c, kgo.TransactionalID("holes"), kgo.DefaultProduceTopic(topic))
	ctx := context.Background()
	stored := 0
	for i := range 10 {
		if err := producer.BeginTransaction(); err != nil {
			t.Fatal(err)
		}
		commit := kgo.TransactionEndTry(i%2 == 0)
		for range 30 {
			text := "aborted"
			if commit {
				text = value(stored)
				stored++
			}
			if err := producer.ProduceSync(ctx, kgo.StringRecord(text)).FirstErr(); err != nil {
				t.Fatal(err)
			}
		}
		if err := producer.EndTransaction(ctx, commit); err != nil {
			t.Fatal(err)
		}
	}
	cfg := config()
	cfg.DrainTimeout = 100 * time.Millisecond
	cfg.MaxBatchRows = 45
	sink.set(nil, make(chan struct{}))
	r := start(t, c, cfg, sink.newBatch)
	planned := <-sink.started
	r.stop()
	sink.set(nil, nil)
	r = start(t, c, cfg, sink.newBatch)
	if again := <-sink.started; again != planned {
		t.Errorf("the successor delivered %v, planned was %v", again, planned)
	}
	eventually(t, "all rows", func() bool { return sink.count() == stored })
	if missing := r.metric("modeltrail_stream_missing_offsets_total"); missing == 0 {
		t.Error("no hole was counted")
	}
	r.stop()
	sink.exactly(t, stored)
	sink.adjoining(t)
}

func TestRunner_RetentionOvertakesPlan_GoesOn(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	produce(t, c, 0, 200)
	cfg := config()
	cfg.DrainTimeout = 100 * time.Millisecond
	sink.set(nil, make(chan struct{}))
	r := start(t, c, cfg, sink.newBatch)
	<-sink.started
	r.stop()
	admin := kadm.NewClient(client(t, c))
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: topic, Partition: 0, At: 150})
	if _, err := admin.DeleteRecords(context.Background(), offsets); err != nil {
		t.Fatal(err)
	}
	sink.set(nil, nil)
	r = start(t, c, config(), sink.newBatch)
	eventually(t, "the rows that are left", func() bool { return sink.count() == 50 })
	eventually(t, "commit", func() bool { return committed(t, c)[0] == commitState{200, ""} })
	r.stop()
}

func TestRunner_SlowSink_KeepsBytesInFlightBounded(t *testing.T) {
	c, sink := broker(t, 4), newTable()
	produce(t, c, 0, 60_000)
	cfg := config()
	cfg.MaxBatchBytes, cfg.MaxPartitionBytes, cfg.MaxTotalBytes = 100_000, 200_000, 400_000
	release := make(chan struct{})
	sink.set(nil, release)
	r := start(t, c, cfg, sink.newBatch)
	<-sink.started
	time.Sleep(300 * time.Millisecond)
	// One poll may overshoot the mark: 5000 records of about 215 bytes.
	if held := r.metric("modeltrail_stream_in_flight_bytes"); held > 400_000+5000*230 {
		t.Errorf("%v bytes in flight", held)
	}
	if n := sink.count(); n != 0 {
		t.Fatalf("%d rows while the sink hangs", n)
	}
	close(release)
	eventually(t, "all rows", func() bool { return sink.count() == 60_000 })
	r.stop()
	sink.exactly(t, 60_000)
	sink.adjoining(t)
}

func TestRunner_Stops_FlushesCommitsAndLeaves(t *testing.T) {
	c, sink := broker(t, 2), newTable()
	produce(t, c, 0, 50)
	cfg := config()
	cfg.FlushInterval = time.Hour
	r := start(t, c, cfg, sink.newBatch)
	eventually(t, "records taken", func() bool { return r.metric("modeltrail_stream_consumed_records_total") == 50 })
	r.stop()
	sink.exactly(t, 50)
	groups, err := kadm.NewClient(client(t, c)).DescribeGroups(context.Background(), group)
	if err != nil {
		t.Fatal(err)
	}
	if members := groups[group].Members; len(members) != 0 {
		t.Errorf("%d members are left in the group", len(members))
	}
}

func TestRunner_BatchCannotBeMade_RunEndsWithTheError(t *testing.T) {
	c := broker(t, 1)
	want := errors.New("no tables")
	r := start(t, c, config(), func(string, int32) (stream.Batch, error) { return nil, want })
	if err := r.wait(); !errors.Is(err, want) {
		t.Errorf("run ended with %v", err)
	}
}
