package rig

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// rebalanceMillis is how long a rebalance waits for members that are gone.
const rebalanceMillis = 4000

// ServeKfake is the broker's process: a kfake cluster with one node for each listen address, whose clients are told the
// addresses in advertised, behind which proxies stand. It serves until control ends. Lines on control move leaders
// ("shuffle") and group coordinators ("rehash").
func ServeKfake(dir string, listen, advertised []string, control io.Reader) error {
	next, mu := 0, sync.Mutex{}
	cluster, err := kfake.NewCluster(
		kfake.NumBrokers(len(listen)), kfake.ClusterID("modeltrail-chaos"), kfake.DataDir(dir), kfake.SyncWrites(),
		kfake.GroupMinSessionTimeout(500*time.Millisecond), kfake.WithLogger(kfake.BasicLogger(os.Stderr, kfake.LogLevelWarn)),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "33554432", "log.segment.bytes": "67108864"}),
		kfake.ListenFn(func(string, string) (net.Listener, error) {
			mu.Lock()
			defer mu.Unlock()
			inner, err := net.Listen("tcp", listen[next])
			if err != nil {
				return nil, err
			}
			outside, err := net.ResolveTCPAddr("tcp", advertised[next])
			next++
			return behind{inner, outside}, err
		}),
	)
	if err != nil {
		return fmt.Errorf("open broker: %w", err)
	}
	// kfake starts the rebalance timeout anew with every join, so a group whose members die more often than that would
	// never come to rest; Apache Kafka counts from the first join.
	cluster.ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		join := req.(*kmsg.JoinGroupRequest)
		join.RebalanceTimeoutMillis = min(join.RebalanceTimeoutMillis, rebalanceMillis)
		return nil, nil, false
	})
	for lines := bufio.NewScanner(control); lines.Scan(); {
		switch strings.TrimSpace(lines.Text()) {
		case "shuffle":
			cluster.ShufflePartitionLeaders()
		case "rehash":
			cluster.RehashCoordinators()
		}
	}
	cluster.Close()
	return nil
}

// behind is a listener that names the proxy in front of it as its address.
type behind struct {
	net.Listener
	outside net.Addr
}

// Addr implements net.Listener.
func (b behind) Addr() net.Addr { return b.outside }
