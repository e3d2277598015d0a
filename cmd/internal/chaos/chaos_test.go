package main

import (
	"context"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/rig"
)

// TestMain lets the test's own program be every process of a run.
func TestMain(m *testing.M) {
	if len(os.Args) > 1 {
		if _, ok := commands()[os.Args[1]]; ok {
			os.Exit(Main(os.Args[1:]))
		}
	}
	os.Exit(m.Run())
}

// logged is the progress of a run in the test's log.
type logged struct{ t *testing.T }

// Write implements io.Writer.
func (l logged) Write(p []byte) (int, error) {
	l.t.Log(strings.TrimRight(string(p), "\n"))
	return len(p), nil
}

func run(t *testing.T, o rig.Options) *rig.Report {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 12*time.Minute)
	defer cancel()
	o.Dir = t.TempDir()
	report, err := oneRun(ctx, o, logged{t})
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	report.Text(&text)
	t.Log(text.String())
	return report
}

// TestConservation_KillsOfEveryPart_NothingLostNothingDoubled is the short form of `make chaos`.
func TestConservation_KillsOfEveryPart_NothingLostNothingDoubled(t *testing.T) {
	o := rig.DefaultOptions()
	o.Workload.Calls, o.Workload.PoisonShare, o.Workload.RepeatShare, o.Workload.MarkedShare = 4000, 0.01, 0.02, 0.005
	o.Duration, o.Kills, o.FailpointKills, o.Stores, o.Settle, o.Log = 35*time.Second, 16, 1, 2, 5*time.Minute, "fatal"
	report := run(t, o)
	if report.Judge.Verdict != judge.Pass {
		t.Fatalf("verdict %s: %s", report.Judge.Verdict, report.Judge.Error)
	}
	kills := len(report.Log)
	if kills < 20 {
		t.Errorf("%d kills; the test means nothing with fewer than 20", kills)
	}
}

// TestConservation_NegativeControls_AreFoundOut shows that the judge sees what it claims to see: the plain copier
// doubles rows, and so does a store whose repeats carry new tokens.
func TestConservation_NegativeControls_AreFoundOut(t *testing.T) {
	for _, c := range controls()[:2] {
		t.Run(c.name, func(t *testing.T) {
			for try := range uint64(5) {
				report := run(t, controlOptions(1+try, c))
				switch report.Judge.Verdict {
				case judge.Fail:
					if report.Judge.Counts[judge.Doubled] == 0 {
						t.Errorf("no row is doubled: %v", report.Judge.Counts)
					}
					return
				case judge.CheckError:
					t.Fatalf("the run could not be judged: %s", report.Judge.Error)
				}
			}
			t.Error("five runs passed: the judge is blind to it")
		})
	}
}

// TestConservation_DeadEngine_IsNoVerdict shows that an infrastructure error is neither a pass nor a fail.
func TestConservation_DeadEngine_IsNoVerdict(t *testing.T) {
	o := rig.DefaultOptions()
	o.Program = "/does/not/exist"
	o.Workload.Calls, o.Faults, o.Log = 10, []string{"none"}, "fatal"
	if report := run(t, o); report.Judge.Verdict != judge.CheckError {
		t.Errorf("verdict %s of a run that could not be made", report.Judge.Verdict)
	}
}
