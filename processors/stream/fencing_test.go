package stream_test

import (
	"context"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/processors/stream"
	"github.com/modeltrail/modeltrail/schemas/batch"
)

// valve holds back every byte between a member and the broker while it is shut, as if the member were stopped.
type valve struct {
	mu   sync.Mutex
	open chan struct{}
}

func newValve() *valve {
	v := &valve{open: make(chan struct{})}
	close(v.open)
	return v
}

func (v *valve) shut() {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = make(chan struct{})
}

func (v *valve) release() {
	v.mu.Lock()
	defer v.mu.Unlock()
	close(v.open)
}

func (v *valve) wait() {
	v.mu.Lock()
	open := v.open
	v.mu.Unlock()
	<-open
}

type valved struct {
	net.Conn
	v *valve
}

func (c valved) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.v.wait()
	return n, err
}

func (c valved) Write(p []byte) (int, error) {
	c.v.wait()
	return c.Conn.Write(p)
}

// startZombie starts a member whose traffic goes through v and which calls at at the points of its deliveries.
func startZombie(t *testing.T, c *kfake.Cluster, cfg stream.Config, newBatch stream.NewBatch, v *valve, at func(string)) *running {
	t.Helper()
	membership := &stream.Membership{}
	opts := append(stream.Options(cfg, membership), kgo.Dialer(func(ctx context.Context, network, host string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, host)
		if err != nil {
			return nil, err
		}
		return valved{conn, v}, nil
	}))
	cl := client(t, c, opts...)
	registry := prometheus.NewRegistry()
	runner, err := stream.New(cl, newBatch, cfg, stream.Settings{
		Name: "zombie", Membership: membership, Logger: zerolog.Nop(), Registerer: registry, Faults: stream.Faults{At: at},
	})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	r := &running{t: t, stopRun: cancel, done: make(chan error, 1), registry: registry, client: cl, runner: runner}
	go func() { r.done <- runner.Run(ctx) }()
	t.Cleanup(func() { cancel(); cl.Close() })
	return r
}

// TestRunner_Zombie stops a member at each point of a delivery until another has taken its partition over, and lets it
// go on afterwards: it can neither plan nor commit, and what it still inserts is dropped by its token.
func TestRunner_Zombie_ChangesNothing(t *testing.T) {
	for _, point := range []string{stream.PointPlan, stream.PointPlanned, stream.PointInsert, stream.PointInserted} {
		t.Run(point, func(t *testing.T) {
			c, sink, v := broker(t, 1), newTable(), newValve()
			produce(t, c, 0, 350)
			stopped, resume := make(chan struct{}), make(chan struct{})
			var passed atomic.Int32
			at := func(p string) {
				if p == point && passed.Add(1) == 2 { // within the second batch
					v.shut()
					close(stopped)
					<-resume
				}
			}
			var inserted atomic.Int32
			newBatch := func(topic string, partition int32) (stream.Batch, error) {
				b, err := sink.newBatch(topic, partition)
				return &observed{Batch: b, before: func(batch.Span) {
					inserted.Add(1)
					if point == stream.PointInsert {
						at(point)
					}
				}}, err
			}
			r := startZombie(t, c, config(), newBatch, v, at)
			<-stopped
			before := inserted.Load()
			successor := start(t, c, config(), sink.newBatch)
			eventually(t, "the successor finishes", func() bool { return committed(t, c)[0] == commitState{350, ""} })
			sink.exactly(t, 350)
			v.release()
			close(resume)
			eventually(t, "the zombie gives up", func() bool {
				return r.metric("modeltrail_stream_abandoned_records_total") > 0 || r.metric("modeltrail_stream_commit_errors_total") > 0
			})
			allowed := int32(0)
			if point == stream.PointPlanned {
				allowed = 1 // what it had planned; the token drops it
			}
			if after := inserted.Load() - before; after > allowed {
				t.Errorf("the zombie began %d inserts, %d were planned", after, allowed)
			}
			produce(t, c, 350, 500)
			eventually(t, "the rest", func() bool { return committed(t, c)[0].offset == 500 && committed(t, c)[0].metadata == "" })
			successor.stop()
			r.stop()
			sink.exactly(t, 500)
			sink.adjoining(t)
		})
	}
}

// observed calls before in front of each delivery.
type observed struct {
	stream.Batch
	before func(batch.Span)
}

func (b *observed) Deliver(ctx context.Context, span batch.Span) error {
	b.before(span)
	return b.Batch.Deliver(ctx, span)
}

// TestRunner_TwoOwners_StoreEverythingOnce forces two members onto one partition again and again: each is cut off while
// it works and comes back while the other does.
func TestRunner_TwoOwners_StoreEverythingOnce(t *testing.T) {
	c, sink := broker(t, 1), newTable()
	cfg := config()
	cfg.SessionTimeout = time.Second
	cfg.MaxBatchRows = 20
	valves := []*valve{newValve(), newValve()}
	var members []*running
	for _, v := range valves {
		members = append(members, startZombie(t, c, cfg, sink.newBatch, v, nil))
	}
	n := 0
	for round := range 6 {
		v := valves[round%2]
		produce(t, c, n, n+200)
		n += 200
		time.Sleep(30 * time.Millisecond)
		v.shut()
		time.Sleep(1300 * time.Millisecond) // longer than the session
		produce(t, c, n, n+100)
		n += 100
		v.release()
	}
	eventually(t, "everything is committed", func() bool { return committed(t, c)[0] == commitState{int64(n), ""} })
	for _, r := range members {
		r.stop()
	}
	sink.exactly(t, n)
	sink.adjoining(t)
}
