// Package apachekafka starts a real Apache Kafka broker (KRaft, one node) for tests from Maven Central's jars.
// It needs Java 17 and Maven on PATH.
package apachekafka

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

//go:embed pom.xml
var pom []byte

// Available reports whether the machine has what a broker needs.
func Available() bool {
	_, java := exec.LookPath("java")
	_, maven := exec.LookPath("mvn")
	return java == nil && maven == nil
}

// Start runs a broker until the test ends and returns its address. It fails the test when it cannot.
func Start(t testing.TB) string {
	t.Helper()
	broker := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	run(t, broker, nil, fmt.Sprintf(`
listeners=PLAINTEXT://%[1]s,CONTROLLER://%%[1]s
advertised.listeners=PLAINTEXT://%[1]s
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT
`, broker))
	return broker
}

// run formats and starts a broker and waits until plain, an address without TLS and log-in, answers. The text is
// added to the properties; %[1]s in it is the controller's address.
func run(t testing.TB, plain string, format []string, text string) {
	t.Helper()
	jars, err := Install()
	if err != nil {
		t.Fatalf("install Apache Kafka: %v", err)
	}
	dir := t.TempDir()
	controller := fmt.Sprintf("127.0.0.1:%d", freePort(t))
	properties := filepath.Join(dir, "server.properties")
	text = fmt.Sprintf(`node.id=1
process.roles=broker,controller
controller.listener.names=CONTROLLER
controller.quorum.voters=1@%[1]s
log.dirs=%[2]s
offsets.topic.replication.factor=1
offsets.topic.num.partitions=4
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=4
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
`, controller, filepath.Join(dir, "log")) + fmt.Sprintf(text, controller)
	if err := os.WriteFile(properties, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	classpath := filepath.Join(jars, "*")
	args := append([]string{"-cp", classpath, "kafka.tools.StorageTool", "format", "-t", "bW9kZWx0cmFpbHRlc3QwMA", "-c", properties}, format...)
	if out, err := exec.Command("java", args...).CombinedOutput(); err != nil {
		t.Fatalf("format Apache Kafka storage: %v\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "broker.log"))
	if err != nil {
		t.Fatal(err)
	}
	server := exec.Command("java", "-Xmx512m", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classpath, "kafka.Kafka", properties)
	server.Stdout, server.Stderr = log, log
	server.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := server.Start(); err != nil {
		t.Fatalf("start Apache Kafka: %v", err)
	}
	t.Cleanup(func() {
		_ = server.Process.Kill()
		_ = server.Wait()
		_ = log.Close()
	})
	if err := await(plain); err != nil {
		out, _ := os.ReadFile(log.Name())
		t.Fatalf("reach Apache Kafka: %v\n%s", err, out)
	}
}

func await(address string) error {
	client, err := kgo.NewClient(kgo.SeedBrokers(address))
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for {
		if err := client.Ping(ctx); err == nil || ctx.Err() != nil {
			return errors.Join(err, ctx.Err())
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// Install copies the jars into the user's cache once and returns their folder.
func Install() (string, error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	root := filepath.Join(cache, "modeltrail", "apache-kafka-4.1.0")
	jars := filepath.Join(root, "lib")
	if _, err := os.Stat(filepath.Join(root, "complete")); err == nil {
		return jars, nil
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		return "", err
	}
	if err := os.WriteFile(filepath.Join(root, "pom.xml"), pom, 0o644); err != nil {
		return "", err
	}
	cmd := exec.Command("mvn", "-q", "-B", "dependency:copy-dependencies", "-DoutputDirectory="+jars)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("mvn dependency:copy-dependencies: %w\n%s", err, out)
	}
	return jars, os.WriteFile(filepath.Join(root, "complete"), nil, 0o644)
}

func freePort(t testing.TB) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port
}
