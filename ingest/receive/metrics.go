package receive

import (
	"fmt"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	requests, records, rejected, bytes, denied, reduced *prometheus.CounterVec
	durable                                             *prometheus.HistogramVec
	gauges                                              []prometheus.Collector
}

func newMetrics(r *Receiver) metrics {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	return metrics{
		requests: counter("modeltrail_receive_requests_total", "Requests by source, format and status code.", "source", "format", "code"),
		records:  counter("modeltrail_receive_records_total", "Records of 2xx answers: accepted is durable as an envelope, rejected as a dead letter.", "source", "format", "result"),
		rejected: counter("modeltrail_receive_rejected_records_total", "Dead letters by reason.", "source", "reason"),
		bytes:    counter("modeltrail_receive_body_bytes_total", "Bytes of the bodies of 2xx answers: wire as they arrived, decoded after decompression.", "source", "kind"),
		denied:   counter("modeltrail_receive_denied_requests_total", "Requests and handshakes that did not prove who they are, by the source they named and reason.", "source", "reason"),
		reduced:  counter("modeltrail_receive_reduced_bodies_total", "Bodies left out of accepted envelopes, by reason.", "reason"),
		durable: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "modeltrail_receive_durable_seconds", Help: "Time until Kafka or the spool had the envelopes of a request, by result.",
			Buckets: []float64{.001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30},
		}, []string{"result"}),
		gauges: []prometheus.Collector{
			gauge("modeltrail_receive_in_flight_requests", "Requests at work.", func() float64 { return float64(len(r.slots)) }),
			gauge("modeltrail_receive_in_flight_bytes", "Memory reserved by requests at work.", func() float64 { return float64(r.budget.used.Load()) }),
			gauge("modeltrail_receive_unsettled_numbers", "Numbers of envelopes that were refused and have not come again.", func() float64 { return float64(r.numbers.abandoned()) }),
		},
	}
}

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	all := append([]prometheus.Collector{m.requests, m.records, m.rejected, m.bytes, m.denied, m.reduced, m.durable}, m.gauges...)
	for _, c := range all {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register receive metrics: %w", err)
		}
	}
	for _, reason := range reductions() {
		m.reduced.WithLabelValues(reason)
	}
	return nil
}

func (m metrics) answered(source, format string, status int) {
	m.requests.WithLabelValues(source, format, strconv.Itoa(status)).Inc()
}

func (m metrics) deny(d *denial) { m.denied.WithLabelValues(d.source, d.reason).Inc() }

func (m metrics) waited(since time.Time, err error) {
	result := "ok"
	if err != nil {
		result = "failed"
	}
	m.durable.WithLabelValues(result).Observe(time.Since(since).Seconds())
}
