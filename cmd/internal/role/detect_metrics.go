package role

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type detectMetrics struct {
	events     *prometheus.CounterVec
	findings   *prometheus.CounterVec
	unreadable *prometheus.CounterVec
	suppressed prometheus.Counter
	replayed   prometheus.Counter
	incomplete prometheus.Counter
	state      *prometheus.GaugeVec
}

func newDetectMetrics(reg prometheus.Registerer) (*detectMetrics, error) {
	m := &detectMetrics{
		events: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_detect_events_total",
			Help: "Events by how detectors saw them (observed, duplicate, late, expired); late and expired are also observed."},
			[]string{"result"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_detect_findings_total", Help: "Findings emitted by detector."}, []string{"detector"}),
		unreadable: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_detect_unreadable_events_total", Help: "Records of the events topic that are no event, by reason."}, []string{"reason"}),
		suppressed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_detect_suppressed_findings_total", Help: "Conclusions folded into a summary finding or dropped by a bound."}),
		replayed: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_detect_replayed_events_total", Help: "Records read back to rebuild detector state."}),
		incomplete: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_detect_incomplete_replays_total", Help: "Assignments whose detector state could not be rebuilt in full."}),
		state: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "modeltrail_detect_state_bytes", Help: "Estimated heap of detector state by partition."}, []string{"partition"}),
	}
	return m, register(reg, m.events, m.findings, m.unreadable, m.suppressed, m.replayed, m.incomplete, m.state)
}

// weighEvery is how often the state's size is estimated; it walks every team.
const weighEvery = 10 * time.Second

// account adds what the detectors did since the last call to the metrics.
func (b *detectBatch) account() {
	now, met := b.set.Stats(), b.role.met
	met.events.WithLabelValues("observed").Add(float64(now.Events - b.told.Events))
	met.events.WithLabelValues("duplicate").Add(float64(now.Duplicates - b.told.Duplicates))
	met.events.WithLabelValues("late").Add(float64(now.Late - b.told.Late))
	met.events.WithLabelValues("expired").Add(float64(now.Expired - b.told.Expired))
	met.suppressed.Add(float64(now.Suppressed - b.told.Suppressed))
	for name, n := range now.Findings {
		met.findings.WithLabelValues(name).Add(float64(n - b.told.Findings[name]))
	}
	b.told = now.Clone()
	if time.Since(b.weighed) >= weighEvery {
		b.weighed = time.Now()
		met.state.WithLabelValues(strconv.Itoa(int(b.partition))).Set(float64(b.set.StateBytes()))
	}
}
