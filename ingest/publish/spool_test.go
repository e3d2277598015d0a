package publish

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/ingest/spool"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// source numbers envelopes as a tap does: a refused one gives its number to the next.
type source struct {
	r    *rig
	seq  uint64
	lost int
}

func (s *source) send(n int, how Durability, size int) {
	for range n {
		env := envelope(fmt.Sprintf("call-%d", (s.seq+1)/2), event.Phase_PHASE_REQUEST, bytes.Repeat([]byte("x"), size))
		env.Source.Sequence = s.seq + 1
		if err := s.r.PublishAs(env, how); err != nil {
			s.lost++
			continue
		}
		s.seq++
	}
}

// arrived requires that the sequences 1 to n are in Kafka, rising in each partition where a number is new.
func arrived(t *testing.T, cluster *kfake.Cluster, n uint64) (repeats int) {
	t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics(topic))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	seen, last := map[uint64][]byte{}, map[int32]uint64{}
	for uint64(len(seen)) < n {
		fetches := client.PollFetches(ctx)
		if err := fetches.Err0(); err != nil {
			t.Fatalf("%d of %d envelopes: %v", len(seen), n, err)
		}
		for _, r := range fetches.Records() {
			e := &event.Envelope{}
			if err := e.UnmarshalVT(r.Value); err != nil {
				t.Fatal(err)
			}
			seq := e.Source.Sequence
			if before, again := seen[seq]; again {
				repeats++
				if !bytes.Equal(before, r.Value) {
					t.Errorf("sequence %d came again with other bytes", seq)
				}
				continue
			}
			if seq < last[r.Partition] {
				t.Errorf("partition %d: sequence %d after %d", r.Partition, seq, last[r.Partition])
			}
			seen[seq], last[r.Partition] = r.Value, seq
		}
	}
	for seq := uint64(1); seq <= n; seq++ {
		if _, ok := seen[seq]; !ok {
			t.Fatalf("sequence %d is missing", seq)
		}
	}
	return repeats
}

func TestAnOutageIsDeliveredInOrderInEachDurability(t *testing.T) {
	for _, how := range []Durability{Memory, Spill, SpoolFirst} {
		t.Run(how.String(), func(t *testing.T) {
			cluster := newBroker(t)
			r := newRig(t, cluster, t.TempDir(), nil)
			s := &source{r: r}
			s.send(100, how, 500)
			r.gate.set(false)
			for range 60 { // beyond the memory of those that have a spool
				n := 50
				if how == Memory {
					n = 10
				}
				s.send(n, how, 1000)
				time.Sleep(20 * time.Millisecond)
			}
			if held := r.held.Load(); held > int64(r.cfg.MaxBufferedBytes) {
				t.Errorf("%d bytes in memory", held)
			}
			if how != Memory && r.log.Bytes() < 1<<20 {
				t.Errorf("%d bytes in the spool", r.log.Bytes())
			}
			r.gate.set(true)
			s.send(100, how, 500)
			if s.lost != 0 {
				t.Fatalf("%d refused", s.lost)
			}
			arrived(t, cluster, s.seq)
			settled(t, r)
			balanced(t, r.Publisher)
			r.mu.Lock()
			spilling := r.spilling
			r.mu.Unlock()
			if spilling {
				t.Error("still spilling")
			}
			spooled := count(t, r.metrics.spooled)
			s.send(10, how, 10)
			if now := count(t, r.metrics.spooled); how == Spill && now != spooled || how == SpoolFirst && now != spooled+10 {
				t.Errorf("%v envelopes spooled after the outage", now-spooled)
			}
		})
	}
}

// settled waits until nothing is in flight and the spool is empty.
func settled(t *testing.T, r *rig) {
	t.Helper()
	for deadline := time.Now().Add(30 * time.Second); time.Now().Before(deadline); time.Sleep(10 * time.Millisecond) {
		r.mu.Lock()
		spilling := r.spilling
		r.mu.Unlock()
		if first, last := r.log.Pending(); r.InFlight() == 0 && first > last && !spilling {
			return
		}
	}
	t.Fatalf("%d in flight", r.InFlight())
}

func TestRoutesOfDifferentDurabilityShareOneOrder(t *testing.T) {
	cluster := newBroker(t)
	r := newRig(t, cluster, t.TempDir(), nil)
	s := &source{r: r}
	mixed := func(n int) {
		for i := range n {
			s.send(1, []Durability{Memory, Spill, SpoolFirst}[i%3], 300)
		}
	}
	mixed(300)
	r.gate.set(false)
	for range 40 {
		mixed(30)
		time.Sleep(10 * time.Millisecond)
	}
	r.gate.set(true)
	mixed(300)
	if s.lost != 0 {
		t.Fatalf("%d refused", s.lost)
	}
	arrived(t, cluster, s.seq)
	settled(t, r)
	balanced(t, r.Publisher)
}

func TestACleanEndWithoutKafkaLosesNothing(t *testing.T) {
	cluster := newBroker(t)
	dir := t.TempDir()
	r := newRig(t, cluster, dir, nil)
	s := &source{r: r}
	s.send(50, Spill, 500)
	arrived(t, cluster, 50)
	r.gate.set(false)
	s.send(200, Spill, 500) // all in memory
	if err := r.end(5 * time.Second); err != nil {
		t.Fatal(err)
	}
	if r.Lost() != 0 {
		t.Errorf("%d lost", r.Lost())
	}
	again := newRig(t, cluster, dir, nil)
	s.r = again
	s.send(50, Spill, 500)
	arrived(t, cluster, 300)
	settled(t, again)
	balanced(t, again.Publisher)
}

func TestAtTheBoundEnvelopesAreDroppedCountedAndTakenAgainLater(t *testing.T) {
	cluster := newBroker(t)
	r := newRig(t, cluster, t.TempDir(), func(c *spool.Config) { c.MaxBytes, c.SegmentBytes = 1<<20, 64<<10 })
	s := &source{r: r}
	if !r.Takes(SpoolFirst) || !r.Takes(Spill) {
		t.Fatal("takes nothing")
	}
	r.gate.set(false)
	s.send(5000, SpoolFirst, 1000)
	dropped := count(t, r.metrics.byReason[reasonSpoolFull])
	if s.lost == 0 || float64(s.lost) != dropped || r.Takes(SpoolFirst) {
		t.Fatalf("%d refused, %v counted, takes %v", s.lost, dropped, r.Takes(SpoolFirst))
	}
	balanced(t, r.Publisher)
	r.gate.set(true)
	for deadline := time.Now().Add(30 * time.Second); !r.Takes(SpoolFirst); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("never takes envelopes again")
		}
	}
	lost := s.lost
	s.send(100, SpoolFirst, 1000)
	if s.lost != lost {
		t.Errorf("%d refused with room", s.lost-lost)
	}
	arrived(t, cluster, s.seq)
	settled(t, r)
	balanced(t, r.Publisher)
}

func TestMemoryThatIsFullIsToldAndRecovers(t *testing.T) {
	cluster := newBroker(t)
	r := newRig(t, cluster, t.TempDir(), nil)
	s := &source{r: r}
	r.gate.set(false)
	s.send(3000, Memory, 1000)
	if s.lost == 0 || r.Takes(Memory) || !r.Takes(SpoolFirst) {
		t.Fatalf("%d refused", s.lost)
	}
	r.gate.set(true)
	arrived(t, cluster, s.seq)
	settled(t, r)
	if !r.Takes(Memory) {
		t.Error("takes nothing after it was drained")
	}
}

func TestARecordThatIsTooLargeKeepsItsPlaceInTheOrder(t *testing.T) {
	for _, how := range []Durability{Memory, SpoolFirst} {
		t.Run(how.String(), func(t *testing.T) {
			cluster := newBroker(t)
			r := newRig(t, cluster, t.TempDir(), nil)
			s := &source{r: r}
			noise := make([]byte, 1100<<10) // over the broker's limit however it is compressed
			_, _ = rand.Read(noise)
			for range 3 {
				s.send(200, how, 300)
				env := envelope("large", event.Phase_PHASE_RESPONSE, noise)
				env.Source.Sequence = s.seq + 1
				if err := r.PublishAs(env, how); err != nil {
					t.Fatal(err)
				}
				s.seq++
				s.send(200, how, 300)
				settled(t, r) // the next large one must find room
			}
			arrived(t, cluster, s.seq)
			if n := count(t, r.metrics.stripped); n != 3 {
				t.Errorf("%v bodies stripped", n)
			}
			settled(t, r)
			balanced(t, r.Publisher)
		})
	}
}

func TestWhatBrokersRefuseForAWhileStaysInTheSpool(t *testing.T) {
	cluster := newBroker(t)
	r := newRig(t, cluster, t.TempDir(), nil)
	refuse := true
	var mu sync.Mutex
	cluster.ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		cluster.KeepControl()
		mu.Lock()
		defer mu.Unlock()
		if !refuse {
			return nil, nil, false
		}
		return produceError(req.(*kmsg.ProduceRequest), kerr.TopicAuthorizationFailed), nil, true
	})
	s := &source{r: r}
	s.send(100, SpoolFirst, 200)
	time.Sleep(1500 * time.Millisecond)
	if r.Lost() != 0 || r.InFlight() != 100 {
		t.Errorf("lost %d, in flight %d", r.Lost(), r.InFlight())
	}
	mu.Lock()
	refuse = false
	mu.Unlock()
	arrived(t, cluster, 100)
	settled(t, r)
	balanced(t, r.Publisher)
}

func produceError(request *kmsg.ProduceRequest, as *kerr.Error) kmsg.Response {
	response := request.ResponseKind().(*kmsg.ProduceResponse)
	for _, t := range request.Topics {
		rt := kmsg.NewProduceResponseTopic()
		rt.Topic, rt.TopicID = t.Topic, t.TopicID
		for _, p := range t.Partitions {
			rp := kmsg.NewProduceResponseTopicPartition()
			rp.Partition, rp.ErrorCode = p.Partition, as.Code
			rt.Partitions = append(rt.Partitions, rp)
		}
		response.Topics = append(response.Topics, rt)
	}
	return response
}

func TestPublishDurableReturnsWithTheDiskOrWithKafka(t *testing.T) {
	cluster := newBroker(t)
	some := func(from uint64, n int) []*event.Envelope {
		out := make([]*event.Envelope, n)
		for i := range out {
			out[i] = envelope("id", event.Phase_PHASE_REQUEST, []byte("body"))
			out[i].Source.Sequence = from + uint64(i)
		}
		return out
	}
	dir := t.TempDir()
	r := newRig(t, cluster, dir, nil)
	r.gate.set(false)
	if err := r.PublishDurable(t.Context(), some(1, 20)); err != nil { // Kafka is away, the disk is not
		t.Fatal(err)
	}
	_ = r.log.Close() // as if the disk refused
	short, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := r.PublishDurable(short, some(21, 1)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("without disk and Kafka: %v", err)
	}
	r.gate.set(true)
	if err := r.PublishDurable(t.Context(), some(22, 5)); err != nil {
		t.Errorf("without disk: %v", err)
	}
	arrived(t, cluster, 26)

	other := newBroker(t)
	p := newPublisher(t, smallConfig(), other.ListenAddrs()...)
	if err := p.PublishDurable(t.Context(), some(1, 5)); err != nil {
		t.Fatal(err)
	}
	if count(t, p.metrics.published) != 5 {
		t.Error("returned before Kafka had them")
	}
	if err := p.PublishDurable(t.Context(), some(6, smallConfig().MaxBufferedRecords+1)); !errors.Is(err, ErrRefused) {
		t.Errorf("more than fits: %v", err)
	}
}

func TestPublishDurableIsRefusedAtTheBound(t *testing.T) {
	r := newRig(t, newBroker(t), filepath.Join(t.TempDir(), "spool"), func(c *spool.Config) { c.MaxBytes, c.SegmentBytes = 256<<10, 64<<10 })
	r.gate.set(false)
	var err error
	for range 500 {
		if err = r.PublishDurable(t.Context(), []*event.Envelope{envelope("id", event.Phase_PHASE_REQUEST, make([]byte, 4000))}); err != nil {
			break
		}
	}
	if !errors.Is(err, ErrRefused) {
		t.Errorf("%v", err)
	}
	balanced(t, r.Publisher)
}
