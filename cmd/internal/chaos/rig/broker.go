package rig

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/faultproxy"
	"github.com/modeltrail/modeltrail/cmd/internal/e2e/apachekafka"
)

// Kinds of brokers.
const (
	Kfake       = "kfake"
	ApacheKafka = "apachekafka"
)

// broker is the broker's process and the proxies in front of its nodes.
type broker struct {
	kind    string
	process *Process
	proxies []*faultproxy.Proxy
	direct  map[string]string // address of a proxy -> address behind it

	mu      sync.Mutex
	control io.WriteCloser // of the present kfake process
}

// startBroker starts a broker of a kind in dir and waits until it answers.
func startBroker(ctx context.Context, kind, self, dir string, seed uint64) (*broker, error) {
	nodes := 1
	if kind == Kfake {
		nodes = 3 // so that leaders and coordinators have somewhere to move
	}
	b := &broker{kind: kind, direct: map[string]string{}}
	var listen, advertised []string
	for i := range nodes {
		inner, err := freeAddress()
		if err != nil {
			return nil, err
		}
		proxy, err := faultproxy.Listen("127.0.0.1:0", inner, seed+uint64(i)) //nolint:gosec // small
		if err != nil {
			return nil, err
		}
		b.proxies = append(b.proxies, proxy)
		b.direct[proxy.Addr()] = inner
		listen, advertised = append(listen, inner), append(advertised, proxy.Addr())
	}
	command, err := b.command(kind, self, dir, listen, advertised)
	if err != nil {
		return nil, errors.Join(err, b.closeProxies())
	}
	b.process = newProcess("broker", filepath.Join(dir, "broker.log"), command)
	if err := b.process.Start(); err != nil {
		return nil, errors.Join(err, b.closeProxies())
	}
	return b, b.await(ctx)
}

func (b *broker) command(kind, self, dir string, listen, advertised []string) (func() *exec.Cmd, error) {
	switch kind {
	case Kfake:
		return func() *exec.Cmd {
			cmd := exec.Command(self, "kfake", filepath.Join(dir, "broker"), strings.Join(listen, ","), strings.Join(advertised, ",")) //nolint:gosec // this very program
			if in, err := cmd.StdinPipe(); err == nil {
				b.mu.Lock()
				b.control = in
				b.mu.Unlock()
			}
			return cmd
		}, nil
	case ApacheKafka:
		return apacheCommand(dir, listen[0], advertised[0])
	}
	return nil, fmt.Errorf("broker %q is neither %s nor %s", kind, Kfake, ApacheKafka)
}

// apacheCommand prepares a single Apache Kafka node, broker and controller in one, and returns how to start it.
func apacheCommand(dir, listen, advertised string) (func() *exec.Cmd, error) {
	if !apachekafka.Available() {
		return nil, errors.New("apache kafka needs java and mvn on PATH")
	}
	jars, err := apachekafka.Install()
	if err != nil {
		return nil, fmt.Errorf("install Apache Kafka: %w", err)
	}
	controller, err := freeAddress()
	if err != nil {
		return nil, err
	}
	properties := filepath.Join(dir, "server.properties")
	text := fmt.Sprintf(`node.id=1
process.roles=broker,controller
listeners=PLAINTEXT://%s,CONTROLLER://%s
advertised.listeners=PLAINTEXT://%s
controller.listener.names=CONTROLLER
controller.quorum.voters=1@%s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
log.dirs=%s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=500
auto.create.topics.enable=false
message.max.bytes=33554432
`, listen, controller, advertised, controller, filepath.Join(dir, "kafka-log"))
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		return nil, err
	}
	classpath := filepath.Join(jars, "*")
	format := exec.Command("java", "-cp", classpath, "kafka.tools.StorageTool", "format", "-t", "bW9kZWx0cmFpbGNoYW9zMA", "-c", properties) //nolint:gosec // fixed arguments
	if out, err := format.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("format Apache Kafka storage: %w\n%s", err, out)
	}
	return func() *exec.Cmd {
		return exec.Command("java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, "kafka.Kafka", properties) //nolint:gosec // fixed arguments
	}, nil
}

// Addrs are what clients are told: the proxies.
func (b *broker) addrs() []string {
	var out []string
	for _, p := range b.proxies {
		out = append(out, p.Addr())
	}
	return out
}

// client returns a client that goes around the proxies.
func (b *broker) client(opts ...kgo.Opt) (*kgo.Client, error) {
	dialer := &net.Dialer{Timeout: 3 * time.Second}
	return kgo.NewClient(append([]kgo.Opt{
		kgo.SeedBrokers(b.addrs()...),
		kgo.Dialer(func(ctx context.Context, network, address string) (net.Conn, error) {
			if inner, ok := b.direct[address]; ok {
				address = inner
			}
			return dialer.DialContext(ctx, network, address)
		}),
	}, opts...)...)
}

func (b *broker) await(ctx context.Context) error {
	client, err := b.client()
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	for {
		attempt, stop := context.WithTimeout(ctx, 3*time.Second)
		err := client.Ping(attempt)
		stop()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return fmt.Errorf("reach the broker: %w", err)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// order gives kfake a line of control. False: this broker takes none.
func (b *broker) order(line string) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.control == nil {
		return false
	}
	_, err := fmt.Fprintln(b.control, line)
	return err == nil
}

// rest is how long a broker is left alone after its start: a Java broker needs a good part of a minute on a busy
// machine until it serves groups again, and kills in that time would hit nothing but its start.
func (b *broker) rest() time.Duration {
	if b.kind == ApacheKafka {
		return 45 * time.Second
	}
	return 5 * time.Second
}

func (b *broker) closeProxies() error {
	var errs []error
	for _, p := range b.proxies {
		errs = append(errs, p.Close())
	}
	return errors.Join(errs...)
}

func (b *broker) stop() error {
	b.mu.Lock()
	if b.control != nil {
		_ = b.control.Close() // kfake ends with it
	}
	b.mu.Unlock()
	b.process.Stop(15 * time.Second)
	return b.closeProxies()
}

// freeAddress returns a loopback address that nobody listens on now. It lies below the ports that the system gives to
// outgoing connections, so that a restarted process finds it free, and outside those that package e2e takes, whose
// tests may run beside this one.
func freeAddress() (string, error) {
	for range 200 {
		listener, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", 5000+rand.IntN(7000))) //nolint:gosec // any port will do
		if err != nil {
			continue
		}
		defer listener.Close()
		return listener.Addr().String(), nil
	}
	return "", errors.New("find a free port below 12000")
}
