package alert

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Outcomes of a finding, the values of label outcome.
const (
	outcomeDelivered = "delivered"
	outcomeRepeat    = "repeat"
	outcomeFiltered  = "filtered"
	outcomePermanent = "permanent"
	outcomeGaveUp    = "gave_up"
)

// Metrics counts attempts and outcomes by sink. A nil *Metrics counts nothing.
type Metrics struct {
	attempts *prometheus.CounterVec
	findings *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
}

// NewMetrics registers the metrics of all alert sinks of a process once.
func NewMetrics(reg prometheus.Registerer) (*Metrics, error) {
	m := &Metrics{
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_alert_attempts_total", Help: "Delivery attempts by sink and result (ok, transient, permanent).",
		}, []string{"sink", "result"}),
		findings: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_alert_findings_total",
			Help: "Findings by sink and final outcome (delivered, repeat, filtered, permanent, gave_up).",
		}, []string{"sink", "outcome"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "modeltrail_alert_attempt_seconds", Help: "Duration of delivery attempts in seconds.",
			Buckets: []float64{.005, .025, .1, .5, 1, 2.5, 5, 10, 30},
		}, []string{"sink"}),
	}
	for _, c := range []prometheus.Collector{m.attempts, m.findings, m.seconds} {
		if err := reg.Register(c); err != nil {
			return nil, fmt.Errorf("register alert metrics: %w", err)
		}
	}
	return m, nil
}

func (m *Metrics) attempt(sink string, err error, took time.Duration) {
	if m == nil {
		return
	}
	result := "ok"
	switch {
	case IsPermanent(err):
		result = "permanent"
	case err != nil:
		result = "transient"
	}
	m.attempts.WithLabelValues(sink, result).Inc()
	m.seconds.WithLabelValues(sink).Observe(took.Seconds())
}

func (m *Metrics) outcome(sink, outcome string) {
	if m != nil {
		m.findings.WithLabelValues(sink, outcome).Inc()
	}
}
