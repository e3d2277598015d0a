package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"github.com/modeltrail/modeltrail/ingest/spool"
	"github.com/modeltrail/modeltrail/schemas/event"
)

// childVariable makes the test binary a tap. Its value is a folder on which a small file system is mounted first.
const childVariable = "MODELTRAIL_TAP_TEST_CHILD"

func TestMain(m *testing.M) {
	if dir := os.Getenv(childVariable); dir != "" {
		if dir != "-" {
			if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
				fmt.Fprintln(os.Stderr, "mount tmpfs:", err)
				os.Exit(9)
			}
		}
		os.Exit(run(os.Args[1:]))
	}
	os.Exit(m.Run())
}

// stage is a tap process between callers, a provider and a broker that can be away.
type stage struct {
	t       *testing.T
	cluster *kfake.Cluster
	away    atomic.Bool
	dir     string // of the spool
	config  string
	small   bool // the spool's folder is a file system of 1 MiB
	tap     *exec.Cmd
	url     string
	admin   string
	said    bytes.Buffer
}

func newStage(t *testing.T, settings string, small bool) *stage {
	t.Helper()
	s := &stage{t: t, dir: filepath.Join(t.TempDir(), "disk"), small: small}
	if err := os.Mkdir(s.dir, 0o700); err != nil {
		t.Fatal(err)
	}
	var err error
	if s.cluster, err = kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(2, event.TopicEnvelopes)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.cluster.Close)
	s.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		if s.away.Load() {
			return nil, io.ErrUnexpectedEOF, true // the connection is cut
		}
		return nil, nil, false
	})
	provider := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, `{"id":"c","model":"gpt-5","usage":{"prompt_tokens":3}}`)
	}))
	t.Cleanup(provider.Close)
	s.url, s.admin = address(t), address(t)
	s.config = filepath.Join(t.TempDir(), "tap.yaml")
	text := fmt.Sprintf(`
tap:
  listen: %s
  instance: stage
  credential: {key_file: %s}
  routes: [{prefix: /openai, upstream: "%s"}]
%s
kafka: {brokers: ["%s"]}
admin: {listen: "%s"}
`, s.url, filepath.Join(t.TempDir(), "key"), provider.URL, settings, s.cluster.ListenAddrs()[0], s.admin)
	text = strings.ReplaceAll(text, "SPOOL", filepath.Join(s.dir, "spool"))
	if err := os.WriteFile(s.config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stage) start() {
	s.t.Helper()
	s.tap = exec.Command(os.Args[0], "--config", s.config, "--log-level", "info")
	s.tap.Env = append(os.Environ(), childVariable+"=-")
	s.tap.Stderr, s.tap.Dir = &s.said, filepath.Dir(s.config)
	if s.small {
		s.tap.Env[len(s.tap.Env)-1] = childVariable + "=" + s.dir
		s.tap.SysProcAttr = &syscall.SysProcAttr{
			Cloneflags:  syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS,
			UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getuid(), Size: 1}},
			GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getgid(), Size: 1}},
		}
	}
	if err := s.tap.Start(); err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = s.tap.Process.Kill() })
	ready(s.t, "http://"+s.admin+"/readyz")
}

// stop ends the tap as an orchestrator does and requires that nothing was lost.
func (s *stage) stop() {
	s.t.Helper()
	_ = s.tap.Process.Signal(syscall.SIGTERM)
	if err := s.tap.Wait(); err != nil {
		s.t.Fatalf("the tap ended with %v: %s", err, s.said.String())
	}
}

// call makes one call and returns its status, 0 for none.
func (s *stage) call(client *http.Client, size int) (status int, answer string, header http.Header) {
	body := fmt.Sprintf(`{"model":"gpt-5","messages":[{"role":"user","content":%q}]}`, strings.Repeat("a river ", size/8))
	response, err := client.Post("http://"+s.url+"/openai/v1/chat/completions", "application/json", strings.NewReader(body))
	if err != nil {
		return 0, "", nil
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, "", nil
	}
	return response.StatusCode, string(data), response.Header
}

// metric sums a metric of the tap over its labels.
func (s *stage) metric(name string) (sum float64) {
	s.t.Helper()
	response, err := http.Get("http://" + s.admin + "/metrics")
	if err != nil {
		s.t.Fatal(err)
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		if bare, _, _ := strings.Cut(key, "{"); bare == name {
			var v float64
			_, _ = fmt.Sscan(value, &v)
			sum += v
		}
	}
	return sum
}

func (s *stage) await(what string, done func() bool) {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !done(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			s.t.Fatalf("never %s", what)
		}
	}
}

// number is what the store recognises a repeat by.
type number struct{ epoch, sequence uint64 }

// stored reads all of the topic, requires that numbers have no gap within an epoch and that repeats are equal, and
// returns what is there.
func (s *stage) stored() map[number]*event.Envelope {
	s.t.Helper()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.cluster.ListenAddrs()...), kgo.ConsumeTopics(event.TopicEnvelopes), kgo.FetchMaxWait(100*time.Millisecond))
	if err != nil {
		s.t.Fatal(err)
	}
	defer client.Close()
	found, values, top, last := map[number]*event.Envelope{}, map[number][]byte{}, map[uint64]uint64{}, map[int32]number{}
	repeats := 0
	for {
		ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
		fetches := client.PollFetches(ctx)
		cancel()
		if fetches.NumRecords() == 0 {
			break
		}
		for _, r := range fetches.Records() {
			e := &event.Envelope{}
			if err := e.UnmarshalVT(r.Value); err != nil {
				s.t.Fatal(err)
			}
			n := number{e.Source.BootEpoch, e.Source.Sequence}
			if before, again := values[n]; again {
				repeats++
				if !bytes.Equal(before, r.Value) {
					s.t.Errorf("%v came again with other bytes", n)
				}
				continue
			}
			if l := last[r.Partition]; n.epoch < l.epoch || n.epoch == l.epoch && n.sequence < l.sequence {
				s.t.Errorf("partition %d: %v after %v", r.Partition, n, l)
			}
			found[n], values[n], last[r.Partition] = e, r.Value, n
			top[n.epoch] = max(top[n.epoch], n.sequence)
		}
	}
	var want uint64
	for _, n := range top {
		want += n
	}
	if want != uint64(len(found)) {
		s.t.Errorf("%d envelopes of %d numbers in %d epochs", len(found), want, len(top))
	}
	s.t.Logf("%d envelopes, %d repeats, %d epochs", len(found), repeats, len(top))
	return found
}

// spooled reads what a killed tap left on disk.
func (s *stage) spooled() (out []number) {
	s.t.Helper()
	cfg := spool.DefaultConfig()
	cfg.Dir = filepath.Join(s.dir, "spool")
	l, err := spool.Open(cfg, spool.Settings{Logger: zerolog.Nop()})
	if err != nil {
		s.t.Fatal(err)
	}
	defer l.Close()
	r := l.Reader()
	defer r.Close()
	for {
		record, ok, err := r.Try()
		if err != nil {
			s.t.Fatal(err)
		}
		if !ok {
			return out
		}
		e := &event.Envelope{}
		if err := e.UnmarshalVT(record.Value); err != nil {
			s.t.Fatal(err)
		}
		out = append(out, number{e.Source.BootEpoch, e.Source.Sequence})
	}
}

// load calls from several callers until the test ends it.
func (s *stage) load(callers, size int) (end func() (served int)) {
	var (
		stop   = make(chan struct{})
		served atomic.Int64
		wg     sync.WaitGroup
	)
	for range callers {
		wg.Go(func() {
			client := newTestClient()
			defer client.CloseIdleConnections()
			for {
				select {
				case <-stop:
					return
				default:
				}
				if status, _, _ := s.call(client, size); status == http.StatusOK {
					served.Add(1)
				} else {
					time.Sleep(5 * time.Millisecond)
				}
			}
		})
	}
	return func() int { close(stop); wg.Wait(); return int(served.Load()) }
}

func newTestClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: 20 * time.Second}
}

func TestKilledTapsLoseNothingThatTheirSpoolHad(t *testing.T) {
	s := newStage(t, `  durability: spool-first
spool: {dir: SPOOL, segment_bytes: 262144}`, false)
	end := s.load(4, 1000)
	var want []number
	for round := range 12 {
		s.away.Store(round%3 == 1)
		s.start()
		time.Sleep(time.Duration(150+rand.IntN(350)) * time.Millisecond)
		_ = s.tap.Process.Kill()
		_ = s.tap.Wait()
		want = append(want, s.spooled()...)
	}
	end()
	s.away.Store(false)
	s.start()
	s.await("drained", func() bool { return s.metric("modeltrail_publish_in_flight_envelopes") == 0 })
	s.stop()
	found := s.stored()
	for _, n := range want {
		if found[n] == nil {
			t.Fatalf("%v was in the spool and is not in Kafka", n)
		}
	}
	if len(want) == 0 {
		t.Error("nothing was ever left in the spool")
	}
	t.Logf("%d envelopes were left in the spool by kills", len(want))
}

func TestAFullDiskCostsNoCallAndEachDropIsCounted(t *testing.T) {
	s := newStage(t, `  durability: spool-first
spool: {dir: SPOOL, segment_bytes: 65536}
publish: {max_buffered_bytes: 1048576, max_record_bytes: 262144}`, true)
	s.start()
	s.away.Store(true)
	client, calls := newTestClient(), 0
	defer client.CloseIdleConnections()
	for s.metric("modeltrail_publish_dropped_envelopes_total") < 200 {
		for range 50 {
			if status, answer, _ := s.call(client, 8000); status != http.StatusOK {
				t.Fatalf("call %d: %d %s", calls, status, answer)
			}
			calls++
		}
	}
	if response, err := http.Get("http://" + s.admin + "/readyz"); err != nil || response.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("ready although the disk refuses: %v", err)
	} else {
		response.Body.Close()
	}
	s.away.Store(false)
	s.await("drained", func() bool { return s.metric("modeltrail_publish_in_flight_envelopes") == 0 })
	for range 50 {
		if status, _, _ := s.call(client, 100); status == http.StatusOK {
			calls++
		}
	}
	s.await("handed over", func() bool {
		return s.metric("modeltrail_tap_handed_over_envelopes_total")+s.metric("modeltrail_tap_dropped_envelopes_total") == float64(2*calls)
	})
	dropped := s.metric("modeltrail_tap_dropped_envelopes_total")
	if refused := s.metric("modeltrail_publish_dropped_envelopes_total"); refused != dropped {
		t.Errorf("the tap dropped %v, the publisher %v", dropped, refused)
	}
	s.stop()
	var told uint64
	found := s.stored()
	for _, e := range found {
		told = max(told, e.Source.DroppedTotal)
	}
	if len(found)+int(dropped) != 2*calls || told != uint64(dropped) {
		t.Errorf("%d stored and %v dropped of %d, envelopes tell of %d", len(found), dropped, 2*calls, told)
	}
}

func TestAClosedRouteServesNoUnauditedCall(t *testing.T) {
	s := newStage(t, `  durability: spool-first
  on_audit_failure: closed
spool: {dir: SPOOL, segment_bytes: 65536, max_bytes: 1048576}`, false)
	s.start()
	s.away.Store(true)
	client, served := newTestClient(), 0
	defer client.CloseIdleConnections()
	var status int
	var answer string
	var header http.Header
	for range 5000 {
		if status, answer, header = s.call(client, 4000); status != http.StatusOK {
			break
		}
		served++
	}
	if status != http.StatusServiceUnavailable || header.Get("Retry-After") == "" || !strings.Contains(answer, `"code":"audit_unavailable"`) ||
		!strings.Contains(answer, `"error":{`) {
		t.Fatalf("after %d calls: %d %v %s", served, status, header, answer)
	}
	ready(t, "http://"+s.admin+"/readyz") // full is not broken
	s.away.Store(false)
	s.await("opened", func() bool { status, _, _ := s.call(client, 100); return status == http.StatusOK })
	served++
	s.await("handed over", func() bool { return s.metric("modeltrail_tap_handed_over_envelopes_total") == float64(2*served) })
	if s.metric("modeltrail_tap_refused_calls_total") == 0 || s.metric("modeltrail_tap_dropped_envelopes_total") != 0 {
		t.Error("refused calls are counted, and nothing is dropped")
	}
	s.stop()
	if found := s.stored(); len(found) != 2*served {
		t.Errorf("%d envelopes of %d calls", len(found), served)
	}
}
