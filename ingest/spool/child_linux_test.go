package spool

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if child := os.Getenv(childVariable); child != "" {
		os.Exit(runChild(child, os.Args[1:]))
	}
	goleak.VerifyTestMain(m)
}

// childVariable makes the test binary one of the processes below.
const childVariable = "MODELTRAIL_SPOOL_TEST_CHILD"

func runChild(role string, args []string) int {
	var err error
	switch role {
	case "appender":
		err = appendForEver(args[0])
	case "full disk":
		err = fullDisk(args[0])
	case "read-only folder":
		err = readOnly(args[0])
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

// appendForEver appends until it is killed and prints what is acknowledged.
func appendForEver(dir string) error {
	cfg := testConfig(dir)
	cfg.SegmentBytes, cfg.SyncInterval = 32<<10, time.Millisecond
	l, err := Open(cfg, Settings{Key: testKey})
	if err != nil {
		return err
	}
	_, last := l.Pending()
	for i := int(last) + 1; ; {
		batch := make([]Record, 1+rand.IntN(4))
		for j := range batch {
			batch[j] = numbered(i+j, rand.IntN(2000))
		}
		seq, err := l.Append(batch)
		if err != nil {
			return err
		}
		i += len(batch)
		if _, err := fmt.Println(seq); err != nil {
			return err
		}
	}
}

func child(t *testing.T, role string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), childVariable+"="+role)
	return cmd
}

func TestEveryAcknowledgedAppendSurvivesKills(t *testing.T) {
	dir := t.TempDir()
	var acknowledged uint64
	for range 25 {
		cmd := child(t, "appender", dir)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		kill := time.AfterFunc(time.Duration(20+rand.IntN(60))*time.Millisecond, func() { _ = cmd.Process.Kill() })
		lines := bufio.NewScanner(out)
		for lines.Scan() {
			seq, err := strconv.ParseUint(lines.Text(), 10, 64)
			if err != nil {
				break // the last line may be torn
			}
			acknowledged = seq
		}
		_ = cmd.Wait()
		kill.Stop()
	}
	l := open(t, testConfig(dir), testKey)
	got := drainAll(t, l)
	if uint64(len(got)) < acknowledged || acknowledged == 0 {
		t.Fatalf("%d records of %d acknowledged", len(got), acknowledged)
	}
	for i, r := range got {
		if r.Seq != uint64(i+1) || string(r.Key) != fmt.Sprintf("key-%d", i+1) {
			t.Fatalf("record %d has sequence %d and key %s", i, r.Seq, r.Key)
		}
	}
	t.Logf("%d acknowledged, %d read", acknowledged, len(got))
}

// fullDisk runs in a user and mount namespace of its own.
func fullDisk(dir string) error {
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=512k"); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	cfg := testConfig(filepath.Join(dir, "spool"))
	cfg.SegmentBytes = 64 << 10
	l, err := Open(cfg, Settings{Key: testKey})
	if err != nil {
		return err
	}
	n, refused := 0, 0
	for refused < 20 {
		_, err := l.Append([]Record{numbered(n+1, 3000)})
		switch {
		case errors.Is(err, syscall.ENOSPC):
			refused++
		case err != nil:
			return fmt.Errorf("append: %w", err)
		default:
			n++
		}
	}
	if err := l.Probe(); !errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("probe of a full disk: %w", err)
	}
	if n < 100 {
		return fmt.Errorf("only %d records", n)
	}
	l.Retire(uint64(n / 2)) // the cursor can be persisted and segments deleted although the disk is full
	time.Sleep(3 * keepInterval)
	if err := l.Probe(); err != nil {
		return fmt.Errorf("probe with room: %w", err)
	}
	for i := n; i < n+20; i++ {
		if _, err := l.Append([]Record{numbered(i+1, 3000)}); err != nil {
			return fmt.Errorf("append with room: %w", err)
		}
	}
	if err := expect(l, n/2+1, n+20); err != nil {
		return err
	}
	return l.Close()
}

// readOnly runs in a user namespace without capabilities, where the folder's mode counts for its owner.
func readOnly(dir string) error {
	cfg := testConfig(dir)
	l, err := Open(cfg, Settings{})
	if err != nil {
		return err
	}
	if err := os.Chmod(dir, 0o500); err != nil {
		return err
	}
	if _, err := l.Append([]Record{numbered(1, 10)}); !errors.Is(err, syscall.EACCES) || !errors.Is(l.Probe(), syscall.EACCES) {
		return fmt.Errorf("append to a read-only folder: %w", err)
	}
	if err := os.Chmod(dir, 0o700); err != nil {
		return err
	}
	if err := l.Probe(); err != nil {
		return err
	}
	if _, err := l.Append([]Record{numbered(1, 10)}); err != nil {
		return err
	}
	return errors.Join(expect(l, 1, 1), l.Close())
}

func expect(l *Log, first, last int) error {
	r := l.Reader()
	defer r.Close()
	for want := first; want <= last; want++ {
		record, ok, err := r.Try()
		if err != nil || !ok || record.Seq != uint64(want) || string(record.Key) != fmt.Sprintf("key-%d", want) {
			return fmt.Errorf("record %d: found %v, sequence %d, key %s: %w", want, ok, record.Seq, record.Key, err)
		}
	}
	if _, ok, _ := r.Try(); ok {
		return errors.New("a record that nobody appended")
	}
	return nil
}

func TestAFullOrReadOnlyDiskIsAnErrorOfAppendAndPasses(t *testing.T) {
	for role, namespace := range map[string]struct {
		flags uintptr
		uid   int
	}{"full disk": {syscall.CLONE_NEWUSER | syscall.CLONE_NEWNS, 0}, "read-only folder": {syscall.CLONE_NEWUSER, 1000}} {
		t.Run(role, func(t *testing.T) {
			cmd := child(t, role, t.TempDir())
			cmd.SysProcAttr = &syscall.SysProcAttr{
				Cloneflags:  namespace.flags,
				UidMappings: []syscall.SysProcIDMap{{ContainerID: namespace.uid, HostID: os.Getuid(), Size: 1}},
				GidMappings: []syscall.SysProcIDMap{{ContainerID: namespace.uid, HostID: os.Getgid(), Size: 1}},
			}
			var said strings.Builder
			cmd.Stderr, cmd.Stdout = &said, io.Discard
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v: %s", err, said.String())
			}
		})
	}
}
