package tapscene

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/modeltrail/modeltrail/ingest/tap"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// Serve is a role that answers with h. All servers of a benchmark are made alike, so that only the proxies differ.
func Serve(h http.Handler) error {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := tap.NewServer(context.Background(), h)
	go func() {
		untilClosed()
		_ = server.Close()
	}()
	fmt.Println(l.Addr().String())
	if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

// Broker is a role: an embedded broker with the topics of a tap. A broker has machines of its own; here it gets what
// the others leave, so that its work is not the tap's latency.
func Broker(opts ...kfake.Opt) error {
	if err := giveWay(); err != nil {
		return fmt.Errorf("lower the broker's priority: %w", err)
	}
	cluster, err := kfake.NewCluster(append([]kfake.Opt{kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEnvelopes, event.TopicSources)}, opts...)...)
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Println(cluster.ListenAddrs()[0])
	untilClosed()
	return nil
}

// Spin is a role that wants a whole processor.
func Spin() error {
	var over atomic.Bool
	go func() { untilClosed(); over.Store(true) }()
	fmt.Println("spins")
	for !over.Load() {
	}
	return nil
}

func untilClosed() { _, _ = io.Copy(io.Discard, os.Stdin) }
