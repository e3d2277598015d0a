package rig

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/modeltrail/modeltrail/cmd/internal/chaos/judge"
	"github.com/modeltrail/modeltrail/cmd/internal/chaos/workload"
)

// PoisonOptions describe a poison run.
type PoisonOptions struct {
	Run           Options
	Rounds        int // readings without poison and with it, in turns
	Undecodable   int // records that are no envelope to this binary
	Uninsertable  int // calls that the database refuses
	MaxSlowdown   float64
	ReplayCommand bool // mend the causes and run `modeltrail dlq replay`
}

// PoisonReport is the outcome of a poison run.
type PoisonReport struct {
	Calls           int             `json:"calls"`
	Clean           []float64       `json:"clean_records_per_second"`
	Poisoned        []float64       `json:"poisoned_records_per_second"`
	Ratio           float64         `json:"ratio"` // of the medians, poisoned to clean
	Judge           *judge.Report   `json:"judge"` // of the last poisoned run
	Replay          string          `json:"replay"`
	Verdict         judge.Verdict   `json:"verdict"`
	Error           string          `json:"error,omitempty"`
	OpenLetters     int             `json:"open_letters_after_replay"`
	RowsAfterReplay map[string]uint `json:"rows_after_replay,omitempty"`
}

// Poison fills a topic with the same calls again and again, in turns without poison and with poison among them, and
// measures how fast the store reads it to its end. The last round is judged. newRun makes a run from its options.
func Poison(ctx context.Context, o PoisonOptions, newRun func(Options) (*Run, error)) *PoisonReport {
	report := &PoisonReport{Calls: o.Run.Workload.Calls, Verdict: judge.CheckError, Replay: "not asked for"}
	if err := report.run(ctx, o, newRun); err != nil {
		report.Error = err.Error()
	}
	return report
}

func (p *PoisonReport) run(ctx context.Context, o PoisonOptions, newRun func(Options) (*Run, error)) error {
	clean := o.Run
	clean.StoreOnly, clean.Faults, clean.Kills, clean.FailpointKills = true, []string{"none"}, 0, 0
	clean.Workload.PoisonShare, clean.Workload.RepeatShare, clean.Workload.MarkedShare = 0, 0, 0
	poisoned := clean
	poisoned.Workload.ExactPoisons, poisoned.Workload.ExactMarked, poisoned.Workload.OnlyLater = o.Undecodable, o.Uninsertable, o.ReplayCommand
	if n := workload.New(poisoned.Workload).MarkedCalls(); n != o.Uninsertable {
		return fmt.Errorf("-calls %d, -undecodable %d and -uninsertable %d do not fit: %d calls could be marked; change one of them a little", poisoned.Workload.Calls, o.Undecodable, o.Uninsertable, n)
	}
	for round := range o.Rounds {
		last := round == o.Rounds-1
		for _, one := range []struct {
			opt    Options
			rates  *[]float64
			replay bool
		}{{clean, &p.Clean, false}, {poisoned, &p.Poisoned, last && o.ReplayCommand}} {
			r, err := newRun(one.opt)
			if err != nil {
				return err
			}
			verdict, err := p.measure(ctx, r, one.rates, last, one.replay)
			if err := errors.Join(err, r.close()); err != nil {
				return err
			}
			if verdict != judge.Pass {
				p.Verdict = verdict
				return nil
			}
		}
	}
	p.Ratio = median(p.Poisoned) / median(p.Clean)
	p.Verdict = judge.Pass
	if p.Ratio < 1-o.MaxSlowdown || p.OpenLetters > 0 {
		p.Verdict = judge.Fail
	}
	return nil
}

// median is that of at least one value.
func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return (sorted[(len(sorted)-1)/2] + sorted[len(sorted)/2]) / 2
}

// measure fills the topic and lets the store read it, then has it judged.
func (p *PoisonReport) measure(ctx context.Context, r *Run, rates *[]float64, judged, replay bool) (judge.Verdict, error) {
	r.started = time.Now()
	if err := r.prepare(ctx); err != nil {
		return judge.CheckError, err
	}
	if err := r.startProducer(ctx); err != nil {
		return judge.CheckError, err
	}
	r.allow(1)
	if err := <-r.produced; err != nil {
		return judge.CheckError, fmt.Errorf("fill the topic: %w", err)
	}
	records := r.acks.Load()
	r.say("%d records in the topic", records)
	began := time.Now()
	if err := r.startRoles(); err != nil {
		return judge.CheckError, err
	}
	if err := r.drained(ctx); err != nil {
		return judge.CheckError, err
	}
	took := time.Since(began).Seconds()
	*rates = append(*rates, float64(records)/took)
	r.say("read to the end in %.1f s, %.0f records/s", took, float64(records)/took)
	if !judged {
		r.measured = true
		return judge.Pass, nil
	}
	if err := r.judge(ctx); err != nil {
		return judge.CheckError, err
	}
	p.Judge = r.report.Judge
	if replay && p.Judge.Verdict == judge.Pass {
		if err := p.replay(ctx, r); err != nil {
			return judge.CheckError, err
		}
	}
	return p.Judge.Verdict, nil
}

// drained waits until the store has committed the end of the topic.
func (r *Run) drained(ctx context.Context) error {
	for told := time.Now(); ; {
		if !sleep(ctx, 100*time.Millisecond) {
			return ctx.Err()
		}
		lag := r.lag()
		if lag[0] == 0 {
			return nil
		}
		if time.Since(told) > 10*time.Second {
			told = time.Now()
			r.say("the store is %d records behind", lag[0])
		}
	}
}

// replay mends what made the dead letters and has them replayed: the database takes the rows again, and a newer binary
// reads the later schema version.
func (p *PoisonReport) replay(ctx context.Context, r *Run) error {
	if out, err := exec.CommandContext(ctx, r.program, "dlq", "replay", "--help").CombinedOutput(); err != nil || !strings.Contains(string(out), "--yes") { //nolint:gosec // our own program
		p.Replay = "CHECK_ERROR: this modeltrail has no command dlq replay"
		return nil
	}
	newer, err := buildNewer(ctx, r.dir)
	if err != nil {
		return err
	}
	if _, err := r.query("ALTER TABLE calls DROP CONSTRAINT chaos", time.Minute); err != nil {
		return fmt.Errorf("drop the constraint: %w", err)
	}
	config := filepath.Join(r.dir, "migrate", "modeltrail.yaml")
	ctx, cancel := context.WithTimeout(ctx, 15*time.Minute)
	defer cancel()
	began := time.Now()
	for range 2 { // the second time there is nothing left to do
		if out, err := exec.CommandContext(ctx, newer, "dlq", "replay", "--yes", "--config", config).CombinedOutput(); err != nil { //nolint:gosec // our own program
			return fmt.Errorf("dlq replay: %w\n%s", err, out)
		}
	}
	out, err := exec.CommandContext(ctx, newer, "dlq", "list", "--limit", "0", "--format", "json", "--config", config).Output() //nolint:gosec // our own program
	if err != nil {
		return fmt.Errorf("dlq list: %w", err)
	}
	p.OpenLetters = strings.Count(string(out), "\n")
	p.Replay = fmt.Sprintf("took %.1f s, %d letters are open", time.Since(began).Seconds(), p.OpenLetters)
	return p.afterReplay(r)
}

// afterReplay compares what stands in the tables now: every marked call once, every later envelope once.
func (p *PoisonReport) afterReplay(r *Run) error {
	p.RowsAfterReplay = map[string]uint{}
	for name, check := range map[string]struct {
		statement string
		want      uint
	}{
		"marked calls":        {"SELECT uniqExact(call_id) FROM calls WHERE request_model = '" + workload.MarkedModel + "'", uint(r.opt.Workload.ExactMarked)},                             //nolint:gosec // small
		"rows of marked":      {"SELECT count() FROM calls WHERE request_model = '" + workload.MarkedModel + "'", uint(r.opt.Workload.ExactMarked)},                                        //nolint:gosec // small
		"calls":               {"SELECT count() FROM calls", uint(r.opt.Workload.Calls - r.opt.Workload.ExactPoisons)},                                                                     //nolint:gosec // small
		"spend, calls":        {"SELECT sum(calls) FROM spend_hourly", uint(r.opt.Workload.Calls - r.opt.Workload.ExactPoisons)},                                                           //nolint:gosec // small
		"envelopes of poison": {"SELECT uniqExact(call_id) FROM envelopes WHERE row_version > 0 AND phase = 'request' AND toString(status) = 'stored'", uint(r.opt.Workload.ExactPoisons)}, //nolint:gosec // small
	} {
		text, err := r.query(check.statement, time.Minute)
		if err != nil {
			return err
		}
		var have uint
		if _, err := fmt.Sscan(text, &have); err != nil {
			return err
		}
		if p.RowsAfterReplay[name] = have; have != check.want {
			r.report.Judge.Verdict = judge.Fail
			r.report.Judge.Counts["after replay"]++
			r.report.Judge.Violations = append(r.report.Judge.Violations, judge.Violation{Kind: "after replay", Where: name, Detail: fmt.Sprintf("%d, want %d", have, check.want)})
		}
	}
	return nil
}

// buildNewer builds modeltrail as a later version of it would be: it reads workload.LaterSchema.
func buildNewer(ctx context.Context, dir string) (string, error) {
	root, err := exec.CommandContext(ctx, "go", "list", "-m", "-f", "{{.Dir}}", "github.com/modeltrail/modeltrail").Output()
	if err != nil {
		return "", fmt.Errorf("find this module: %w", err)
	}
	source := filepath.Join(strings.TrimSpace(string(root)), "schemas", "event", "topics.go")
	text, err := os.ReadFile(source)
	if err != nil {
		return "", err
	}
	const now = "SchemaVersion = 1"
	if !strings.Contains(string(text), now) {
		return "", errors.New("schemas/event/topics.go does not say " + now)
	}
	changed := filepath.Join(dir, "topics.go")
	if err := os.WriteFile(changed, []byte(strings.Replace(string(text), now, fmt.Sprintf("SchemaVersion = %d", workload.LaterSchema), 1)), 0o600); err != nil {
		return "", err
	}
	overlay, err := json.Marshal(map[string]any{"Replace": map[string]string{source: changed}})
	if err != nil {
		return "", err
	}
	file, binary := filepath.Join(dir, "overlay.json"), filepath.Join(dir, "modeltrail-newer")
	if err := os.WriteFile(file, overlay, 0o600); err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-overlay", file, "-o", binary, "./cmd/modeltrail") //nolint:gosec // fixed arguments
	cmd.Dir = strings.TrimSpace(string(root))
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build a newer modeltrail: %w\n%s", err, out)
	}
	return binary, nil
}

// Text writes the report for people.
func (p *PoisonReport) Text(w io.Writer) {
	fmt.Fprintf(w, "\npoison: %d calls, %.0f records/s without and %.0f records/s with poison, ratio of the medians %.2f\n", p.Calls, p.Clean, p.Poisoned, p.Ratio)
	fmt.Fprintf(w, "  replay after the fix: %s %v\n", p.Replay, p.RowsAfterReplay)
	if p.Judge != nil {
		p.Judge.Text(w)
	}
	if p.Error != "" {
		fmt.Fprintf(w, "  the run could not be made: %s\n", p.Error)
	}
	fmt.Fprintf(w, "poison verdict: %s\n", p.Verdict)
}
