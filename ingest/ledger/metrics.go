package ledger

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	sent, failed, crashed prometheus.Counter
	pending               prometheus.GaugeFunc
}

func newMetrics(l *Ledger) metrics {
	labels := prometheus.Labels{"kind": l.set.Kind}
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help, ConstLabels: labels})
	}
	return metrics{
		sent:    counter("modeltrail_ledger_sent_statements_total", "Signed statements that Kafka acknowledged."),
		failed:  counter("modeltrail_ledger_failed_statements_total", "Statements that could not be sent; the next one says all."),
		crashed: counter("modeltrail_ledger_crash_lost_envelopes_total", "Envelopes that earlier, killed processes owed and never numbered."),
		pending: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_ledger_pending_envelopes", Help: "Numbered envelopes that are neither acknowledged nor counted as lost.",
			ConstLabels: labels,
		}, l.pending),
	}
}

func (l *Ledger) pending() float64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.set.Tracked {
		return 0
	}
	total := l.state.sums()
	return float64(total.numbered - min(l.state.delivered.Load()+total.lost, total.numbered))
}

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.sent, m.failed, m.crashed, m.pending} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register ledger metrics: %w", err)
		}
	}
	return nil
}
