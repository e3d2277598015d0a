package rig

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/manifest"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// Run is one run of the conservation test.
type Run struct {
	opt     Options
	self    string // this program, for its other processes
	program string // modeltrail
	dir     string
	out     io.Writer // progress
	log     zerolog.Logger

	work                 *workload.Workload
	disk                 *disk
	broker               *broker
	database             *database
	events               *os.File
	admin                map[string]string // name of a process -> address of its metrics
	stores               []*Process
	taps                 []*Process
	provider             *Process
	tapURLs              []string
	upstream, tapAddress string    // for the configuration of the next tap
	tapKills             [][]int64 // unix milliseconds, by tap
	enrich               *Process
	detect               *Process
	producer             *exec.Cmd
	control              io.WriteCloser
	manifest             *manifest.Manifest
	acks                 atomic.Int64 // acknowledged records, by the producer's word
	produced             chan error
	measured             bool // it ended as it should and has no judge

	started time.Time
	killers sync.WaitGroup
	mu      sync.Mutex
	report  *Report
	points  failpoints
}

// New prepares a run. self is the path of a program that serves the commands of package main of chaos.
func New(opt Options, self string, out io.Writer, log zerolog.Logger) (*Run, error) {
	if err := opt.Validate(); err != nil {
		return nil, err
	}
	if opt.Copier { // it has no dead letters: one such call would hold it up for good
		opt.Workload.MarkedShare = 0
	}
	if opt.Taps > 0 {
		opt.Workload.PoisonShare, opt.Workload.RepeatShare, opt.Workload.MarkedShare = 0, 0, 0
		opt.Workload.FingerprintKey = fingerprintKey(opt.Workload.Seed)
	}
	r := &Run{
		opt: opt, self: self, out: out, log: log, work: workload.New(opt.Workload), admin: map[string]string{},
		produced: make(chan error, 1), report: newReport(opt),
	}
	r.points = newFailpoints(opt)
	return r, nil
}

func digest(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:6])
}

// Do makes the run and has it judged. The report always has a verdict.
func (r *Run) Do(ctx context.Context) *Report {
	r.started = time.Now()
	err := r.do(ctx)
	if r.report.Judge == nil {
		r.report.Judge = &judge.Report{}
	}
	if err != nil {
		r.report.Judge.Verdict, r.report.Judge.Error = judge.CheckError, err.Error()
	}
	r.report.Seconds = time.Since(r.started).Seconds()
	return r.report
}

func (r *Run) do(ctx context.Context) (err error) {
	defer func() { err = errors.Join(err, r.close()) }()
	if err := r.prepare(ctx); err != nil {
		return err
	}
	if err := r.startRoles(); err != nil {
		return err
	}
	if err := r.startTaps(ctx); err != nil {
		return err
	}
	if err := r.startProducer(ctx); err != nil {
		return err
	}
	if err := r.faults(ctx); err != nil {
		return err
	}
	settled, err := r.settle(ctx)
	if err != nil {
		return err
	}
	r.report.Settled = settled
	return r.judge(ctx)
}

func (r *Run) prepare(ctx context.Context) error {
	var err error
	if r.dir = r.opt.Dir; r.dir == "" {
		if r.dir, err = os.MkdirTemp("", "modeltrail-chaos-"); err != nil {
			return err
		}
	} else if err = os.MkdirAll(r.dir, 0o700); err != nil {
		return err
	}
	if r.events, err = os.Create(filepath.Join(r.dir, "events.log")); err != nil {
		return err
	}
	if r.program = r.opt.Program; r.program == "" {
		if r.program, err = buildProgram(ctx); err != nil {
			return err
		}
	}
	r.say("folder %s, seed %d", r.dir, r.opt.Workload.Seed)
	data := filepath.Join(r.dir, "engine")
	if r.wants("full-disk") || r.wants(brutal) {
		if r.disk, err = mountDisk(data, 2<<30+int64(r.opt.Workload.Calls)*6000); err != nil {
			r.report.skip("full-disk", err.Error())
		}
	}
	if r.database, err = startDatabase(ctx, r.self, data, r.opt.Workload.Seed, r.log); err != nil {
		return err
	}
	if r.broker, err = startBroker(ctx, r.opt.Broker, r.self, r.dir, r.opt.Workload.Seed); err != nil {
		return err
	}
	r.broker.process.ended = func(e ending) { r.processEnded(r.broker.process, e) }
	if err := r.migrate(ctx); err != nil || !r.opt.Workload.Marks() {
		return err
	}
	if _, err := r.query("ALTER TABLE calls ADD CONSTRAINT chaos CHECK request_model != '"+workload.MarkedModel+"'", time.Minute); err != nil {
		return fmt.Errorf("add the constraint that refuses %s: %w", workload.MarkedModel, err)
	}
	return nil
}

func (r *Run) startRoles() error {
	var err error
	var all []*Process
	if !r.opt.StoreOnly {
		if r.enrich, err = r.role("enrich", "enrich", nil); err != nil {
			return err
		}
		if r.detect, err = r.role("detect", "detect", nil); err != nil {
			return err
		}
		all = append(all, r.enrich, r.detect)
	}
	for i := range r.opt.Stores {
		name := fmt.Sprintf("store-%d", i)
		p, err := r.role(name, "store", func() []string { return r.points.env(name) })
		if err != nil {
			return err
		}
		r.stores = append(r.stores, p)
		all = append(all, p)
	}
	for _, p := range all {
		if err := p.Start(); err != nil {
			return err
		}
	}
	return nil
}

// startProducer starts the producer's process; it publishes what it is allowed to.
func (r *Run) startProducer(ctx context.Context) error {
	r.manifest = &manifest.Manifest{
		Workload: r.opt.Workload, Brokers: r.broker.addrs(), Journal: "acknowledged.log",
		ClickHouse:        manifest.ClickHouse{Addr: r.database.engine.HTTPAddr(), User: "modeltrail", PasswordFile: r.database.passwordFile(), Database: "modeltrail"},
		RepeatsRecognised: !r.opt.NoRepeats && !r.opt.Copier, Detection: !r.opt.StoreOnly, MarkedRefused: r.opt.Workload.Marks(),
		Taps: r.tapURLs, ExcuseMillis: excuse.Milliseconds(),
	}
	if err := r.manifest.Write(r.dir); err != nil {
		return err
	}
	log, err := os.Create(filepath.Join(r.dir, "producer.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	command := "produce"
	if len(r.taps) > 0 {
		command = "call"
	}
	r.producer = exec.CommandContext(ctx, r.self, command, r.dir) //nolint:gosec // this very program
	r.producer.Stderr = log
	r.producer.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if r.control, err = r.producer.StdinPipe(); err != nil {
		return err
	}
	out, err := r.producer.StdoutPipe()
	if err != nil {
		return err
	}
	if err := r.producer.Start(); err != nil {
		return fmt.Errorf("start producer: %w", err)
	}
	go func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var acknowledged, retried, repeats int64
			if n, _ := fmt.Sscanf(lines.Text(), "acknowledged %d retried %d repeats %d", &acknowledged, &retried, &repeats); n == 3 {
				r.acks.Store(acknowledged)
				r.mu.Lock()
				r.report.Acknowledged, r.report.Retried = acknowledged, retried
				r.mu.Unlock()
			}
		}
		r.produced <- r.producer.Wait()
	}()
	return nil
}

// allow lets the producer publish a share of the calls.
func (r *Run) allow(share float64) {
	_, _ = fmt.Fprintf(r.control, "allow %d\n", int(min(share, 1)*float64(r.opt.Workload.Calls)))
}

// judge runs the judge's process and takes over its report.
func (r *Run) judge(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Minute)
	defer cancel()
	log, err := os.Create(filepath.Join(r.dir, "judge.log"))
	if err != nil {
		return err
	}
	defer log.Close()
	r.mu.Lock()
	r.manifest.TapKills = r.tapKills
	r.mu.Unlock()
	if err := r.manifest.Write(r.dir); err != nil {
		return err
	}
	var out strings.Builder
	cmd := exec.CommandContext(ctx, r.self, "judge", "--json", r.dir) //nolint:gosec // this very program
	cmd.Stdout, cmd.Stderr = &out, log
	started := time.Now()
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		return fmt.Errorf("run the judge: %w", err)
	}
	report, err := judge.ReadReport(strings.NewReader(out.String()))
	if err != nil {
		return fmt.Errorf("read the judge's report: %w; its log ends:\n%s", err, lastLines(log.Name(), 10))
	}
	if code := cmd.ProcessState.ExitCode(); code != report.Verdict.ExitCode() {
		return fmt.Errorf("the judge says %s and ends with code %d", report.Verdict, code)
	}
	r.report.Judge = report
	r.say("judged in %s: %s", time.Since(started).Round(time.Second), report.Verdict)
	return nil
}

// close ends everything.
func (r *Run) close() error {
	if r.control != nil {
		_ = r.control.Close()
	}
	if r.producer != nil && r.producer.Process != nil {
		_ = r.producer.Process.Kill()
	}
	var wait sync.WaitGroup
	for _, p := range slices.Concat(r.taps, r.stores, []*Process{r.enrich, r.detect, r.provider}) {
		if p != nil {
			wait.Go(func() { p.Stop(20 * time.Second) })
		}
	}
	wait.Wait()
	var errs []error
	if r.broker != nil {
		errs = append(errs, r.broker.stop())
	}
	if r.database != nil {
		if err := r.database.stop(); err != nil {
			r.log.Warn().Err(err).Msg("engine did not end in good order")
		}
	}
	if r.disk != nil {
		if r.keeps() {
			errs = append(errs, os.CopyFS(filepath.Join(r.dir, "engine-kept"), os.DirFS(r.disk.dir)))
		}
		errs = append(errs, r.disk.unmount())
	}
	if r.events != nil {
		errs = append(errs, r.events.Close())
	}
	if r.dir != "" && r.opt.Dir == "" && !r.keeps() {
		errs = append(errs, os.RemoveAll(r.dir))
	}
	return errors.Join(errs...)
}

// keeps reports whether somebody will look at what the run left behind.
func (r *Run) keeps() bool {
	if r.report.Judge == nil {
		return r.opt.Keep || !r.measured
	}
	return r.opt.Keep || r.report.Judge.Verdict != judge.Pass
}

// event writes one line into events.log: when what was done to which part.
func (r *Run) event(format string, args ...any) {
	_, _ = fmt.Fprintf(r.events, "%s  %s\n", time.Now().UTC().Format("15:04:05.000"), fmt.Sprintf(format, args...))
}

func (r *Run) say(format string, args ...any) {
	fmt.Fprintf(r.out, "%6.1fs  %s\n", time.Since(r.started).Seconds(), fmt.Sprintf(format, args...))
}
