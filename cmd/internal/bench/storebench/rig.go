package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/modeltrail/modeltrail/cmd/internal/engine"
	"github.com/modeltrail/modeltrail/schemas/ddl"
	"github.com/modeltrail/modeltrail/sinks/clickhouse"
)

// serveBroker is the broker's process: it prints its address and serves until its standard input ends.
func serveBroker(dir string) error {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.DataDir(dir), kfake.DefaultNumPartitions(8))
	if err != nil {
		return err
	}
	defer cluster.Close()
	fmt.Println(cluster.ListenAddrs()[0])
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// rig is everything around the measured process.
type rig struct {
	Broker   string
	Engine   string
	User     string
	Password string
	conn     driver.Conn
	close    []func()
}

func newRig(ctx context.Context, o options, log zerolog.Logger) (*rig, error) {
	r := &rig{}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	broker := exec.Command(self, "broker", filepath.Join(o.Dir, "broker")) //nolint:gosec // this very program
	broker.Stderr = os.Stderr
	in, err := broker.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := broker.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := broker.Start(); err != nil {
		return nil, fmt.Errorf("start broker: %w", err)
	}
	r.close = append(r.close, func() { _ = in.Close(); _ = broker.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return r, fmt.Errorf("start broker: %w", err)
	}
	r.Broker = strings.TrimSpace(line)

	cfg := engine.DefaultConfig()
	cfg.Mode, cfg.Listen = engine.ModeLibrary, "127.0.0.1:0"
	cfg.DataDir, cfg.InstallDir = filepath.Join(o.Dir, "engine"), o.InstallDir
	cfg.ChildCommand = []string{self, "engine-child"}
	e, err := engine.Start(ctx, cfg, log.Level(zerolog.WarnLevel))
	if err != nil {
		return r, fmt.Errorf("start engine: %w", err)
	}
	r.close = append(r.close, func() { _ = e.Close(context.Background()) })
	admin, _ := e.Users()
	r.Engine, r.User, r.Password = e.HTTPAddr(), admin.Name, admin.Password.Value()
	r.conn, err = clickhouse.Open(r.sink("modeltrail"))
	return r, err
}

func (r *rig) stop() {
	for i := len(r.close) - 1; i >= 0; i-- {
		r.close[i]()
	}
}

// database makes an empty database with the schema; the one of an earlier run is dropped.
func (r *rig) database(ctx context.Context, name string) error {
	if err := r.conn.Exec(ctx, "DROP DATABASE IF EXISTS "+name); err != nil {
		return err
	}
	opt := ddl.DefaultOptions()
	opt.Database = name
	_, err := ddl.Apply(ctx, r.conn, opt)
	return err
}

// task is what a measured process is told.
type task struct {
	Options  options
	Rig      rig
	Database string
	Group    string
}

// result is what it answers.
type result struct {
	Calls       int
	Seconds     float64 // wall
	CPU         float64 // user and system seconds of the measured part
	PeakRSS     int64   // bytes
	Allocations uint64  // objects of the measured part
	AllocBytes  uint64
	Detail      string
}

// measure runs one task in a process of its own.
func measure(ctx context.Context, what string, t task) (result, error) {
	self, err := os.Executable()
	if err != nil {
		return result{}, err
	}
	raw, err := json.Marshal(t)
	if err != nil {
		return result{}, err
	}
	cmd := exec.CommandContext(ctx, self, "measure", what, string(raw)) //nolint:gosec // this very program
	cmd.Stderr = os.Stderr
	cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", t.Options.Procs), "GOGC="+t.Options.GOGC, "GOMEMLIMIT="+t.Options.MemLimit)
	out, err := cmd.Output()
	if err != nil {
		return result{}, fmt.Errorf("measure %s: %w", what, err)
	}
	var res result
	if err := json.Unmarshal(out, &res); err != nil {
		return result{}, fmt.Errorf("measure %s: %w", what, err)
	}
	return res, nil
}

// measured is the measured process.
func measured(what, raw string) error {
	var t task
	if err := json.Unmarshal([]byte(raw), &t); err != nil {
		return err
	}
	var res result
	var err error
	switch what {
	case "store":
		res, err = runStore(t)
	case "consume":
		res, err = runConsume(t)
	case "insert":
		res, err = runInsert(t)
	default:
		err = errors.New("nothing to measure: " + what)
	}
	if err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(res)
}
