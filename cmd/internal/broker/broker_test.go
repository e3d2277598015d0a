package broker

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

func config(dir string) Config {
	cfg := DefaultConfig()
	cfg.DataDir, cfg.Listen = dir, "127.0.0.1:0"
	return cfg
}

func start(t testing.TB, cfg Config, logger zerolog.Logger) *Broker {
	t.Helper()
	b, err := Start(cfg, logger)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := b.Close(); err != nil {
			t.Error(err)
		}
	})
	return b
}

func client(t testing.TB, addrs []string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append([]kgo.Opt{kgo.SeedBrokers(addrs...), kgo.RecordPartitioner(kgo.ManualPartitioner())}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func createTopic(t testing.TB, c *kgo.Client, partitions int32, configs map[string]*string) {
	t.Helper()
	if _, err := kadm.NewClient(c).CreateTopic(t.Context(), partitions, 1, configs, "topic"); err != nil {
		t.Fatal(err)
	}
}

func produce(t testing.TB, c *kgo.Client, partition int32, values ...string) {
	t.Helper()
	for _, v := range values {
		r := &kgo.Record{Topic: "topic", Partition: partition, Value: []byte(v)}
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
}

// read returns the values of a partition from its start to its end.
func read(t testing.TB, addrs []string, partition int32) []string {
	t.Helper()
	c := client(t, addrs, kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{"topic": {partition: kgo.NewOffset().AtStart()}}))
	ends, err := kadm.NewClient(c).ListEndOffsets(t.Context(), "topic")
	if err != nil {
		t.Fatal(err)
	}
	end, _ := ends.Lookup("topic", partition)
	var values []string
	for next := int64(0); next < end.Offset; {
		fetches := c.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			if len(values) > 0 && r.Offset != next {
				t.Fatalf("offset %d follows %d", r.Offset, next-1)
			}
			values, next = append(values, string(r.Value)), r.Offset+1
		})
	}
	return values
}

func commit(t testing.TB, c *kgo.Client, offset int64, metadata string) {
	t.Helper()
	var offsets kadm.Offsets
	offsets.Add(kadm.Offset{Topic: "topic", Partition: 1, At: offset, LeaderEpoch: -1, Metadata: metadata})
	if err := kadm.NewClient(c).CommitAllOffsets(t.Context(), "group", offsets); err != nil {
		t.Fatal(err)
	}
}

func committed(t testing.TB, c *kgo.Client) kadm.Offset {
	t.Helper()
	offsets, err := kadm.NewClient(c).FetchOffsets(t.Context(), "group")
	if err != nil {
		t.Fatal(err)
	}
	o, _ := offsets.Lookup("topic", 1)
	return o.Offset
}

func TestBroker_Reopened_KeepsRecordsTopicsAndOffsets(t *testing.T) {
	cfg := config(t.TempDir())
	b := start(t, cfg, zerolog.Nop())
	c := client(t, b.Addrs())
	retention := "3600000"
	createTopic(t, c, 2, map[string]*string{"retention.ms": &retention})
	produce(t, c, 1, "a", "b", "c")
	metadata := strings.Repeat("plan ", 800)
	commit(t, c, 2, metadata)
	c.Close()
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}

	b = start(t, cfg, zerolog.Nop())
	c = client(t, b.Addrs())
	if got := read(t, b.Addrs(), 1); strings.Join(got, "") != "abc" {
		t.Errorf("records %q", got)
	}
	if o := committed(t, c); o.At != 2 || o.Metadata != metadata {
		t.Errorf("committed %d with %d bytes of metadata", o.At, len(o.Metadata))
	}
	described, err := kadm.NewClient(c).DescribeTopicConfigs(t.Context(), "topic")
	if err != nil {
		t.Fatal(err)
	}
	for _, config := range described[0].Configs {
		if config.Key == "retention.ms" && config.MaybeValue() != retention {
			t.Errorf("retention.ms is %s", config.MaybeValue())
		}
	}
}

// childEnv makes the test binary a broker to be killed.
const childEnv = "MODELTRAIL_BROKERTEST_DIR"

func TestMain(m *testing.M) {
	dir := os.Getenv(childEnv)
	if dir == "" {
		os.Exit(m.Run())
	}
	b, err := Start(config(dir), zerolog.Nop())
	if err != nil {
		fmt.Println("error", err)
		os.Exit(1)
	}
	fmt.Println("address", b.Addrs()[0])
	_, _ = bufio.NewReader(os.Stdin).ReadString('\n') // until the parent ends
}

// child is a broker in a process of its own.
func child(t testing.TB, dir string) (cmd *exec.Cmd, addrs []string) {
	t.Helper()
	cmd = exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), childEnv+"="+dir)
	if _, err := cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "address ")
	if !ok {
		t.Fatalf("broker process said %q, %v", line, err)
	}
	return cmd, []string{addr}
}

func TestBroker_Killed_KeepsEveryAcknowledgedRecordAndOffset(t *testing.T) {
	dir := t.TempDir()
	var acknowledged []string
	for round := range 8 {
		cmd, addrs := child(t, dir)
		c := client(t, addrs)
		if round == 0 {
			createTopic(t, c, 2, nil)
		} else {
			if o := committed(t, c); o.At != int64(len(acknowledged)) || o.Metadata != fmt.Sprint("round ", round-1) {
				t.Fatalf("round %d: committed %d with %q, want %d", round, o.At, o.Metadata, len(acknowledged))
			}
			// A batch that was under way when the broker died may be there or not; what was acknowledged must be.
			got := read(t, addrs, 1)
			if len(got) < len(acknowledged) || strings.Join(got[:len(acknowledged)], ",") != strings.Join(acknowledged, ",") {
				t.Fatalf("round %d: %d records, %d were acknowledged", round, len(got), len(acknowledged))
			}
			acknowledged = got
		}
		for i := range 20 {
			v := fmt.Sprint(round, "-", i)
			produce(t, c, 1, v)
			acknowledged = append(acknowledged, v)
		}
		commit(t, c, int64(len(acknowledged)), fmt.Sprint("round ", round))
		if round < 7 {
			go func() { // some load to die under, in the other partition
				for range 100 {
					c.Produce(context.Background(), &kgo.Record{Topic: "topic", Partition: 0, Value: make([]byte, 10000)}, nil)
				}
			}()
			time.Sleep(time.Duration(rand.IntN(20)) * time.Millisecond)
		}
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		_ = cmd.Wait()
		c.Close()
	}
	b := start(t, config(dir), zerolog.Nop())
	if got := read(t, b.Addrs(), 1); strings.Join(got, ",") != strings.Join(acknowledged, ",") {
		t.Errorf("%d records after the last kill, want %d", len(got), len(acknowledged))
	}
	produce(t, client(t, b.Addrs()), 0, "still writable")
}

func TestBroker_SecondOnOneFolder_SaysInUse(t *testing.T) {
	cfg := config(t.TempDir())
	start(t, cfg, zerolog.Nop())
	if _, err := Start(cfg, zerolog.Nop()); !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), cfg.DataDir) {
		t.Errorf("got %v", err)
	}
}

func TestBroker_PortInUse_NamesTheSetting(t *testing.T) {
	b := start(t, config(t.TempDir()), zerolog.Nop())
	cfg := config(t.TempDir())
	cfg.Listen = b.Addrs()[0]
	if _, err := Start(cfg, zerolog.Nop()); err == nil || !strings.Contains(err.Error(), "broker.listen") {
		t.Errorf("got %v", err)
	}
	cfg.Listen = "127.0.0.1:0"
	start(t, cfg, zerolog.Nop()) // the failed start left no lock behind
}

func TestBroker_LargeRecord_IsAccepted(t *testing.T) {
	b := start(t, config(t.TempDir()), zerolog.Nop())
	c := client(t, b.Addrs(), kgo.ProducerBatchMaxBytes(16<<20), kgo.ProducerBatchCompression(kgo.NoCompression()))
	createTopic(t, c, 1, nil)
	produce(t, c, 0, strings.Repeat("x", 15<<20))
}

// size is the number of bytes in the files of a folder.
func size(t testing.TB, dir string) (total int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return total
}

func TestBroker_Retention_FreesTheDiskAndNamesWhoHadNotRead(t *testing.T) {
	for name, setting := range map[string][2]string{"bytes": {"retention.bytes", "3000000"}, "time": {"retention.ms", "1"}} {
		t.Run(name, func(t *testing.T) {
			var log bytes.Buffer
			cfg := config(t.TempDir())
			cfg.SyncWrites = false
			b := start(t, cfg, zerolog.New(zerolog.SyncWriter(&log)))
			c := client(t, b.Addrs(), kgo.ProducerBatchCompression(kgo.NoCompression()))
			segment := "1000000"
			createTopic(t, c, 2, map[string]*string{setting[0]: &setting[1], "segment.bytes": &segment})
			for range 200 {
				produce(t, c, 1, strings.Repeat("x", 100000))
			}
			commit(t, c, 7, "")
			before := size(t, cfg.DataDir)
			time.Sleep(5 * time.Millisecond)
			if err := b.clean(t.Context()); err != nil {
				t.Fatal(err)
			}
			after := size(t, cfg.DataDir)
			if before < 20e6 || after > 5e6 {
				t.Errorf("%d bytes before, %d after", before, after)
			}
			for _, want := range []string{"before the group read them", `"group":"group"`, `"partition":1`} {
				if !strings.Contains(log.String(), want) {
					t.Errorf("log does not say %q: %s", want, log.String())
				}
			}
			produce(t, c, 1, "after")
			log.Reset()
			commit(t, c, 201, "")
			if err := b.clean(t.Context()); err != nil || strings.Contains(log.String(), "before the group read them") {
				t.Errorf("%v, %s", err, log.String())
			}
		})
	}
}

func TestConfig_Wrong_NamesEveryKey(t *testing.T) {
	if err := DefaultConfig().Validate(); err != nil {
		t.Errorf("default: %v", err)
	}
	err := Config{Listen: "0.0.0.0:9092"}.Validate()
	for _, key := range []string{"data_dir", "listen", "clean_interval", "retention_bytes", "max_message_bytes"} {
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s is not named in: %v", key, err)
		}
	}
}
