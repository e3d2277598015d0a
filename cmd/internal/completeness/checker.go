package completeness

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/modeltrail/modeltrail/schemas/event"
	"github.com/modeltrail/modeltrail/schemas/wire"
)

// again is how soon a conclusion that has only grown is written again.
const again = 5 * time.Minute

// CheckerSettings is what code supplies.
type CheckerSettings struct {
	Record     Record
	Lag        Lag    // its client also produces, and MUST ask for all acknowledgements
	Findings   string // topic
	Logger     zerolog.Logger
	Registerer prometheus.Registerer
	Now        func() time.Time // nil: time.Now
}

// Checker judges every source again and again, keeps the table source_completeness up to date and writes findings. Several
// may run at once: their findings have the same keys.
type Checker struct {
	cfg     Config
	set     CheckerSettings
	log     zerolog.Logger
	metrics checkerMetrics

	waiting *Snapshot // read, and the store is not there yet
	ends    Ends
	starts  Ends
	written map[Source]map[time.Time]Hour
	emitted map[string]emission
	silent  map[Source]Head
	hearing time.Time // since when statements have been heard without a break
}

// emission is what was last written under a key.
type emission struct {
	size uint64
	at   time.Time
}

// NewChecker returns a checker; Run starts it.
func NewChecker(cfg Config, set CheckerSettings) (*Checker, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	if set.Now == nil {
		set.Now = time.Now
	}
	c := &Checker{
		cfg: cfg, set: set, log: set.Logger.With().Str("component", "completeness").Logger(),
		written: map[Source]map[time.Time]Hour{}, emitted: map[string]emission{}, silent: map[Source]Head{},
	}
	var err error
	c.metrics, err = newCheckerMetrics(set.Registerer)
	return c, err
}

// Run checks until ctx ends. What fails is repeated at the next check.
func (c *Checker) Run(ctx context.Context) error {
	ticker := time.NewTicker(c.cfg.Interval)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
		err := c.Check(ctx)
		switch {
		case err == nil:
			c.metrics.checks.WithLabelValues("judged").Inc()
		case ctx.Err() != nil:
		case errors.Is(err, ErrBehind):
			c.metrics.checks.WithLabelValues("behind").Inc()
			c.log.Debug().Err(err).Msg("judgement waits")
		default:
			c.metrics.checks.WithLabelValues("failed").Inc()
			c.log.Warn().Err(err).Msg("completeness could not be checked")
		}
	}
}

// Check does one round. ErrBehind means that the store has not consumed what the statements speak of; the next round
// goes on with the same statements, so that a store that never catches up is no reason never to judge.
func (c *Checker) Check(ctx context.Context) error {
	if err := c.listen(ctx); err != nil {
		return err
	}
	if err := c.set.Lag.Await(ctx, c.ends, c.starts, c.cfg.Interval/2); err != nil {
		return err
	}
	snapshot := *c.waiting
	c.waiting = nil
	found, err := c.set.Record.Find(ctx, snapshot, "")
	if err != nil {
		return err
	}
	now := c.set.Now()
	judgement := Judge(snapshot.Heads, snapshot.Told, found)
	if err := c.write(ctx, judgement.Hours, now); err != nil {
		return err
	}
	return c.conclude(ctx, judgement, now)
}

// listen reads the newest statements, speaks of silence and keys at once, and notes where Kafka ends.
func (c *Checker) listen(ctx context.Context) error {
	if err := c.set.Lag.AwaitStatements(ctx, c.cfg.Interval/4); err != nil {
		c.hearing = time.Time{}
		return err
	}
	now := c.set.Now()
	if c.hearing.IsZero() {
		c.hearing = now
	}
	snapshot, err := c.set.Record.Load(ctx, now.Add(-c.cfg.Lookback), "")
	if err != nil {
		return err
	}
	if err := c.speak(ctx, snapshot, now); err != nil {
		return err
	}
	if c.waiting != nil {
		return nil
	}
	ends, starts, err := c.set.Lag.Ends(ctx, c.set.Lag.Envelopes)
	if err == nil {
		c.waiting, c.ends, c.starts = &snapshot, ends, starts
	}
	return err
}

// speak writes the findings that need no rows.
func (c *Checker) speak(ctx context.Context, s Snapshot, now time.Time) error {
	var out []*event.Finding
	for _, k := range s.Keys {
		if !k.Trusted && now.Sub(k.Last) < c.cfg.Lookback {
			out = c.fresh(out, keyFinding(k, now), 1, now)
		}
	}
	for _, i := range s.Invalid {
		out = c.fresh(out, invalidFinding(i, now), i.Count, now)
	}
	quiet := 0
	for source, h := range newest(s.Heads) {
		before, was := c.silent[source]
		switch {
		case h.State == stateRunning && now.Sub(later(h.Heard, c.hearing)) > max(c.cfg.SilenceAfter, 3*h.Interval):
			quiet++
			c.silent[source] = h
			out = c.fresh(out, silentFinding(h, now, false), 1, now)
		case was && (h.Boot > before.Boot || h.Statement > before.Statement):
			delete(c.silent, source)
			out = append(out, silentFinding(before, now, true))
		}
	}
	c.metrics.silent.Set(float64(quiet))
	return c.emit(ctx, out)
}

// later is the later of two times: silence while nobody listened is none.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// newest is the newest statement of each source that can be trusted.
func newest(heads []Head) map[Source]Head {
	out := map[Source]Head{}
	for _, h := range heads {
		if old, ok := out[h.Source]; h.Trusted && (!ok || h.Boot > old.Boot) {
			out[h.Source] = h
		}
	}
	return out
}

// conclude writes the findings of a judgement.
func (c *Checker) conclude(ctx context.Context, j Judgement, now time.Time) error {
	var out []*event.Finding
	var missing uint64
	for _, g := range j.Gaps {
		missing += g.Count
		ranges, err := c.ranges(ctx, g)
		if err != nil {
			return err
		}
		out = c.fresh(out, missingFinding(g, ranges, now), g.Count, now)
	}
	for _, h := range j.Hours {
		if n := total(h.Dropped); n > 0 {
			out = c.fresh(out, droppedFinding(h, now), n, now)
		}
	}
	c.metrics.missing.Set(float64(missing))
	return c.emit(ctx, out)
}

// ranges looks for a gap where nothing is on its way, and in its whole hour only when it is not there.
func (c *Checker) ranges(ctx context.Context, g Gap) ([]Range, error) {
	for _, last := range []uint64{g.Judged, g.Last} {
		if g.First == 0 || last < g.First {
			continue
		}
		found, err := c.set.Record.Ranges(ctx, g, last, maxRanges+1)
		if err != nil || len(found) > 0 {
			return found, err
		}
	}
	return nil, nil
}

// fresh appends a finding that says more than the last one under its key. One that only grows is written again when it
// has doubled or some time has passed.
func (c *Checker) fresh(out []*event.Finding, f *event.Finding, size uint64, now time.Time) []*event.Finding {
	last, known := c.emitted[f.Key]
	if known && (size <= last.size || size < 2*last.size && now.Sub(last.at) < again) {
		return out
	}
	c.emitted[f.Key] = emission{size, now}
	return append(out, f)
}

// emit writes findings and waits for their acknowledgement. What was not acknowledged is written at the next check.
func (c *Checker) emit(ctx context.Context, findings []*event.Finding) error {
	if len(findings) == 0 {
		return nil
	}
	records := make([]*kgo.Record, 0, len(findings))
	for _, f := range findings {
		r := &kgo.Record{Topic: c.set.Findings, Key: []byte(f.Key), Value: wire.MarshalFinding(nil, f)}
		for _, h := range wire.FindingHeaders(f) {
			r.Headers = append(r.Headers, kgo.RecordHeader{Key: h.Key, Value: h.Value})
		}
		records = append(records, r)
	}
	if err := c.set.Lag.Client.ProduceSync(ctx, records...).FirstErr(); err != nil {
		for _, f := range findings {
			delete(c.emitted, f.Key)
		}
		return fmt.Errorf("produce findings: %w", err)
	}
	for _, f := range findings {
		c.metrics.findings.WithLabelValues(f.Detector).Inc()
	}
	return nil
}

// write adds the hours whose figures changed to source_completeness.
func (c *Checker) write(ctx context.Context, hours []Hour, now time.Time) error {
	var changed []Hour
	for _, h := range hours {
		if old, ok := c.written[h.Source][h.Hour]; !ok || !old.equal(h) {
			changed = append(changed, h)
		}
	}
	if len(changed) == 0 {
		return nil
	}
	settings := clickhouse.Settings{
		"async_insert": 0, "insert_deduplicate": 1, "distributed_foreground_insert": 1,
		"insert_deduplication_token": fmt.Sprintf("completeness/%d", now.UnixNano()),
	}
	batch, err := c.set.Record.Conn.PrepareBatch(clickhouse.Context(ctx, clickhouse.WithSettings(settings)), "INSERT INTO "+c.set.Record.Database+
		`.source_completeness (source_kind, source_instance, hour, version, checked_at, epochs, sent, stored, dead_lettered, repeated, dropped, pending, missing, surplus, verified)`)
	if err != nil {
		return fmt.Errorf("prepare source_completeness: %w", err)
	}
	for _, h := range changed {
		at := h.Hour
		if at.IsZero() {
			at = time.Unix(0, 0).UTC()
		}
		if err := batch.Append(h.Kind, h.Instance, at, uint64(now.UnixMilli()), now.UTC(), h.Epochs, h.Sent, h.Stored, h.DeadLettered, h.Repeated,
			h.Dropped, h.Pending, h.Missing, h.Surplus, h.Verified); err != nil {
			return errors.Join(fmt.Errorf("append source_completeness: %w", err), batch.Abort())
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert source_completeness: %w", err)
	}
	for _, h := range changed {
		if c.written[h.Source] == nil {
			c.written[h.Source] = map[time.Time]Hour{}
		}
		c.written[h.Source][h.Hour] = h
	}
	c.forget(now)
	return nil
}

// forget bounds what is remembered of hours and findings that no check looks at any more.
func (c *Checker) forget(now time.Time) {
	old := now.Add(-72*time.Hour - c.cfg.Lookback)
	for source, hours := range c.written {
		for hour := range hours {
			if !hour.IsZero() && hour.Before(old) {
				delete(hours, hour)
			}
		}
		if len(hours) == 0 {
			delete(c.written, source)
		}
	}
	for key, e := range c.emitted {
		if e.at.Before(old) {
			delete(c.emitted, key)
		}
	}
}

type checkerMetrics struct {
	checks, findings *prometheus.CounterVec
	missing, silent  prometheus.Gauge
}

func newCheckerMetrics(r prometheus.Registerer) (checkerMetrics, error) {
	m := checkerMetrics{
		checks: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_completeness_checks_total", Help: "Checks of the record by result: judged, behind (the store lags), failed.",
		}, []string{"result"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_completeness_findings_total", Help: "Findings of the checker by detector, repeats of a key included.",
		}, []string{"detector"}),
		missing: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "modeltrail_completeness_missing_envelopes", Help: "Envelopes missing for no known reason within completeness.lookback.",
		}),
		silent: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "modeltrail_completeness_silent_sources", Help: "Sources that should make statements and do not.",
		}),
	}
	if r == nil {
		return m, nil
	}
	for _, c := range []prometheus.Collector{m.checks, m.findings, m.missing, m.silent} {
		if err := r.Register(c); err != nil {
			return m, fmt.Errorf("register completeness metrics: %w", err)
		}
	}
	return m, nil
}
