package tap

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons of a dropped envelope and of a body that was left out.
const (
	dropMemory  = "memory"  // the in-flight budget was used up
	dropRefused = "refused" // the publisher did not take it
	dropClosed  = "closed"  // the tap was shutting down

	bodyMemory      = "memory"
	bodyLimit       = "limit"
	bodyUndecodable = "undecodable"
	bodyRedaction   = "redaction"
	bodyEncryption  = "encryption"
)

type metrics struct {
	calls, envelopes, unrouted prometheus.Counter
	refused                    prometheus.Counter
	dropped, bodies            *prometheus.CounterVec
	droppedBy, bodiesBy        map[string]prometheus.Counter
	inFlight                   prometheus.GaugeFunc
}

func newMetrics(t *Tap) metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	m := metrics{
		calls:     counter("modeltrail_tap_seen_calls_total", "Calls seen."),
		envelopes: counter("modeltrail_tap_handed_over_envelopes_total", "Envelopes handed to the publisher."),
		unrouted:  counter("modeltrail_tap_unrouted_requests_total", "Requests that no route matched."),
		refused:   counter("modeltrail_tap_refused_calls_total", "Calls answered with 503, since on_audit_failure is closed and envelopes cannot be kept."),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_tap_dropped_envelopes_total", Help: "Envelopes given up before publishing, by reason.",
		}, []string{"reason"}),
		bodies: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_tap_shortened_bodies_total", Help: "Bodies left out or cut, by reason.",
		}, []string{"reason"}),
		inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_tap_in_flight_bytes", Help: "Captured bytes that are not published yet.",
		}, func() float64 { return float64(t.budget.used.Load()) }),
		droppedBy: map[string]prometheus.Counter{}, bodiesBy: map[string]prometheus.Counter{},
	}
	for _, reason := range []string{dropMemory, dropRefused, dropClosed} {
		m.droppedBy[reason] = m.dropped.WithLabelValues(reason)
	}
	for _, reason := range []string{bodyMemory, bodyLimit, bodyUndecodable, bodyRedaction, bodyEncryption} {
		m.bodiesBy[reason] = m.bodies.WithLabelValues(reason)
	}
	return m
}

func (m metrics) dropEnvelope(reason string) { m.droppedBy[reason].Inc() }

func (m metrics) shortened(reason string) { m.bodiesBy[reason].Inc() }

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.calls, m.envelopes, m.unrouted, m.refused, m.dropped, m.bodies, m.inFlight} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register tap metrics: %w", err)
		}
	}
	return nil
}
