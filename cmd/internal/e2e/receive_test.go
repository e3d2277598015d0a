package e2e

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kfake"
	"google.golang.org/protobuf/encoding/protodelim"
	"google.golang.org/protobuf/testing/protocmp"

	"github.com/modeltrail/modeltrail/schemas/event"
)

const receiveToken = "e2e-receive-0123456789abcdef0123456789"

// receiver is the role alone, on a broker of this test.
func receiver(t *testing.T, brokers []string, more string) (n *Node, url string) {
	t.Helper()
	addr := FreeAddress(t)
	n = Prepare(t, Setup{Command: []string{"receive"}, Config: fmt.Sprintf(`
kafka: {brokers: [%q]}
receive:
  listen: %q
  instance: receiver-1
  durable_timeout: 2s
  sources: [{name: far, trusted_redaction: true, bearer: [{secret: %q}]}]
%s`, strings.Join(brokers, `", "`), addr, receiveToken, more)})
	return n, "http://" + addr
}

func fakeKafka(t *testing.T) (*kfake.Cluster, *faucet) {
	t.Helper()
	f := &faucet{}
	f.open.Store(true)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(3, event.TopicEnvelopes, event.TopicDeadLetters),
		kfake.ListenFn(func(network, address string) (net.Listener, error) {
			l, err := net.Listen(network, address)
			f.Listener = l
			return f, err
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	return cluster, f
}

// faucet is a listener whose connections end when it is shut.
type faucet struct {
	net.Listener
	open  atomic.Bool
	mu    sync.Mutex
	conns []net.Conn
}

func (f *faucet) Accept() (net.Conn, error) {
	for {
		conn, err := f.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if !f.open.Load() {
			_ = conn.Close()
			continue
		}
		f.mu.Lock()
		f.conns = append(f.conns, conn)
		f.mu.Unlock()
		return conn, nil
	}
}

func (f *faucet) shut() {
	f.open.Store(false)
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range f.conns {
		_ = conn.Close()
	}
	f.conns = nil
}

// sent is an envelope as a tap in another network numbers it.
func sent(sender int, sequence uint64) *event.Envelope {
	return &event.Envelope{
		SchemaVersion: event.SchemaVersion, CallId: fmt.Sprintf("call-%d-%d", sender, sequence), Phase: event.Phase_PHASE_REQUEST,
		Source:          &event.Source{Kind: "tap", Instance: fmt.Sprintf("tap-%d", sender), BootEpoch: 7, Sequence: sequence, Version: "v1"},
		StartedUnixNano: 1_800_000_000_000_000_000 + sequence, ObservedUnixNano: 1_800_000_001_000_000_000 + sequence,
		CaptureMode: event.CaptureMode_CAPTURE_MODE_REDACTED,
		Request: &event.Request{Method: "POST", Path: "/v1/chat/completions", Payload: &event.Payload{
			State: event.PayloadState_PAYLOAD_STATE_FULL, ContentType: "application/json",
			Body: fmt.Appendf(nil, `{"model":"gpt-5","n":%d,"pad":%q}`, sequence, strings.Repeat("x", int(sequence%700))),
		}},
	}
}

// push sends envelopes and returns the status, 0 without an answer.
func push(client *http.Client, url string, envs ...*event.Envelope) (status int, retryAfter string) {
	var body bytes.Buffer
	for _, e := range envs {
		_, _ = protodelim.MarshalTo(&body, e)
	}
	request, err := http.NewRequest(http.MethodPost, url+"/v1/envelopes", &body)
	if err != nil {
		return 0, ""
	}
	request.Header.Set("Authorization", "Bearer "+receiveToken)
	request.Header.Set("Content-Type", "application/x-protobuf")
	response, err := client.Do(request)
	if err != nil {
		return 0, ""
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	return response.StatusCode, response.Header.Get("Retry-After")
}

// acknowledged are the envelopes that were answered 2xx.
type acknowledged struct {
	mu   sync.Mutex
	envs map[string]*event.Envelope
}

func (a *acknowledged) count() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.envs)
}

// load sends from several senders, each again until it is taken, until the returned function is called.
func (a *acknowledged) load(url string, senders int, sequences []uint64) (stop func()) {
	done := make(chan struct{})
	var wait sync.WaitGroup
	client := &http.Client{Timeout: 5 * time.Second}
	for s := range senders {
		wait.Go(func() {
			for {
				batch := []*event.Envelope{sent(s, sequences[s]+1), sent(s, sequences[s]+2), sent(s, sequences[s]+3)}
				select {
				case <-done:
					return
				default:
				}
				if status, _ := push(client, url, batch...); status != http.StatusOK {
					time.Sleep(5 * time.Millisecond)
					continue
				}
				sequences[s] += 3
				a.mu.Lock()
				for _, e := range batch {
					a.envs[e.CallId] = e
				}
				a.mu.Unlock()
			}
		})
	}
	return func() { close(done); wait.Wait(); client.CloseIdleConnections() }
}

// check compares the topic with what was acknowledged. It returns how many records stand twice.
func (a *acknowledged) check(t *testing.T, n *Node) (repeats int) {
	t.Helper()
	held := map[string]*event.Envelope{}
	for _, r := range n.Records(event.TopicEnvelopes) {
		e := &event.Envelope{}
		if err := e.UnmarshalVT(r.Value); err != nil {
			t.Fatalf("%s/%d/%d: %v", r.Topic, r.Partition, r.Offset, err)
		}
		if other := held[e.CallId]; other != nil {
			repeats++
			if diff := cmp.Diff(other, e, protocmp.Transform()); diff != "" {
				t.Errorf("a repeat differs: %s", diff)
			}
		}
		held[e.CallId] = e
	}
	lost := 0
	for id, want := range a.envs {
		got := held[id]
		if got == nil {
			lost++
			continue
		}
		if diff := cmp.Diff(want, got, protocmp.Transform()); diff != "" {
			t.Errorf("%s is not as it was sent: %s", id, diff)
		}
	}
	if lost > 0 {
		t.Errorf("%d of %d acknowledged envelopes are not in Kafka", lost, len(a.envs))
	}
	return repeats
}

// TestReceive_KilledUnderLoad_HasEveryRecordThatItAnswered kills the receiver twelve times at random moments.
func TestReceive_KilledUnderLoad_HasEveryRecordThatItAnswered(t *testing.T) {
	t.Parallel()
	cluster, _ := fakeKafka(t)
	n, url := receiver(t, cluster.ListenAddrs(), "")
	ours := &acknowledged{envs: map[string]*event.Envelope{}}
	sequences := make([]uint64, 4)
	const kills = 12
	for round := range kills {
		n.Start()
		n.WaitReady()
		before := ours.count()
		stop := ours.load(url, len(sequences), sequences)
		Eventually(t, 20*time.Second, "a record is acknowledged", func() error {
			if ours.count() == before {
				return errors.New("none yet")
			}
			return nil
		})
		time.Sleep(time.Duration(round) * 37 * time.Millisecond)
		n.Kill()
		stop()
	}
	n.Start() // what it answered may lie in its spool
	n.WaitReady()
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d", code)
	}
	repeats := ours.check(t, n)
	t.Logf("%d kills: %d envelopes acknowledged, all in Kafka as sent; %d stand twice, sent again by their sender", kills, len(ours.envs), repeats)
}

// TestReceive_KafkaAway_TakesWhatItsSpoolHolds_ThenSaysComeBack also stops the role while senders go on.
func TestReceive_KafkaAway_TakesWhatItsSpoolHolds_ThenSaysComeBack(t *testing.T) {
	t.Parallel()
	cluster, tap := fakeKafka(t)
	n, url := receiver(t, cluster.ListenAddrs(), "spool: {max_bytes: 524288, segment_bytes: 65536}")
	n.Start()
	n.WaitReady()
	ours := &acknowledged{envs: map[string]*event.Envelope{}}
	sequences := make([]uint64, 2)
	stop := ours.load(url, len(sequences), sequences)
	time.Sleep(300 * time.Millisecond)
	tap.shut()
	ours.mu.Lock()
	before := len(ours.envs)
	ours.mu.Unlock()
	client := &http.Client{Timeout: 10 * time.Second}
	Eventually(t, 60*time.Second, "503 while Kafka is away and the spool is full", func() error {
		status, retry := push(client, url, sent(9, 1))
		if status == http.StatusServiceUnavailable && retry != "" {
			return nil
		}
		return fmt.Errorf("status %d, Retry-After %q", status, retry)
	})
	ours.mu.Lock()
	if held := len(ours.envs) - before; held < 100 {
		t.Errorf("only %d envelopes were taken while Kafka was away", held)
	}
	ours.mu.Unlock()
	tap.open.Store(true)
	Eventually(t, 30*time.Second, "200 when Kafka is back", func() error {
		if status, _ := push(client, url, sent(9, 1)); status != http.StatusOK {
			return fmt.Errorf("status %d", status)
		}
		return nil
	})
	ours.mu.Lock()
	ours.envs["call-9-1"] = sent(9, 1)
	ours.mu.Unlock()
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d", code)
	}
	stop()
	client.CloseIdleConnections()
	t.Logf("%d envelopes acknowledged; %d stand twice", len(ours.envs), ours.check(t, n))
}

// TestReceive_PartOfUp_StoresWhatItTakes sends to the receiver of `modeltrail up` and reads the row.
func TestReceive_PartOfUp_StoresWhatItTakes(t *testing.T) {
	t.Parallel()
	addr := FreeAddress(t)
	n := Start(t, Setup{Directory: goodDirectory, Config: fmt.Sprintf("receive: {listen: %q, sources: [{name: far, bearer: [{secret: %q}]}]}\n", addr, receiveToken)})
	e := sent(1, 1)
	e.Phase = event.Phase_PHASE_RESPONSE
	e.Request.RequestId = "relayed-1"
	e.Response = &event.Response{StatusCode: 200, Outcome: event.StreamOutcome_STREAM_OUTCOME_COMPLETE, EndedUnixNano: e.ObservedUnixNano, Payload: &event.Payload{
		State: event.PayloadState_PAYLOAD_STATE_FULL, ContentType: "application/json", Body: []byte(`{"model":"gpt-5","usage":{"prompt_tokens":11,"completion_tokens":3}}`),
	}}
	client := &http.Client{Timeout: 10 * time.Second}
	defer client.CloseIdleConnections()
	if status, _ := push(client, "http://"+addr, e); status != http.StatusOK {
		t.Fatalf("status %d", status)
	}
	n.WaitCount("calls", "request_id = 'relayed-1'", 1)
	if !strings.Contains(n.Output(), "receiver     http://"+addr+"/v1/envelopes") {
		t.Errorf("up does not tell where the receiver is:\n%s", n.Output())
	}
	if code := n.Stop(); code != 0 {
		t.Errorf("stopped with code %d", code)
	}
}
