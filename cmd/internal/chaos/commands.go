package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"strings"
	"syscall"

	"github.com/rs/zerolog"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/client"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/copier"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/manifest"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/oracle"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/produce"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/rig"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
	"github.com/modeltrail/modeltrail/cmd/internal/config"
	"github.com/modeltrail/modeltrail/cmd/internal/engine"
)

// exitUsage is the code of a wrong command line; like every code but 0 and 1 it says that nothing was found out.
const exitUsage = 2

// commands are the processes of a run, which the controller starts, and what is run by hand.
func commands() map[string]func(ctx context.Context, args []string) int {
	return map[string]func(context.Context, []string) int{
		"engine-child": func(context.Context, []string) int { return engine.Main() },
		"kfake":        serveKfake,
		"produce":      runProducer,
		"call":         runCaller,
		"provider":     runProvider,
		"oracle":       runOracle,
		"judge":        runJudge,
		"copier":       runCopier,
		"negative":     runNegative,
		"poison":       runPoison,
		"resource":     runResource,
	}
}

// Main runs one command and returns the exit code: 0 PASS, 1 FAIL, 2 CHECK_ERROR.
func Main(args []string) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if len(args) > 0 {
		if child, ok := commands()[args[0]]; ok {
			return child(ctx, args[1:])
		}
	}
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		fmt.Fprintf(os.Stderr, "chaos: unknown command %q; `chaos -help` lists what there is\n", args[0])
		return exitUsage
	}
	return runChaos(ctx, args)
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, "chaos:", err)
	return judge.CheckError.ExitCode()
}

// serveKfake is `chaos kfake DIR LISTEN,... ADVERTISED,...`.
func serveKfake(_ context.Context, args []string) int {
	if len(args) != 3 {
		return fail(errors.New("kfake is started by the controller"))
	}
	signal.Ignore(os.Interrupt)
	if err := rig.ServeKfake(args[0], strings.Split(args[1], ","), strings.Split(args[2], ","), os.Stdin); err != nil {
		return fail(err)
	}
	return 0
}

// runProducer is `chaos produce DIR`.
func runProducer(ctx context.Context, args []string) int {
	m, err := read(args)
	if err == nil {
		err = produce.Run(ctx, m, os.Stdin, os.Stdout)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// runCaller is `chaos call DIR`.
func runCaller(ctx context.Context, args []string) int {
	m, err := read(args)
	if err == nil {
		err = client.Call(ctx, m, os.Stdin, os.Stdout)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// runProvider is `chaos provider WORKLOAD ADDRESS`; the workload is JSON.
func runProvider(ctx context.Context, args []string) int {
	if len(args) != 2 {
		return fail(errors.New("provider is started by the controller"))
	}
	var cfg workload.Config
	err := json.Unmarshal([]byte(args[0]), &cfg)
	if err == nil {
		err = client.Serve(ctx, workload.New(cfg), args[1])
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// runOracle is `chaos oracle DIR`: it writes what must be stored.
func runOracle(_ context.Context, args []string) int {
	m, err := read(args)
	if err == nil {
		err = oracle.Write(workload.New(m.Workload), m.MarkedRefused, os.Stdout)
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

// runCopier is `chaos copier CONFIG`.
func runCopier(ctx context.Context, args []string) int {
	if len(args) != 1 {
		return fail(errors.New("name the configuration of the copier"))
	}
	cfg, err := config.Load(args[0])
	if err == nil {
		err = copier.Run(ctx, cfg, zerolog.New(os.Stderr).With().Timestamp().Logger())
	}
	if err != nil {
		return fail(err)
	}
	return 0
}

func read(args []string) (*manifest.Manifest, error) {
	if len(args) != 1 {
		return nil, errors.New("name the folder of a run, which holds " + manifest.File)
	}
	return manifest.Read(args[0])
}

// runJudge is `chaos judge [--json] DIR`.
func runJudge(ctx context.Context, args []string) int {
	asJSON := len(args) > 0 && args[0] == "--json"
	if asJSON {
		args = args[1:]
	}
	m, err := read(args)
	if err != nil {
		return fail(err)
	}
	self, err := os.Executable()
	if err != nil {
		return fail(err)
	}
	asked := exec.CommandContext(ctx, self, "oracle", args[0])
	asked.Stderr = os.Stderr
	expected, err := asked.StdoutPipe()
	if err != nil {
		return fail(err)
	}
	if err := asked.Start(); err != nil {
		return fail(fmt.Errorf("start the oracle: %w", err))
	}
	report := judge.Run(ctx, m, expected)
	_, _ = io.Copy(io.Discard, expected)
	if err := asked.Wait(); err != nil && report.Verdict != judge.CheckError {
		report.Verdict, report.Error = judge.CheckError, "the oracle failed: "+err.Error()
	}
	if asJSON {
		err = report.JSON(os.Stdout)
	} else {
		report.Text(os.Stdout)
	}
	if err != nil {
		return fail(err)
	}
	return report.Verdict.ExitCode()
}

// runChaos is the conservation test itself.
func runChaos(ctx context.Context, args []string) int {
	o, jsonFile, err := parse(args)
	if err != nil {
		if errors.Is(err, flag.ErrHelp) {
			return 0
		}
		fmt.Fprintln(os.Stderr, "chaos:", err)
		return exitUsage
	}
	report, err := oneRun(ctx, o, os.Stdout)
	if err != nil {
		return fail(err)
	}
	report.Text(os.Stdout)
	if err := writeJSON(jsonFile, report); err != nil {
		return fail(err)
	}
	return report.Judge.Verdict.ExitCode()
}

func parse(args []string) (o rig.Options, jsonFile string, err error) {
	o = rig.DefaultOptions()
	f := flag.NewFlagSet("chaos", flag.ContinueOnError)
	f.Usage = func() {
		fmt.Fprint(f.Output(), `chaos kills and disturbs a running ModelTrail and checks that nothing is lost, doubled or changed.

  chaos                                              two minutes
  chaos -duration 40m -calls 1000000 -kills 300 -failpoint-kills 60
  chaos -broker apachekafka                          against Apache Kafka (needs java and mvn)
  chaos -taps 2                                      calls go through taps, which are killed as well
  chaos -fault new_token -failpoints W2,W3           a negative control: must FAIL
  chaos -copier                                      the plain copier in place of the store: must FAIL
  chaos negative                                     every negative control, up to 25 tries each
  chaos poison                                       1000 undecodable and 100 uninsertable records among a million
  chaos resource -duration 30m                       memory of store and enrich at full speed
  chaos judge DIR                                    judge a kept folder again

Exit codes: 0 PASS, 1 FAIL, 2 CHECK_ERROR (nothing was found out) or wrong usage.

`)
		f.PrintDefaults()
	}
	list := func(target *[]string) func(string) error {
		return func(text string) error { *target = strings.Split(text, ","); return nil }
	}
	f.Uint64Var(&o.Workload.Seed, "seed", o.Workload.Seed, "seed of calls, kills and faults")
	f.IntVar(&o.Workload.Calls, "calls", o.Workload.Calls, "calls, two envelopes each")
	f.Float64Var(&o.Workload.PoisonShare, "poison", o.Workload.PoisonShare, "share of undecodable records")
	f.Float64Var(&o.Workload.RepeatShare, "repeats", o.Workload.RepeatShare, "share of calls that the source delivers twice")
	f.Float64Var(&o.Workload.MarkedShare, "refused", o.Workload.MarkedShare, "share of calls that the database refuses")
	f.StringVar(&o.Broker, "broker", o.Broker, "kfake or apachekafka")
	f.DurationVar(&o.Duration, "duration", o.Duration, "time over which calls and faults are spread")
	f.IntVar(&o.Kills, "kills", o.Kills, "kills at random moments")
	f.IntVar(&o.FailpointKills, "failpoint-kills", o.FailpointKills, "kills at each failpoint")
	f.Func("failpoints", "failpoints, comma separated (default W0,W1,W2,W3,W4)", list(&o.Failpoints))
	f.Func("components", "what is killed at random, comma separated (default store,enrich,detect,engine,broker, and tap where there is one)", list(&o.Components))
	f.Func("faults", "faults beside kills, comma separated, or none (default all: "+strings.Join(rig.FaultNames(), ",")+")", list(&o.Faults))
	f.IntVar(&o.Stores, "stores", o.Stores, "processes of the role store")
	f.IntVar(&o.Taps, "taps", 0, "make the calls through so many taps, which are killed too")
	f.IntVar(&o.Partitions, "partitions", o.Partitions, "partitions of the topics")
	f.IntVar(&o.BatchRows, "batch-rows", o.BatchRows, "records of a batch at most")
	f.DurationVar(&o.Flush, "flush", o.Flush, "longest time a record waits in an open batch")
	f.DurationVar(&o.Session, "session", o.Session, "session timeout of the consumer groups")
	f.StringVar(&o.Fault, "fault", "", "break the store on purpose: new_token, shift_boundary or multi_block")
	f.BoolVar(&o.Copier, "copier", false, "run the plain at-least-once copier in place of the store")
	f.BoolVar(&o.NoRepeats, "no-repeats", false, "judge a store that does not recognise repeats of a source sequence")
	f.DurationVar(&o.Settle, "settle", o.Settle, "patience after the last fault")
	f.StringVar(&o.Dir, "dir", "", "folder of the run; default a temporary one, kept unless the verdict is PASS")
	f.BoolVar(&o.Keep, "keep", false, "keep the temporary folder also after PASS")
	f.StringVar(&o.Program, "program", "", "modeltrail built with -tags chaos; default: it is built")
	f.StringVar(&o.RoleLog, "role-log", o.RoleLog, "level of the roles' logs in the folder of the run")
	f.StringVar(&o.Log, "log", o.Log, "level of the controller's log")
	f.StringVar(&jsonFile, "json", "", "also write the report to this file as JSON")
	if err := f.Parse(args); err != nil {
		return o, "", err
	}
	if f.NArg() > 0 {
		return o, "", fmt.Errorf("unexpected argument %q", f.Arg(0))
	}
	return o, jsonFile, o.Validate()
}
