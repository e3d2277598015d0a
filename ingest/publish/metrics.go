package publish

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/rs/zerolog"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Reasons of a drop.
const (
	reasonBufferFull = "buffer_full"
	reasonClosed     = "closed"
	reasonTimeout    = "timeout"
	reasonTooLarge   = "too_large"
	reasonAborted    = "shutdown"
	reasonAuth       = "not_authorized"
	reasonOther      = "other"
)

func reasons() []string {
	return []string{reasonBufferFull, reasonClosed, reasonTimeout, reasonTooLarge, reasonAborted, reasonAuth, reasonOther}
}

// failure maps a delivery error to a reason.
func failure(err error) string {
	switch {
	case errors.Is(err, kgo.ErrMaxBuffered):
		return reasonBufferFull
	case errors.Is(err, kgo.ErrRecordTimeout), errors.Is(err, context.DeadlineExceeded):
		return reasonTimeout
	case errors.Is(err, kerr.MessageTooLarge):
		return reasonTooLarge
	case errors.Is(err, kgo.ErrAborting), errors.Is(err, kgo.ErrClientClosed):
		return reasonAborted
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return reasonAuth
	}
	return reasonOther
}

type metrics struct {
	accepted, published, stripped prometheus.Counter
	dropped                       *prometheus.CounterVec
	byReason                      map[string]prometheus.Counter
	inFlight, waiting             prometheus.GaugeFunc
}

func newMetrics(p *Publisher) metrics {
	m := metrics{
		accepted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_accepted_envelopes_total",
			Help: "Envelopes offered for publishing. Equals published + dropped + in flight.",
		}),
		published: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_published_envelopes_total", Help: "Envelopes acknowledged by all in-sync replicas.",
		}),
		stripped: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "modeltrail_publish_stripped_bodies_total",
			Help: "Envelopes sent without their body: too large for the broker, or no room for it while brokers are away.",
		}),
		dropped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "modeltrail_publish_dropped_envelopes_total", Help: "Envelopes given up, by reason.",
		}, []string{"reason"}),
		inFlight: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_publish_in_flight_envelopes", Help: "Envelopes that wait for a broker.",
		}, func() float64 { return float64(p.records.Load()) }),
		waiting: prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "modeltrail_publish_in_flight_bytes", Help: "Bytes of envelopes that wait for a broker.",
		}, func() float64 { return float64(p.bytes.Load()) }),
		byReason: map[string]prometheus.Counter{},
	}
	for _, reason := range reasons() {
		m.byReason[reason] = m.dropped.WithLabelValues(reason)
	}
	return m
}

func (m metrics) drop(reason string) { m.byReason[reason].Inc() }

func (m metrics) register(r prometheus.Registerer) error {
	if r == nil {
		return nil
	}
	for _, c := range []prometheus.Collector{m.accepted, m.published, m.stripped, m.dropped, m.inFlight, m.waiting} {
		if err := r.Register(c); err != nil {
			return fmt.Errorf("register publish metrics: %w", err)
		}
	}
	return nil
}

// warner logs a loss at most once in ten seconds per reason.
type warner struct {
	log  zerolog.Logger
	mu   sync.Mutex
	last map[string]time.Time
}

func (w *warner) say(reason string, err error) {
	w.mu.Lock()
	now := time.Now()
	if w.last == nil {
		w.last = map[string]time.Time{}
	}
	quiet := now.Sub(w.last[reason]) < 10*time.Second
	if !quiet {
		w.last[reason] = now
	}
	w.mu.Unlock()
	if !quiet {
		w.log.Error().Str("reason", reason).Err(err).Msg("envelopes dropped")
	}
}
