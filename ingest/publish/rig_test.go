package publish

import (
	"context"
	"errors"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/ingest/spool"
)

// rig is a publisher with a spool, on a line to the broker that can be cut.
type rig struct {
	*Publisher
	t       *testing.T
	cluster *kfake.Cluster
	gate    *gate
	dir     string
	log     *spool.Log
	client  *kgo.Client
}

func smallConfig() Config {
	cfg := DefaultConfig()
	cfg.SpillAfter, cfg.Linger = 200*time.Millisecond, time.Millisecond
	cfg.MaxBufferedBytes, cfg.MaxRecordBytes = 2<<20, 1<<20
	return cfg
}

func newRig(t *testing.T, cluster *kfake.Cluster, dir string, change func(*spool.Config)) *rig {
	t.Helper()
	r := &rig{t: t, cluster: cluster, gate: &gate{open: true}, dir: dir}
	sc := spool.DefaultConfig()
	sc.Dir, sc.SegmentBytes, sc.SyncInterval = dir, 256<<10, 0
	if change != nil {
		change(&sc)
	}
	var err error
	if r.log, err = spool.Open(sc, spool.Settings{Logger: zerolog.Nop()}); err != nil {
		t.Fatal(err)
	}
	cfg := smallConfig()
	r.client, err = kgo.NewClient(append(cfg.Options(), kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.Dialer(r.gate.dial),
		kgo.RetryBackoffFn(func(int) time.Duration { return 20 * time.Millisecond }))...)
	if err != nil {
		t.Fatal(err)
	}
	r.Publisher, err = New(r.client, cfg, Settings{Topic: topic, Spool: r.log, Logger: zerolog.Nop(), Registerer: prometheus.NewRegistry()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.end(5 * time.Second) })
	return r
}

// end closes all, as a process does that gets SIGTERM.
func (r *rig) end(timeout time.Duration) error {
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	defer cancel()
	err := r.Close(ctx)
	_ = r.log.Close()
	r.client.Close()
	return err
}

// gate is a dialer that can be shut; shutting it cuts what is open.
type gate struct {
	mu    sync.Mutex
	open  bool
	conns []net.Conn
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open = open; !open {
		for _, c := range g.conns {
			_ = c.Close()
		}
		g.conns = nil
	}
}

func (g *gate) dial(ctx context.Context, network, host string) (net.Conn, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.open {
		return nil, errors.New("gate is shut")
	}
	c, err := (&net.Dialer{}).DialContext(ctx, network, host)
	if err == nil {
		g.conns = append(g.conns, c)
	}
	return c, err
}
